//! Inodes that a kernel knows or a process holds open: where each one's row is now.
//!
//! A [`Place`] changes only under its bucket's stream lock, together with the rows, so that under that lock it is
//! exact; without it a reader may see a place whose row has just moved and looks again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use super::live::{Data, OpenState};
use crate::error::{Error, Result};
use crate::meta::rows::{DirRow, NodeRow};
use crate::meta::schema;
use crate::types::{DirId, Id, Ino};

/// Which row holds an inode that is not a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Holder {
    /// An entry, for an inode with one name.
    Entry {
        /// The directory.
        dir: DirId,
        /// Raw name.
        name: Vec<u8>,
    },
    /// A row of its own, for an inode with several names.
    Shared(Ino),
    /// A directory's marker.
    Marker(DirId),
}

impl Holder {
    /// Key of the row.
    pub(super) fn key(&self) -> Vec<u8> {
        match self {
            Self::Entry { dir, name } => schema::entry(*dir, name, false),
            Self::Shared(ino) => schema::node(*ino),
            Self::Marker(dir) => schema::dir(*dir),
        }
    }

    /// The counterpart of [`Self::key`].
    pub(super) fn parse(key: &[u8]) -> Result<Self> {
        match key {
            [b'E', ..] => {
                let (dir, name, _) = schema::parse_entry(key)?;
                Ok(Self::Entry { dir, name: name.to_vec() })
            }
            [b'N', rest @ ..] => {
                let bytes = rest.try_into().map_err(|_| Error::corrupt("an inode's key has a wrong length"))?;
                Ok(Self::Shared(Ino(u64::from_be_bytes(bytes))))
            }
            [b'D', rest @ ..] => {
                let bytes = rest.try_into().map_err(|_| Error::corrupt("a directory's key has a wrong length"))?;
                Ok(Self::Marker(Id(bytes)))
            }
            _ => Err(Error::corrupt("not a key of a row that holds an inode").with("key", hex::encode(key))),
        }
    }
}

/// Where an inode is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A directory; the namespace root has the id [`super::ROOT_DIR`].
    Dir {
        /// Its id.
        id: DirId,
        /// Its bucket.
        bucket: Id,
    },
    /// In a row.
    Held {
        /// Which.
        holder: Holder,
        /// Its bucket.
        bucket: Id,
    },
    /// Without a name, held open: the row as it last was, with link count 0.
    Orphan {
        /// The inode.
        node: Box<NodeRow>,
        /// Its bucket.
        bucket: Id,
    },
    /// A removed directory that somebody still holds.
    OrphanDir {
        /// The row as it last was.
        row: Box<DirRow>,
    },
}

impl Place {
    /// The stream whose lock guards this place.
    pub(super) fn bucket(&self) -> Id {
        match self {
            Self::Dir { bucket, .. } | Self::Held { bucket, .. } | Self::Orphan { bucket, .. } => *bucket,
            Self::OrphanDir { row } => row.bucket,
        }
    }
}

/// A known inode.
pub(super) struct Inode {
    /// Its number.
    pub(super) ino: Ino,
    /// Where it is.
    pub(super) place: RwLock<Place>,
    /// Lookups the kernel has not forgotten plus handles that hold it.
    references: AtomicU64,
    /// Where open handles read. Changes only with `open` held; read without it, so that `stat` never waits.
    pub(super) data: RwLock<Data>,
    /// Open handles and their common backing; held over opening, publishing and releasing. Taken before a stream's lock.
    pub(super) open: Mutex<OpenState>,
    /// Signalled when a writer was released.
    pub(super) released: Condvar,
    /// Content that is kept for this inode alone, which has no name any more.
    kept: Mutex<Vec<[u8; 32]>>,
}

/// How long to wait for the RELEASE that follows a close (it comes after close returned).
const RELEASE_WAIT: Duration = Duration::from_millis(200);

impl Inode {
    /// Waits, boundedly, for writers if all of them are closed: their RELEASE is still on the way.
    pub(super) fn wait_for_writers(&self, open: &mut MutexGuard<'_, OpenState>) {
        if open.unflushed > 0 {
            return;
        }
        let deadline = Instant::now() + RELEASE_WAIT;
        while open.writers > 0 && !self.released.wait_until(open, deadline).timed_out() {}
    }
}

