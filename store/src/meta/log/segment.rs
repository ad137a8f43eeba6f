//! Segment files: their names, how one is made, and how its groups are walked.
//!
//! A segment gets its final name only when its header is durable, so a file `*.seg` without a valid header is damage.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::fault::{Fault, Faults, LogPoint};
use super::format::{GROUP_HEADER, GroupHeader, GroupKind, SEGMENT_HEADER, SegmentHeader, take_record};
use crate::error::{Error, IoContext, Result};
use crate::types::{Id, Seq};

/// Ending of a segment's name.
const SUFFIX: &str = ".seg";
/// The preallocated segment that will be written next.
const SPARE: &str = "spare.tmp";

/// A segment on disk.
#[derive(Clone, Debug)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) first: Seq,
}

/// The file of the segment that begins with `first`.
pub(super) fn path_of(dir: &Path, first: Seq) -> PathBuf {
    dir.join(format!("{first:020}{SUFFIX}"))
}

/// All segments, oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<SegmentFile>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).at("cannot list the log directory")? {
        let path = entry.at("cannot list the log directory")?.path();
        let first = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(SUFFIX));
        if let Some(first) = first.and_then(|digits| digits.parse().ok()) {
            found.push(SegmentFile { path, first });
        }
    }
    found.sort_by_key(|s| s.first);
    Ok(found)
}

/// Makes changes of a directory durable: names that appeared, moved or went.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Reserves `bytes` for `file`, so that later writes do not fail for want of space. File systems that cannot are
/// only given the size.
pub(super) fn preallocate(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            if file.metadata()?.len() < bytes {
                file.set_len(bytes)?;
            }
            Ok(())
        }
        Err(e) => Err(e.into()),
    }
}

/// How many bytes behind the last group are real zeros on disk, at least half of the time.
///
/// Reserved room alone is not enough. A write into it makes the file system change its own metadata, and the sync
/// then depends on the file system's journal: slower by one journal commit a group, and ext4 was seen to report
/// success for it when its journal ended at that moment (10 of 100 simulated power cuts lost the last record; none of
/// 100 with zeros written before).
pub(super) const FILL_BYTES: u64 = 1 << 20;

/// Writes zeros from `from` to `to`.
pub(super) fn fill(file: &File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut at = from;
    while at < to {
        let length = (to - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..length as usize], at)?;
        at += length;
    }
    Ok(())
}

/// Makes the file that becomes the next segment, without a name of its own yet.
pub(super) fn make_spare(dir: &Path, bytes: u64, faults: &Faults) -> io::Result<()> {
    faults.check(LogPoint::Preallocate)?;
    let path = dir.join(SPARE);
    let made = OpenOptions::new().create(true).truncate(true).write(true).open(&path).and_then(|file| {
        preallocate(&file, bytes)?;
        // It is synced when it gets its header.
        fill(&file, 0, FILL_BYTES.min(bytes))
    });
    if made.is_err() {
        // What it holds of the disk is needed by others; that it is gone already does not matter.
        let _ = std::fs::remove_file(&path);
    }
    made
}

/// Removes a spare that an earlier process left.
pub(super) fn remove_spare(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(dir.join(SPARE)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Turns the spare into the segment that begins with `first`: header, sync, name, sync of the directory.
pub(super) fn name_spare(dir: &Path, first: Seq, faults: &Faults) -> io::Result<(File, SegmentHeader, PathBuf)> {
    let header = SegmentHeader { first, nonce: Id::random().0 };
    let spare = dir.join(SPARE);
    let file = OpenOptions::new().read(true).write(true).open(&spare)?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync_all()?;
    faults.check(LogPoint::Name)?;
    let path = path_of(dir, first);
    std::fs::rename(&spare, &path)?;
    sync_dir(dir)?;
    Ok((file, header, path))
}

/// Reads a segment's header and checks it against the name.
pub(super) fn read_header(file: &File, segment: &SegmentFile) -> Result<SegmentHeader> {
    let mut bytes = [0; SEGMENT_HEADER];
    match file.read_exact_at(&mut bytes, 0) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(damage(&segment.path, 0, "a log segment is shorter than its header"));
        }
        other => other.at("cannot read a log segment")?,
    }
    let header = SegmentHeader::decode(&bytes).map_err(|e| locate(e, &segment.path, 0))?;
    if header.first != segment.first {
        return Err(damage(&segment.path, 0, "a log segment's name and header disagree"));
    }
    Ok(header)
}

