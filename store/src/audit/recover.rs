//! What a start finds, and what it makes of a line that a crash tore.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Head, file_of, files, line};
use crate::error::{IoContext, Result};

/// Longest line there can be, in bytes.
const MAX_LINE: u64 = 256 * 1024;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The last line.
    pub head: Head,
    /// Bytes that a crash left of lines at the end and that were set aside.
    pub torn: u64,
}

/// The newest file, ready to be appended to, its length, and what was found.
pub(super) struct Found {
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) recovered: Recovered,
}

/// Opens the newest file; `None` in a folder without any. What follows the last whole line was never vouched for: it goes
/// to `SEQ.torn`.
pub(super) fn open(dir: &Path) -> Result<Option<Found>> {
    let Some((first, path)) = files(dir).at("the audit log's folder cannot be read")?.pop() else { return Ok(None) };
    let mut file = OpenOptions::new().read(true).append(true).open(&path).at("an audit file cannot be opened")?;
    let size = file.metadata().at("an audit file has no size")?.len();
    let scan = scan(&file)?;
    let head = match scan.head {
        Some(head) => head,
        // A file without a whole line: the log ends with the one before.
        None => before(dir, first)?,
    };
    let torn = size - scan.whole;
    if torn > 0 {
        set_aside(dir, &mut file, scan.whole, head.seq + 1)?;
        file.set_len(scan.whole).at("a torn audit line cannot be cut off")?;
        file.sync_all().at("the audit log cannot be synced")?;
    }
    Ok(Some(Found { file, length: scan.whole, recovered: Recovered { head, torn } }))
}

struct Scan {
    head: Option<Head>,
    /// Bytes up to the end of the last line that is good by itself.
    whole: u64,
}

fn scan(file: &File) -> Result<Scan> {
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0)).at("an audit file cannot be read")?;
    let (mut at, mut found) = (0, Scan { head: None, whole: 0 });
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut text).at("an audit file cannot be read")?;
        if read == 0 {
            return Ok(found);
        }
        at += read as u64;
        // A bad line with good ones behind it is none that a crash left: it stays, for `verify` to find.
        if let Some(whole) = text.strip_suffix(b"\n")
            && let Ok(link) = line::read(whole)
        {
            found = Scan { head: Some(Head { seq: link.seq, hash: link.hash }), whole: at };
        }
    }
}

/// The last line before the file that begins with `first`.
fn before(dir: &Path, first: u64) -> Result<Head> {
    let older = files(dir).at("the audit log's folder cannot be read")?;
    for (_, path) in older.iter().rev().filter(|(seq, _)| *seq < first) {
        if let Some(head) = scan(&File::open(path).at("an audit file cannot be opened")?)?.head {
            return Ok(head);
        }
    }
    Ok(Head::none())
}

fn set_aside(dir: &Path, file: &mut File, from: u64, seq: u64) -> Result<()> {
    let path = dir.join(format!("{seq:020}.torn"));
    let mut aside = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .at("a torn audit line cannot be set aside")?;
    file.seek(SeekFrom::Start(from)).at("an audit file cannot be read")?;
    std::io::copy(file, &mut aside).at("a torn audit line cannot be set aside")?;
    aside.flush().and_then(|()| aside.sync_all()).at("a torn audit line cannot be set aside")
}

/// Makes the file whose first line is `seq`.
pub(super) fn create(dir: &Path, seq: u64) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file_of(dir, seq))
        .at("an audit file cannot be made")?;
    File::open(dir).and_then(|dir| dir.sync_all()).at("the audit log's folder cannot be synced")?;
    Ok(file)
}
