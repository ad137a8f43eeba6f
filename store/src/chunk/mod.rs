//! The chunk store: CIDs → bytes on this host's disk.
//!
//! - An object's bytes lie in one sealed *content file* ([`link`]), or, scattered, in *slabs* and other objects' content
//!   files ([`scatter`]); small ones in slabs ([`slab`], [`append`]). A *sidecar* ([`sidecar`]) lists an object's leaves and
//!   holds its dag-pb nodes.
//! - The *block index* ([`index`]) says where each digest lies; it is made from the files and can be rebuilt ([`recover`]).
//! - An inode that is open for writing has a *live file* ([`live`]), which is sealed without a copy ([`seal`]).
//! - Writers and readers hold *pins* ([`pins`]); the collector ([`collect`]) removes what no root, pin or scattered object
//!   needs, and compacts slabs.
//!
//! Order of a write: bytes durable → index rows → the caller's commit record. A crash leaves at worst bytes that nothing
//! names; the next start finds them. All calls block; cheap ones (`contains`, `release_hint`) may be made anywhere.

mod append;
mod block;
mod cached;
mod collect;
mod compact;
mod config;
mod content;
mod frame;
mod health;
mod ids;
mod index;
mod join;
mod layout;
mod leaves;
mod link;
mod live;
mod live_file;
mod pins;
mod pool;
mod reader;
mod recover;
mod scatter;
mod seal;
mod sealing;
mod sidecar;
mod slab;
mod space;
mod store;
mod sys;
mod unseal;
mod upload;
mod verify;
mod writer;

#[cfg(any(test, feature = "testkit"))]
pub mod conformance;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use crate::crypto::{ContentKey, ManifestKey};
use crate::error::Result;
use crate::meta::MetaStore;
use crate::meta::record::InlineBlock;
use crate::meta::rows::Content;
use crate::meta::seal::{Seal, SealKey};
use crate::types::{Cid, Id, Ino};
use crate::unixfs::Profile;

pub use collect::{CollectBudget, CollectReport, Roots};
pub use config::{ChunkConfig, StepHook};
pub use live_file::LiveFile;
pub use pins::TempPin;
pub use reader::ObjectReader;
pub use recover::{Progress, ProgressFn};
pub use sealing::Sealing;
pub use space::{DiskSpace, Usage};
pub use store::InlineLookup;
pub use unseal::SealedFile;
pub use verify::{Damage, PaceFn, VerifyReport};
pub use writer::{ObjectWriter, Stored, WriteOptions};

/// The store. Clones are the same store; when the last is dropped, and every reader and writer of it, its threads end
/// and the index is closed cleanly.
#[derive(Clone)]
pub struct ChunkStore(Arc<store::Inner>);

impl ChunkStore {
    /// Opens or makes the store in `config.dir`, its index in the local rows (`b`, `c`, `f`, `r`) of `index`.
    ///
    /// After a crash it catches up with the files that the index may not know; with `rebuild` the index is made anew from
    /// all files. Both report to `progress`.
    pub fn open(
        config: ChunkConfig,
        index: Arc<dyn MetaStore>,
        rebuild: bool,
        progress: &ProgressFn<'_>,
    ) -> Result<Self> {
        Ok(Self(Arc::new(store::Inner::open(config, index, rebuild, progress)?)))
    }

    /// Where bodies that the log still carries are found by digest. It is called without any lock of the store.
    pub fn set_inline_lookup(&self, lookup: InlineLookup) {
        *self.0.inline_lookup.write() = Some(lookup);
    }

    /// A writer of a new object. NoSpace when the disk's reserve is reached, TooLarge for a hint beyond 5 TiB,
    /// Unavailable after a failed sync.
    pub fn writer(&self, profile: Profile, options: WriteOptions) -> Result<ObjectWriter> {
        ObjectWriter::new(self.0.clone(), profile, options)
    }

    /// Stores a whole body. Up to `slab_object_max` bytes this is the shortest way: no hand-over to other threads but the
    /// shared sync.
    pub fn store_small(&self, bytes: impl Into<Bytes>, profile: Profile, options: WriteOptions) -> Result<Stored> {
        let bytes = bytes.into();
        if bytes.len() <= self.0.config.slab_object_max {
            return self.0.store_small(bytes, options.md5);
        }
        let mut writer = self.writer(profile, WriteOptions { size_hint: Some(bytes.len() as u64), ..options })?;
        writer.write(&bytes)?;
        writer.finish()
    }

