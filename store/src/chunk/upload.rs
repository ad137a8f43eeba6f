//! Upload files: the parts of a multipart upload are written at their places in one file, which becomes the object's
//! content file when the upload is completed: no byte is copied (ruling 15).
//!
//! A part is an object of its own meanwhile, of the kind [`Kind::Slice`]: its bytes are a slice of the upload file. Places
//! are those of equal parts: part k lies at (k−1) × the size of the part that came first. What does not fit this (another
//! size, a number that comes again, one that is not longer than a chunk) is stored as any object is.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};

use crate::chunk::append::NewBlock;
use crate::chunk::index::{Kind, ObjectRow, PAGE, Slice, decode, encode, id_of, joined_key, slice_key, upload_key};
use crate::chunk::join::Part;
use crate::chunk::layout::parse_hex_name;
use crate::chunk::link::NewObject;
use crate::chunk::pins::TempPin;
use crate::chunk::store::Inner;
use crate::chunk::sys;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::{Id, MAX_OBJECT_SIZE};
use crate::unixfs::Profile;

/// Parts looked up at a time.
const SLICES: usize = 64;

/// The upload files that parts are written to.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<Id, Upload>>);

struct Upload {
    row: UploadRow,
    file: Arc<File>,
    /// Parts that have their place in the file.
    taken: BTreeSet<u64>,
    writers: usize,
    /// Whether the file's name is durable.
    named: bool,
    /// A part could not be named although its files may be in place: the next start looks, nobody gets its place before.
    failed: bool,
}

/// What the index keeps of an upload that is not completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct UploadRow {
    /// Id of the upload file.
    file: u64,
    /// Bytes from one part's place to the next.
    slot: u64,
    chunk_size: u32,
}

/// A part's place, free again when this is dropped unless the part was kept.
pub(super) struct Slot {
    uploads: Arc<Uploads>,
    slice: Slice,
    file: Arc<File>,
    size: u64,
    kept: bool,
}

impl Slot {
    /// Writes within the place; InvalidArgument beyond the length that was announced.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        if offset + bytes.len() as u64 > self.size {
            return Err(Error::new(ErrorKind::InvalidArgument, "a part is longer than was announced")
                .with("announced", self.size));
        }
        self.file.write_all_at(bytes, self.slice.base + offset).at("writing a part")
    }

    /// Sees to it that the file reaches to the part's end, where that is zeros. It is never made shorter: other parts may
    /// lie behind.
    pub(super) fn end(&self, written: u64) -> Result<()> {
        let end = self.slice.base + written;
        if self.file.metadata().at("looking at an upload file")?.len() < end {
            self.file.write_all_at(&[0], end - 1).at("writing a part")?;
        }
        Ok(())
    }

    /// The file, and where in it the part begins.
    pub(super) fn file(&self) -> (&File, u64) {
        (&self.file, self.slice.base)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut all = self.uploads.0.lock();
        if let Some(upload) = all.get_mut(&self.slice.upload).filter(|u| u.row.file == self.slice.file) {
            upload.writers -= 1;
            if !self.kept {
                upload.taken.remove(&(self.slice.base / upload.row.slot));
            }
        }
    }
}

