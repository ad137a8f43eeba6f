//! A DAG of the chunk store as a CAR (version 1), made block by block while it is sent.

use std::collections::HashSet;

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{Error, ErrorKind, Result};
use crate::types::Cid;
use crate::unixfs::{DAG_PB, Node};

/// `{"roots": [CID], "version": 1}` in CBOR, up to the CID, which is a tag 42 of bytes that begin with a zero.
const HEADER: &[u8] = b"\xa2\x65roots\x81\xd8\x2a\x58";
const VERSION: &[u8] = b"\x67version\x01";
/// Blocks remembered, so that one that is linked twice is sent once: 2.5 MB of them. Beyond, some go twice, which is allowed.
const REMEMBERED: usize = 1 << 16;

/// Walks a DAG, root first, and gives its CAR piece by piece: one block and the links to come are in memory.
pub struct BlockWalk<F> {
    read: F,
    root: Option<Cid>,
    todo: Vec<Cid>,
    seen: HashSet<Cid>,
}

impl<F: FnMut(&Cid) -> Result<Option<Bytes>>> BlockWalk<F> {
    /// A walk over the DAG below `root`; `read` finds a block.
    pub fn new(root: Cid, read: F) -> Self {
        Self { read, root: Some(root), todo: vec![root], seen: HashSet::new() }
    }

    fn section(&mut self) -> Result<Option<Bytes>> {
        if let Some(root) = self.root.take() {
            return Ok(Some(header(&root)));
        }
        loop {
            let Some(cid) = self.todo.pop() else { return Ok(None) };
            if self.seen.contains(&cid) {
                continue;
            }
            if self.seen.len() < REMEMBERED {
                self.seen.insert(cid);
            }
            let missing = || Error::new(ErrorKind::NotFound, "a block of the DAG is not here").with("cid", cid);
            let block = (self.read)(&cid)?.ok_or_else(missing)?;
            if cid.codec() == DAG_PB {
                let links = Node::parse(&block)?.links;
                self.todo.extend(links.into_iter().rev().map(|link| link.cid));
            }
            let name = cid.to_bytes();
            let mut out = BytesMut::with_capacity(name.len() + block.len() + 10);
            put_varint(&mut out, (name.len() + block.len()) as u64);
            out.put_slice(&name);
            out.put_slice(&block);
            return Ok(Some(out.freeze()));
        }
    }
}

impl<F: FnMut(&Cid) -> Result<Option<Bytes>>> Iterator for BlockWalk<F> {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let section = self.section();
        if section.is_err() {
            self.todo.clear();
        }
        section.transpose()
    }
}

fn header(root: &Cid) -> Bytes {
    let name = root.to_bytes();
    let mut header = BytesMut::new();
    header.put_slice(HEADER);
    // Always more than 23 and less than 256: SHA-256's CIDs have 36.
    header.put_u8((name.len() + 1) as u8);
    header.put_u8(0);
    header.put_slice(&name);
    header.put_slice(VERSION);
    let mut out = BytesMut::new();
    put_varint(&mut out, header.len() as u64);
    out.put_slice(&header);
    out.freeze()
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::unixfs::{Block, raw_cid};

    #[test]
    fn a_dag_is_written_root_first_and_each_block_once() {
        let leaf = Block::raw(&b"leaf"[..]);
        let link = || crate::unixfs::Link { cid: leaf.cid, name: Some(String::new()), tsize: Some(4) };
        let node = Node { links: vec![link(), link()], data: None };
        let root = Block::dag_pb(node.encode());
        let blocks: HashMap<Cid, Bytes> =
            [(leaf.cid, leaf.bytes.clone()), (root.cid, root.bytes.clone())].into_iter().collect();
        let car: Vec<Bytes> =
            BlockWalk::new(root.cid, |cid: &Cid| Ok(blocks.get(cid).cloned())).collect::<Result<_>>().unwrap();
        assert_eq!(car.len(), 3);
        // {"roots": [CID], "version": 1}: 58 bytes.
        assert_eq!((car[0][0], car[0].len()), (58, 59));
        assert!(car[1].ends_with(&root.bytes) && car[2].ends_with(b"leaf"));
        assert_eq!(usize::from(car[2][0]), 36 + 4);
        assert_eq!(&car[2][1..37], raw_cid(b"leaf").to_bytes());
    }

    #[test]
    fn what_is_not_there_ends_it() {
        let mut walk = BlockWalk::new(raw_cid(b"gone"), |_: &Cid| Ok(None));
        assert!(walk.next().unwrap().is_ok());
        assert_eq!(walk.next().unwrap().unwrap_err().kind(), ErrorKind::NotFound);
        assert!(walk.next().is_none());
    }
}
