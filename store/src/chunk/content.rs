//! Content files and sidecars, opened: one shared handle for each, through which everything in this process reads.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use sha2::{Digest as _, Sha256};

use crate::chunk::index::{Index, Kind, ObjectRow};
use crate::chunk::layout::Layout;
use crate::chunk::pins::Digest32;
use crate::chunk::sidecar::{LeafInfo, Sidecar};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::unixfs::Profile;

/// Digests of whole chunks of zeros, by chunk size.
#[derive(Clone)]
pub(super) struct Zeros(Arc<[(u32, Digest32)]>);

impl Zeros {
    pub(super) fn new() -> Self {
        let of = |p: Profile| {
            let size = p.chunk_size();
            (size as u32, Sha256::digest(vec![0; size]).into())
        };
        Self(Profile::ALL.map(of).into())
    }

    /// The digest of `size` zeros.
    pub(super) fn of(&self, size: u32) -> Digest32 {
        match self.0.iter().find(|(s, _)| *s == size) {
            Some((_, digest)) => *digest,
            // No profile has such chunks: a damaged header's size, which is not trusted with memory.
            None => [0; 32],
        }
    }

    /// The length of the chunk of zeros that this digest names.
    pub(super) fn len_of(&self, digest: &Digest32) -> Option<u32> {
        self.0.iter().find(|(_, d)| d == digest).map(|(s, _)| *s)
    }
}

/// An open object: its content file, if it has one, and its sidecar, if it has one.
pub(super) struct Handle {
    pub(super) row: ObjectRow,
    /// Swapped when the file behind it becomes a live file (ruling 11): who reads holds the lock meanwhile.
    file: RwLock<Option<Arc<File>>>,
    sidecar: Option<Sidecar>,
    /// One bit a chunk: checked since the start.
    verified: Box<[AtomicU64]>,
}

impl Handle {
    pub(super) fn sidecar(&self) -> Option<&Sidecar> {
        self.sidecar.as_ref()
    }

    /// The sidecar of an object that cannot do without.
    pub(super) fn need_sidecar(&self) -> Result<&Sidecar> {
        self.sidecar.as_ref().ok_or_else(|| Error::new(ErrorKind::Internal, "an object of one chunk has no sidecar"))
    }

    /// The leaf at this position.
    pub(super) fn leaf(&self, number: u64) -> Result<LeafInfo> {
        let leaf = match &self.sidecar {
            Some(sidecar) => sidecar.leaf(number)?,
            None => (number == 0).then_some(LeafInfo {
                number,
                digest: self.row.root,
                offset: 0,
                size: self.row.size as u32,
            }),
        };
        leaf.ok_or_else(|| Error::corrupt("an object has fewer chunks than its size needs"))
    }

    pub(super) fn is_verified(&self, chunk: u64) -> bool {
        let bit = 1u64 << (chunk % 64);
        self.verified.get((chunk / 64) as usize).is_some_and(|w| w.load(Ordering::Relaxed) & bit != 0)
    }

    pub(super) fn set_verified(&self, chunk: u64) {
        if let Some(word) = self.verified.get((chunk / 64) as usize) {
            word.fetch_or(1 << (chunk % 64), Ordering::Relaxed);
        }
    }

    pub(super) fn is_all_verified(&self) -> bool {
        (0..self.row.leaves).all(|chunk| self.is_verified(chunk))
    }

    /// For a file whose bytes were hashed on their way in.
    pub(super) fn set_all_verified(&self) {
        self.verified.iter().for_each(|w| w.store(u64::MAX, Ordering::Relaxed));
    }

    /// For a file that was found damaged: each chunk is checked again.
    pub(super) fn clear_verified(&self) {
        self.verified.iter().for_each(|w| w.store(0, Ordering::Relaxed));
    }

    /// Reads from the content file, unchecked.
    pub(super) fn read_raw(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let file = self.file.read();
        let file = file.as_ref().ok_or_else(|| Error::new(ErrorKind::Internal, "a scattered object has no file"))?;
        file.read_exact_at(out, self.base() + offset).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::corrupt("a content file is shorter than its object"),
            _ => Error::io("reading a content file", e),
        })
    }

    /// Where in its file the object begins.
    pub(super) fn base(&self) -> u64 {
        self.row.slice.map_or(0, |slice| slice.base)
    }

    /// The content file that is behind the handle now.
    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.file.read().clone()
    }

    /// Reads go to `file` from when this returns; none is under way on the old one.
    pub(super) fn swap_file(&self, file: Arc<File>) {
        *self.file.write() = Some(file);
    }
}

/// All open handles.
pub(super) struct Content {
    layout: Layout,
    index: Index,
    zeros: Zeros,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    most: usize,
    clock: u64,
    /// Kept open without a reader.
    kept: HashMap<u64, (u64, Arc<Handle>)>,
    /// Open because somebody reads.
    all: HashMap<u64, Weak<Handle>>,
    /// How often a handle got another file.
    swaps: u64,
}

/// When files were opened: a handle made of them may be stale by the time it is taken in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened(u64);

impl Content {
    pub(super) fn new(layout: Layout, index: Index, zeros: Zeros, most: usize) -> Self {
        Self { layout, index, zeros, open: Mutex::new(Open { most: most.max(4), ..Open::default() }) }
    }

