//! System calls on a live file of the local disk.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{FallocateFlags, SeekFrom, Timespec, Timestamps};

use crate::chunk::LiveFile;
use crate::crypto::LiveCipher;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::Timestamp;

/// What a live file says of itself.
#[derive(Clone, Copy)]
pub(super) struct LocalStat {
    pub(super) size: u64,
    /// 512-byte blocks.
    pub(super) blocks: u64,
    pub(super) mtime: Timestamp,
}

/// `fstat`.
pub(super) fn stat(live: &LiveFile) -> Result<LocalStat> {
    let meta = live.metadata()?;
    let size = if live.cipher().is_some() { LiveCipher::plain_len(meta.len()) } else { meta.len() };
    let mtime = Timestamp { secs: meta.mtime(), nanos: meta.mtime_nsec() as u32 };
    Ok(LocalStat { size, blocks: meta.blocks(), mtime })
}

/// `futimens`.
pub(super) fn set_times(file: &File, atime: Timestamp, mtime: Timestamp) -> Result<()> {
    let spec = |t: Timestamp| Timespec { tv_sec: t.secs, tv_nsec: i64::from(t.nanos) as _ };
    let times = Timestamps { last_access: spec(atime), last_modification: spec(mtime) };
    rustix::fs::futimens(file, &times).at("a live file's times cannot be set")
}

/// `fallocate` with Linux's mode bits.
pub(super) fn allocate(live: &LiveFile, offset: u64, len: u64, mode: i32) -> Result<()> {
    let unsupported =
        || Error::new(ErrorKind::Unsupported, "the disk does not offer this fallocate mode").with("mode", mode);
    let file = live.file();
    if let Some(cipher) = live.cipher() {
        return if cipher.allocate(file, offset, len, mode)? { Ok(()) } else { Err(unsupported()) };
    }
    let flags = FallocateFlags::from_bits(mode as u32).ok_or_else(unsupported)?;
    match rustix::fs::fallocate(file, flags, offset, len) {
        Err(rustix::io::Errno::OPNOTSUPP) => Err(unsupported()),
        Err(rustix::io::Errno::INVAL) => Err(Error::new(ErrorKind::InvalidArgument, "not a valid range to allocate")),
        Err(rustix::io::Errno::FBIG) => Err(Error::new(ErrorKind::TooLarge, "the range ends beyond the largest file")),
        result => result.at("space cannot be allocated"),
    }
}

/// `lseek` with `SEEK_DATA` or `SEEK_HOLE`; `None` past the end.
pub(super) fn seek(live: &LiveFile, offset: u64, data: bool) -> Result<Option<u64>> {
    match live.cipher() {
        Some(_) => Ok(seek_solid(live.size()?, offset, data)),
        None => seek_file(live.file(), offset, data),
    }
}

/// The answer of a file without holes.
pub(super) fn seek_solid(size: u64, offset: u64, data: bool) -> Option<u64> {
    (offset < size).then_some(if data { offset } else { size })
}

/// As [`seek`], of a plain file.
pub(super) fn seek_file(file: &File, offset: u64, data: bool) -> Result<Option<u64>> {
    let to = if data { SeekFrom::Data(offset) } else { SeekFrom::Hole(offset) };
    match rustix::fs::seek(file, to) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(Error::io("a live file cannot be searched", error.into())),
    }
}

/// Copies within the kernel where the disk can; returns bytes copied, 0 at the source's end.
pub(super) fn copy(from: &File, mut from_offset: u64, to: &File, mut to_offset: u64, len: u64) -> Result<u64> {
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(1 << 30);
    let copied = rustix::fs::copy_file_range(from, Some(&mut from_offset), to, Some(&mut to_offset), len);
    copied.map(|n| n as u64).at("a range cannot be copied")
}
