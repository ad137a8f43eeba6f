//! The admin socket: `DATA/admin.sock`, mode 0600, and every connection's user is checked as well, since the mode is
//! set only after the socket is made.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::serve::Listener;
use tokio::net::{UnixListener, UnixStream};

use super::audit::Peer;

/// Name of the socket within the data directory.
pub const SOCKET: &str = "admin.sock";

/// A path of any length in a form that fits a socket address (108 bytes): through the open directory. The file must
/// stay open while the path is used.
fn short_path(data: &Path) -> io::Result<(File, PathBuf)> {
    let dir = File::open(data)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()));
    Ok((dir, path))
}

/// Accepts this process's user and root only.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Makes the socket; one that a dead daemon left is replaced (the caller holds the data directory).
    pub fn bind(data: &Path) -> io::Result<Self> {
        let path = data.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (_dir, short) = short_path(data)?;
        let listener = UnixListener::bind(short)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // A command then says "no daemon" rather than "connection refused"; the next start would remove it anyway.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Listener for AdminSocket {
    type Io = UnixStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (UnixStream, Peer) {
        loop {
            let (stream, _) = Listener::accept(&mut self.listener).await;
            match stream.peer_cred() {
                Ok(peer) if is_ours(peer.uid()) => return (stream, Peer { uid: peer.uid(), pid: peer.pid() }),
                Ok(peer) => tracing::warn!(uid = peer.uid(), "the admin socket refused a connection of another user"),
                Err(error) => tracing::warn!(%error, "the admin socket refused a connection of an unknown user"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { uid: rustix::process::geteuid().as_raw(), pid: None })
    }
}

fn is_ours(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Connects to the daemon of `data`.
pub async fn connect(data: &Path) -> io::Result<UnixStream> {
    let (_dir, short) = short_path(data)?;
    UnixStream::connect(short).await
}

#[cfg(test)]
mod tests {
    use super::{AdminSocket, SOCKET, connect};
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn private_long_paths_work_and_a_dead_socket_is_replaced() {
        let base = tempfile::tempdir().unwrap();
        let data = base.path().join("d".repeat(200));
        std::fs::create_dir(&data).unwrap();
        assert!(connect(&data).await.is_err());
        std::mem::forget(AdminSocket::bind(&data).unwrap());
        let socket = AdminSocket::bind(&data).unwrap();
        let mode = std::fs::metadata(data.join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        connect(&data).await.unwrap();
        drop(socket);
        assert!(!data.join(SOCKET).exists());
    }
}
