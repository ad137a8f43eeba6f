//! Compaction: slabs with too much dead space are copied together, so that all slabs use at most a tenth more than what
//! is live in them.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::chunk::append::NewBlock;
use crate::chunk::collect::{CollectReport, Collector};
use crate::chunk::frame::{FRAME_HEADER, SLAB_HEADER};
use crate::chunk::index::{Place, SlabRow};
use crate::chunk::recover::read_header;
use crate::chunk::store::Inner;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::unixfs;

/// Waste that is worth no work, in bytes.
const SLACK: u64 = 64 << 10;
/// Bytes appended together.
const BATCH: u64 = 8 << 20;

impl Inner {
    /// Empties the slabs with the most waste until little is left, or `budget` bytes were moved.
    pub(super) fn compact(&self, collector: &mut Collector, budget: u64, report: &mut CollectReport) -> Result<()> {
        let mut moved = 0;
        loop {
            let Some(id) = self.worst_slab(collector)? else { return Ok(()) };
            if moved >= budget && moved > 0 {
                report.more = true;
                return Ok(());
            }
            if id == self.slabs.active() {
                self.appender.close_slab()?;
            }
            match self.empty_slab(id) {
                Ok(bytes) => {
                    moved += bytes;
                    report.bytes_moved += bytes;
                    report.slabs_removed += 1;
                }
                Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Io) => {
                    tracing::error!(slab = id, error = %e, "a damaged slab is not compacted");
                    collector.damaged.insert(id);
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// The slab with the largest dead share, if all together waste too much.
    fn worst_slab(&self, collector: &Collector) -> Result<Option<u64>> {
        let (mut disk, mut live) = (0, 0);
        let mut worst: Option<(u64, SlabRow, u64)> = None;
        for (id, row) in self.slabs.rows() {
            let bytes = self.slabs.disk_bytes(id)?;
            disk += bytes;
            live += row.live;
            let waste = bytes.saturating_sub(row.live + SLAB_HEADER);
            // By share: the fewest bytes moved for what is won.
            let more = |than: &(u64, SlabRow, u64)| waste * (than.1.live + 1) > than.2 * (row.live + 1);
            if waste >= SLACK.min(4096) && !collector.damaged.contains(&id) && worst.as_ref().is_none_or(more) {
                worst = Some((id, row, waste));
            }
        }
        let too_much = disk > live + live / 12 + SLACK;
        Ok(worst.filter(|_| too_much).map(|(id, ..)| id))
    }

    /// Moves what is live out of a slab that is not appended to any more, and removes it; answers the bytes moved.
    fn empty_slab(&self, id: u64) -> Result<u64> {
        let mut moved = 0;
        // Looked up only now: before, more could have been appended.
        let Some(row) = self.slabs.row(id) else { return Ok(0) };
        if let Some(file) = self.slabs.file(id)? {
            moved = self.move_frames(id, &file, row.len)?;
        }
        if let Some(row) = self.slabs.row(id).filter(|row| row.live > 0) {
            return Err(Error::corrupt("blocks of a slab are in none of its frames").with("bytes", row.live));
        }
        self.health.step("compact: moved, not removed")?;
        self.slabs.forget(id)?;
        self.index.0.flush()?;
        self.slabs.unlink(id)?;
        Ok(moved)
    }

    fn move_frames(&self, id: u64, file: &File, len: u64) -> Result<u64> {
        let (mut at, mut moved, mut waiting) = (SLAB_HEADER, 0, 0);
        let mut blocks = Vec::new();
        while at < len {
            let header = read_header(file, at, len)?
                .ok_or_else(|| Error::corrupt("a frame of a slab is damaged").with("offset", at))?;
            let offset = at + FRAME_HEADER as u64;
            at += header.frame_len();
            if self.index.place(&header.digest, id)? != Some(Place::Slab { offset, len: header.len }) {
                continue;
            }
            let mut bytes = vec![0; header.len as usize];
            file.read_exact_at(&mut bytes, offset).at("reading a slab")?;
            let cid = header.cid();
            unixfs::verify(&cid, &bytes).map_err(|e| e.with("offset", offset))?;
            let mut block = NewBlock::new(&cid, bytes.into())?;
            block.from = Some(id);
            blocks.push(block);
            moved += header.frame_len();
            waiting += header.frame_len();
            if waiting >= BATCH {
                self.appender.append(std::mem::take(&mut blocks), true)?;
                waiting = 0;
            }
        }
        if !blocks.is_empty() {
            self.appender.append(blocks, true)?;
        }
        Ok(moved)
    }
}
