//! dag-pb nodes: what the [specification](https://ipld.io/specs/codecs/dag-pb/spec/) allows and nothing else.
//!
//! Two byte orders meet here: on the wire a node's links (field 2) stand before its data (field 1).

use bytes::Bytes;
use cid::Cid;

use crate::error::{Error, Result};
use crate::unixfs::wire::{Fields, Value, put_bytes_field, put_varint, put_varint_field, varint_len};

/// A link of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The block linked to.
    pub cid: Cid,
    /// Its name in this node; None where the field is absent. We always write it, empty for the chunks of a file,
    /// because Kubo does and the CID depends on it.
    pub name: Option<String>,
    /// Bytes of all blocks below, the target's own included, as often as they are linked.
    pub tsize: Option<u64>,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    /// Links, in the order of the wire.
    pub links: Vec<Link>,
    /// The data, for UnixFS a [`Data`](crate::unixfs::Data) message.
    pub data: Option<Bytes>,
}

impl Node {
    /// Takes a block apart. Corrupt on anything that is not a valid dag-pb node.
    ///
    /// Strict as Kubo's codec: no unknown field, no field twice, fields of a link in order, links in one run.
    pub fn parse(block: &Bytes) -> Result<Self> {
        let mut node = Self::default();
        let mut fields = Fields(block);
        let mut links_ended = false;
        while let Some(field) = fields.next_field()? {
            match field {
                (1, Value::Bytes(data)) if node.data.is_none() => {
                    node.data = Some(block.slice_ref(data));
                    links_ended = !node.links.is_empty();
                }
                (2, Value::Bytes(link)) if !links_ended => node.links.push(parse_link(link)?),
                (number, _) => return Err(Error::corrupt("dag-pb: unexpected field in node").with("field", number)),
            }
        }
        Ok(node)
    }

    /// The block's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let data_len = self.data.as_ref().map_or(0, |d| 1 + varint_len(d.len() as u64) + d.len());
        let links_len: usize = self.links.iter().map(Link::encoded_len).sum();
        let mut out = Vec::with_capacity(links_len + data_len);
        for link in &self.links {
            link.encode(&mut out);
        }
        if let Some(data) = &self.data {
            put_bytes_field(&mut out, 1, data);
        }
        out
    }
}

impl Link {
    /// Bytes that this link takes in its node's block.
    pub fn encoded_len(&self) -> usize {
        Self::encoded_len_of(&self.cid, self.name.as_ref().map(String::len), self.tsize)
    }

    /// Bytes that a link with a name of so many bytes takes in its node's block.
    pub(super) fn encoded_len_of(cid: &Cid, name_len: Option<usize>, tsize: Option<u64>) -> usize {
        let body = body_len(cid, name_len, tsize);
        1 + varint_len(body as u64) + body
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(2 << 3 | 2);
        let name_len = self.name.as_ref().map(String::len);
        put_varint(out, body_len(&self.cid, name_len, self.tsize) as u64);
        put_bytes_field(out, 1, &self.cid.to_bytes());
        if let Some(name) = &self.name {
            put_bytes_field(out, 2, name.as_bytes());
        }
        if let Some(tsize) = self.tsize {
            put_varint_field(out, 3, tsize);
        }
    }
}

fn body_len(cid: &Cid, name_len: Option<usize>, tsize: Option<u64>) -> usize {
    let field = |len: usize| 1 + varint_len(len as u64) + len;
    field(cid.encoded_len()) + name_len.map_or(0, field) + tsize.map_or(0, |t| 1 + varint_len(t))
}

fn parse_link(bytes: &[u8]) -> Result<Link> {
    let mut fields = Fields(bytes);
    let (mut cid, mut name, mut tsize) = (None, None, None);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Value::Bytes(bytes)) if cid.is_none() && name.is_none() && tsize.is_none() => {
                cid = Some(parse_cid(bytes)?);
            }
            (2, Value::Bytes(bytes)) if name.is_none() && tsize.is_none() => {
                let text = str::from_utf8(bytes)
                    .map_err(|e| Error::corrupt("dag-pb: a link's name is not UTF-8").caused_by(e))?;
                name = Some(text.to_owned());
            }
            (3, Value::Varint(value)) if tsize.is_none() => tsize = Some(value),
            (number, _) => return Err(Error::corrupt("dag-pb: unexpected field in link").with("field", number)),
        }
    }
    let cid = cid.ok_or_else(|| Error::corrupt("dag-pb: link without a CID"))?;
    Ok(Link { cid, name, tsize })
}

fn parse_cid(bytes: &[u8]) -> Result<Cid> {
    let mut rest = bytes;
    let cid = Cid::read_bytes(&mut rest).map_err(|e| Error::corrupt("dag-pb: not a CID").caused_by(e))?;
    // The crate's own parser ignores what follows the CID.
    if rest.is_empty() { Ok(cid) } else { Err(Error::corrupt("dag-pb: bytes after a CID").with("cid", cid)) }
}
