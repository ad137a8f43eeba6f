//! Bits that go when a file changes hands or content: setuid and setgid (and `security.capability`).
//!
//! Whether there is something to clear is asked on *every write*. By default the kernel finds out by itself, and for
//! `security.capability` that is a GETXATTR request a write(2), passthrough included: a 4 KiB passthrough write then
//! took 3.6 us where it takes 0.5 us without, a write through the daemon 6.4 us instead of 4.3 (kernel 6.18, fuser's two
//! threads, file on tmpfs, best of five times 20,000). Answering GETXATTR with ENOSYS ends the questions, and all
//! extended attributes with them. So HANDLE_KILLPRIV_V2 is negotiated (ruling 17): the kernel remembers per inode that
//! there is nothing to clear, and the file system clears, when
//! - a SETATTR comes that sets nothing: a write or `fallocate`, also one past the daemon, or `chown(-1, -1)`;
//! - a WRITE says so by its flag;
//! - the owner is set;
//! - the size is set or a file is opened with `O_TRUNC` by a caller without CAP_FSETID. fuser 0.18 does not hand that
//!   flag over: a uid other than 0 stands for it.
//!
//! `security.capability` itself is never stored (`xattr.rs`): mounts are nosuid, so it would mean nothing.

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o0010;

/// The mode after the content was changed by somebody without CAP_FSETID. Setgid without group execution marks
/// mandatory locking and stays.
pub(crate) fn after_write(mode: u32) -> u32 {
    let setgid = if mode & GROUP_EXECUTE != 0 { SETGID } else { 0 };
    mode & !(SETUID | setgid)
}

/// The mode after `chown` of a file by `uid` of group `gid`; `file_gid` was the file's group. This goes for root too.
pub(crate) fn after_chown(mode: u32, file_gid: u32, uid: u32, gid: u32) -> u32 {
    let may_keep = uid == 0 || gid == file_gid;
    let cleared = after_write(mode);
    if may_keep { cleared } else { cleared & !SETGID }
}

/// Whether the caller lacks CAP_FSETID, as far as a file system can tell.
pub(crate) fn clears(uid: u32) -> bool {
    uid != 0
}

/// Group and mode of something new in a directory: below a setgid directory the directory's group, and for a directory
/// the bit as well.
pub(crate) fn inherit(parent_mode: u32, parent_gid: u32, gid: u32, mode: u32, directory: bool) -> (u32, u32) {
    match (parent_mode & SETGID != 0, directory) {
        (false, _) => (gid, mode),
        (true, false) => (parent_gid, mode),
        (true, true) => (parent_gid, mode | SETGID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_clears_setuid_and_executable_setgid() {
        assert_eq!(after_write(0o6755), 0o0755);
        assert_eq!(after_write(0o4644), 0o0644);
        assert_eq!(after_write(0o2644), 0o2644);
        assert_eq!(after_write(0o1777), 0o1777);
    }

    #[test]
    fn chown_clears_for_everybody() {
        assert_eq!(after_chown(0o6755, 5, 0, 0), 0o0755);
        assert_eq!(after_chown(0o6755, 5, 1000, 5), 0o0755);
        assert_eq!(after_chown(0o2644, 5, 1000, 5), 0o2644);
        assert_eq!(after_chown(0o2644, 5, 1000, 6), 0o0644);
    }

    #[test]
    fn a_setgid_directory_hands_its_group_down() {
        assert_eq!(inherit(0o0755, 7, 100, 0o644, false), (100, 0o644));
        assert_eq!(inherit(0o2755, 7, 100, 0o644, false), (7, 0o644));
        assert_eq!(inherit(0o2755, 7, 100, 0o755, true), (7, 0o2755));
    }
}
