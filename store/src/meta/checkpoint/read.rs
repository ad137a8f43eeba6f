//! Reading checkpoints, every checksum checked.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::CheckpointInfo;
use super::format::{BLOCK_HEADER, End, FRAME, block_length, chain, decode_block, decode_header};
use crate::error::{Error, IoContext, Result};
use crate::meta::progress::Progress;
use crate::meta::{MetaStore, Row, RowChange, schema};

/// Both ends of a checkpoint.
pub(in crate::meta) fn info(path: &Path) -> Result<CheckpointInfo> {
    let file = File::open(path).at("cannot open a checkpoint")?;
    let (_, end, bytes) = ends(&file).map_err(|e| e.with("checkpoint", path.display()))?;
    let End { began, ended, rows, bytes: row_bytes, .. } = end;
    Ok(CheckpointInfo { path: path.to_owned(), began, ended, rows, bytes, row_bytes })
}

/// Version, end and length.
fn ends(file: &File) -> Result<(u32, End, u64)> {
    let length = file.metadata().at("cannot read a checkpoint")?.len();
    if length < 2 * FRAME as u64 {
        return Err(Error::corrupt("a checkpoint is cut short").with("position", length));
    }
    let mut frame = [0; FRAME];
    file.read_exact_at(&mut frame, 0).at("cannot read a checkpoint")?;
    let (version, began) = decode_header(&frame).map_err(|e| e.with("position", 0))?;
    let at = length - FRAME as u64;
    file.read_exact_at(&mut frame, at).at("cannot read a checkpoint")?;
    let end = End::decode(&frame).map_err(|e| e.with("position", at))?;
    if end.began != began || end.ended < began {
        return Err(Error::corrupt("the ends of a checkpoint do not fit together").with("position", at));
    }
    Ok((version, end, length))
}

/// Reads a checkpoint's rows in order.
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    version: u32,
    info: CheckpointInfo,
    /// What the end says, and what was read so far.
    expected: End,
    seen: End,
    at: u64,
    last: Vec<u8>,
}

impl Reader {
    /// Opens a checkpoint; Corrupt if one of its ends is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let info = info(path)?;
        let file = File::open(path).at("cannot open a checkpoint")?;
        let (version, expected, _) = ends(&file)?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut header = [0; FRAME];
        file.read_exact(&mut header).at("cannot read a checkpoint")?;
        let seen = End { began: expected.began, ended: expected.ended, ..End::default() };
        Ok(Self { path: path.to_owned(), file, version, info, expected, seen, at: FRAME as u64, last: Vec::new() })
    }

    /// What its ends say.
    pub fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    /// Offset of the next block, in bytes.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next rows; `None` at the end, when all counts and checksums agree. Corrupt otherwise.
    pub fn next_block(&mut self) -> Result<Option<Vec<Row>>> {
        let end_at = self.info.bytes - FRAME as u64;
        if self.at == end_at {
            return if self.seen == self.expected {
                Ok(None)
            } else {
                Err(self.damage("a checkpoint does not hold what its end says"))
            };
        }
        let mut header = [0; BLOCK_HEADER];
        let room = end_at - self.at;
        if room < BLOCK_HEADER as u64 {
            return Err(self.damage("a block of a checkpoint is damaged"));
        }
        self.file.read_exact(&mut header).at("cannot read a checkpoint")?;
        let length = block_length(&header);
        if (length + BLOCK_HEADER) as u64 > room {
            return Err(self.damage("a block of a checkpoint is damaged"));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes).at("cannot read a checkpoint")?;
        let Some((rows, crc)) = decode_block(self.version, &header, &bytes) else {
            return Err(self.damage("a block of a checkpoint is damaged"));
        };
        self.seen.chain = chain(self.seen.chain, crc);
        for (key, value) in &rows {
            if (self.seen.rows > 0 && *key <= self.last) || !schema::is_logged(key) {
                return Err(self.damage("a row of a checkpoint is out of place"));
            }
            self.seen.add(key, value);
            self.last.clone_from(key);
        }
        self.at += (length + BLOCK_HEADER) as u64;
        Ok(Some(rows))
    }

    fn damage(&self, message: &'static str) -> Error {
        Error::corrupt(message).with("checkpoint", self.path.display()).with("position", self.at)
    }
}

/// Reads a whole checkpoint and checks it.
pub fn verify(path: &Path, progress: &dyn Progress) -> Result<CheckpointInfo> {
    verify_while(path, progress, &|| Ok(()))
}

/// The same as long as `go_on` says so.
pub(super) fn verify_while(
    path: &Path,
    progress: &dyn Progress,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<CheckpointInfo> {
    let mut reader = Reader::open(path)?;
    while reader.next_block()?.is_some() {
        go_on()?;
        progress.report("verification of the checkpoint (bytes)", reader.position(), Some(reader.info().bytes));
    }
    Ok(reader.info().clone())
}

/// Puts all rows of a checkpoint into `store`, which has none of them.
pub fn load(path: &Path, store: &dyn MetaStore, progress: &dyn Progress) -> Result<CheckpointInfo> {
    /// Batches between two flushes.
    const FLUSH_EVERY: usize = 100;
    let mut reader = Reader::open(path)?;
    let mut batches = 0;
    let mut done = 0;
    while let Some(rows) = reader.next_block()? {
        done += rows.len() as u64;
        let changes: Vec<RowChange> = rows.into_iter().map(|(key, value)| (key, Some(value))).collect();
        for batch in changes.chunks(store.batch_keys()) {
            store.apply(batch)?;
            batches += 1;
            if batches % FLUSH_EVERY == 0 {
                store.flush()?;
            }
        }
        progress.report("replica from the checkpoint (rows)", done, Some(reader.info().rows));
    }
    store.flush()?;
    Ok(reader.info().clone())
}
