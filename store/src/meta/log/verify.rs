//! Checking a whole log that is not open, for `pinfold fsck`, and the one repair that a log itself can have: a cut at
//! the damage, with what lies behind kept aside.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::format::{GroupHeader, GroupKind, take_record};
use super::journal::lock_dir;
use super::recover::{Cut, End, ends_how, for_each_header};
use super::segment::{SegmentFile, Step, Walk, list, read_header, sync_dir};
use crate::error::{ErrorKind, IoContext, Result};
use crate::meta::progress::Progress;
use crate::meta::record::Record;
use crate::types::Seq;

/// A segment that was read as far as it is whole.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// Number of its first record.
    pub first: Seq,
    /// Whole records.
    pub records: u64,
    /// Bytes of them, with their framing.
    pub bytes: u64,
    /// It has its seal.
    pub sealed: bool,
}

/// The first place where a log is damaged.
#[derive(Clone, Debug)]
pub struct LogDamage {
    /// The segment.
    pub segment: PathBuf,
    /// Where in it, in bytes.
    pub position: u64,
    /// What is wrong there.
    pub what: &'static str,
}

/// What a log holds.
#[derive(Clone, Debug)]
pub struct LogReport {
    /// Its segments up to the damage.
    pub segments: Vec<SegmentReport>,
    /// Number of the oldest record.
    pub first: Seq,
    /// Number of the last record before the damage, or of the last one.
    pub head: Seq,
    /// The highest number that anything in the log speaks of, behind the damage too.
    pub last_known: Seq,
    /// The first damage.
    pub damage: Option<LogDamage>,
    /// A torn tail, which the next start cuts.
    pub torn: Option<Cut>,
}

/// Reads the whole log in `dir` and checks every record. `None` if there is no log. Busy while it is open.
pub fn verify(dir: &Path, progress: &dyn Progress) -> Result<Option<LogReport>> {
    if !dir.exists() {
        return Ok(None);
    }
    let _lock = lock_dir(dir)?;
    let segments = list(dir)?;
    let Some(oldest) = segments.first() else { return Ok(None) };
    let mut report = LogReport {
        segments: Vec::new(),
        first: oldest.first,
        head: oldest.first - 1,
        last_known: oldest.first - 1,
        damage: None,
        torn: None,
    };
    for (n, segment) in segments.iter().enumerate() {
        if report.damage.is_none() {
            check(segment, n + 1 == segments.len(), &mut report)?;
        }
        let damaged_here = report.damage.as_ref().filter(|d| d.segment == segment.path).map(|d| d.position);
        if report.damage.is_some() {
            report.last_known = report.last_known.max(highest(segment, damaged_here.unwrap_or(0))?);
        }
        progress.report("verification of the commit log (segments)", n as u64 + 1, Some(segments.len() as u64));
    }
    report.last_known = report.last_known.max(report.head);
    Ok(Some(report))
}

/// Reads a segment and adds it to the report.
fn check(segment: &SegmentFile, is_last: bool, report: &mut LogReport) -> Result<()> {
    let mut damage = |position, what| {
        report.damage = Some(LogDamage { segment: segment.path.clone(), position, what });
        Ok(())
    };
    if segment.first != report.head + 1 {
        return damage(0, "records before this segment are missing");
    }
    let file = File::open(&segment.path).at("cannot open a log segment")?;
    let header = match read_header(&file, segment) {
        Ok(header) => header,
        Err(error) if error.kind() == ErrorKind::Corrupt => return damage(0, "the header is damaged"),
        Err(error) => return Err(error),
    };
    let mut walk = Walk::new(&file, &header)?;
    let mut sealed = false;
    let what = loop {
        let at = walk.at;
        match walk.step()? {
            Step::Group(GroupHeader { kind: GroupKind::Seal, .. }) => {
                sealed = true;
                break None;
            }
            Step::Group(group) => {
                if !are_readable(&walk.payload, header.seed(), group.first) {
                    (walk.at, walk.next) = (at, group.first);
                    break Some("a record cannot be read");
                }
            }
            Step::End => break None,
        }
    };
    let (end, next) = (walk.at, walk.next);
    report.segments.push(SegmentReport {
        path: segment.path.clone(),
        first: segment.first,
        records: next - segment.first,
        bytes: end,
        sealed,
    });
    report.head = next - 1;
    let what = match (what, sealed, is_last) {
        (Some(what), ..) => Some(what),
        (None, true, false) if file.metadata().at("cannot read a log segment")?.len() != end => {
            Some("there is something behind the seal")
        }
        (None, true, _) => None,
        (None, false, false) => Some("a group is damaged"),
        (None, false, true) => match ends_how(&file, end, next, header.seed())? {
            End::Damaged => Some("a group is damaged"),
            End::Torn { bytes } => {
                report.torn = Some(Cut { segment: segment.path.clone(), at: end, bytes });
                None
            }
            End::Open | End::Sealed => None,
        },
    };
    if let Some(what) = what {
        report.damage = Some(LogDamage { segment: segment.path.clone(), position: end, what });
    }
    Ok(())
}