    /// Stores the concatenation of objects that are stored here, under its canonical CID (S18): without hashing where the
    /// parts are whole numbers of chunks, and without sharing their chunks, since they are about to go (ruling 15).
    pub fn concat(&self, parts: &[(Cid, u64)], profile: Profile) -> Result<Stored> {
        self.0.concat(parts, profile)
    }

    /// As [`Self::concat`], of sealed objects: their sealed bytes are joined, and their manifests; nothing else is opened.
    pub fn concat_sealed(
        &self,
        parts: &[(Cid, u64, Arc<Seal>)],
        profile: Profile,
        names: &SealKey,
        key: &ManifestKey,
    ) -> Result<Stored> {
        self.0.concat_sealed(parts, profile, names, key)
    }

    /// The plain bytes of a small sealed body that is still on its way into the log.
    pub fn open_inline(&self, body: &InlineBlock, content: &Content, key: &ContentKey) -> Result<Bytes> {
        self.0.open_inline(body, content, key)
    }

    /// Opens a sealed object, to be read in clear. Errors as [`Self::reader`]; Corrupt if its manifest does not open by `key`.
    pub fn sealed_reader(&self, root: &Cid, size: u64, seal: &Seal, key: Arc<ContentKey>) -> Result<ObjectReader> {
        self.0.open_sealed_object(root, size, seal, key)
    }

