//! The place of a mount: what is mounted there, mounting and unmounting.
//!
//! Root mounts with `mount(2)` itself and not through fuser: fuser 0.18 unmounts *whatever is mounted at the path* when a
//! session ends, also after somebody else unmounted ours and mounted something there (its test for that is inverted).
//! What is here unmounts only what `/proc/self/mountinfo` says is ours.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use pinfold_store::error::{Error, ErrorKind, IoContext, Result};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags};

/// Type of our mounts in the mount table.
pub(crate) const FS_TYPE: &str = "fuse.pinfold";
/// How long a file system may take to say whether it is alive.
const ALIVE_WITHIN: Duration = Duration::from_secs(5);

/// A line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Device number, `major:minor`: one file system's while it lives, then free for others.
    pub(crate) device: String,
    /// Where.
    pub(crate) path: PathBuf,
    /// Type.
    pub(crate) fs_type: String,
    /// Source.
    pub(crate) source: String,
}

/// The mount table of this process, in the order of mounting.
fn mount_table() -> Result<Vec<Mounted>> {
    Ok(parse(&fs::read("/proc/self/mountinfo").at("cannot read the mount table")?))
}

fn parse(table: &[u8]) -> Vec<Mounted> {
    table.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

/// proc_pid_mountinfo(5): id parent major:minor root path options [optional …] - type source options.
fn parse_line(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = fields.nth(2)?;
    let path = fields.nth(1)?;
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let text = |field: &[u8]| String::from_utf8_lossy(&unescape(field)).into_owned();
    Some(Mounted {
        device: text(device),
        path: OsString::from_vec(unescape(path)).into(),
        fs_type: text(rest.next()?),
        source: text(rest.next()?),
    })
}

/// Blanks and backslashes are `\` and three octal digits in the mount table.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let octal = field.get(at + 1..at + 4).filter(|_| field[at] == b'\\');
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match value {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(field[at]);
                at += 1;
            }
        }
    }
    out
}

/// What is mounted at `path`, the uppermost if several are.
pub(crate) fn mounted_at(path: &Path) -> Result<Option<Mounted>> {
    Ok(mount_table()?.into_iter().rfind(|mounted| mounted.path == path))
}

/// Makes sure that a mount can be made at `path`: creates the directory, clears away the remains of a daemon that was
/// killed, refuses what is not a directory or has something else mounted. The answer is the absolute path.
pub(crate) fn prepare(path: &Path) -> Result<PathBuf> {
    let path = absolute(path)?;
    // A mount below a dead mount is dead too: each turn clears one.
    while let Some(mounted) = mounted_at(&path)? {
        if !mounted.fs_type.starts_with("fuse") || is_alive(&path)? {
            return Err(Error::new(ErrorKind::AlreadyExists, "something else is mounted there")
                .with("path", path.display())
                .with("type", &mounted.fs_type)
                .with("source", &mounted.source));
        }
        tracing::warn!(path = %path.display(), source = mounted.source, "clearing a mount whose daemon has died");
        detach(&path)?;
    }
    let found = fs::metadata(&path).at("cannot look at the mount point")?;
    if !found.is_dir() {
        return Err(
            Error::new(ErrorKind::NotADirectory, "the mount point is not a directory").with("path", path.display())
        );
    }
    Ok(path)
}

/// The path without links, made if nothing is there. The last component may be a dead mount, at which nothing can be
/// looked up.
fn absolute(path: &Path) -> Result<PathBuf> {
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).at("cannot create the mount point")?;
            tracing::info!(path = %path.display(), "created the mount point");
            path.canonicalize().at("cannot resolve the mount point")
        }
        Err(error) if is_dead(&error) => {
            let full = std::path::absolute(path).at("cannot resolve the mount point")?;
            let (Some(parent), Some(name)) = (full.parent(), full.file_name()) else {
                return Err(Error::io("cannot resolve the mount point", error));
            };
            Ok(parent.canonicalize().at("cannot resolve the folder of the mount point")?.join(name))
        }
        Err(error) => Err(Error::io("cannot resolve the mount point", error).with("path", path.display())),
    }
}

