//! The UnixFS message in a node's data.
//!
//! Field numbers and types are those of `unixfs.proto`: Type 1, Data 2, filesize 3, blocksizes 4 (unpacked),
//! hashType 5, fanout 6, mode 7, mtime 8 { seconds 1, fixed32 nanos 2 }.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::types::Timestamp;
use crate::unixfs::wire::{Fields, Value, put_bytes_field, put_fixed32_field, put_varint_field};

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// A leaf of a file in the old form, without raw leaves.
    Raw = 0,
    /// A plain directory.
    Directory = 1,
    /// A file, or an inner node of one.
    #[default]
    File = 2,
    /// Never used by anybody.
    Metadata = 3,
    /// A symbolic link.
    Symlink = 4,
    /// A shard of a directory.
    HamtShard = 5,
}

/// The UnixFS message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Data {
    /// What the node is.
    pub kind: Kind,
    /// A leaf's bytes, a symbolic link's target or a shard's bitfield.
    pub data: Option<Bytes>,
    /// Bytes of the file below this node.
    pub filesize: Option<u64>,
    /// Bytes of the file below each link.
    pub blocksizes: Vec<u64>,
    /// The shard's hash function, as a multihash code.
    pub hash_type: Option<u64>,
    /// The shard's fanout.
    pub fanout: Option<u64>,
    /// POSIX permissions.
    pub mode: Option<u32>,
    /// Time of the last change.
    pub mtime: Option<Timestamp>,
}

impl Data {
    /// An inner node of a file.
    pub fn file_node(filesize: u64, blocksizes: Vec<u64>) -> Self {
        Self { filesize: Some(filesize), blocksizes, ..Self::default() }
    }

    /// A symbolic link to `target`. Its block is a node of this data without links.
    pub fn symlink(target: impl Into<Bytes>) -> Self {
        Self { kind: Kind::Symlink, data: Some(target.into()), ..Self::default() }
    }

    /// Parses a message. Unknown fields are passed over, as protobuf asks. Corrupt on anything malformed.
    pub fn parse(bytes: &Bytes) -> Result<Self> {
        let mut kind = None;
        let mut message = Self::default();
        let mut fields = Fields(bytes);
        while let Some(field) = fields.next_field()? {
            match field {
                (1, Value::Varint(value)) => once(&mut kind, parse_kind(value)?)?,
                (2, Value::Bytes(data)) => once(&mut message.data, bytes.slice_ref(data))?,
                (3, Value::Varint(value)) => once(&mut message.filesize, value)?,
                (4, Value::Varint(value)) => message.blocksizes.push(value),
                // Packed: nobody writes it, but a protobuf reader takes it.
                (4, Value::Bytes(packed)) => {
                    let mut packed = Fields(packed);
                    while !packed.0.is_empty() {
                        message.blocksizes.push(packed.varint()?);
                    }
                }
                (5, Value::Varint(value)) => once(&mut message.hash_type, value)?,
                (6, Value::Varint(value)) => once(&mut message.fanout, value)?,
                (7, Value::Varint(value)) => {
                    let mode = u32::try_from(value).map_err(|_| Error::corrupt("unixfs: mode over 32 bits"))?;
                    once(&mut message.mode, mode)?;
                }
                (8, Value::Bytes(bytes)) => once(&mut message.mtime, parse_mtime(bytes)?)?,
                (number @ 1..=8, _) => {
                    return Err(Error::corrupt("unixfs: field of the wrong type").with("field", number));
                }
                _ => {}
            }
        }
        message.kind = kind.ok_or_else(|| Error::corrupt("unixfs: message without a type"))?;
        Ok(message)
    }

    /// The message's bytes, as Kubo writes them.
    pub fn encode(&self) -> Vec<u8> {
        let data = self.data.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(64 + data.len() + 4 * self.blocksizes.len());
        put_varint_field(&mut out, 1, self.kind as u64);
        if self.data.is_some() {
            put_bytes_field(&mut out, 2, data);
        }
        let mut put = |number, value| {
            if let Some(value) = value {
                put_varint_field(&mut out, number, value);
            }
        };
        put(3, self.filesize);
        self.blocksizes.iter().for_each(|&size| put(4, Some(size)));
        put(5, self.hash_type);
        put(6, self.fanout);
        put(7, self.mode.map(u64::from));
        if let Some(mtime) = self.mtime {
            let mut message = Vec::new();
            put_varint_field(&mut message, 1, mtime.secs as u64);
            // The specification: absent when zero.
            if mtime.nanos != 0 {
                put_fixed32_field(&mut message, 2, mtime.nanos);
            }
            put_bytes_field(&mut out, 8, &message);
        }
        out
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::corrupt("unixfs: field given twice")),
    }
}

fn parse_kind(value: u64) -> Result<Kind> {
    Ok(match value {
        0 => Kind::Raw,
        1 => Kind::Directory,
        2 => Kind::File,
        3 => Kind::Metadata,
        4 => Kind::Symlink,
        5 => Kind::HamtShard,
        _ => return Err(Error::corrupt("unixfs: unknown type").with("type", value)),
    })
}

fn parse_mtime(bytes: &[u8]) -> Result<Timestamp> {
    let (mut secs, mut nanos) = (None, None);
    let mut fields = Fields(bytes);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Value::Varint(value)) => once(&mut secs, value as i64)?,
            (2, Value::Fixed32(value)) if value < 1_000_000_000 => once(&mut nanos, value)?,
            (number @ 1..=2, _) => return Err(Error::corrupt("unixfs: bad mtime").with("field", number)),
            _ => {}
        }
    }
    let secs = secs.ok_or_else(|| Error::corrupt("unixfs: mtime without seconds"))?;
    Ok(Timestamp { secs, nanos: nanos.unwrap_or(0) })
}
