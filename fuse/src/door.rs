//! The door: what all operations of one mount share, and how each is run, measured and answered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fuser::{Errno, INodeNo, Notifier, Request};
use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::mount_types::{Form, Stat};
use pinfold_store::types::{Caller, Ino};
use pinfold_store::{Error, ErrorKind};

use crate::attr::{Entry, Numbers};
use crate::caller;
use crate::company::Company;
use crate::config::MountConfig;
use crate::dir::Dir;
use crate::errno::{Failure, Outcome, answer};
use crate::handle::{Handles, OpenFile};
use crate::metrics::{Meters, Op};
use crate::notify::Notifications;
use crate::passthrough::Backings;
use crate::pool::Pool;

/// Jobs that may wait for the threads that wait for syncs.
const SYNC_QUEUE: usize = 1024;

/// One mount's state.
pub(crate) struct Door {
    pub(crate) namespace: Namespace,
    pub(crate) numbers: Numbers,
    pub(crate) company: Arc<Company>,
    pub(crate) files: Handles<OpenFile>,
    pub(crate) dirs: Handles<Dir>,
    pub(crate) backings: Backings,
    pub(crate) syncs: Pool,
    pub(crate) meters: Arc<Meters>,
    /// The subscription's id, 0 before there is one (and no request before that).
    mount: AtomicU64,
    wires: OnceLock<Wires>,
}

/// Ways to the kernel, which are there once the session is.
struct Wires {
    notifier: Notifier,
    notifications: Arc<Notifications>,
}

impl Door {
    /// A door to `root`, not yet wired to a kernel.
    pub(crate) fn new(config: &MountConfig, namespace: Namespace, root: Ino) -> std::io::Result<Self> {
        Ok(Self {
            namespace,
            numbers: Numbers::new(root),
            company: Arc::new(Company::new(config)),
            files: Handles::default(),
            dirs: Handles::default(),
            backings: Backings::new(),
            syncs: Pool::start("fuse-sync", config.sync_threads, SYNC_QUEUE)?,
            meters: Arc::new(Meters::new()),
            mount: AtomicU64::new(0),
            wires: OnceLock::new(),
        })
    }

    /// Connects the door to its kernel. Before the first request.
    pub(crate) fn wire(&self, notifier: Notifier, notifications: Arc<Notifications>, mount: u64) {
        self.mount.store(mount, Ordering::Relaxed);
        if self.wires.set(Wires { notifier, notifications }).is_err() {
            tracing::error!("a mount was wired twice");
        }
    }

    /// The store's caller behind a request.
    pub(crate) fn caller(&self, request: &Request) -> Caller {
        caller::of(request, self.mount.load(Ordering::Relaxed))
    }

    /// Runs an operation on this thread: measured, its error turned into `errno`, a panic into EIO.
    pub(crate) fn run<T>(&self, op: Op, operation: impl FnOnce() -> Outcome<T>) -> Result<T, Errno> {
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(operation)).unwrap_or_else(|_| {
            Err(Failure::Store(Error::new(ErrorKind::Internal, "an operation of the mount panicked")))
        });
        let result = result.map_err(|failure| answer(op.name(), &failure));
        self.meters.ended(op, started, result.as_ref().err().copied());
        result
    }

    /// Runs an operation on a thread that may wait; `reply` is called there with the result.
    pub(crate) fn run_waiting<T: Send + 'static>(
        self: &Arc<Self>,
        op: Op,
        operation: impl FnOnce(&Self) -> Outcome<T> + Send + 'static,
        reply: impl FnOnce(Result<T, Errno>) + Send + 'static,
    ) {
        let door = Arc::clone(self);
        self.syncs.run(move || reply(door.run(op, || operation(&door))));
    }

    /// The entry of an inode of which the store just counted a look-up.
    pub(crate) fn entry(&self, stat: &Stat, form: Form) -> Entry {
        self.company.known.looked_up(stat.ino);
        Entry {
            attr: self.numbers.attr(stat),
            attr_ttl: self.attr_ttl(stat.ino),
            // An escaped form may be another way to what has a plain name: it is asked for each time, so that what
            // happens to the plain name shows.
            entry_ttl: if form == Form::Plain { self.company.ttls().entry } else { Duration::ZERO },
        }
    }

    /// How long attributes of `ino` hold. Stores through a mapping of a backing file change it without a word, so
    /// while the kernel writes one, attributes are asked for each time.
    pub(crate) fn attr_ttl(&self, ino: Ino) -> Duration {
        if self.backings.written_by_kernel(ino) { Duration::ZERO } else { self.company.ttls().attr }
    }

    /// Makes the kernel ask for the attributes of an *open* inode again. Safe on a thread that answers requests: the
    /// kernel takes no lock for attributes alone, and an open inode is not being let go of.
    pub(crate) fn drop_attributes(&self, ino: Ino) {
        if let (Some(wires), Some(number)) = (self.wires.get(), self.numbers.to_kernel(ino))
            && let Err(error) = wires.notifier.inval_inode(number, -1, 0)
        {
            tracing::debug!(%ino, %error, "could not drop attributes");
        }
    }

    /// Leaves a name for the notifier thread: an operation on one form of it changed another.
    pub(crate) fn other_form_changed(&self, parent: Ino, name: &[u8], form: Form) {
        if form != Form::Plain
            && let Some(wires) = self.wires.get()
        {
            wires.notifications.later(&[crate::notify::stale_name(parent, name)]);
        }
    }

    /// The kernel forgot look-ups.
    pub(crate) fn forget(&self, number: INodeNo, count: u64) {
        // The kernel never forgets its root, and the store's count of it is the mount's own.
        if number != INodeNo::ROOT {
            let ino = self.numbers.to_store(number);
            self.company.known.forgotten(ino, count);
            self.namespace.forget(ino, count);
        }
    }

    /// After the last request: gives back all that this mount held of the store.
    pub(crate) fn close(&self) {
        self.syncs.stop();
        self.backings.clear();
        for file in self.files.take_all() {
            if let Err(error) = self.namespace.release(&file.handle) {
                tracing::warn!(ino = %file.handle.ino(), %error, "releasing a file that was open when its mount ended");
            }
        }
        for dir in self.dirs.take_all() {
            self.namespace.closedir(dir.ino);
        }
        for (ino, count) in self.company.known.take_all() {
            self.namespace.forget(ino, count);
        }
        if let Some(wires) = self.wires.get() {
            wires.notifications.stop();
        }
    }
}
