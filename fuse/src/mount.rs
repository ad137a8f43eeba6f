//! A mount from start to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use parking_lot::{Condvar, Mutex};
use pinfold_store::error::{Error, ErrorKind, IoContext, Result};
use pinfold_store::namespace::Namespace;
use pinfold_store::types::Ino;

use crate::config::{MountConfig, Passthrough, may_mount};
use crate::door::Door;
use crate::fs::Fs;
use crate::mountpoint::{self, Options, Own, Unmounted};
use crate::notify::{Kernel, Notifications};
use crate::passthrough;
use crate::session::Wanted;

/// How often an unmount is tried again while somebody has files open.
const AGAIN: Duration = Duration::from_millis(50);
/// How long the kernel may take to let go after an unmount.
const LETS_GO_WITHIN: Duration = Duration::from_secs(10);

/// A mounted namespace. Dropping it stops it.
pub struct Mount {
    path: PathBuf,
    stop_grace: Duration,
    way_out: Mutex<Option<WayOut>>,
    ended: Arc<Ended>,
    passthrough: bool,
}

/// Who mounted, and so who unmounts.
enum WayOut {
    Own(Own),
    Fuser(SessionUnmounter),
}

/// How far a mount is in ending.
#[derive(Default)]
struct Ended {
    phase: Mutex<Phase>,
    changed: Condvar,
}

#[derive(Default)]
enum Phase {
    /// Requests are answered.
    #[default]
    Serving,
    /// The kernel has let go; what was written is being published.
    Publishing,
    /// Over, with what the store said.
    Over(Result<()>),
}

impl Ended {
    fn set(&self, phase: Phase) {
        *self.phase.lock() = phase;
        self.changed.notify_all();
    }

    fn is_serving(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Serving)
    }

    /// Waits for the end. `None` if the kernel does not let go within `within`; publishing takes what it takes.
    fn wait(&self, within: Duration) -> Option<Result<()>> {
        let until = Instant::now() + within;
        let mut phase = self.phase.lock();
        loop {
            match &*phase {
                Phase::Over(result) => return Some(result.clone()),
                Phase::Publishing => self.changed.wait(&mut phase),
                Phase::Serving => {
                    if self.changed.wait_until(&mut phase, until).timed_out() {
                        return None;
                    }
                }
            }
        }
    }
}

/// A session that is about to be served.
struct Serving {
    session: Session<Fs>,
    door: Arc<Door>,
    namespace: Namespace,
    root: Ino,
    path: PathBuf,
}

impl Serving {
    /// Wires the kernel to the namespace and starts the threads that answer.
    fn spawn(self, config: &MountConfig, ended: &Arc<Ended>) -> Result<()> {
        let Self { session, door, namespace, root, path } = self;
        let notifier = session.notifier();
        let meters = Arc::clone(&door.meters);
        let kernel = Kernel::new(notifier.clone(), &session).at("cannot reach the kernel")?;
        let company = Arc::clone(&door.company);
        let notifications = Notifications::start(kernel, door.numbers, company, config.invalidate_wait, meters)
            .at("cannot start the mount's notifier")
            .inspect_err(|_| door.close())?;
        let subscription = namespace.subscribe(Arc::clone(&notifications) as _);
        door.wire(notifier, notifications, subscription);
        let ended = Arc::clone(ended);
        let serve = move || {
            if let Err(error) = session.run() {
                tracing::error!(path = %path.display(), %error, "a mount ended with an error");
            }
            ended.set(Phase::Publishing);
            door.close();
            namespace.unsubscribe(subscription);
            namespace.forget(root, 1);
            let published = namespace.publish_all();
            if let Err(error) = &published {
                tracing::error!(path = %path.display(), %error, "could not publish everything that the mount wrote");
            }
            tracing::info!(path = %path.display(), "unmounted");
            ended.set(Phase::Over(published));
        };
        std::thread::Builder::new().name("fuse-session".to_owned()).spawn(serve).at("cannot start the mount")?;
        Ok(())
    }
}

impl Mount {
    /// Mounts `namespace`, or what of it `config.path` names. Requests are answered when this returns.
    ///
    /// # Errors
    /// NotFound or NotADirectory if the path does not name a directory of the namespace; AlreadyExists
    /// if something else is mounted at the mount point; NotADirectory if a file is there; the disk's errors, with the
    /// step that failed.
    pub fn start(config: MountConfig, namespace: Namespace) -> Result<Self> {
        mountpoint::check(&config.mountpoint)?;
        let components: Vec<&[u8]> = config.path.iter().map(Vec::as_slice).collect();
        let root = namespace.mount_root(&components)?.ino;
        let started = Self::begin(&config, &namespace, root);
        if started.is_err() {
            namespace.forget(root, 1);
        }
        started
    }

