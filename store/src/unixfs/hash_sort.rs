//! Directory entries in the order of their names' hashes, however many: in memory, or in sorted runs of one unnamed
//! scratch file that are merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cid::Cid;

use crate::error::{Error, IoContext, Result};
use crate::types::Id;
use crate::unixfs::directory::Entry;
use crate::unixfs::murmur3::murmur3_x64_64;

/// Takes entries in the order of hashes, each with its hash.
pub(super) type HashSink<'a> = dyn FnMut(u64, Entry) -> Result<()> + 'a;

/// Sorts entries by hash.
pub(super) struct HashSorter {
    /// Records ([`encode`]), one after the other.
    arena: Vec<u8>,
    /// Hash, and where the record begins and ends.
    index: Vec<(u64, usize, usize)>,
    scratch: Option<Scratch>,
}

/// Sorted runs on disk. A run is its records in order, each after its hash and length.
struct Scratch {
    folder: PathBuf,
    /// Bytes held before a run is written.
    memory: usize,
    file: Option<File>,
    /// Where each run ends in the file: it begins where the one before ends.
    ends: Vec<u64>,
}

impl HashSorter {
    /// Sorts in memory only, or with runs in a scratch file in the folder once so many bytes are held.
    pub fn new(scratch: Option<(PathBuf, usize)>) -> Self {
        let scratch = scratch.map(|(folder, memory)| Scratch { folder, memory, file: None, ends: Vec::new() });
        Self { arena: Vec::new(), index: Vec::new(), scratch }
    }

    /// Adds an entry. Fails as the disk does.
    pub fn push(&mut self, entry: &Entry) -> Result<()> {
        let begin = self.arena.len();
        encode(entry, &mut self.arena);
        self.index.push((murmur3_x64_64(entry.name.as_bytes()), begin, self.arena.len()));
        let held = self.arena.len() + size_of_val(self.index.as_slice());
        if self.scratch.as_ref().is_some_and(|s| held > s.memory) { self.write_run() } else { Ok(()) }
    }

    /// Hands over every entry, by ascending hash; entries of one hash come in any order.
    pub fn finish(mut self, sink: &mut HashSink<'_>) -> Result<()> {
        if let Some(Scratch { ends, .. }) = &self.scratch
            && !ends.is_empty()
        {
            self.write_run()?;
            // From here the memory is that of the runs' buffers.
            (self.arena, self.index) = Default::default();
        }
        match &self.scratch {
            Some(Scratch { memory, file: Some(file), ends, .. }) => merge(file, ends, *memory, sink),
            _ => self.sorted_records().try_for_each(|(hash, record)| sink(hash, decode(record)?)),
        }
    }

    fn sorted_records(&mut self) -> impl Iterator<Item = (u64, &[u8])> {
        self.index.sort_unstable();
        self.index.iter().map(|&(hash, begin, end)| (hash, &self.arena[begin..end]))
    }

    fn write_run(&mut self) -> Result<()> {
        let Some(mut scratch) = self.scratch.take() else { return Ok(()) };
        let written = scratch.write_run(self.sorted_records());
        self.scratch = Some(scratch);
        self.arena.clear();
        self.index.clear();
        written
    }
}

impl Scratch {
    fn write_run<'a>(&mut self, records: impl Iterator<Item = (u64, &'a [u8])>) -> Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(unnamed_file(&self.folder)?),
        };
        let mut out = BufWriter::with_capacity(256 << 10, file);
        let mut end = self.ends.last().copied().unwrap_or(0);
        for (hash, record) in records {
            out.write_all(&hash.to_le_bytes()).at("writing a sorted run")?;
            // Name and CID: far below 4 GiB.
            out.write_all(&(record.len() as u32).to_le_bytes()).at("writing a sorted run")?;
            out.write_all(record).at("writing a sorted run")?;
            end += RECORD_HEADER + record.len() as u64;
        }
        out.flush().at("writing a sorted run")?;
        self.ends.push(end);
        Ok(())
    }
}

/// Bytes before a record of a run: its hash and its length.
const RECORD_HEADER: u64 = 8 + 4;

