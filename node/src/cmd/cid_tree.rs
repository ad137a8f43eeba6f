//! `pinfold cid` of a directory: as `ipfs add --recursive --hidden` would name it.

use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use pinfold_store::unixfs::{Block, DirectoryBuilder, DirectoryRoot, Entry, Profile};
use pinfold_store::{Error, ErrorKind, IoContext, Result};

use super::cid::of_file;
use crate::progress::WorkProgress;

/// Memory for one large directory's entries, in bytes; more are sorted in an unnamed file in the folder for such.
const SORT_MEMORY: usize = 8 << 20;

/// The directory with all that is in it. Symbolic links are not followed. Unsupported names the first thing that UnixFS
/// has no word for: a FIFO, a socket, a device, a name that is not UTF-8.
pub(super) fn of_directory(path: &Path, profile: Profile, progress: &WorkProgress) -> Result<DirectoryRoot> {
    let mut builder = DirectoryBuilder::new(profile).with_scratch(std::env::temp_dir(), SORT_MEMORY);
    for entry in fs::read_dir(path).at("listing it")? {
        let entry = entry.at("listing it")?;
        let below = |error: Error| error.with("in", entry.path().display());
        let name = String::from_utf8(entry.file_name().into_vec())
            .map_err(|_| below(Error::new(ErrorKind::Unsupported, "a name that is not UTF-8")))?;
        let kind = entry.file_type().at("looking at an entry").map_err(below)?;
        let (cid, tsize) = if kind.is_dir() {
            let root = of_directory(&entry.path(), profile, progress)?;
            (root.cid, root.tsize)
        } else if kind.is_file() {
            let file = File::open(entry.path()).at("opening it").map_err(below)?;
            let size = file.metadata().at("looking at it").map_err(below)?.len();
            let root = of_file(&file, size, profile, progress).map_err(below)?;
            (root.cid, root.tsize)
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).at("reading a link").map_err(below)?;
            let block = Block::symlink(target.into_os_string().into_vec());
            (block.cid, block.bytes.len() as u64)
        } else {
            return Err(below(Error::new(ErrorKind::Unsupported, "neither a file, a directory nor a symbolic link")));
        };
        builder.push(Entry { name, cid, tsize })?;
    }
    builder.finish(&mut |_| Ok(()))
}
