//! What an opening journal makes of the files it finds: a torn tail is cut, damage is refused with its place, and
//! nothing is ever skipped (ruling 3).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::format::{GROUP_HEADER, GROUP_MAGIC, GroupHeader, GroupKind, SEGMENT_HEADER, SegmentHeader};
use super::segment::{SegmentFile, Step, Walk, damage, fill, list, read_header};
use crate::error::{Error, IoContext, Result};
use crate::types::Seq;

/// What opening a journal found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Number of the oldest record that is kept; `head + 1` if there is none.
    pub first: Seq,
    /// Number of the last record.
    pub head: Seq,
    /// A torn tail that was cut: the rest of a group that nobody had an answer for.
    pub cut: Option<Cut>,
}

/// A torn tail.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The segment.
    pub segment: PathBuf,
    /// Where it was cut, in bytes from the segment's begin.
    pub at: u64,
    /// Bytes from there to the last that was not zero.
    pub bytes: u64,
}

/// How a segment ends.
pub(super) enum End {
    /// With a seal, at the end of the file or before zeros.
    Sealed,
    /// With zeros, or exactly at the end of the file.
    Open,
    /// With bytes that are no group, and nothing that claims they were synced.
    Torn {
        /// How many there are up to the last that is not zero.
        bytes: u64,
    },
    /// With bytes that are no group, though a later group says that they were synced.
    Damaged,
}

/// A whole segment, walked and checked.
pub(super) struct Scan {
    pub(super) header: SegmentHeader,
    /// Offset behind the last valid group.
    pub(super) end: u64,
    /// Number that comes next.
    pub(super) next: Seq,
    /// Where the last group with records begins: nothing on disk proves yet that it was synced.
    pub(super) unproven: u64,
    pub(super) how: End,
}

/// Walks a segment from its first group to its end.
pub(super) fn scan(file: &File, segment: &SegmentFile) -> Result<Scan> {
    let header = read_header(file, segment)?;
    let mut walk = Walk::new(file, &header)?;
    let mut unproven = SEGMENT_HEADER as u64;
    let how = loop {
        let at = walk.at;
        match walk.step()? {
            Step::Group(GroupHeader { kind: GroupKind::Seal, .. }) => break End::Sealed,
            Step::Group(GroupHeader { kind: GroupKind::Records, .. }) => unproven = at,
            Step::Group(GroupHeader { kind: GroupKind::Mark, .. }) => {}
            Step::End => break ends_how(file, at, walk.next, header.seed())?,
        }
    };
    Ok(Scan { header, end: walk.at, next: walk.next, unproven, how })
}

/// Decides what the bytes from `at` on are, where no valid group stands.
pub(super) fn ends_how(file: &File, at: u64, next: Seq, seed: u32) -> Result<End> {
    let mut damaged = false;
    let used = for_each_header(file, at, seed, |group| {
        damaged |= group.synced > at && group.first >= next;
        !damaged
    })?;
    Ok(match (damaged, used) {
        (true, _) => End::Damaged,
        (false, 0) => End::Open,
        (false, bytes) => End::Torn { bytes },
    })
}

/// Shows every group header of the segment with this seed that stands anywhere from `at` on, until told to stop.
/// Returns how many bytes there are up to the last that is not zero. The nonce in the seed makes it sure that the
/// committer wrote them, and for this segment.
pub(super) fn for_each_header(
    file: &File,
    at: u64,
    seed: u32,
    mut show: impl FnMut(&GroupHeader) -> bool,
) -> Result<u64> {
    const WINDOW: usize = 1 << 20;
    let mut window = vec![0; WINDOW];
    let mut from = at;
    let mut used = 0;
    loop {
        let length = read_up_to(file, &mut window, from)?;
        let bytes = &window[..length];
        if let Some(last) = bytes.iter().rposition(|b| *b != 0) {
            used = from + last as u64 + 1 - at;
            for candidate in bytes.windows(GROUP_HEADER).filter(|w| w.starts_with(GROUP_MAGIC)) {
                let mut header = [0; GROUP_HEADER];
                header.copy_from_slice(candidate);
                if GroupHeader::decode(&header, seed).is_some_and(|group| !show(&group)) {
                    return Ok(used);
                }
            }
        }
        if length < WINDOW {
            return Ok(used);
        }
        // Windows overlap, so that a header across their border is seen.
        from += (WINDOW - GROUP_HEADER + 1) as u64;
    }
}

