//! Making a hashed object part of the store: durable bytes first, then the index, the object's own row last.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use parking_lot::Mutex;

use crate::chunk::ids::IdGuard;
use crate::chunk::index::{Kind, ObjectRow, Place, Slice, Stamp, block_key, dying_key, encode, object_key, owner_key};
use crate::chunk::layout::TmpFile;
use crate::chunk::pins::{Digest32, TempPin};
use crate::chunk::sidecar::{Run, Sidecar, write_kind};
use crate::chunk::store::Inner;
use crate::error::{IoContext, Result};
use crate::unixfs::Root;

/// An object whose bytes are hashed but not yet part of the store.
pub(super) struct NewObject {
    pub(super) root: Root,
    pub(super) digest: Digest32,
    pub(super) chunk_size: u32,
    /// The sidecar of an object of several chunks, not synced.
    pub(super) sidecar: Option<TmpFile>,
    /// Chunks that were stored already when they were hashed, as often as they occur.
    pub(super) stored: u64,
    /// Chunks that are not holes.
    pub(super) solid: u64,
    /// Whether its file's bytes were hashed on their way in; else they are checked when they are read.
    pub(super) checked: bool,
}

impl NewObject {
    /// Half or more of its chunks are stored (S19).
    pub(super) fn is_mostly_stored(&self) -> bool {
        self.sidecar.is_some() && self.solid > 0 && self.stored * 2 >= self.solid
    }
}

/// Folders that are known to exist.
#[derive(Default)]
pub(super) struct Fans(Mutex<HashSet<PathBuf>>);

impl Inner {
    /// Makes a temporary file, whole and hashed, an object, or finds that its bytes are here already.
    pub(super) fn adopt_file(&self, data: TmpFile, object: NewObject) -> Result<TempPin> {
        let pin = self.pins.pin(&object.digest);
        if self.has_object(&object, &[Kind::Whole, Kind::Scattered])? {
            return Ok(pin);
        }
        // What is damaged is replaced as a whole.
        if object.is_mostly_stored() && self.index.object(&object.digest)?.is_none() {
            return self.scatter_file((&data.file, 0), object, pin);
        }
        data.file.set_permissions(Permissions::from_mode(0o400)).at("sealing a content file")?;
        self.health.sync_data(&data.file, "content: syncing")?;
        self.link_whole(object, pin, |path| data.rename(&path).map(drop))
    }

    /// Whether an equal object of one of these kinds is stored. The caller holds its pin.
    pub(super) fn has_object(&self, object: &NewObject, kinds: &[Kind]) -> Result<bool> {
        if let Some(row) = self.index.object(&object.digest)? {
            return Ok(kinds.contains(&row.kind) && self.is_intact(&row)?);
        }
        Ok(object.sidecar.is_none() && self.pin_stored_block(&object.digest)?.is_some())
    }

    /// Whether an object's files are there, and unchanged as far as can be seen without reading them.
    pub(super) fn is_intact(&self, row: &ObjectRow) -> Result<bool> {
        let meta = self.content.metadata(row)?;
        let as_it_was = meta.is_some_and(|meta| match (row.kind, row.slice) {
            (Kind::Whole, _) => Some(Stamp::of(&meta)) == row.stamp,
            (Kind::Slice, Some(slice)) => meta.len() >= slice.base + row.size,
            _ => true,
        });
        if !as_it_was {
            return Ok(false);
        }
        // A sidecar that cannot be read is as good as none.
        Ok(matches!(self.content.open(row), Ok(Some(_))))
    }

    /// A content file has damaged bytes: it is no longer taken for what it was, so that the kernel does not read it by itself
    /// and the next one who brings its bytes replaces it.
    pub(super) fn distrust(&self, row: &ObjectRow) -> Result<()> {
        let _locked = self.pins.lock(&row.root);
        match self.index.object(&row.root)? {
            Some(now) if now.id == row.id && now.stamp.is_some() => {
                let row = ObjectRow { stamp: None, ..now };
                self.index.apply(&[(object_key(&row.root), Some(encode(&row)?))])
            }
            _ => Ok(()),
        }
    }

    /// Makes a durable file a content file, by `place`, which moves or links it to the path that it is given.
    pub(super) fn link_whole(
        &self,
        object: NewObject,
        pin: TempPin,
        place: impl FnOnce(PathBuf) -> Result<()>,
    ) -> Result<TempPin> {
        let id = self.ids.allocate()?;
        match self.link_as(&id, object, Kind::Whole, None, Some(place)) {
            Ok(()) => Ok(pin),
            Err(e) => {
                // Its files may be in place: the next start looks.
                id.leave_to_recovery();
                Err(e)
            }
        }
    }

    /// Makes a durable sidecar alone an object: its chunks are stored, and rows say that it needs them.
    pub(super) fn link_scattered(&self, id: IdGuard, object: NewObject, pin: TempPin) -> Result<TempPin> {
        match self.link_as(&id, object, Kind::Scattered, None, None::<fn(PathBuf) -> Result<()>>) {
            Ok(()) => Ok(pin),
            Err(e) => {
                id.leave_to_recovery();
                Err(e)
            }
        }
    }

    /// Makes a durable part, in its upload's file, an object.
    pub(super) fn link_slice(&self, id: IdGuard, object: NewObject, slice: Slice, pin: TempPin) -> Result<TempPin> {
        match self.link_as(&id, object, Kind::Slice, Some(slice), None::<fn(PathBuf) -> Result<()>>) {
            Ok(()) => Ok(pin),
            Err(e) => {
                id.leave_to_recovery();
                Err(e)
            }
        }
    }