    /// NoSpace if `bytes` more would reach into the disk's reserve.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        self.0.space.admit(bytes)
    }

    /// Takes over bodies that the log carried: durable when it returns, and idempotent. Corrupt if one is not what its
    /// CID says.
    pub fn store_inline(&self, blocks: &[InlineBlock]) -> Result<()> {
        self.0.store_inline(blocks)
    }

    /// Opens the object `root` of `size` bytes. NotFound if it is not on this host.
    pub fn reader(&self, root: &Cid, size: u64) -> Result<ObjectReader> {
        ObjectReader::open(&self.0, root, size)
    }

    /// A leaf or inner node, checked each time; `None` if it is not on this host; Corrupt, with the CID, if all copies are damaged.
    pub fn block(&self, cid: &Cid) -> Result<Option<Bytes>> {
        self.0.block(cid)
    }

    /// The length of the block with this digest, if it is here; its bytes are not read.
    pub fn block_len(&self, digest: &[u8; 32]) -> Result<Option<u64>> {
        self.0.block_len(digest)
    }

    /// Whether [`ChunkStore::block`] would find it; its bytes are not read.
    pub fn contains(&self, cid: &Cid) -> Result<bool> {
        self.0.contains(cid)
    }

    /// Whether `take` takes the digest of an object on this host that the block `digest` is part of: it is offered the
    /// block's own first, then each object's whose leaf or node it is (some hundred of them at most).
    pub fn any_object_with(&self, digest: &[u8; 32], take: &mut dyn FnMut(&[u8; 32]) -> Result<bool>) -> Result<bool> {
        self.0.any_object_with(digest, take)
    }

    /// Whether the block is nothing but zeros, as holes of files are: such a block is not stored.
    pub fn is_zeros(&self, digest: &[u8; 32]) -> bool {
        self.0.zeros.len_of(digest).is_some()
    }

    /// Holds what `digest` names, whether it is stored yet or not, until the pin is dropped.
    pub fn pin(&self, digest: &[u8; 32]) -> TempPin {
        self.0.pins.pin(digest)
    }

    /// The object's content file. `None` if the object has none (small, shared in parts, not here) or it is not as it was
    /// sealed (ruling 13).
    pub fn sealed_file(&self, root: &Cid) -> Result<Option<SealedFile>> {
        self.0.sealed_file(root, None)
    }

    /// As [`ChunkStore::sealed_file`], for the kernel to read by itself on behalf of `ino`, as long as the answer lives.
    /// `None` also while the file is lent to another inode, which may make it its live file (ruling 11): then reads go
    /// through [`ChunkStore::reader`].
    pub fn lend_sealed(&self, root: &Cid, ino: Ino) -> Result<Option<SealedFile>> {
        self.0.sealed_file(root, Some(ino))
    }

    /// Makes the content file of `root` the live file of `ino`, so that who reads it by passthrough sees what is written;
    /// the object keeps its content in a new file from before this returns (ruling 11).
    ///
    /// Busy if the file is lent to another inode, Unsupported if the object has no file of its own: then
    /// [`ChunkStore::clone_to_live`]. AlreadyExists if `ino` has a live file.
    pub fn unseal(&self, root: &Cid, ino: Ino) -> Result<LiveFile> {
        self.0.unseal(root, ino)
    }

    /// An empty live file for an inode that has none.
    pub fn create_live(&self, ino: Ino) -> Result<LiveFile> {
        self.0.create_live(ino)
    }

    /// A live file, for an inode that has none, with the bytes of `root`: by reflink where the disk has it, else a
    /// checked copy.
    pub fn clone_to_live(&self, ino: Ino, root: &Cid, size: u64) -> Result<LiveFile> {
        self.0.clone_to_live(ino, root, size)
    }

    /// As [`Self::create_live`], sealed under the bucket key `id`.
    pub fn create_sealed_live(&self, ino: Ino, id: Id) -> Result<LiveFile> {
        self.0.create_sealed_live(ino, id)
    }

    /// As [`Self::clone_to_live`], sealed under the bucket key `id`, with what `reader` reads.
    pub fn clone_to_sealed_live(&self, ino: Ino, reader: &ObjectReader, id: Id) -> Result<LiveFile> {
        self.0.clone_to_sealed_live(ino, reader, id)
    }

    /// Publishes what a live file, sealed or not, holds at one moment, sealed. Busy if it changes all the time.
    pub fn publish_sealed(&self, live: &LiveFile, profile: Profile, sealing: &Sealing) -> Result<Stored> {
        self.0.publish_sealed(live, profile, sealing)
    }

    /// Whether a live file that is not sealed can be written to by nobody: its own descriptor is closed by this.
    pub fn nobody_writes(&self, live: LiveFile) -> Result<bool> {
        self.0.nobody_writes(live)
    }

    /// The live file that an inode has.
    pub fn open_live(&self, ino: Ino) -> Result<LiveFile> {
        self.0.open_live(ino)
    }

    /// Lets go of an inode's live file, if it has one: after the commit that names what it was sealed as, or when the
    /// inode is gone.
    pub fn discard_live(&self, ino: Ino) -> Result<()> {
        self.0.discard_live(ino)
    }

    /// Makes all live files' bytes durable at once: cheaper than many syncs, dearer than a few. See [`LiveFile::about_to_sync`].
    pub fn sync_live(&self) -> Result<()> {
        self.0.sync_live()
    }

    /// Inodes that have a live file: after a crash some may belong to no inode any more.
    pub fn list_live(&self) -> Result<Vec<Ino>> {
        self.0.list_live()
    }

    /// Seals a live file at its last close: nothing is copied. [`ChunkStore::discard_live`] follows after the commit.
    ///
    /// Busy if a writer or writable mapping may be left, or the file changed meanwhile: then
    /// [`ChunkStore::publish_copy`]. The live file is still there and can be opened again.
    pub fn seal_live(&self, live: LiveFile, profile: Profile) -> Result<Stored> {
        let ino = live.ino();
        self.0.seal_live(live, profile).inspect_err(|_| self.0.forget_sealing(ino))
    }

    /// Publishes what a live file that may be written to holds at one moment. Busy if it changes all the time.
    pub fn publish_copy(&self, live: &LiveFile, profile: Profile) -> Result<Stored> {
        self.0.publish_copy(live, profile)
    }

    /// Tells that the namespace no longer holds a root: the collector will look at it.
    pub fn release_hint(&self, digest: &[u8; 32]) {
        self.0.pins.hint(*digest);
    }

    /// Removes what no held root, pin, open reader or scattered object needs, within `budget`, while everything else goes
    /// on. One call at a time; others wait. Called again at once while [`CollectReport::more`].
    pub fn collect(&self, roots: &dyn Roots, budget: &CollectBudget) -> Result<CollectReport> {
        self.0.collect(roots, budget)
    }

    /// Reads everything and compares it with its CIDs: the scrub. Everything else may go on. An error only if the index or a
    /// thread fails: damage is in the report. A damaged content file is no longer a [`SealedFile`], and is replaced when its
    /// bytes are stored again.
    pub fn verify_all(&self, progress: &ProgressFn<'_>) -> Result<VerifyReport> {
        self.0.verify_all(&[0; 32], progress, &|_| Ok(()))
    }

    /// As [`Self::verify_all`], beginning with the first object whose digest is not smaller than `first` (then round to
    /// it), at the pace that `pace` sets.
    pub fn scrub(&self, first: &[u8; 32], pace: &PaceFn<'_>) -> Result<VerifyReport> {
        self.0.verify_all(first, &|_| {}, pace)
    }

    /// How full the disk is; cheap.
    pub fn disk_space(&self) -> Result<DiskSpace> {
        self.0.space.disk()
    }

    /// Bytes and files, and how full the disk is.
    pub fn usage(&self) -> Result<Usage> {
        self.0.usage()
    }
}

impl std::fmt::Debug for ChunkStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkStore").field("config", &self.0.config).finish_non_exhaustive()
    }
}