fn is_dead(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTCONN | libc::ECONNABORTED))
}

/// Whether the FUSE file system at `path` has a daemon. `stat` would not do: the kernel answers it from its cache.
fn is_alive(path: &Path) -> Result<bool> {
    let (tell, told) = channel();
    let path = path.to_owned();
    let thread = std::thread::Builder::new().name("fuse-alive".to_owned());
    thread
        .spawn(move || {
            let answer = rustix::fs::statfs(&path).map(drop).map_err(io::Error::from);
            let _ = tell.send(answer); // nobody waits any more: the answer came too late
        })
        .at("cannot start a thread")?;
    match told.recv_timeout(ALIVE_WITHIN) {
        Ok(Err(error)) if is_dead(&error) => Ok(false),
        // Any other answer, and none at all, is not that of a mount without a daemon.
        _ => Ok(true),
    }
}

/// Takes what is at `path` out of the tree, whoever uses it.
fn detach(path: &Path) -> Result<()> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::PERM) => {
            let done = Command::new("fusermount3").args(["-u", "-z", "--"]).arg(path).output();
            let done = done.at("cannot run fusermount3, which unmounts for users other than root")?;
            if done.status.success() {
                return Ok(());
            }
            Err(Error::new(ErrorKind::PermissionDenied, "fusermount3 could not unmount")
                .with("path", path.display())
                .with("said", String::from_utf8_lossy(&done.stderr).trim()))
        }
        Err(errno) => Err(Error::io("cannot unmount", errno.into()).with("path", path.display())),
    }
}

/// Options of a mount that root makes.
pub(crate) struct Options<'a> {
    pub(crate) source: &'a str,
    pub(crate) read_only: bool,
    pub(crate) allow_other: bool,
    pub(crate) default_permissions: bool,
}

/// A mount made by [`mount`].
pub(crate) struct Own {
    path: PathBuf,
    device: String,
}

/// Mounts at `path`, an answer of [`prepare`]. `None` where that is not permitted.
pub(crate) fn mount(path: &Path, options: &Options<'_>) -> Result<Option<(OwnedFd, Own)>> {
    let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .at("cannot open /dev/fuse (is the kernel's fuse module there?)")?;
    let mut data = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw()
    );
    for (wanted, option) in
        [(options.allow_other, ",allow_other"), (options.default_permissions, ",default_permissions")]
    {
        if wanted {
            data.push_str(option);
        }
    }
    // No set-user-id programs and no devices: whoever may PUT an object must not get root by it.
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if options.read_only {
        flags |= MountFlags::RDONLY;
    }
    let data = CString::new(data).map_err(|_| Error::new(ErrorKind::Internal, "mount options hold a NUL"))?;
    match rustix::mount::mount(options.source, path, FS_TYPE, flags, data.as_c_str()) {
        Ok(()) => {}
        Err(rustix::io::Errno::PERM) => return Ok(None),
        Err(errno) => return Err(Error::io("cannot mount", errno.into()).with("path", path.display())),
    }
    let mounted = mounted_at(path)?.filter(|mounted| mounted.fs_type == FS_TYPE);
    let Some(mounted) = mounted else {
        detach(path)?;
        return Err(Error::new(ErrorKind::Internal, "the mount is not in the mount table").with("path", path.display()));
    };
    Ok(Some((device, Own { path: path.to_owned(), device: mounted.device })))
}

/// How an unmount went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmounted {
    /// It is not mounted any more.
    Yes,
    /// Somebody has a file open in it.
    Busy,
}

