//! What the parts of the namespace share.

use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use parking_lot::Mutex;

use super::buckets::Buckets;
use super::config::NamespaceConfig;
use super::inode::InodeTable;
use super::keeping::Keeping;
use super::lifecycle::Tally;
use super::live::LiveTable;
use super::notices::Notifying;
use super::pictures::Pictures;
use super::quota::Quotas;
use super::txn::{Rows, StreamState};
use super::watch::Mounts;
use super::witness::Witnesses;
use crate::audit::AuditLog;
use crate::chunk::{ChunkStore, Roots};
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::Metadata;
use crate::meta::record::Op;
use crate::meta::rows::BucketRow;
use crate::meta::schema;
use crate::types::{Caller, Id, Ino};
use crate::worker::Workers;

/// Inode numbers are taken from the log in blocks of this many.
const INO_BLOCK: u64 = 1 << 16;
/// Where the upper end of the last block taken is kept.
const NEXT_INO: &str = "next-inode";
/// A stream of its own, whose lock is taken below any other's.
const INODE_STREAM: Id = Id([0xff; 16]);

/// The state of one namespace.
pub(super) struct Engine {
    pub(super) meta: Metadata,
    pub(super) chunks: ChunkStore,
    pub(super) keys: Arc<Keyring>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: NamespaceConfig,
    pub(super) streams: DashMap<Id, Arc<Mutex<StreamState>>>,
    pub(super) inodes: InodeTable,
    pub(super) lives: LiveTable,
    pub(super) mounts: Mounts,
    pub(super) inos: InoAllocator,
    pub(super) buckets: Buckets,
    pub(super) keeping: Keeping,
    pub(super) quotas: Quotas,
    pub(super) notifying: Notifying,
    pub(super) witnesses: Witnesses,
    pub(super) lifecycle: Tally,
    pub(super) pictures: Pictures,
    /// Which inode a kernel uses a content file for.
    pub(super) backed: DashMap<[u8; 32], Ino>,
    pub(super) workers: Workers,
    /// Where mounts' operations on buckets are told.
    pub(super) audit: OnceLock<AuditLog>,
}

impl Engine {
    /// A bucket's row, or NoSuchBucket.
    pub(super) fn bucket_row(&self, name: &str) -> Result<BucketRow> {
        self.buckets
            .get(name, || self.row(&schema::bucket(name)))?
            .ok_or_else(|| Error::new(ErrorKind::NoSuchBucket, "the bucket does not exist").with("bucket", name))
    }

    /// Runs something that may block for a while from async code, without starving the runtime.
    pub(super) fn blocking<T>(run: impl FnOnce() -> T) -> T {
        use tokio::runtime::{Handle, RuntimeFlavor};
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(run),
            _ => run(),
        }
    }
}

/// Content is held if any row says so (open handles and uncommitted writes are held by the chunk store itself).
impl Roots for Engine {
    fn is_held(&self, digest: &[u8; 32]) -> Result<bool> {
        let prefix = schema::held(digest, b"");
        // Rows first: an inode keeps its content from before the commit that takes its last name away.
        let held =
            !self.meta.range(&prefix, &schema::prefix_end(&prefix), 1)?.is_empty() || self.inodes.is_kept(digest);
        if !held && !self.meta.is_settled(&prefix, &schema::prefix_end(&prefix)) {
            // The record that took the last holder away may be lost in a crash; then its bytes are needed again.
            self.meta.durable_blocking(self.meta.head())?;
        }
        Ok(held)
    }
}

/// Hands out inode numbers, each once for the life of the namespace.
#[derive(Default)]
pub(super) struct InoAllocator(Mutex<InoBlock>);

#[derive(Default)]
struct InoBlock {
    next: u64,
    end: u64,
}

impl InoAllocator {
    /// The next number. Takes a new block from the log when the last one is used up; the record that takes it stands
    /// in the log before any record that uses a number of it.
    pub(super) fn next(&self, engine: &Engine) -> Result<Ino> {
        let mut block = self.0.lock();
        if block.next == block.end {
            let key = schema::setting(NEXT_INO);
            let caller = Caller::worker("inodes");
            let taken = engine.commit(&caller, INODE_STREAM, Op::System, |txn| {
                // 1 is the namespace root.
                let start = txn.engine.meta.get(&key)?.and_then(|v| v.try_into().ok()).map_or(2, u64::from_be_bytes);
                txn.put_raw(key.clone(), (start + INO_BLOCK).to_be_bytes().to_vec());
                Ok(start)
            })?;
            *block = InoBlock { next: taken.value, end: taken.value + INO_BLOCK };
        }
        block.next += 1;
        Ok(Ino(block.next - 1))
    }
}