/// A file that is gone when it is closed, or when the process ends.
fn unnamed_file(folder: &Path) -> Result<File> {
    let path = folder.join(format!("sort-{}", Id::random()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).at("making a scratch file")?;
    fs::remove_file(&path).at("unlinking a scratch file")?;
    Ok(file)
}

fn merge(file: &File, ends: &[u64], memory: usize, sink: &mut HashSink<'_>) -> Result<()> {
    let buffer = (memory / ends.len().max(1)).clamp(4 << 10, 1 << 20);
    let begins = std::iter::once(0).chain(ends.iter().copied());
    let mut runs: Vec<Run<'_>> = begins.zip(ends).map(|(at, &end)| Run::new(file, at, end, buffer)).collect();
    let mut heads = BinaryHeap::with_capacity(runs.len());
    for (i, run) in runs.iter_mut().enumerate() {
        if let Some(hash) = run.advance()? {
            heads.push(Reverse((hash, i)));
        }
    }
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((hash, i)) = *head;
        let run = &mut runs[i];
        sink(hash, decode(&run.record)?)?;
        match run.advance()? {
            Some(next) => *head = Reverse((next, i)),
            None => drop(PeekMut::pop(head)),
        }
    }
    Ok(())
}

/// A run that is being read.
struct Run<'a> {
    source: BufReader<Section<'a>>,
    left: u64,
    record: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(file: &'a File, at: u64, end: u64, buffer: usize) -> Self {
        let source = BufReader::with_capacity(buffer, Section { file, at });
        Self { source, left: end - at, record: Vec::new() }
    }

    /// Reads the next record; answers its hash, or None at the run's end.
    fn advance(&mut self) -> Result<Option<u64>> {
        if self.left == 0 {
            return Ok(None);
        }
        let (mut hash, mut len) = ([0; 8], [0; 4]);
        self.source.read_exact(&mut hash).at("reading a sorted run")?;
        self.source.read_exact(&mut len).at("reading a sorted run")?;
        let len = u32::from_le_bytes(len);
        self.left = self.left.checked_sub(RECORD_HEADER + u64::from(len)).ok_or_else(damaged)?;
        self.record.resize(len as usize, 0);
        self.source.read_exact(&mut self.record).at("reading a sorted run")?;
        Ok(Some(u64::from_le_bytes(hash)))
    }
}

/// Positioned reads: all runs share one descriptor. The run knows where it ends.
struct Section<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Appends an entry's record: Tsize, length of the name, name, CID.
fn encode(entry: &Entry, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.tsize.to_le_bytes());
    out.extend_from_slice(&(entry.name.len() as u32).to_le_bytes());
    out.extend_from_slice(entry.name.as_bytes());
    out.extend_from_slice(&entry.cid.to_bytes());
}

fn decode(record: &[u8]) -> Result<Entry> {
    let (tsize, rest) = record.split_first_chunk().ok_or_else(damaged)?;
    let (len, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    let (name, cid) = rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(damaged)?;
    Ok(Entry {
        name: str::from_utf8(name).map_err(|e| damaged().caused_by(e))?.to_owned(),
        cid: Cid::try_from(cid).map_err(|e| damaged().caused_by(e))?,
        tsize: u64::from_le_bytes(*tsize),
    })
}

fn damaged() -> Error {
    Error::corrupt("damaged record in a sorted run")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unixfs::raw_cid;

    #[test]
    fn runs_on_disk_give_the_order_of_memory() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |i: u64| Entry { name: format!("entry {i}"), cid: raw_cid(&i.to_le_bytes()), tsize: i };
        let sorted = |scratch| {
            let mut sorter = HashSorter::new(scratch);
            (0..1000).for_each(|i| sorter.push(&entry(i)).unwrap());
            let runs = sorter.scratch.as_ref().map_or(0, |s| s.ends.len());
            let mut out = Vec::new();
            sorter
                .finish(&mut |hash, entry| {
                    out.push((hash, entry));
                    Ok(())
                })
                .unwrap();
            (out, runs)
        };
        let (in_memory, _) = sorted(None);
        assert_eq!(in_memory.len(), 1000);
        assert!(in_memory.is_sorted_by_key(|(hash, _)| *hash));
        for (memory, fewest) in [(0, 1000), (5000, 10), (1 << 30, 0)] {
            let (on_disk, runs) = sorted(Some((folder.path().to_owned(), memory)));
            assert!(runs >= fewest, "{runs} runs in {memory} bytes");
            assert!(on_disk == in_memory, "{memory} bytes");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "scratch files have no name");
    }

    #[test]
    fn nothing_sorts_to_nothing() {
        HashSorter::new(None).finish(&mut |_, _| panic!("no entry")).unwrap();
    }
}