    fn begin(config: &MountConfig, namespace: &Namespace, root: Ino) -> Result<Self> {
        let path = mountpoint::prepare(&config.mountpoint)?;
        let door = Arc::new(Door::new(config, namespace.clone(), root).at("cannot start the mount's threads")?);
        let wanted = Wanted { passthrough: may_mount() && config.passthrough == Passthrough::Auto };
        let fs = Fs { door: Arc::clone(&door), wanted };
        let (session, way_out) = connect(config, &path, fs).inspect_err(|_| door.close())?;
        if let Some(dir) = config.probe_dir.as_ref().filter(|_| door.backings.enabled())
            && let Err(error) = passthrough::probe(&session, dir)
        {
            door.backings.disable(&error);
        }
        let passthrough = door.backings.enabled();

        let mount = Self {
            path: path.clone(),
            stop_grace: config.stop_grace,
            way_out: Mutex::new(Some(way_out)),
            ended: Arc::default(),
            passthrough,
        };
        // From here on dropping `mount` undoes the mount.
        let serving = Serving { session, door, namespace: namespace.clone(), root, path: path.clone() };
        if let Err(error) = serving.spawn(config, &mount.ended) {
            mount.ended.set(Phase::Over(Ok(()))); // nobody else will
            return Err(error);
        }
        tracing::info!(
            path = %path.display(),
            read_only = config.read_only,
            passthrough,
            threads = config.request_threads(),
            "mounted"
        );
        Ok(mount)
    }

    /// Where it is mounted: absolute, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the kernel reads and writes local files by itself. It may turn out at the first open that the data disk
    /// does not allow it, if no probe was made.
    pub fn has_passthrough(&self) -> bool {
        self.passthrough
    }

    /// Whether it is still served: false after [`Self::stop`], and after somebody else unmounted it.
    pub fn is_alive(&self) -> bool {
        self.ended.is_serving()
    }

    /// Takes it out of the tree at once, for an end that cannot wait: nothing is published, programs that have files
    /// open get ENOTCONN when the process ends.
    pub fn detach(&self) -> Result<()> {
        // A stop that hangs may hold the lock.
        match self.way_out.try_lock().as_deref_mut() {
            Some(Some(_)) if !self.ended.is_serving() => Ok(()),
            Some(Some(WayOut::Own(own))) => own.detach(),
            Some(Some(WayOut::Fuser(unmounter))) => unmounter.unmount().at("cannot unmount"),
            _ => Ok(()),
        }
    }

    /// Unmounts, publishes everything that was written (which takes what it takes), ends the threads. Programs that have
    /// files open get the configured grace and are cut off then. Not to be called on a thread that answers requests of this mount.
    ///
    /// # Errors
    /// What the store says on publishing; Busy if something else is mounted over it or another mount namespace holds
    /// it: it then goes on being served.
    pub fn stop(&self) -> Result<()> {
        let mut way_out = self.way_out.lock();
        match &mut *way_out {
            None => {}
            // Once the kernel has let go, whatever is there now is somebody else's.
            Some(_) if !self.ended.is_serving() => {}
            Some(WayOut::Own(own)) => leave(own, self.stop_grace)?,
            Some(WayOut::Fuser(unmounter)) => {
                unmounter.unmount().at("cannot unmount")?;
            }
        }
        *way_out = None;
        drop(way_out);
        self.ended.wait(LETS_GO_WITHIN).unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Busy, "unmounted, but still in use: maybe in another mount namespace")
                .with("path", self.path.display()))
        })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.way_out.lock().is_some()
            && let Err(error) = self.stop()
        {
            tracing::warn!(path = %self.path.display(), %error, "could not stop a mount");
        }
    }
}

fn leave(own: &Own, grace: Duration) -> Result<()> {
    let until = Instant::now() + grace;
    while own.unmount()? == Unmounted::Busy {
        if Instant::now() >= until {
            tracing::warn!("files are open on the mount; cutting it off");
            return own.cut(grace);
        }
        std::thread::sleep(AGAIN);
    }
    Ok(())
}

/// Mounts and shakes hands with the kernel.
fn connect(config: &MountConfig, path: &Path, fs: Fs) -> Result<(Session<Fs>, WayOut)> {
    let mut fuser = Config::default();
    fuser.acl = if config.allow_other { SessionACL::All } else { SessionACL::Owner };
    fuser.n_threads = Some(config.request_threads());
    // A descriptor of the device for each thread; where only fusermount3 may open it, they share one.
    fuser.clone_fd = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok();
    let options = Options {
        source: &config.fs_name,
        read_only: config.read_only,
        allow_other: config.allow_other,
        default_permissions: config.default_permissions,
    };
    if may_mount()
        && let Some((device, own)) = mountpoint::mount(path, &options)?
    {
        return match Session::from_fd(fs, device, fuser.acl, fuser) {
            Ok(session) => Ok((session, WayOut::Own(own))),
            Err(error) => {
                own.cut(Duration::ZERO)?;
                Err(Error::io("the kernel and the daemon do not agree", error))
            }
        };
    }
    fuser.mount_options = vec![
        MountOption::FSName(mountpoint::without_commas(&config.fs_name)),
        MountOption::Subtype("pinfold".to_owned()),
    ];
    if config.default_permissions {
        fuser.mount_options.push(MountOption::DefaultPermissions);
    }
    if config.read_only {
        fuser.mount_options.push(MountOption::RO);
    }
    let mut session =
        Session::new(fs, path, &fuser).at("cannot mount (users other than root need fusermount3, package fuse3)")?;
    let unmounter = session.unmount_callable();
    Ok((session, WayOut::Fuser(unmounter)))
}
