//! Disk blocks that belong to a file beyond its end, so that what it grows by is there whoever fills the disk meanwhile.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::{IoContext, Result};

/// What is allocated beyond the end of one file.
pub(crate) struct Aside {
    bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The file's length when last seen.
    length: u64,
    /// Up to here its blocks are allocated.
    end: u64,
    /// The file system cannot do it.
    unsupported: bool,
}

impl Aside {
    /// So many bytes, in sixteenths where there are not that many.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, state: Mutex::default() }
    }

    /// As [`Aside::fill_up`], of a file that was cut to its own length.
    fn again(&self, file: &File) -> Result<Option<u64>> {
        self.state.lock().end = 0;
        self.fill_up(file)
    }

    /// Fills up what is set aside; returns the bytes of it. `None` where the file system cannot set any aside.
    pub(crate) fn fill_up(&self, file: &File) -> Result<Option<u64>> {
        let step = self.bytes / 16;
        let mut state = self.state.lock();
        if state.unsupported {
            return Ok(None);
        }
        let length = file.metadata().at("cannot read a file's length")?.len();
        if length < state.length {
            // Cutting a file gives back what lies beyond its new end.
            state.end = length;
        }
        state.length = length;
        state.end = state.end.max(length);
        let mut wanted = self.bytes - (state.end - length).min(self.bytes);
        // Not for every little growth.
        while wanted >= 2 * step {
            match fallocate(file, FallocateFlags::KEEP_SIZE, state.end, wanted) {
                Ok(()) => {
                    state.end += wanted;
                    break;
                }
                Err(Errno::NOSPC | Errno::DQUOT) => wanted = (wanted / 2).next_multiple_of(step),
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    state.unsupported = true;
                    return Ok(None);
                }
                Err(error) => return Err(error).at("cannot set room aside in a file"),
            }
        }
        Ok(Some(state.end - length))
    }
}

/// Room for an engine whose files come and go: blocks of a file of no length, which are let go when little else is free.
/// Whoever fills the disk at that moment may take them; an engine with one file does better with [`Aside`].
pub(crate) struct Ballast {
    file: File,
    aside: Aside,
    held: Mutex<u64>,
}

impl Ballast {
    /// Bytes that are held.
    const BYTES: u64 = 64 << 20;

    /// With nothing held yet, and nothing that an earlier run held.
    pub(crate) fn released(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.at("cannot make the file that holds room for the replica")?;
        Ok(Self { file, aside: Aside::new(Self::BYTES), held: Mutex::new(0) })
    }

    /// What can be written: what is `free`, and what is held. Lets go of it, or takes hold of it, as it must.
    pub(crate) fn room(&self, free: impl Fn() -> Result<u64>) -> Result<u64> {
        let mut held = self.held.lock();
        let now = free()?;
        if *held > 0 && now < Self::BYTES / 2 {
            tracing::warn!(
                free = now,
                held = *held,
                "the disk is nearly full: letting go of what was held for the replica"
            );
            self.file.set_len(0).at("cannot let go of what was held for the replica")?;
            *held = 0;
            return free();
        }
        if *held == 0 && now >= 3 * Self::BYTES {
            *held = self.aside.again(&self.file)?.unwrap_or(0);
            return Ok(free()?.saturating_add(*held));
        }
        Ok(now.saturating_add(*held))
    }
}

/// Gives back what an earlier run set aside for the file `path`, if it is there: opening may need it elsewhere.
pub(crate) fn give_back(path: &Path) -> Result<()> {
    match File::options().write(true).open(path) {
        Ok(file) => {
            let length = file.metadata().at("cannot read a file's length")?.len();
            file.set_len(length).at("cannot give back what was set aside in a file")
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e).at("cannot open a file to give back what was set aside in it"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::{Aside, Ballast, give_back};

    const ASIDE: u64 = 64 << 20;

    #[test]
    fn blocks_are_there_beyond_the_end_and_go_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = std::fs::File::create(&path).unwrap();
        let aside = Aside::new(ASIDE);
        let Some(left) = aside.fill_up(&file).unwrap() else { return };
        assert_eq!(left, ASIDE);
        assert_eq!(file.metadata().unwrap().len(), 0);
        assert!(file.metadata().unwrap().blocks() * 512 >= ASIDE);
        // Growing takes of it, and it is filled up.
        file.set_len(6 << 20).unwrap();
        assert!(aside.fill_up(&file).unwrap().unwrap() > ASIDE - (8 << 20));
        // Cutting gives back what was there.
        file.set_len(1 << 20).unwrap();
        assert!(aside.fill_up(&file).unwrap().unwrap() > ASIDE - (8 << 20));
        assert!(file.metadata().unwrap().blocks() * 512 >= ASIDE - (8 << 20));
        give_back(&path).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
        assert!(file.metadata().unwrap().blocks() * 512 <= 2 << 20);
        give_back(&dir.path().join("none")).unwrap();
    }

    #[test]
    fn a_ballast_is_let_go_of_in_time_and_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ballast");
        let ballast = Ballast::released(&path).unwrap();
        let blocks = || std::fs::metadata(&path).unwrap().blocks() * 512;
        assert_eq!(ballast.room(|| Ok(100 << 20)).unwrap(), 100 << 20, "too little is free to hold any");
        assert_eq!(blocks(), 0);
        let held = ballast.room(|| Ok(1 << 30)).unwrap() - (1 << 30);
        if held == 0 {
            return;
        }
        assert_eq!((held, blocks()), (Ballast::BYTES, Ballast::BYTES));
        assert_eq!(ballast.room(|| Ok(40 << 20)).unwrap(), (40 << 20) + Ballast::BYTES);
        assert_eq!(ballast.room(|| Ok(1 << 20)).unwrap(), 1 << 20);
        assert_eq!(blocks(), 0);
        assert_eq!(ballast.room(|| Ok(1 << 30)).unwrap() - (1 << 30), Ballast::BYTES);
        assert_eq!(blocks(), Ballast::BYTES);
    }
}
