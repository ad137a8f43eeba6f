//! What is agreed with the kernel when a mount begins.

use fuser::{InitFlags, KernelConfig};

/// The largest read or write in one request. More needs the host's `fs.fuse.max_pages_limit` raised, and gained nothing
/// where it was measured.
const MAX_WRITE: u32 = 1 << 20;
/// Requests that may be under way without anybody waiting for them (read-ahead, releases).
const MAX_BACKGROUND: u16 = 64;

/// What a mount wants from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Kernel I/O on backing files.
    pub(crate) passthrough: bool,
}

/// What is asked for, where the kernel offers it. fuser 0.18 would ask for more than it can do; each of these was tried.
///
/// - `PARALLEL_DIROPS`: look-ups and listings of one directory at once; the namespace is safe for that.
/// - `DO_READDIRPLUS`, `READDIRPLUS_AUTO`: listings with attributes, where the kernel sees that they are used.
/// - `ATOMIC_O_TRUNC`: `open` with `O_TRUNC` is one request, so that the store begins an empty file and does not copy
///   what is to be cut away at once.
/// - `CACHE_SYMLINKS`: a link's target never changes; a new target is a new inode.
/// - `HANDLE_KILLPRIV_V2`: see `privilege.rs`.
///
/// Left out on purpose: `WRITEBACK_CACHE` (excludes passthrough), `POSIX_LOCKS` and `FLOCK_LOCKS` (the kernel's own
/// locks are right on one host, and fuser drops what tells the two apart), `SETXATTR_EXT` (fuser panics), `POSIX_ACL`,
/// `EXPORT_SUPPORT` (needs look-ups of `.` in inodes that were forgotten), `AUTO_INVAL_DATA` (drops pages whenever the
/// store rounds a time otherwise; the namespace says when pages are old).
const FLAGS: [InitFlags; 6] = [
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
];

/// Agrees with the kernel; whether passthrough is part of it is the answer. fuser adds `ASYNC_READ`, `BIG_WRITES` and
/// `MAX_PAGES` by itself.
pub(crate) fn negotiate(config: &mut KernelConfig, wanted: Wanted) -> bool {
    for flag in FLAGS {
        if config.add_capabilities(flag).is_err() {
            tracing::debug!(?flag, "this kernel does not offer it");
        }
    }
    // Both are within fuser's bounds.
    let _ = config.set_max_write(MAX_WRITE);
    let _ = config.set_max_background(MAX_BACKGROUND);
    if !wanted.passthrough {
        return false;
    }
    // A depth of 1: backing files lie on a file system that is not itself stacked.
    let agreed = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok() && config.set_max_stack_depth(1).is_ok();
    if !agreed {
        tracing::info!("this kernel offers no passthrough; the daemon serves all files");
    }
    agreed
}