impl Own {
    /// Whether it is mounted and uppermost at its path. The caller has seen that its kernel has not let go of it.
    fn is_ours(&self) -> Result<bool> {
        let ours = |m: &Mounted| m.device == self.device && m.path == self.path && m.fs_type == FS_TYPE;
        match mounted_at(&self.path)? {
            Some(mounted) if ours(&mounted) => Ok(true),
            Some(over) if mount_table()?.iter().any(ours) => {
                Err(Error::new(ErrorKind::Busy, "something else is mounted over the mount")
                    .with("path", self.path.display())
                    .with("source", over.source))
            }
            _ => Ok(false),
        }
    }

    /// Unmounts if nobody uses it.
    pub(crate) fn unmount(&self) -> Result<Unmounted> {
        if !self.is_ours()? {
            return Ok(Unmounted::Yes);
        }
        match rustix::mount::unmount(&self.path, UnmountFlags::NOFOLLOW) {
            Ok(()) => Ok(Unmounted::Yes),
            Err(rustix::io::Errno::BUSY) => Ok(Unmounted::Busy),
            Err(errno) => Err(Error::io("cannot unmount", errno.into()).with("path", self.path.display())),
        }
    }

    /// Takes it out of the tree, whoever uses it.
    pub(crate) fn detach(&self) -> Result<()> {
        if self.is_ours()? { detach(&self.path) } else { Ok(()) }
    }

    /// Unmounts whoever uses it. Stores through mappings are written first, within `wait`; then the connection is cut:
    /// who still has a file open gets ENOTCONN.
    pub(crate) fn cut(&self, wait: Duration) -> Result<()> {
        if !self.is_ours()? {
            return Ok(());
        }
        let (tell, told) = channel();
        let path = self.path.clone();
        let thread = std::thread::Builder::new().name("fuse-sync".to_owned()).spawn(move || {
            let done = rustix::fs::open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .and_then(rustix::fs::syncfs);
            let _ = tell.send(done);
        });
        match thread.map(|_| told.recv_timeout(wait)) {
            Ok(Ok(Ok(()))) => {}
            late => tracing::warn!(path = %self.path.display(), ?late, "mapped pages may not all have been written"),
        }
        // FORCE cuts the connection, and fails as busy all the same. It is said to the kernel before the mount leaves
        // the tree, for there is no path to it afterwards.
        let _ = rustix::mount::unmount(&self.path, UnmountFlags::FORCE | UnmountFlags::NOFOLLOW);
        self.detach()
    }
}

/// What fuser's own mounting needs of a name: a comma would begin another option.
pub(crate) fn without_commas(name: &str) -> String {
    name.replace(',', "_")
}

/// The path in a form that C takes; a NUL is no part of any path.
pub(crate) fn check(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() || path.as_os_str().as_bytes().contains(&0) {
        return Err(Error::new(ErrorKind::InvalidArgument, "not a path to mount at")
            .with("path", OsStr::to_string_lossy(path.as_os_str())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_table() {
        let table = b"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
            40 22 0:41 / /mnt/a\\040b\\134c rw,nosuid shared:3 master:1 - fuse.pinfold pin\\040fold rw,user_id=0\n\
            41 22 0:42 / /mnt/a\\040b\\134c rw - tmpfs tmpfs rw\nnonsense\n";
        let mounts = parse(table);
        assert_eq!(mounts.len(), 3);
        assert_eq!(
            mounts[1],
            Mounted {
                device: "0:41".into(),
                path: "/mnt/a b\\c".into(),
                fs_type: "fuse.pinfold".into(),
                source: "pin fold".into(),
            }
        );
        assert_eq!(unescape(b"x\\"), b"x\\");
        assert_eq!(unescape(b"\\999"), b"\\999");
    }

    #[test]
    fn the_root_file_system_is_in_the_table() {
        assert!(mounted_at(Path::new("/")).unwrap().is_some());
    }

    #[test]
    fn a_mount_point_is_made_and_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let made = prepare(&dir.path().join("deep/er")).unwrap();
        assert!(made.is_dir());
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(prepare(&file).unwrap_err().kind(), ErrorKind::NotADirectory);
        assert_eq!(check(Path::new("")).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}