    /// The handle of file `id`; `None` if there is no such file (any more).
    pub(super) fn by_id(&self, id: u64) -> Result<Option<Arc<Handle>>> {
        if let Some(handle) = self.open.lock().get(id) {
            return Ok(Some(handle));
        }
        let row = match self.index.owner(id)? {
            Some(root) => self.index.object(&root)?.filter(|row| row.id == id),
            None => None,
        };
        let row = match row {
            Some(row) => Some(row),
            None => self.index.dying(id)?,
        };
        row.map_or(Ok(None), |row| self.open(&row))
    }

    /// The handle of an object; `None` if its files are gone.
    pub(super) fn open(&self, row: &ObjectRow) -> Result<Option<Arc<Handle>>> {
        loop {
            let opened = {
                let mut open = self.open.lock();
                if let Some(handle) = open.get(row.id) {
                    return Ok(Some(handle));
                }
                Opened(open.swaps)
            };
            let handle = match self.open_files(row) {
                Ok(handle) => handle,
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e.with("root", hex::encode(row.root)).with("file", row.id)),
            };
            if let Some(handle) = self.keep(handle, opened) {
                return Ok(Some(handle));
            }
        }
    }

    /// To be asked before [`Self::open_files`] for a handle that is to be kept.
    pub(super) fn opened(&self) -> Opened {
        Opened(self.open.lock().swaps)
    }

    /// Takes in a handle that was just made, unless there is one. `None` if a file became a live file since it was
    /// opened: it may have been this one, and what reads it now would read what is written there.
    pub(super) fn keep(&self, handle: Handle, opened: Opened) -> Option<Arc<Handle>> {
        let mut open = self.open.lock();
        match open.get(handle.row.id) {
            Some(handle) => Some(handle),
            None => (opened == Opened(open.swaps)).then(|| open.insert(handle)),
        }
    }

    /// A handle that the caller holds has got another file: those made of files that were opened before are not taken in.
    pub(super) fn swapped(&self) {
        self.open.lock().swaps += 1;
    }

    /// Opens an object's files, beside those that are open already.
    pub(super) fn open_files(&self, row: &ObjectRow) -> Result<Handle> {
        let open = |path, what| match File::open(path) {
            Ok(file) => Ok(file),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::NotFound, "a file of the chunk store is gone"))
            }
            Err(e) => Err(Error::io(what, e)),
        };
        let has_sidecar = row.kind != Kind::Whole || row.leaves > 1;
        let sidecar = has_sidecar
            .then(|| {
                let file = open(self.layout.sidecar(row.id, &row.root), "opening a sidecar")?;
                Sidecar::open(file, &|size| self.zeros.of(size))
            })
            .transpose()?;
        if let Some(s) = &sidecar
            && (s.root.size != row.size || s.root.leaves != row.leaves || s.chunk_size != row.chunk_size)
        {
            return Err(Error::corrupt("a sidecar belongs to another object"));
        }
        let file = match row.kind {
            Kind::Whole => Some(open(self.layout.content_file(row.id, &row.root), "opening a content file")?),
            Kind::Scattered => None,
            Kind::Slice => Some(open(self.file_path(row), "opening an upload file")?),
        };
        let words = row.leaves.div_ceil(64) as usize;
        Ok(Handle {
            row: *row,
            file: RwLock::new(file.map(Arc::new)),
            sidecar,
            verified: (0..words).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// The file that the object's bytes lie in; of a scattered one, the sidecar.
    pub(super) fn file_path(&self, row: &ObjectRow) -> std::path::PathBuf {
        match (row.kind, row.slice) {
            (Kind::Slice, Some(slice)) => self.layout.upload_file(slice.file),
            (Kind::Scattered, _) => self.layout.sidecar(row.id, &row.root),
            _ => self.layout.content_file(row.id, &row.root),
        }
    }

    /// A new look at the content file, for the check of its stamp.
    pub(super) fn metadata(&self, row: &ObjectRow) -> Result<Option<std::fs::Metadata>> {
        match std::fs::metadata(self.file_path(row)) {
            Ok(meta) => Ok(Some(meta)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).at("looking at a content file"),
        }
    }

    /// No more reads are given this handle.
    pub(super) fn forget(&self, id: u64) {
        let mut open = self.open.lock();
        open.kept.remove(&id);
        open.all.remove(&id);
    }
}

impl Open {
    fn get(&mut self, id: u64) -> Option<Arc<Handle>> {
        self.clock += 1;
        if let Some((used, handle)) = self.kept.get_mut(&id) {
            *used = self.clock;
            return Some(handle.clone());
        }
        let handle = self.all.get(&id)?.upgrade()?;
        self.keep(handle.clone());
        Some(handle)
    }

    fn insert(&mut self, handle: Handle) -> Arc<Handle> {
        let handle = Arc::new(handle);
        self.all.insert(handle.row.id, Arc::downgrade(&handle));
        self.keep(handle.clone());
        handle
    }

    fn keep(&mut self, handle: Arc<Handle>) {
        if self.kept.len() >= self.most {
            let mut used: Vec<u64> = self.kept.values().map(|(used, _)| *used).collect();
            let (_, oldest_kept, _) = used.select_nth_unstable(self.most / 4);
            let oldest_kept = *oldest_kept;
            self.kept.retain(|_, (used, _)| *used >= oldest_kept);
            self.all.retain(|_, handle| handle.strong_count() > 0);
        }
        self.kept.insert(handle.row.id, (self.clock, handle));
    }
}

/// Whether `bytes` have this digest.
pub(super) fn matches(bytes: &[u8], digest: &Digest32) -> bool {
    <Digest32>::from(Sha256::digest(bytes)) == *digest
}
