//! What the tests share: reproducible bytes, a block source in memory, the straight path.

use std::collections::HashMap;
use std::io::Read;

use bytes::Bytes;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use cid::Cid;
use pinfold_store::unixfs::{Block, BlockSource, DAG_PB, DagBuilder, Geometry, Leaf, Node, Profile, Root, raw_cid};
use pinfold_store::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

/// The first `left` bytes of the ChaCha20 stream whose key is the SHA-256 of a seed, as IPIP-499's fixtures use it.
pub struct Stream {
    rng: ChaCha20Rng,
    left: u64,
    // The generator gives whole words: read it in large pieces and hand out any number of bytes.
    buffer: Vec<u8>,
    at: usize,
}

impl Stream {
    pub fn new(seed: &str, len: u64) -> Self {
        let key: [u8; 32] = Sha256::digest(seed).into();
        Self { rng: ChaCha20Rng::from_seed(key), left: len, buffer: vec![0; 1 << 16], at: 1 << 16 }
    }

    pub fn bytes(seed: &str, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len);
        Self::new(seed, len as u64).read_to_end(&mut out).unwrap();
        out
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.buffer.len() {
            self.rng.fill_bytes(&mut self.buffer);
            self.at = 0;
        }
        let ready = &self.buffer[self.at..];
        let n = out.len().min(ready.len()).min(usize::try_from(self.left).unwrap());
        out[..n].copy_from_slice(&ready[..n]);
        self.at += n;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Blocks by CID.
#[derive(Default)]
pub struct Blocks(pub HashMap<Cid, Bytes>);

impl Blocks {
    pub fn put(&mut self, block: Block) -> Result<()> {
        pinfold_store::unixfs::verify(&block.cid, &block.bytes)?;
        self.0.insert(block.cid, block.bytes);
        Ok(())
    }
}

impl Blocks {
    /// Bytes of all blocks below `root`, as often as they are linked, counted from the blocks themselves.
    pub fn linked_bytes(&self, root: &Cid) -> u64 {
        fn count(blocks: &Blocks, cid: &Cid, known: &mut HashMap<Cid, u64>) -> u64 {
            if let Some(&known) = known.get(cid) {
                return known;
            }
            let block = &blocks.0[cid];
            let mut sum = block.len() as u64;
            if cid.codec() == DAG_PB {
                sum += Node::parse(block).unwrap().links.iter().map(|l| count(blocks, &l.cid, known)).sum::<u64>();
            }
            known.insert(*cid, sum);
            sum
        }
        count(self, root, &mut HashMap::new())
    }
}

impl BlockSource for Blocks {
    fn block(&self, cid: &Cid) -> Result<Bytes> {
        self.0.get(cid).cloned().ok_or_else(|| Error::new(ErrorKind::NotFound, "no such block").with("cid", cid))
    }
}

/// The straight path: every chunk hashed and pushed by itself; leaves and nodes kept in `blocks`.
pub fn add_file(bytes: &[u8], geometry: Geometry, blocks: &mut Blocks) -> Root {
    let mut builder = DagBuilder::with_geometry(geometry);
    for chunk in bytes.chunks(geometry.chunk_size) {
        let leaf = Block::raw(chunk.to_vec());
        let size = chunk.len() as u64;
        builder.push(Leaf { cid: leaf.cid, size }, &mut |b| blocks.put(b)).unwrap();
        blocks.put(leaf).unwrap();
    }
    builder.finish(&mut |b| blocks.put(b)).unwrap()
}

/// A geometry for small tests.
pub fn geometry(chunk_size: usize, max_links: usize) -> Geometry {
    Geometry { chunk_size, max_links, ..Profile::V1_2025.geometry() }
}

/// The CID of raw bytes as text.
pub fn raw_name(bytes: &[u8]) -> String {
    raw_cid(bytes).to_string()
}