impl Inner {
    /// The place of part `number`, of `size` bytes, in its upload's file; `None` if it has none there.
    pub(super) fn take_slot(&self, upload: Id, number: u32, size: u64, profile: Profile) -> Result<Option<Slot>> {
        let chunk_size = profile.chunk_size() as u32;
        if size <= u64::from(chunk_size) || number == 0 {
            return Ok(None);
        }
        let mut all = self.uploads.0.lock();
        if !all.contains_key(&upload) {
            self.close_idle_uploads(&mut all)?;
        }
        let entry = match all.entry(upload) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(vacant) => {
                let known = match self.index.upload(&upload)? {
                    Some(row) => self.reopen_upload(row)?,
                    None => None,
                };
                match known {
                    Some(opened) => vacant.insert(opened),
                    None if size.is_multiple_of(u64::from(chunk_size)) => {
                        vacant.insert(self.new_upload(upload, size, chunk_size)?)
                    }
                    None => return Ok(None),
                }
            }
        };
        let place = u64::from(number) - 1;
        let base = place.saturating_mul(entry.row.slot);
        let fits = size <= entry.row.slot && base.saturating_add(size) <= MAX_OBJECT_SIZE;
        if !fits || entry.failed || entry.row.chunk_size != chunk_size || entry.taken.contains(&place) {
            return Ok(None);
        }
        // Chunks of zeros are not written: what an earlier try left must go.
        if entry.file.metadata().at("looking at an upload file")?.len() > base
            && punch(&entry.file, base, entry.row.slot).is_err()
        {
            return Ok(None);
        }
        entry.taken.insert(place);
        entry.writers += 1;
        let slice = Slice { file: entry.row.file, base, upload };
        Ok(Some(Slot { uploads: self.uploads.clone(), slice, file: entry.file.clone(), size, kept: false }))
    }

    fn new_upload(&self, upload: Id, slot: u64, chunk_size: u32) -> Result<Upload> {
        let row = UploadRow { file: self.ids.allocate()?.id, slot, chunk_size };
        let path = self.layout.upload_file(row.file);
        let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = Arc::new(options.at("making an upload file")?);
        self.index.apply(&[(upload_key(&upload), Some(encode(&row)?))])?;
        Ok(Upload { row, file, taken: BTreeSet::new(), writers: 0, named: false, failed: false })
    }

    /// Of the uploads that nobody writes to, no more are kept open than of other files: the index says where they are.
    fn close_idle_uploads(&self, all: &mut HashMap<Id, Upload>) -> Result<()> {
        if all.len() < self.config.open_files {
            return Ok(());
        }
        let mut idle = Vec::new();
        for (upload, entry) in all.iter().filter(|(_, u)| u.writers == 0 && u.named && !u.failed) {
            // Without a part it is the collector's: nothing else remembers it.
            if self.has_slices(entry.row.file, None)? {
                idle.push(*upload);
            }
        }
        idle.iter().for_each(|upload| drop(all.remove(upload)));
        Ok(())
    }

    /// Takes up an upload that is not open; `None` if its file cannot be written to any more.
    fn reopen_upload(&self, row: UploadRow) -> Result<Option<Upload>> {
        let Some(file) = self.open_upload(row.file)? else { return Ok(None) };
        let file = Arc::new(file);
        let mut taken = BTreeSet::new();
        for id in self.slices_of(row.file)? {
            if let Some(slice) = self.row_of(id)?.and_then(|row| row.slice) {
                taken.insert(slice.base / row.slot);
            }
        }
        Ok(Some(Upload { row, file, taken, writers: 0, named: true, failed: false }))
    }

    /// An upload file to be written to; `None` if it is gone or an object's content file as well.
    fn open_upload(&self, id: u64) -> Result<Option<File>> {
        let path = self.layout.upload_file(id);
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).at("looking at an upload file"),
        };
        if meta.nlink() > 1 {
            return Ok(None);
        }
        if meta.mode() & 0o200 == 0 {
            // A crash came before it was an object's.
            fs::set_permissions(&path, Permissions::from_mode(0o600)).at("opening an upload file for writing")?;
        }
        OpenOptions::new().read(true).write(true).open(path).map(Some).at("opening an upload file")
    }

    fn row_of(&self, id: u64) -> Result<Option<ObjectRow>> {
        let named = match self.index.owner(id)? {
            Some(root) => self.index.object(&root)?.filter(|row| row.id == id),
            None => None,
        };
        if named.is_some() { Ok(named) } else { self.index.dying(id) }
    }

    fn is_slice(&self, id: u64) -> Result<bool> {
        Ok(self.ids.is_active(id) || self.row_of(id)?.is_some())
    }

    /// Ids of the parts that lie in an upload file: at most 10,000.
    fn slices_of(&self, file: u64) -> Result<Vec<u64>> {
        let mut slices = Vec::new();
        let mut from = 0;
        loop {
            let page = self.index.slices(file, from, PAGE)?;
            for id in &page {
                if self.is_slice(*id)? {
                    slices.push(*id);
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => from = last + 1,
                _ => return Ok(slices),
            }
        }
    }

    /// Whether parts, other than `but`, lie in an upload file.
    fn has_slices(&self, file: u64, but: Option<u64>) -> Result<bool> {
        let mut from = 0;
        loop {
            let page = self.index.slices(file, from, SLICES)?;
            for id in page.iter().filter(|id| Some(**id) != but) {
                if self.is_slice(*id)? {
                    return Ok(true);
                }
            }
            match page.last() {
                Some(last) if page.len() == SLICES => from = last + 1,
                _ => return Ok(false),
            }
        }
    }

    /// Makes a part that was written to its place an object, or finds that its bytes are here already.
    pub(super) fn adopt_slice(&self, mut slot: Slot, object: NewObject) -> Result<TempPin> {
        let pin = self.pins.pin(&object.digest);
        if self.has_object(&object, &[Kind::Whole, Kind::Scattered, Kind::Slice])? {
            return Ok(pin);
        }
        if object.sidecar.is_none() {
            // It was announced longer than it is.
            let mut bytes = vec![0; object.root.size as usize];
            slot.file.read_exact_at(&mut bytes, slot.slice.base).at("reading a part")?;
            self.appender.append(vec![NewBlock::new(&object.root.cid, bytes.into())?], false)?;
            return Ok(pin);
        }
        if object.is_mostly_stored() && self.index.object(&object.digest)?.is_none() {
            return self.scatter_file(slot.file(), object, pin);
        }
        self.health.sync_data(&slot.file, "part: syncing")?;
        self.name_upload(&slot)?;
        let id = self.ids.allocate()?;
        self.index.apply(&[(slice_key(slot.slice.file, id.id), Some(Vec::new()))])?;
        slot.kept = true;
        let linked = self.link_slice(id, object, slot.slice, pin);
        if linked.is_err()
            && let Some(upload) = self.uploads.0.lock().get_mut(&slot.slice.upload)
        {
            upload.failed = true;
        }
        linked
    }

    fn name_upload(&self, slot: &Slot) -> Result<()> {
        let named = self.uploads.0.lock().get(&slot.slice.upload).is_some_and(|u| u.named);
        if named {
            return Ok(());
        }
        self.dirs.sync(&self.layout.uploads)?;
        if let Some(upload) = self.uploads.0.lock().get_mut(&slot.slice.upload) {
            upload.named = true;
        }
        Ok(())
    }

    /// Makes an upload file the content file of the parts in it, if they lie one behind the other and nothing else is in
    /// it; of the last part the bytes may be elsewhere. Gives the object back if it cannot be done. The parts stay as
    /// they are: whether they go is decided by the commit that follows.
    pub(super) fn join_in_place(
        self: &Arc<Self>,
        parts: &[Part],
        mut object: NewObject,
        pin: &TempPin,
    ) -> Result<Option<NewObject>> {
        let Some((first, tail)) = in_place(parts) else { return Ok(Some(object)) };
        let file = {
            let mut all = self.uploads.0.lock();
            if all.get(&first.upload).is_some_and(|u| u.row.file == first.file && u.writers > 0) {
                return Ok(Some(object));
            }
            let ours: BTreeSet<u64> = parts.iter().filter_map(|part| Some(part.row?.id)).collect();
            if self.slices_of(first.file)?.iter().any(|id| !ours.contains(id))
                || self.index.joined(first.file)?.is_some()
            {
                return Ok(Some(object));
            }
            let Some(file) = self.open_upload(first.file)? else { return Ok(Some(object)) };
            // Nobody gets a place in this file any more; and no other descriptor can write to it.
            if all.get(&first.upload).is_some_and(|u| u.row.file == first.file) {
                all.remove(&first.upload);
            }
            self.index
                .apply(&[(upload_key(&first.upload), None), (joined_key(first.file), Some(encode(&object.digest)?))])?;
            file
        };
        let path = self.layout.upload_file(first.file);
        if let Some((part, base)) = tail {
            let write = |offset, piece: &[u8]| file.write_all_at(piece, base + offset).at("writing the last part");
            part.open(self)?.for_each_piece(&mut { write })?;
        }
        file.set_len(object.root.size).at("setting a content file's length")?;
        file.set_permissions(Permissions::from_mode(0o400)).at("sealing an upload file")?;
        self.health.sync_data(&file, "upload: syncing")?;
        drop(file);
        let file = File::open(&path).at("opening an upload file")?;
        if !sys::no_writer_left(&file).at("asking for writers of an upload file")? {
            return Ok(Some(object));
        }
        self.health.step("upload: not yet the object's")?;
        for row in parts.iter().filter_map(|part| part.row) {
            object.checked = self.content.open(&row)?.is_some_and(|handle| handle.is_all_verified());
            if !object.checked {
                break;
            }
        }
        self.link_whole(object, pin.clone(), |to| fs::hard_link(&path, to).at("naming a joined upload"))?.committed();
        Ok(None)
    }

    /// Whether somebody reads a part whose bytes would go with it. (Another file has only its name taken away.)
    pub(super) fn is_slice_read(&self, row: &ObjectRow, slice: &Slice) -> Result<bool> {
        let one_name = fs::metadata(self.layout.upload_file(slice.file)).is_ok_and(|meta| meta.nlink() == 1);
        Ok(one_name && self.index.joined(slice.file)?.is_none() && self.pins.lock(&row.root).is_pinned())
    }

    /// A part is gone: its space is given back, and the upload file with the last part.
    pub(super) fn release_slice(&self, row: &ObjectRow, slice: &Slice) -> Result<()> {
        let mut all = self.uploads.0.lock();
        let written_to = all.get(&slice.upload).is_some_and(|u| u.row.file == slice.file && u.writers > 0);
        if self.has_slices(slice.file, Some(row.id))? || written_to {
            // Punched once only: afterwards the place may be another part's.
            let listed = self.index.has_slice(slice.file, row.id)?;
            // The row that says so may be lost, the joined object's own link is not.
            let joined = self.index.joined(slice.file)?.is_some();
            if !joined
                && listed
                && let Ok(file) = OpenOptions::new().write(true).open(self.layout.upload_file(slice.file))
                && file.metadata().at("looking at an upload file")?.nlink() == 1
            {
                // Where the file system makes no holes the space comes back with the file.
                let _ = punch(&file, slice.base, row.size);
            }
            return self.index.apply(&[(slice_key(slice.file, row.id), None)]);
        }
        if all.get(&slice.upload).is_some_and(|u| u.row.file == slice.file) {
            all.remove(&slice.upload);
        }
        if self.index.upload(&slice.upload)?.is_some_and(|u| u.file == slice.file) {
            self.index.apply(&[(upload_key(&slice.upload), None)])?;
        }
        self.health.step("upload: part gone, file not")?;
        self.remove_upload(slice.file)?;
        self.index.apply(&[(slice_key(slice.file, row.id), None)])
    }

    /// Removes an upload file's own name; a joined object keeps the bytes.
    fn remove_upload(&self, id: u64) -> Result<()> {
        let path = self.layout.upload_file(id);
        match File::open(&path) {
            Ok(file) => {
                let remove = || fs::remove_file(&path).at("removing an upload file");
                match self.index.joined(id)? {
                    Some(root) => self.lose_name(&root, &file, remove)?,
                    None => remove()?,
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).at("opening an upload file"),
        }
        self.index.apply(&[(joined_key(id), None)])
    }

    /// At start: upload files in which no part was finished, or whose parts are all gone, are removed.
    pub(super) fn sweep_uploads(&self) -> Result<u64> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.layout.uploads).at("reading the folder of uploads")? {
            let name = entry.at("reading the folder of uploads")?.file_name();
            let Some(id) = name.to_str().and_then(|n| parse_hex_name(n, ".parts")) else {
                tracing::warn!(name = ?name, "a foreign file lies among the uploads");
                continue;
            };
            if !self.has_slices(id, None)? {
                self.remove_upload(id)?;
                removed += 1;
            }
        }
        self.forget_lost_uploads()?;
        Ok(removed)
    }

    /// Removes rows of upload files and parts that are gone.
    fn forget_lost_uploads(&self) -> Result<()> {
        let mut lost = self.index.steps();
        self.index.scan(b"fu", b"", &mut |key, value| {
            let row: UploadRow = decode(value)?;
            if self.layout.upload_file(row.file).exists() { Ok(()) } else { lost.delete(key.to_vec()) }
        })?;
        self.index.scan(b"fj", b"", &mut |key, _| {
            let exists = id_of(key).is_ok_and(|id| self.layout.upload_file(id).exists());
            if exists { Ok(()) } else { lost.delete(key.to_vec()) }
        })?;
        self.index.scan(b"fp", b"", &mut |key, _| {
            let known = self.row_of(id_of(key)?)?.is_some();
            if known { Ok(()) } else { lost.delete(key.to_vec()) }
        })?;
        lost.finish()
    }

    /// Uploads to which nobody writes and of which no part is left: their files go.
    pub(super) fn drop_idle_uploads(&self) -> Result<()> {
        let mut all = self.uploads.0.lock();
        let mut idle = Vec::new();
        for (upload, entry) in all.iter() {
            if entry.writers == 0 && !self.has_slices(entry.row.file, None)? {
                idle.push((*upload, entry.row.file));
            }
        }
        for (upload, file) in idle {
            all.remove(&upload);
            self.index.apply(&[(upload_key(&upload), None)])?;
            self.remove_upload(file)?;
        }
        Ok(())
    }
}

/// The first part's slice, if all lie one behind the other in one file, and the last part if it does not.
fn in_place(parts: &[Part]) -> Option<(Slice, Option<(&Part, u64)>)> {
    let slice = |part: &Part| part.row.and_then(|row| row.slice);
    let first = slice(parts.first()?)?;
    let mut at = 0;
    let mut tail = None;
    for (k, part) in parts.iter().enumerate() {
        let lies = slice(part);
        if lies != Some(Slice { base: at, ..first }) {
            // Further behind in the same file it would be cut off, although the upload may be completed in vain.
            if k + 1 < parts.len() || lies.is_some_and(|slice| slice.file == first.file) {
                return None;
            }
            tail = Some((part, at));
        }
        at += part.size;
    }
    Some((first, tail))
}

/// Makes a hole; the file keeps its length.
pub(super) fn punch(file: &File, offset: u64, len: u64) -> rustix::io::Result<()> {
    fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len)
}