fn are_readable(mut payload: &[u8], seed: u32, first: Seq) -> bool {
    let mut seq = first;
    while let Some(bytes) = take_record(&mut payload, seed) {
        match Record::decode(bytes) {
            Ok(record) if record.seq == seq => seq += 1,
            _ => return false,
        }
    }
    payload.is_empty()
}

/// The highest record number that a segment speaks of from `from` on.
fn highest(segment: &SegmentFile, from: u64) -> Result<Seq> {
    let file = File::open(&segment.path).at("cannot open a log segment")?;
    let mut highest = segment.first - 1;
    if let Ok(header) = read_header(&file, segment) {
        for_each_header(&file, from, header.seed(), |group| {
            highest = highest.max(group.first + Seq::from(group.count) - 1);
            true
        })?;
    }
    Ok(highest)
}

/// Cuts a damaged log at its damage. What lies behind goes into a new folder of the log directory, `cut-N`: the later
/// segments as they are, the damaged one's rest as `NAME.from-POSITION`. Returns the folder.
pub fn cut(dir: &Path, damage: &LogDamage) -> Result<PathBuf> {
    let _lock = lock_dir(dir)?;
    let aside = (1..).map(|n| dir.join(format!("cut-{n}"))).find(|p| !p.exists()).unwrap_or_else(|| dir.join("cut"));
    std::fs::create_dir(&aside).at("cannot make a folder for the cut part of the log")?;
    let segments = list(dir)?;
    // The newest first: whenever this is interrupted, what is left is the begin of the log.
    for later in segments.iter().rev().take_while(|s| s.path != damage.segment) {
        move_into(&later.path, &aside)?;
    }
    if damage.position == 0 {
        move_into(&damage.segment, &aside)?;
    } else {
        keep_rest(&damage.segment, damage.position, &aside)?;
        let file = OpenOptions::new().write(true).open(&damage.segment).at("cannot open a log segment")?;
        file.set_len(damage.position).and_then(|()| file.sync_all()).at("cannot cut a log segment")?;
    }
    sync_dir(dir).at("cannot sync the log directory")?;
    Ok(aside)
}

fn move_into(path: &Path, folder: &Path) -> Result<()> {
    let Some(name) = path.file_name() else { return Ok(()) };
    std::fs::rename(path, folder.join(name)).and_then(|()| sync_dir(folder)).at("cannot put a log segment aside")
}

/// Copies a segment from `position` on, without the zeros at its end.
fn keep_rest(segment: &Path, position: u64, folder: &Path) -> Result<()> {
    let bytes = std::fs::read(segment).at("cannot read a log segment")?;
    let rest = bytes.get(position as usize..).unwrap_or_default();
    let used = rest.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    let name = segment.file_name().unwrap_or_default().to_string_lossy();
    let copy = folder.join(format!("{name}.from-{position}"));
    std::fs::write(&copy, &rest[..used])
        .and_then(|()| File::open(&copy)?.sync_all())
        .and_then(|()| sync_dir(folder))
        .at("cannot keep the cut part of the log")
}
