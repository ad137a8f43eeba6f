//! Giving back what nothing needs, while everything else goes on.
//!
//! A block is needed if a root that the namespace holds is the block itself, if a pin is on it, if it is in the content
//! file of an object that is named, or if a scattered object that is named (or being written) says so in an `r` row.
//! An object is named while its `c` row is there; that row goes only under the lock of its digest, after a look at the
//! pins first and the roots second: whoever lets go of a pin has made its root visible before.
//!
//! Bytes are destroyed only after the index was flushed without the rows that named them.

use std::collections::HashSet;
use std::fs::{self, File};

use crate::chunk::append::NewBlock;
use crate::chunk::index::{
    Kind, ObjectRow, PAGE, Place, block_key, decode, dying_key, encode, need_key, object_key, owner_key, split_key,
};
use crate::chunk::pins::Digest32;
use crate::chunk::sidecar::{LeafInfo, Run};
use crate::chunk::slab::Read;
use crate::chunk::store::Inner;
use crate::chunk::upload::punch;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::schema::prefix_end;
use crate::unixfs::{RAW, cid_of_digest};

/// Answers which roots the namespace holds: by entries, versions, parts, pins.
pub trait Roots: Send + Sync {
    /// Whether anything names this digest as its content. It sees every commit that was made before the
    /// [`crate::chunk::TempPin`] of its content was let go. Called under a lock of the chunk store: it must not call back.
    fn is_held(&self, digest: &[u8; 32]) -> Result<bool>;
}

/// How much one call of the collector may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CollectBudget {
    /// Digests looked at.
    pub digests: usize,
    /// Bytes moved to compact slabs; one slab is always finished.
    pub moved_bytes: u64,
}

impl Default for CollectBudget {
    fn default() -> Self {
        Self { digests: 4096, moved_bytes: 256 << 20 }
    }
}

/// What one call of the collector did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CollectReport {
    /// Digests looked at.
    pub digests: u64,
    /// Content files and sidecars removed.
    pub objects_removed: u64,
    /// Blocks in slabs forgotten.
    pub blocks_removed: u64,
    /// Bytes moved: chunks that others share with a removed file, and live frames of compacted slabs.
    pub bytes_moved: u64,
    /// Slabs removed.
    pub slabs_removed: u64,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// The collector's own memory between calls.
#[derive(Default)]
pub(super) struct Collector {
    sweep: Option<Sweep>,
    /// Slabs with damaged frames: they stay as they are until somebody looks.
    pub(super) damaged: HashSet<u64>,
}

/// A walk over everything, by rows.
#[derive(Clone)]
enum Sweep {
    Objects(Vec<u8>),
    Blocks(Vec<u8>),
}

impl Collector {
    pub(super) fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }
}

/// What may be destroyed once the index is flushed.
#[derive(Default)]
struct Doomed {
    objects: Vec<ObjectRow>,
    frames: Vec<(u64, u64, u32)>,
}

impl Inner {
    /// One stretch of collection.
    pub(super) fn collect(&self, roots: &dyn Roots, budget: &CollectBudget) -> Result<CollectReport> {
        self.health.check()?;
        let mut collector = self.collector.lock();
        let mut report = CollectReport::default();
        let mut doomed = Doomed::default();
        let mut hints = self.pins.take_hints(budget.digests);
        hints.sort_unstable();
        hints.dedup();
        let result = self.collect_digests(roots, budget, &mut collector, &hints, &mut report, &mut doomed);
        if let Err(e) = result {
            // Not one of them is forgotten, and the sweep begins anew.
            hints.into_iter().for_each(|digest| self.pins.hint(digest));
            self.pins.want_sweep();
            return Err(e);
        }
        self.drop_idle_uploads()?;
        self.destroy(&doomed, &mut report)?;
        self.compact(&mut collector, budget.moved_bytes, &mut report)?;
        report.more |= self.pins.hints_waiting() > 0 || collector.is_sweeping();
        Ok(report)
    }

    fn collect_digests(
        &self,
        roots: &dyn Roots,
        budget: &CollectBudget,
        collector: &mut Collector,
        hints: &[Digest32],
        report: &mut CollectReport,
        doomed: &mut Doomed,
    ) -> Result<()> {
        for digest in hints {
            self.check(roots, digest, report, doomed)?;
        }
        if self.pins.take_sweep_wanted() {
            collector.sweep = Some(Sweep::Objects(Vec::new()));
        }
        let mut left = budget.digests.saturating_sub(hints.len()).max(1);
        while left > 0
            && let Some(sweep) = collector.sweep.take()
        {
            let (page, next) = self.sweep_page(sweep, left.min(PAGE))?;
            collector.sweep = next;
            left = left.saturating_sub(page.len().max(1));
            for digest in page {
                self.check(roots, &digest, report, doomed)?;
            }
        }
        self.take_apart_dying(roots, report, doomed)
    }

