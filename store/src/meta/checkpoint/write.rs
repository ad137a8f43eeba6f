//! Writing a checkpoint: to a temporary file, synced, read back and compared, named, its name made durable; only then
//! may anything rely on it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rustix::fs::Advice;

use super::format::{Block, End, chain, encode_header};
use super::{CheckpointInfo, PREFIX, SUFFIX, list, read};
use crate::error::{Error, IoContext, Result};
use crate::meta::log::sync_dir;
use crate::meta::progress::Progress;
use crate::types::Seq;

/// Bytes of rows after which a block ends.
const BLOCK_BYTES: usize = 64 << 10;

/// A checkpoint that is being written. Dropped before [`Writer::finish`] it leaves nothing.
pub(in crate::meta) struct Writer {
    dir: PathBuf,
    temp: PathBuf,
    out: BufWriter<File>,
    block: Block,
    end: End,
    finished: bool,
}

impl Writer {
    /// Begins a checkpoint that will hold every record up to `began`.
    pub(in crate::meta) fn begin(dir: &Path, began: Seq) -> Result<Self> {
        std::fs::create_dir_all(dir).at("cannot make the folder of checkpoints")?;
        let temp = dir.join("checkpoint.tmp");
        let file = File::create(&temp).at("cannot make a checkpoint")?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&encode_header(began)).at("cannot write a checkpoint")?;
        let end = End { began, ..End::default() };
        Ok(Self { dir: dir.to_owned(), temp, out, block: Block::default(), end, finished: false })
    }

    /// Adds the row that follows in byte order.
    pub(in crate::meta) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.block.push(key, value);
        self.end.add(key, value);
        if self.block.size() >= BLOCK_BYTES { self.write_block() } else { Ok(()) }
    }

    fn write_block(&mut self) -> Result<()> {
        let (header, rows, crc) = self.block.take();
        self.end.chain = chain(self.end.chain, crc);
        self.out.write_all(&header).and_then(|()| self.out.write_all(&rows)).at("cannot write a checkpoint")
    }

    /// Ends it: the rows may show records up to `ended`. Removes the older ones when it is safely there. Reading it
    /// back takes its time; `go_on` may end that.
    pub(in crate::meta) fn finish(
        mut self,
        ended: Seq,
        progress: &dyn Progress,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<CheckpointInfo> {
        if self.block.size() > 0 {
            self.write_block()?;
        }
        self.end.ended = ended;
        self.out.write_all(&self.end.encode()).and_then(|()| self.out.flush()).at("cannot write a checkpoint")?;
        let file = self.out.get_ref();
        file.sync_all().at("cannot sync a checkpoint")?;
        // So that what is verified comes from the disk. Where the kernel does not listen it is still compared.
        let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
        let verified = read::verify_while(&self.temp, progress, go_on)?;
        if (verified.rows, verified.began, verified.ended) != (self.end.rows, self.end.began, self.end.ended) {
            return Err(Error::corrupt("a checkpoint reads differently than it was written"));
        }
        let path = self.dir.join(format!("{PREFIX}{:020}{SUFFIX}", self.end.began));
        std::fs::rename(&self.temp, &path)
            .and_then(|()| sync_dir(&self.dir))
            .and_then(|()| self.dir.parent().map_or(Ok(()), sync_dir))
            .at("cannot name a checkpoint")?;
        self.finished = true;
        for (_, older) in list(&self.dir)?.into_iter().filter(|(began, _)| *began < self.end.began) {
            std::fs::remove_file(older).at("cannot remove an old checkpoint")?;
        }
        Ok(CheckpointInfo { path, ..verified })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // Where even that fails the next checkpoint overwrites it.
            let _ = std::fs::remove_file(&self.temp);
        }
    }
}
