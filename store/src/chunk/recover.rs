//! From files to index: after a crash what is newest, on request everything. Files say all that the index knows.
//!
//! The index may have lost any suffix of its changes. Files that it should name have ids at or above its mark, or lie in
//! slabs behind the length that it knows; both are read again, and the collector then looks at everything once: nobody
//! may hold what is found. What the index names although it is gone is noticed when it is looked up.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::chunk::content::matches;
use crate::chunk::frame::{FRAME_HEADER, FRAME_MAGIC, FrameHeader, SLAB_HEADER, is_slab_header};
use crate::chunk::index::{Index, Kind, MARK, ObjectRow, SlabRow, need_key, slice_key};
use crate::chunk::layout::{ContentName, Layout, parse_hex_name};
use crate::chunk::leaves::LeafSink;
use crate::chunk::pins::Digest32;
use crate::chunk::pool::is_zero;
use crate::chunk::seal::Piece;
use crate::chunk::sidecar::{Run, Sidecar};
use crate::chunk::slab::{Placed, Slabs};
use crate::chunk::store::Inner;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::schema::prefix_end;
use crate::unixfs::{Profile, RAW};

/// How far long work has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is being done, with the unit of its steps in parentheses.
    pub what: &'static str,
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

/// Takes reports of progress.
pub type ProgressFn<'a> = dyn Fn(Progress) + 'a;

/// Blocks of a slab named at a time.
const NAMED_AT_ONCE: usize = 64;
/// Bytes searched at a time for the next frame behind a damaged one.
const SEARCH: usize = 1 << 20;

/// Forgets everything: the index will be made anew.
pub(super) fn wipe(index: &Index) -> Result<()> {
    for prefix in [b"b", b"c", b"f", b"r"] {
        let mut steps = index.steps();
        index.scan(prefix, b"", &mut |key, _| steps.delete(key.to_vec()))?;
        steps.finish()?;
        // Only what another thread wrote meanwhile could be left, and nobody has the store open.
        debug_assert!(index.0.range(prefix, &prefix_end(prefix), 1)?.is_empty());
    }
    index.0.flush()
}

/// An id above those of all files.
pub(super) fn first_free_id(layout: &Layout, slabs: &Slabs) -> Result<u64> {
    let mut last = slabs.rows().last().map_or(0, |(id, _)| *id);
    last = last.max(slab_files(layout)?.last().copied().unwrap_or(0));
    for entry in fs::read_dir(&layout.uploads).at("reading the folder of uploads")? {
        let name = entry.at("reading the folder of uploads")?.file_name();
        last = last.max(name.to_str().and_then(|n| parse_hex_name(n, ".parts")).unwrap_or(0));
    }
    for fan in layout.fans_from(0)?.iter().rev() {
        if let Some(id) = names(fan)?.last_key_value().map(|(id, _)| *id) {
            last = last.max(id);
            break;
        }
    }
    Ok(last + 1)
}