/// All known inodes.
#[derive(Default)]
pub(super) struct InodeTable {
    map: DashMap<Ino, Arc<Inode>>,
    /// How many inodes without a name keep a content: a kernel that knows such an inode may still open it.
    kept: DashMap<[u8; 32], usize>,
}

impl InodeTable {
    /// The inode, if it is known.
    pub(super) fn get(&self, ino: Ino) -> Option<Arc<Inode>> {
        self.map.get(&ino).map(|inode| Arc::clone(&inode))
    }

    /// The inode with one more reference, made known at `place` if it was not.
    pub(super) fn reference(&self, ino: Ino, place: Place) -> Arc<Inode> {
        match self.map.entry(ino) {
            Entry::Occupied(known) => {
                known.get().references.fetch_add(1, Ordering::Relaxed);
                Arc::clone(known.get())
            }
            Entry::Vacant(unknown) => {
                let inode = Arc::new(Inode {
                    ino,
                    place: RwLock::new(place),
                    references: AtomicU64::new(1),
                    data: RwLock::new(Data::None),
                    open: Mutex::new(OpenState::default()),
                    released: Condvar::new(),
                    kept: Mutex::default(),
                });
                unknown.insert(Arc::clone(&inode));
                inode
            }
        }
    }

    /// Drops `count` references; the last one forgets the inode. How many are left, and the content that nothing
    /// without a name keeps any more.
    pub(super) fn dereference(&self, ino: Ino, count: u64) -> (u64, Vec<[u8; 32]>) {
        let Entry::Occupied(known) = self.map.entry(ino) else { return (0, Vec::new()) };
        let left = known.get().references.load(Ordering::Relaxed).saturating_sub(count);
        known.get().references.store(left, Ordering::Relaxed);
        if left > 0 {
            return (left, Vec::new());
        }
        let inode = known.remove();
        (0, self.unkeep(&inode))
    }

    /// How many references an inode has.
    pub(super) fn references(&self, ino: Ino) -> u64 {
        self.map.get(&ino).map_or(0, |inode| inode.references.load(Ordering::Relaxed))
    }

    /// Keeps the content of an inode that is about to lose its last name, for as long as the inode is known.
    pub(super) fn keep(&self, ino: Ino, digests: Vec<[u8; 32]>) {
        // The entry stays locked: the inode cannot be forgotten in between.
        if let Some(inode) = self.map.get(&ino) {
            let mut kept = inode.kept.lock();
            if kept.is_empty() {
                for digest in &digests {
                    *self.kept.entry(*digest).or_default() += 1;
                }
                *kept = digests;
            }
        }
    }

    /// The counterpart, for an inode that keeps its name after all.
    pub(super) fn unkeep_known(&self, ino: Ino) {
        if let Some(inode) = self.get(ino) {
            self.unkeep(&inode);
        }
    }

    fn unkeep(&self, inode: &Inode) -> Vec<[u8; 32]> {
        let mut unneeded = std::mem::take(&mut *inode.kept.lock());
        unneeded.retain(|digest| {
            let Entry::Occupied(mut kept) = self.kept.entry(*digest) else { return false };
            *kept.get_mut() -= 1;
            let last = *kept.get() == 0;
            if last {
                kept.remove();
            }
            last
        });
        unneeded
    }

    /// Whether an inode without a name keeps this content.
    pub(super) fn is_kept(&self, digest: &[u8; 32]) -> bool {
        self.kept.contains_key(digest)
    }

    /// Moves an inode, if it is known. Called under its bucket's stream lock.
    pub(super) fn set_place(&self, ino: Ino, place: Place) {
        if let Some(inode) = self.get(ino) {
            *inode.place.write() = place;
        }
    }

    /// Whether some kernel or handle knows this inode.
    pub(super) fn knows(&self, ino: Ino) -> bool {
        self.map.contains_key(&ino)
    }
}