    fn link_as(
        &self,
        id: &IdGuard,
        object: NewObject,
        kind: Kind,
        slice: Option<Slice>,
        place: Option<impl FnOnce(PathBuf) -> Result<()>>,
    ) -> Result<()> {
        let (id, digest) = (id.id, object.digest);
        let fan = self.fan(id)?;
        let (has_sidecar, checked) = (object.sidecar.is_some(), object.checked);
        if let Some(sidecar) = object.sidecar {
            if kind != Kind::Whole {
                write_kind(&sidecar.file, kind, object.chunk_size, slice)?;
            }
            sidecar.file.set_permissions(Permissions::from_mode(0o400)).at("sealing a sidecar")?;
            self.health.sync_data(&sidecar.file, "sidecar: syncing")?;
            // Before the content file: one without its sidecar is never seen.
            sidecar.rename(&self.layout.sidecar(id, &digest))?;
        }
        self.health.step("object: sidecar in place")?;
        let path = self.layout.content_file(id, &digest);
        if let Some(place) = place {
            place(path.clone())?;
        }
        self.dirs.sync(&fan)?;
        self.health.step("object: durable, not indexed")?;
        let mut row = ObjectRow {
            root: digest,
            id,
            kind,
            codec: object.root.cid.codec(),
            size: object.root.size,
            leaves: object.root.leaves,
            chunk_size: object.chunk_size,
            disk: 0,
            stamp: None,
            slice,
        };
        self.measure(&mut row, has_sidecar)?;
        let opened = self.content.opened();
        let handle = self.content.open_files(&row)?;
        self.index_blocks(&row, handle.sidecar())?;
        self.health.step("object: blocks indexed, object not")?;
        if self.name_object(&row)? {
            if checked {
                handle.set_all_verified();
            }
            // Whether it is kept or not.
            let _ = self.content.keep(handle, opened);
        }
        Ok(())
    }

    /// Looks at the files: bytes on disk, and what a sealed file must go on looking like.
    pub(super) fn measure(&self, row: &mut ObjectRow, has_sidecar: bool) -> Result<()> {
        row.disk = 0;
        if row.kind == Kind::Whole {
            let meta = fs::metadata(self.layout.content_file(row.id, &row.root)).at("looking at a content file")?;
            row.stamp = Some(Stamp::of(&meta));
            row.disk += meta.blocks() * 512;
        }
        if row.kind == Kind::Slice {
            row.disk += row.size;
        }
        if has_sidecar {
            let meta = fs::metadata(self.layout.sidecar(row.id, &row.root)).at("looking at a sidecar")?;
            row.disk += meta.blocks() * 512;
        }
        Ok(())
    }

    /// Names an object's blocks: the slices of its content file and the nodes of its sidecar.
    pub(super) fn index_blocks(&self, row: &ObjectRow, sidecar: Option<&Sidecar>) -> Result<()> {
        let mut steps = self.index.steps();
        match sidecar {
            None => {
                let place = Place::Leaf { offset: 0, len: row.size as u32 };
                steps.put(block_key(&row.root, row.id), encode(&place)?)?;
            }
            Some(sidecar) => {
                if row.kind.has_bytes() {
                    sidecar.for_each_leaf(&mut |run| match run {
                        Run::Leaf(leaf) => {
                            let place = Place::Leaf { offset: leaf.offset, len: leaf.size };
                            steps.put(block_key(&leaf.digest, row.id), encode(&place)?)
                        }
                        Run::Zeros { .. } => Ok(()),
                    })?;
                }
                sidecar.for_each_node(&mut |node| {
                    let place = Place::Node { offset: node.offset, len: node.len };
                    steps.put(block_key(&node.digest, row.id), encode(&place)?)
                })?;
            }
        }
        steps.finish()
    }

    /// Makes `row` the object of its root. If another writer was first, the collector takes this copy apart: `false`.
    pub(super) fn name_object(&self, row: &ObjectRow) -> Result<bool> {
        let _locked = self.pins.lock(&row.root);
        let mut batch = Vec::with_capacity(4);
        let mut replaced = None;
        if let Some(old) = self.index.object(&row.root)?
            && old.id != row.id
        {
            let better = row.kind.worth() > old.kind.worth();
            if !better && self.is_intact(&old)? {
                self.index.apply(&[(dying_key(row.id), Some(encode(row)?))])?;
                return Ok(false);
            }
            batch.push((owner_key(old.id), None));
            batch.push((dying_key(old.id), Some(encode(&old)?)));
            replaced = Some(old);
        }
        batch.push((object_key(&row.root), Some(encode(row)?)));
        batch.push((owner_key(row.id), Some(encode(&row.root)?)));
        self.index.apply(&batch)?;
        self.totals.add(row.disk);
        if let Some(old) = replaced {
            self.totals.remove(old.disk);
        }
        Ok(true)
    }

    /// The folder for files of this id, made durable if it is new.
    pub(super) fn fan(&self, id: u64) -> Result<PathBuf> {
        let fan = self.layout.fan(id);
        let mut known = self.fans.0.lock();
        if !known.contains(&fan) {
            fs::create_dir_all(&fan).at("making a content folder")?;
            self.dirs.sync(&self.layout.content)?;
            known.insert(fan.clone());
        }
        Ok(fan)
    }
}