fn read_up_to(file: &File, buffer: &mut [u8], from: u64) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], from + length as u64) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("cannot read a log segment", e)),
        }
    }
    Ok(length)
}

/// Checks a segment that is not the last one, without reading its records: its header, its seal at the very end,
/// and that `following` begins where it ends. The records' checksums are checked when they are read.
pub(super) fn check_sealed(file: &File, segment: &SegmentFile, following: Seq) -> Result<u64> {
    let header = read_header(file, segment)?;
    let length = file.metadata().at("cannot read a log segment")?.len();
    let at = length.saturating_sub(GROUP_HEADER as u64).max(SEGMENT_HEADER as u64);
    let mut bytes = [0; GROUP_HEADER];
    let whole = read_up_to(file, &mut bytes, at)? == GROUP_HEADER;
    match GroupHeader::decode(&bytes, header.seed()).filter(|_| whole) {
        Some(seal) if seal.kind == GroupKind::Seal && seal.synced == at => {
            if seal.first == following {
                Ok(length)
            } else {
                Err(damage(&segment.path, at, "records are missing behind a log segment")
                    .with("next", seal.first)
                    .with("found", following))
            }
        }
        _ => {
            // Somewhere this segment is damaged; find where for the message.
            let scan = scan(file, segment)?;
            Err(damage(&segment.path, scan.end, "a log segment is damaged"))
        }
    }
}

/// The last segment as it is to be written on.
pub(super) struct Tail {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    pub(super) end: u64,
    pub(super) sealed: bool,
}

/// What is in a log directory.
pub(super) struct Found {
    pub(super) tail: Tail,
    /// All segments with their sizes, oldest first.
    pub(super) sizes: Vec<(SegmentFile, u64)>,
    pub(super) recovered: Recovered,
}

/// Opens all segments of `dir`, cuts a torn tail, and makes sure that everything left is durable. `None` if there is
/// no segment yet.
pub(super) fn recover(dir: &Path) -> Result<Option<Found>> {
    let segments = list(dir)?;
    let Some(last) = segments.last() else { return Ok(None) };
    let mut sizes = Vec::new();
    for pair in segments.windows(2) {
        let file = File::open(&pair[0].path).at("cannot open a log segment")?;
        sizes.push((pair[0].clone(), check_sealed(&file, &pair[0], pair[1].first)?));
    }
    let file = OpenOptions::new().read(true).write(true).open(&last.path).at("cannot open a log segment")?;
    let scan = scan(&file, last)?;
    let cut = match scan.how {
        End::Damaged => return Err(damage(&last.path, scan.end, "a log segment is damaged")),
        End::Torn { bytes } => Some(Cut { segment: last.path.clone(), at: scan.end, bytes }),
        End::Sealed | End::Open => None,
    };
    if let Some(cut) = &cut {
        // The rest must read as zeros, or a later crash could leave old bytes behind a new tail. Written, not
        // truncated: the reserved room stays reserved, even on a full disk.
        fill(&file, cut.at, cut.at + cut.bytes).at("cannot cut a torn log tail")?;
    }
    settle(&file, &scan)?;
    sizes.push((last.clone(), scan.end));
    let first = segments.first().map_or(scan.next, |s| s.first);
    let recovered = Recovered { first, head: scan.next - 1, cut };
    let sealed = matches!(scan.how, End::Sealed);
    let tail = Tail { file, path: last.path.clone(), header: scan.header, end: scan.end, sealed };
    Ok(Some(Found { tail, sizes, recovered }))
}

/// Makes the end of the segment durable. What was read may be in the page cache only: after a crash of the process
/// because nobody had synced it, after a failed sync because the kernel dropped the dirty mark. So the part whose
/// sync nothing proves is written again before it is synced.
fn settle(file: &File, scan: &Scan) -> Result<()> {
    let mut tail = vec![0; (scan.end - scan.unproven) as usize];
    file.read_exact_at(&mut tail, scan.unproven).at("cannot read a log segment")?;
    file.write_all_at(&tail, scan.unproven).at("cannot write the log's tail again")?;
    file.sync_all().at("cannot sync the log's tail")
}