/// The error for damage at `at` in a segment.
pub(super) fn damage(path: &Path, at: u64, message: &'static str) -> Error {
    locate(Error::corrupt(message), path, at)
}

fn locate(error: Error, path: &Path, at: u64) -> Error {
    error.with("segment", path.display()).with("position", at).with(
        "help",
        "`pinfold fsck` says what can be done: with a whole replica a new log begins from it and nothing is lost; else the log is cut here and the rest kept aside",
    )
}

/// Writes `bytes` at `at`, as far as the hook lets it.
pub(super) fn write_at(file: &File, bytes: &[u8], at: u64, point: LogPoint, faults: &Faults) -> io::Result<()> {
    match faults.ask(point) {
        Fault::None => file.write_all_at(bytes, at),
        Fault::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
        Fault::Short(length) => {
            file.write_all_at(&bytes[..length.min(bytes.len())], at)?;
            Err(io::Error::from_raw_os_error(libc::EIO))
        }
    }
}

/// What stands at an offset of a segment.
pub(super) enum Step {
    /// A whole group; its records' bytes are in the walker's buffer.
    Group(GroupHeader),
    /// No valid group.
    End,
}

/// Walks a segment's groups and checks every checksum.
pub(super) struct Walk<'a> {
    file: &'a File,
    seed: u32,
    length: u64,
    /// Offset of the next group.
    pub(super) at: u64,
    /// Number that comes next.
    pub(super) next: Seq,
    /// Bytes of the last group's records.
    pub(super) payload: Vec<u8>,
}

impl<'a> Walk<'a> {
    /// A walk from the first group.
    pub(super) fn new(file: &'a File, header: &SegmentHeader) -> Result<Self> {
        Self::from(file, header.seed(), SEGMENT_HEADER as u64, header.first)
    }

    /// A walk from the group at `at`, which is to begin with `next`.
    pub(super) fn from(file: &'a File, seed: u32, at: u64, next: Seq) -> Result<Self> {
        let length = file.metadata().at("cannot read a log segment")?.len();
        Ok(Self { file, seed, length, at, next, payload: Vec::new() })
    }

    /// The header at the present offset, if it is one that fits here.
    pub(super) fn peek(&self) -> Result<Option<GroupHeader>> {
        let mut bytes = [0; GROUP_HEADER];
        match self.file.read_exact_at(&mut bytes, self.at) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.at("cannot read a log segment")?,
        }
        Ok(GroupHeader::decode(&bytes, self.seed).filter(|group| {
            group.first == self.next
                && group.synced <= self.at
                && self.at + GROUP_HEADER as u64 + u64::from(group.length) <= self.length
                && (group.kind == GroupKind::Records) == (group.count > 0)
        }))
    }

    /// Goes over the group at the present offset without reading its records.
    pub(super) fn skip(&mut self, group: &GroupHeader) {
        self.at += GROUP_HEADER as u64 + u64::from(group.length);
        self.next += Seq::from(group.count);
    }

    /// Reads and checks the group at the present offset and goes over it.
    pub(super) fn step(&mut self) -> Result<Step> {
        let Some(group) = self.peek()? else { return Ok(Step::End) };
        self.payload.resize(group.length as usize, 0);
        self.file.read_exact_at(&mut self.payload, self.at + GROUP_HEADER as u64).at("cannot read a log segment")?;
        let mut rest = self.payload.as_slice();
        for _ in 0..group.count {
            if take_record(&mut rest, self.seed).is_none() {
                return Ok(Step::End);
            }
        }
        if !rest.is_empty() {
            return Ok(Step::End);
        }
        self.skip(&group);
        Ok(Step::Group(group))
    }
}