    /// The digests of the next `limit` rows of a sweep, and where it goes on.
    fn sweep_page(&self, sweep: Sweep, limit: usize) -> Result<(Vec<Digest32>, Option<Sweep>)> {
        let (prefix, from) = match &sweep {
            Sweep::Objects(from) => (b"c", from),
            Sweep::Blocks(from) => (b"b", from),
        };
        let start = prefix.as_slice().max(from);
        let rows = self.index.0.range(start, &prefix_end(prefix), limit)?;
        let mut digests = Vec::new();
        for (key, value) in &rows {
            match &sweep {
                Sweep::Objects(_) => digests.push(decode::<ObjectRow>(value)?.root),
                Sweep::Blocks(_) if matches!(decode(value)?, Place::Slab { .. }) => digests.push(split_key(key)?.0),
                Sweep::Blocks(_) => {}
            }
        }
        let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| [key.as_slice(), &[0]].concat());
        let next = match (sweep, next) {
            (Sweep::Objects(_), Some(from)) => Some(Sweep::Objects(from)),
            (Sweep::Objects(_), None) => Some(Sweep::Blocks(Vec::new())),
            (Sweep::Blocks(_), Some(from)) => Some(Sweep::Blocks(from)),
            (Sweep::Blocks(_), None) => None,
        };
        Ok((digests, next))
    }

    /// Lets go of what is stored under `digest`, if nothing needs it.
    fn check(
        &self,
        roots: &dyn Roots,
        digest: &Digest32,
        report: &mut CollectReport,
        doomed: &mut Doomed,
    ) -> Result<()> {
        report.digests += 1;
        let mut locked = self.pins.lock(digest);
        // Pins first, roots second.
        if locked.is_pinned() {
            return Ok(());
        }
        let object = self.index.object(digest)?;
        let mut in_slabs = self.index.places(digest)?;
        in_slabs.retain(|(_, place)| matches!(place, Place::Slab { .. }));
        if object.is_none() && in_slabs.is_empty() || roots.is_held(digest)? {
            return Ok(());
        }
        if let Some(row) = object {
            self.index.apply(&[
                (object_key(digest), None),
                (owner_key(row.id), None),
                (dying_key(row.id), Some(encode(&row)?)),
            ])?;
            self.totals.remove(row.disk);
        }
        if in_slabs.is_empty() || self.is_needed(digest)? {
            return Ok(());
        }
        for (id, place) in in_slabs {
            if let Place::Slab { offset, len } = place {
                self.slabs.remove(digest, id, len)?;
                doomed.frames.push((id, offset, len));
                report.blocks_removed += 1;
            }
        }
        Ok(())
    }

    /// Whether a scattered object needs the block. Rows of objects that are no more are removed.
    fn is_needed(&self, digest: &Digest32) -> Result<bool> {
        loop {
            let ids = self.index.needed_by(digest)?;
            for id in &ids {
                // An id stops being active after its object was named.
                if self.ids.is_active(*id) || self.index.owner(*id)?.is_some() {
                    return Ok(true);
                }
                self.index.apply(&[(need_key(digest, *id), None)])?;
            }
            if ids.len() < PAGE {
                return Ok(false);
            }
        }
    }

    /// Takes the objects apart that are not named any more.
    fn take_apart_dying(&self, roots: &dyn Roots, report: &mut CollectReport, doomed: &mut Doomed) -> Result<()> {
        let rows = self.index.0.range(b"fd", &prefix_end(b"fd"), PAGE)?;
        report.more |= rows.len() == PAGE;
        for (_, value) in rows {
            let row: ObjectRow = decode(&value)?;
            let result = match row.kind {
                Kind::Whole | Kind::Slice => self.take_apart_whole(roots, &row, report),
                Kind::Scattered => self.take_apart_scattered(roots, &row, report, doomed),
            };
            match result {
                Ok(()) => doomed.objects.push(row),
                // It stays as it is: what others share with it can be read.
                Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Io) => {
                    tracing::error!(root = hex::encode(row.root), error = %e, "a damaged object is not taken apart");
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Forgets a content file's slices, after chunks that others need were moved to a slab.
    fn take_apart_whole(&self, roots: &dyn Roots, row: &ObjectRow, report: &mut CollectReport) -> Result<()> {
        let Some(handle) = self.content.open(row)? else { return Ok(()) };
        let mut shared = Vec::new();
        let mut forget = |leaf: LeafInfo| {
            let mut locked = self.pins.lock(&leaf.digest);
            let needed = locked.is_pinned() || roots.is_held(&leaf.digest)? || self.is_needed(&leaf.digest)?;
            if needed && !self.is_elsewhere(&leaf.digest, row.id)? {
                drop(locked);
                shared.push(leaf);
                return if shared.len() >= 8 { self.move_to_slab(row, &mut shared, report) } else { Ok(()) };
            }
            self.index.apply(&[(block_key(&leaf.digest, row.id), None)])
        };
        match handle.sidecar() {
            None => forget(handle.leaf(0)?)?,
            Some(sidecar) => sidecar.for_each_leaf(&mut |run| match run {
                Run::Leaf(leaf) => forget(leaf),
                Run::Zeros { .. } => Ok(()),
            })?,
        }
        self.move_to_slab(row, &mut shared, report)?;
        self.forget_nodes(row)
    }

    /// Whether there is a good copy in a file that stays.
    fn is_elsewhere(&self, digest: &Digest32, not_in: u64) -> Result<bool> {
        for (id, place) in self.index.places(digest)? {
            let stays = matches!(place, Place::Slab { .. }) || self.index.owner(id)?.is_some();
            if id != not_in && stays && matches!(self.read_place(digest, id, place)?, Read::Good(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn move_to_slab(&self, row: &ObjectRow, chunks: &mut Vec<LeafInfo>, report: &mut CollectReport) -> Result<()> {
        let mut blocks = Vec::with_capacity(chunks.len());
        for leaf in chunks.drain(..) {
            let cid = cid_of_digest(RAW, leaf.digest);
            let place = Place::Leaf { offset: leaf.offset, len: leaf.size };
            match self.read_place(&leaf.digest, row.id, place)? {
                Read::Good(bytes) => {
                    report.bytes_moved += bytes.len() as u64;
                    let mut block = NewBlock::new(&cid, bytes)?;
                    block.from = Some(row.id);
                    blocks.push(block);
                }
                Read::Bad(e) => return Err(e.with("cid", cid)),
                Read::Gone => return Err(Error::new(ErrorKind::Internal, "a file went while it was taken apart")),
            }
        }
        if blocks.is_empty() { Ok(()) } else { self.appender.append(blocks, true) }
    }

    /// Withdraws a scattered object's needs, and lets go of the chunks that only it needed.
    fn take_apart_scattered(
        &self,
        roots: &dyn Roots,
        row: &ObjectRow,
        report: &mut CollectReport,
        doomed: &mut Doomed,
    ) -> Result<()> {
        let Some(handle) = self.content.open(row)? else { return Ok(()) };
        handle.need_sidecar()?.for_each_leaf(&mut |run| match run {
            Run::Leaf(leaf) => {
                self.index.apply(&[(need_key(&leaf.digest, row.id), None)])?;
                self.check(roots, &leaf.digest, report, doomed)
            }
            Run::Zeros { .. } => Ok(()),
        })?;
        self.forget_nodes(row)
    }

    fn forget_nodes(&self, row: &ObjectRow) -> Result<()> {
        let Some(handle) = self.content.open(row)? else { return Ok(()) };
        let Some(sidecar) = handle.sidecar() else { return Ok(()) };
        let mut steps = self.index.steps();
        sidecar.for_each_node(&mut |node| steps.delete(block_key(&node.digest, row.id)))?;
        steps.finish()
    }

    /// Destroys bytes that no row names, once that is durable.
    fn destroy(&self, doomed: &Doomed, report: &mut CollectReport) -> Result<()> {
        if doomed.objects.is_empty() && doomed.frames.is_empty() {
            return Ok(());
        }
        self.health.step("collect: unnamed, not flushed")?;
        self.index.0.flush()?;
        self.health.step("collect: flushed, not destroyed")?;
        let mut steps = self.index.steps();
        for row in &doomed.objects {
            if let Some(slice) = &row.slice
                && self.is_slice_read(row, slice)?
            {
                // It stays among the dying.
                continue;
            }
            self.content.forget(row.id);
            for path in [self.layout.content_file(row.id, &row.root), self.layout.sidecar(row.id, &row.root)] {
                match fs::remove_file(path) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).at("removing a content file"),
                    _ => {}
                }
            }
            self.remove_fan(row.id);
            if let Some(slice) = &row.slice {
                self.release_slice(row, slice)?;
            }
            steps.delete(dying_key(row.id))?;
            report.objects_removed += 1;
        }
        steps.finish()?;
        self.punch(&doomed.frames)
    }

    /// Makes holes of dead frames where that frees anything.
    fn punch(&self, frames: &[(u64, u64, u32)]) -> Result<()> {
        let mut open: Option<(u64, File)> = None;
        for &(id, offset, len) in frames {
            if len < 8192 {
                continue;
            }
            if open.as_ref().is_none_or(|(slab, _)| *slab != id) {
                let Ok(file) = File::options().write(true).open(self.layout.slab(id)) else { continue };
                open = Some((id, file));
            }
            self.slabs.measure_again(id);
            if let Some((_, file)) = &open {
                match punch(file, offset, u64::from(len)) {
                    // Where the file system makes no holes, compaction gives the space back.
                    Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                    Err(e) => return Err(e).at("making a hole in a slab"),
                }
            }
        }
        Ok(())
    }

    /// Removes a content folder that is empty, if no new file can come into it.
    fn remove_fan(&self, id: u64) {
        if self.ids.is_past(self.layout.fan_end(id)) {
            // Not empty, mostly.
            let _ = fs::remove_dir(self.layout.fan(id));
        }
    }
}
