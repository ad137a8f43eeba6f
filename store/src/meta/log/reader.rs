//! Reading a journal in order, beside its writer.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;

use super::LogReader;
use super::format::{GroupKind, SegmentHeader, take_record};
use super::segment::{SegmentFile, Step, Walk, damage, read_header};
use super::watermark::Watermark;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::record::Record;
use crate::types::Seq;

/// The journal's segments, oldest first, with their sizes; shared by writer and readers.
pub(super) type Segments = RwLock<Vec<(SegmentFile, u64)>>;

/// A place in a journal.
pub(super) struct JournalReader {
    segments: Arc<Segments>,
    watermark: Arc<Watermark>,
    /// The next record to hand out.
    next: Seq,
    open: Option<Open>,
}

/// The segment that is being read.
struct Open {
    file: File,
    path: PathBuf,
    header: SegmentHeader,
    /// Offset of the next group and the number it begins with.
    at: u64,
    group: Seq,
}

impl JournalReader {
    pub(super) fn new(segments: Arc<Segments>, watermark: Arc<Watermark>, from: Seq) -> Result<Self> {
        let mut reader = Self { segments, watermark, next: from, open: None };
        reader.find_segment()?;
        Ok(reader)
    }

    /// Opens the segment that holds `next`, or will hold it.
    fn find_segment(&mut self) -> Result<()> {
        let found = self.segments.read().iter().rev().find(|(s, _)| s.first <= self.next).map(|(s, _)| s.clone());
        let Some(segment) = found else {
            return Err(Error::new(ErrorKind::NotFound, "the log no longer has this record: begin from a checkpoint")
                .with("record", self.next));
        };
        let file = File::open(&segment.path).at("cannot open a log segment")?;
        let header = read_header(&file, &segment)?;
        let at = super::format::SEGMENT_HEADER as u64;
        self.open = Some(Open { file, path: segment.path, group: header.first, header, at });
        Ok(())
    }

    /// Adds the next group's records from `self.next` on to `out`; false at the end of the segment or of what is
    /// durable.
    fn next_group(&mut self, out: &mut Vec<Record>, durable: Seq) -> Result<(bool, usize)> {
        let Some(open) = &mut self.open else { return Ok((false, 0)) };
        let seed = open.header.seed();
        let mut walk = Walk::from(&open.file, seed, open.at, open.group)?;
        // A group becomes visible as a whole: its first record is durable only if its last one is.
        if walk.next > durable {
            return Ok((false, 0));
        }
        match walk.peek()? {
            Some(group) if group.first + Seq::from(group.count) <= self.next && group.kind != GroupKind::Seal => {
                walk.skip(&group);
            }
            Some(group) if group.kind == GroupKind::Seal => return Ok((false, 0)),
            _ => match walk.step()? {
                Step::Group(group) => decode(&walk.payload, seed, group.first, self.next, out)?,
                Step::End => return Err(damage(&open.path, open.at, "a log segment is damaged")),
            },
        }
        let read = walk.payload.len();
        (open.at, open.group) = (walk.at, walk.next);
        self.next = self.next.max(open.group);
        Ok((true, read))
    }
}

fn decode(mut payload: &[u8], seed: u32, first: Seq, wanted: Seq, out: &mut Vec<Record>) -> Result<()> {
    let mut seq = first;
    while let Some(bytes) = take_record(&mut payload, seed) {
        if seq >= wanted {
            let record = Record::decode(bytes)?;
            if record.seq != seq {
                return Err(Error::corrupt("a log record has another number than its place")
                    .with("place", seq)
                    .with("number", record.seq));
            }
            out.push(record);
        }
        seq += 1;
    }
    Ok(())
}

impl LogReader for JournalReader {
    fn next_batch(&mut self, max_bytes: usize) -> Result<Vec<Record>> {
        let mut out = Vec::new();
        let mut read = 0;
        while out.is_empty() || read < max_bytes {
            let durable = self.watermark.get().durable;
            if self.next > durable {
                break;
            }
            let (more, bytes) = self.next_group(&mut out, durable)?;
            read += bytes;
            if !more {
                // `next` is durable and not here: it is in the segment behind this one.
                let before = self.open.as_ref().map(|o| o.header.first);
                self.find_segment()?;
                if before == self.open.as_ref().map(|o| o.header.first) {
                    let (path, at) = self.open.as_ref().map(|o| (o.path.clone(), o.at)).unwrap_or_default();
                    return Err(damage(&path, at, "a log segment ends before its last record"));
                }
            }
        }
        Ok(out)
    }
}
