//! stub, replaced by the chunk branch
#![allow(missing_docs, clippy::all, unused)]
use crate::error::Result;
use crate::meta::record::InlineBlock;
use crate::types::{Cid, Ino};
use crate::unixfs::Profile;
use bytes::Bytes;
use std::fs::File;
use std::sync::Arc;
pub struct TempPin(());
pub struct Stored {
    pub root: Cid,
    pub size: u64,
    pub leaves: u64,
    pub md5: Option<[u8; 16]>,
    pub inline: Option<InlineBlock>,
    pub guard: TempPin,
}
#[derive(Clone, Copy, Default)]
pub struct WriterOptions {
    pub md5: bool,
    pub size_hint: Option<u64>,
}
pub struct ObjectWriter(());
impl ObjectWriter {
    pub fn write(&mut self, _bytes: Bytes) -> Result<()> { panic!() }
    pub fn finish(self) -> Result<Stored> { panic!() }
}
pub struct ObjectReader(());
impl ObjectReader {
    pub fn root(&self) -> &Cid { panic!() }
    pub fn size(&self) -> u64 { panic!() }
    pub fn read_at(&self, _offset: u64, _len: usize) -> Result<Bytes> { panic!() }
}
pub struct SealedFile { pub file: Arc<File> }
pub struct LiveFile(());
impl LiveFile {
    pub fn file(&self) -> &File { panic!() }
    pub fn shared_file(&self) -> Arc<File> { panic!() }
}
pub trait Roots: Send + Sync { fn is_held(&self, digest: &[u8; 32]) -> Result<bool>; }
#[derive(Clone)]
pub struct ChunkStore(());
impl ChunkStore {
    pub fn release_hint(&self, d: [u8;32]) { panic!() }
    pub fn writer(&self, p: Profile, o: WriterOptions) -> Result<ObjectWriter> { panic!() }
    pub fn store_small(&self, b: &[u8], p: Profile, o: WriterOptions) -> Result<Stored> { panic!() }
    pub fn reader(&self, r: &Cid, size: u64) -> Result<ObjectReader> { panic!() }
    pub fn concat(&self, c: &[(Cid,u64)], p: Profile) -> Result<Stored> { panic!() }
    pub fn sealed_file(&self, r: &Cid) -> Result<Option<SealedFile>> { panic!() }
    pub fn create_live(&self, i: Ino) -> Result<LiveFile> { panic!() }
    pub fn open_live(&self, i: Ino) -> Result<LiveFile> { panic!() }
    pub fn clone_to_live(&self, i: Ino, r:&Cid, s: u64) -> Result<LiveFile> { panic!() }
    pub fn unseal(&self, r:&Cid, i: Ino) -> Result<LiveFile> { panic!() }
    pub fn discard_live(&self, l: &LiveFile) -> Result<()> { panic!() }
    pub fn seal_live(&self, l: &LiveFile, p: Profile) -> Result<Stored> { panic!() }
    pub fn publish_copy(&self, l: &LiveFile, p: Profile) -> Result<Stored> { panic!() }
    pub fn sync_live(&self, l: &LiveFile) -> Result<()> { panic!() }
    pub fn list_live(&self) -> Result<Vec<Ino>> { panic!() }
    pub fn slab_object_max(&self) -> u64 { panic!() }
    pub fn check_room(&self, n: u64) -> Result<()> { panic!() }
}