fn slab_files(layout: &Layout) -> Result<Vec<u64>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(&layout.slabs).at("reading the slab folder")? {
        let name = entry.at("reading the slab folder")?.file_name();
        match name.to_str().and_then(|n| parse_hex_name(n, ".slab")) {
            Some(id) => ids.push(id),
            None => tracing::warn!(name = ?name, "a foreign file lies among the slabs"),
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Names the blocks that lie in slabs behind what the index knows; answers how many there were.
pub(super) fn slabs(slabs: &Slabs, progress: &ProgressFn<'_>) -> Result<u64> {
    let files = slab_files(&slabs.layout)?;
    let mut found = 0;
    for (id, _) in slabs.rows() {
        if files.binary_search(&id).is_err() {
            tracing::warn!(slab = id, "a slab in the index is gone");
            slabs.forget(id)?;
        }
    }
    let known: BTreeMap<u64, SlabRow> = slabs.rows().into_iter().collect();
    for (done, &id) in files.iter().enumerate() {
        progress(Progress { what: "search of slabs (files)", done: done as u64, total: files.len() as u64 });
        let path = slabs.layout.slab(id);
        let file = File::options().read(true).write(true).open(&path).at("opening a slab")?;
        let len = file.metadata().at("looking at a slab")?.len();
        let row = known.get(&id).copied().unwrap_or(SlabRow { len: SLAB_HEADER, live: 0 });
        if !known.contains_key(&id) {
            let mut header = [0; SLAB_HEADER as usize];
            let headed = file.read_exact_at(&mut header, 0).is_ok() && is_slab_header(&header, id);
            if !headed && len <= SLAB_HEADER {
                // Made, but the crash came before its header was durable.
                fs::remove_file(&path).at("removing an unfinished slab")?;
                found += 1;
                continue;
            }
            slabs.set_row(id, row)?;
        }
        if len < row.len {
            tracing::error!(slab = id, bytes = len, expected = row.len, "a slab is shorter than it was");
        }
        if len > row.len {
            found += 1;
            found += scan_slab(slabs, id, &file, row.len, len)?;
        }
    }
    Ok(found)
}

/// Names the frames of one slab from `at`, and cuts a torn tail.
fn scan_slab(slabs: &Slabs, id: u64, file: &File, from: u64, len: u64) -> Result<u64> {
    let mut at = from;
    let mut good_end = from;
    let mut batch = Vec::new();
    let mut named = 0;
    while let Some((header, bytes)) = next_frame(id, file, &mut at, len)? {
        let offset = at + FRAME_HEADER as u64;
        at += header.frame_len();
        good_end = at;
        if !matches(&bytes, &header.digest) {
            if !is_zero(&bytes) {
                tracing::error!(slab = id, offset, cid = %header.cid(), "a block in a slab is damaged");
            }
            // Else its space was given back.
            continue;
        }
        let elsewhere = slabs.hold(&header.digest, None)? || batch.iter().any(|p: &Placed| p.digest == header.digest);
        named += u64::from(!elsewhere);
        batch.push(Placed {
            digest: header.digest,
            len: header.len,
            offset: (!elsewhere).then_some(offset),
            end: at,
            from: None,
            extra: Vec::new(),
        });
        if batch.len() >= NAMED_AT_ONCE {
            slabs.add(id, std::mem::take(&mut batch))?;
        }
    }
    slabs.add(id, batch)?;
    if good_end < len {
        tracing::warn!(slab = id, from = good_end, to = len, "the torn end of a slab is cut off");
        file.set_len(good_end).at("cutting a slab's torn end")?;
    }
    let live = slabs.row(id).map_or(0, |row| row.live);
    slabs.set_row(id, SlabRow { len: good_end, live })?;
    Ok(named)
}

/// The frame at `at`, or the next one behind damage: `at` is moved to it. `None` if no frame follows.
fn next_frame(id: u64, file: &File, at: &mut u64, len: u64) -> Result<Option<(FrameHeader, Vec<u8>)>> {
    let begin = *at;
    loop {
        match read_header(file, *at, len)? {
            Some(header) => {
                if *at > begin {
                    tracing::error!(slab = id, from = begin, to = *at, "damaged frames of a slab are passed over");
                }
                let mut bytes = vec![0; header.len as usize];
                file.read_exact_at(&mut bytes, *at + FRAME_HEADER as u64).at("reading a slab")?;
                return Ok(Some((header, bytes)));
            }
            None => match find_magic(file, *at + 1, len)? {
                Some(next) => *at = next,
                None => {
                    *at = begin;
                    return Ok(None);
                }
            },
        }
    }
}

/// The header at `at` of a frame that lies whole below `len`.
pub(super) fn read_header(file: &File, at: u64, len: u64) -> Result<Option<FrameHeader>> {
    if at + FRAME_HEADER as u64 > len {
        return Ok(None);
    }
    let mut header = [0; FRAME_HEADER];
    match file.read_exact_at(&mut header, at) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result.at("reading a slab")?,
    }
    Ok(FrameHeader::parse(&header).filter(|h| at + h.frame_len() <= len))
}

fn find_magic(file: &File, mut at: u64, len: u64) -> Result<Option<u64>> {
    let mut buffer = vec![0; SEARCH];
    while at + FRAME_HEADER as u64 <= len {
        let n = (len - at).min(SEARCH as u64) as usize;
        file.read_exact_at(&mut buffer[..n], at).at("reading a slab")?;
        if let Some(found) = buffer[..n].windows(FRAME_MAGIC.len()).position(|w| w == FRAME_MAGIC) {
            return Ok(Some(at + found as u64));
        }
        at += (n - (FRAME_MAGIC.len() - 1)) as u64;
    }
    Ok(None)
}

/// What lies under one id.
#[derive(Default)]
struct Found {
    root: Digest32,
    content: bool,
    sidecar: bool,
}

fn names(fan: &Path) -> Result<BTreeMap<u64, Found>> {
    let mut all: BTreeMap<u64, Found> = BTreeMap::new();
    for entry in fs::read_dir(fan).at("reading a content folder")? {
        let name = entry.at("reading a content folder")?.file_name();
        let Some(name) = name.to_str().and_then(ContentName::parse) else {
            tracing::warn!(name = ?name, "a foreign file lies among the content files");
            continue;
        };
        let found = all.entry(name.id).or_default();
        found.root = name.root;
        if name.is_sidecar {
            found.sidecar = true;
        } else {
            found.content = true;
        }
    }
    Ok(all)
}

impl Inner {
    /// Indexes the content files and sidecars at or above the mark; answers how many the index did not know.
    pub(super) fn recover_content(&self, progress: &ProgressFn<'_>) -> Result<u64> {
        let mark = self.index.number(MARK)?;
        let fans = self.layout.fans_from(mark)?;
        let mut found = 0;
        for (done, fan) in fans.iter().enumerate() {
            progress(Progress { what: "search of content (folders)", done: done as u64, total: fans.len() as u64 });
            for (id, file) in names(fan)?.range(mark..) {
                match self.recover_file(*id, file) {
                    Ok(news) => found += u64::from(news),
                    // The bytes stay for a look by hand; nothing else depends on them.
                    Err(e) if e.kind() == ErrorKind::Corrupt => {
                        tracing::error!(file = id, root = hex::encode(file.root), error = %e, "a content file is damaged");
                    }
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(found)
    }

    /// Whether the index did not know the file.
    fn recover_file(&self, id: u64, found: &Found) -> Result<bool> {
        let root = found.root;
        let known = self.index.object(&root)?.is_some_and(|row| row.id == id) || self.index.dying(id)?.is_some();
        if known {
            return Ok(false);
        }
        let sidecar = self.recover_sidecar(id, found)?;
        let Some((mut row, sidecar)) = sidecar else {
            // The crash came between a sidecar and its content file: nobody was told of the object.
            fs::remove_file(self.layout.sidecar(id, &root)).at("removing a sidecar without content")?;
            return Ok(true);
        };
        if let Some(slice) = &row.slice {
            self.index.apply(&[(slice_key(slice.file, id), Some(Vec::new()))])?;
        }
        self.measure(&mut row, sidecar.is_some())?;
        self.index_blocks(&row, sidecar.as_ref())?;
        if let Some(sidecar) = sidecar.as_ref().filter(|s| s.kind == Kind::Scattered) {
            let mut steps = self.index.steps();
            sidecar.for_each_leaf(&mut |run| match run {
                Run::Leaf(leaf) => steps.put(need_key(&leaf.digest, id), Vec::new()),
                Run::Zeros { .. } => Ok(()),
            })?;
            steps.finish()?;
        }
        self.name_object(&row)?;
        Ok(true)
    }

    /// An object's row, not yet measured, and its sidecar, which is made anew if it is damaged. `None` for a sidecar that
    /// lacks its content file.
    fn recover_sidecar(&self, id: u64, found: &Found) -> Result<Option<(ObjectRow, Option<Sidecar>)>> {
        let root = found.root;
        let open = || {
            let file = File::open(self.layout.sidecar(id, &root)).at("opening a sidecar")?;
            let sidecar = Sidecar::open(file, &|size| self.zeros.of(size))?;
            if crate::unixfs::digest_of(&sidecar.root.cid)? != root {
                return Err(Error::corrupt("a sidecar has another root than its name says"));
            }
            Ok(sidecar)
        };
        let row = |sidecar: &Sidecar| ObjectRow {
            root,
            id,
            kind: sidecar.kind,
            codec: sidecar.root.cid.codec(),
            size: sidecar.root.size,
            leaves: sidecar.root.leaves,
            chunk_size: sidecar.chunk_size,
            disk: 0,
            stamp: None,
            slice: sidecar.slice,
        };
        if !found.content {
            let sidecar = open()?;
            let whole = match sidecar.slice {
                Some(slice) => fs::metadata(self.layout.upload_file(slice.file))
                    .is_ok_and(|meta| meta.len() >= slice.base.saturating_add(sidecar.root.size)),
                None => sidecar.kind == Kind::Scattered,
            };
            return Ok(whole.then(|| (row(&sidecar), Some(sidecar))));
        }
        let file = File::open(self.layout.content_file(id, &root)).at("opening a content file")?;
        let size = file.metadata().at("looking at a content file")?.len();
        let chunk_size = Profile::ALL.map(Profile::chunk_size).into_iter().max().unwrap_or(0) as u32;
        if !found.sidecar && size <= u64::from(chunk_size) {
            let row = ObjectRow {
                root,
                id,
                kind: Kind::Whole,
                codec: RAW,
                size,
                leaves: 1,
                chunk_size,
                disk: 0,
                stamp: None,
                slice: None,
            };
            return Ok(Some((row, None)));
        }
        match if found.sidecar { open() } else { Err(Error::corrupt("a sidecar is missing")) } {
            Ok(sidecar) if sidecar.kind == Kind::Whole && sidecar.root.size == size => {
                Ok(Some((row(&sidecar), Some(sidecar))))
            }
            Ok(_) => Err(Error::corrupt("a content file and its sidecar differ")),
            Err(e) if e.kind() == ErrorKind::Corrupt => {
                tracing::warn!(file = id, error = %e, "a sidecar is made anew from its content");
                self.remake_sidecar(id, &root, &file, size)?;
                let sidecar = open()?;
                Ok(Some((row(&sidecar), Some(sidecar))))
            }
            Err(e) => Err(e),
        }
    }

    /// Hashes a content file and writes its sidecar; Corrupt if the bytes are not what its name says.
    pub(super) fn remake_sidecar(&self, id: u64, root: &Digest32, file: &File, size: u64) -> Result<()> {
        for profile in Profile::ALL {
            let mut leaves = LeafSink::new(profile);
            self.hash_chunks(file, size, profile, &mut |piece| match piece {
                Piece::Zeros(count) => leaves.zeros(self, count),
                Piece::Chunk(digest, bytes) => leaves.leaf(self, &digest, bytes.bytes.len() as u32),
            })?;
            let object = leaves.finish(self)?;
            if object.digest == *root
                && let Some(sidecar) = object.sidecar
            {
                self.health.sync_data(&sidecar.file, "sidecar: syncing")?;
                sidecar.rename(&self.layout.sidecar(id, root))?;
                return self.dirs.sync(&self.fan(id)?);
            }
        }
        Err(Error::corrupt("a content file's bytes are not what its name says"))
    }
}
