//! Inodes that a kernel knows or a process holds open: where each one's row is now.
//!
//! A [`Place`] changes only under its bucket's stream lock, together with the rows, so that under that lock it is
//! exact; without it a reader may see a place whose row has just moved and looks again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::{Condvar, Mutex, RwLock};

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
}

/// All known inodes.
#[derive(Default)]
pub(super) struct InodeTable {
    map: DashMap<Ino, Arc<Inode>>,
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
                });
                unknown.insert(Arc::clone(&inode));
                inode
            }
        }
    }

    /// Drops `count` references; the last one forgets the inode.
    pub(super) fn dereference(&self, ino: Ino, count: u64) {
        if let Entry::Occupied(known) = self.map.entry(ino) {
            let before = known.get().references.load(Ordering::Relaxed);
            let after = before.saturating_sub(count);
            known.get().references.store(after, Ordering::Relaxed);
            if after == 0 {
                known.remove();
            }
        }
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
