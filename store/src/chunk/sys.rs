//! The system calls that neither the standard library nor rustix offers.
#![allow(unsafe_code)] // Plain calls on a borrowed, open descriptor with integer arguments: no memory is involved.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `F_SETSIG` of <fcntl.h>, which libc leaves out: the same number on every Linux.
const F_SETSIG: libc::c_int = 10;

/// Whether nobody can write to the file behind `file`, a descriptor opened read-only: no descriptor open for
/// writing and no shared writable mapping is left, in any process (ruling 10). The kernel grants a read lease only then.
///
/// The caller sees to it that nobody opens the file for writing meanwhile: the lease is given back at once.
pub(super) fn no_writer_left(file: &File) -> io::Result<bool> {
    lease_granted(file, libc::F_RDLCK)
}

/// Whether `file`, a descriptor open for reading and writing, is the only one: nobody else has the file open or mapped.
/// The kernel grants a write lease only then.
pub(super) fn is_only_user(file: &File) -> io::Result<bool> {
    lease_granted(file, libc::F_WRLCK)
}

fn lease_granted(file: &File, lease: libc::c_int) -> io::Result<bool> {
    let fd = file.as_raw_fd();
    // Were the lease broken in the moment that we hold it, the kernel would send SIGIO, which ends a process that does
    // not expect it. SIGURG is ignored by default.
    // SAFETY: see the top of the file.
    if unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: see the top of the file.
    if unsafe { libc::fcntl(fd, libc::F_SETLEASE, lease) } != 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::EAGAIN) { Ok(false) } else { Err(error) };
    }
    // SAFETY: see the top of the file.
    if unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(true)
}

/// Asks the kernel to start writing a range to disk, without waiting: the sync at the end then has less to do.
/// A hint: failure is ignored.
pub(super) fn start_writeback(file: &File, offset: u64, len: u64) {
    // SAFETY: see the top of the file.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset as i64, len as i64, libc::SYNC_FILE_RANGE_WRITE);
    }
}

/// File systems (`statfs` types) that have a file's length and the place of its bytes in their journal by the time the
/// bytes are written out, so that what is journalled later is no more durable than they are: ext4, XFS.
const IN_ORDER: [u64; 2] = [0xEF53, 0x5846_5342];

/// Writes a file's bytes out and waits for the disk to take them.
pub(super) fn write_out(file: &File) -> io::Result<()> {
    let kind = rustix::fs::fstatfs(file)?.f_type as u64;
    if !IN_ORDER.contains(&(kind & 0xffff_ffff)) {
        return file.sync_data();
    }
    let how = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: see the top of the file. A length of 0 is the whole file.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, how) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn ruling10_a_lease_sees_descriptors_and_mappings_that_can_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![7u8; 4096]).unwrap();
        let fresh = || File::open(&path).unwrap();
        assert!(no_writer_left(&fresh()).unwrap());

        let reader = fresh();
        let writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(!no_writer_left(&fresh()).unwrap(), "a descriptor open for writing is seen");

        // SAFETY: a mapping of our own file, unmapped below, not touched in between.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                writer.as_raw_fd(),
                0,
            )
        };
        assert_ne!(map, libc::MAP_FAILED);
        drop(writer);
        assert!(!no_writer_left(&fresh()).unwrap(), "a writable mapping outlives its descriptor and is seen");
        // SAFETY: unmaps what was mapped above.
        assert_eq!(unsafe { libc::munmap(map, 4096) }, 0);
        assert!(no_writer_left(&fresh()).unwrap());
        let mine = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(!is_only_user(&mine).unwrap(), "a reader is seen");
        drop(reader);
        assert!(is_only_user(&mine).unwrap());
    }
}
