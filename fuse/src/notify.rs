//! Telling the kernel what the other door changed (S6, ruling 21): one thread and one bounded queue a mount.
//!
//! Only threads of the S3 side wait here. A thread that answers a request of a mount must never do so: the kernel holds
//! a directory's lock while it waits for, say, an unlink in it, and `inval_entry` wants that same lock. What such a
//! thread has to tell, this mount or another, it leaves in the queue ([`Notifications::later`]).

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fuser::{INodeNo, Notifier};
use parking_lot::{Condvar, Mutex};
use pinfold_store::namespace::mount_types::{Invalidate, Stale};
use pinfold_store::namespace::shown;
use pinfold_store::types::Ino;

use crate::attr::Numbers;
use crate::company::Company;
use crate::metrics::Meters;

/// Items that wait before those who ask have to wait for room.
const ROOM: usize = 64 * 1024;
/// Items sent in one turn, so that those who wait for the first need not wait for the last.
const TURN: usize = 1024;

/// Who is told: the kernel, or a test.
pub(crate) trait Told: Send + 'static {
    /// All names.
    fn all_names(&self) -> io::Result<()>;
    /// A name in a directory.
    fn entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()>;
    /// Attributes, and pages if `data`.
    fn inode(&self, ino: INodeNo, data: bool) -> io::Result<()>;
}

/// The kernel, by way of a session.
pub(crate) struct Kernel {
    notifier: Notifier,
    device: OwnedFd,
}

impl Kernel {
    /// The kernel behind a session.
    pub(crate) fn new(notifier: Notifier, session: &impl AsFd) -> io::Result<Self> {
        Ok(Self { notifier, device: session.as_fd().try_clone_to_owned()? })
    }
}

/// `FUSE_NOTIFY_INC_EPOCH` (Linux 6.16): every name that the kernel has kept is asked for again. Not in fuser 0.18.
const INC_EPOCH: i32 = 8;

impl Told for Kernel {
    fn all_names(&self) -> io::Result<()> {
        // struct fuse_out_header: length of the message, code, 0 for a message that answers nothing.
        let mut message = [0; 16];
        message[..4].copy_from_slice(&16_u32.to_ne_bytes());
        message[4..8].copy_from_slice(&INC_EPOCH.to_ne_bytes());
        rustix::io::write(&self.device, &message)?;
        Ok(())
    }
    fn entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        self.notifier.inval_entry(parent, name)
    }
    fn inode(&self, ino: INodeNo, data: bool) -> io::Result<()> {
        // A negative offset means attributes only, a length of 0 everything from the offset on.
        self.notifier.inval_inode(ino, if data { 0 } else { -1 }, 0)
    }
}

/// A mount's notifications.
pub(crate) struct Notifications {
    shared: Arc<Shared>,
    company: Arc<Company>,
    wait: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    numbers: Numbers,
    meters: Arc<Meters>,
    state: Mutex<State>,
    /// Something to send, or the end.
    work: Condvar,
    /// Something was sent: room, and maybe what somebody waits for.
    sent: Condvar,
}

/// What the kernel is to be told.
enum News {
    Stale(Stale),
    AllNames,
}

#[derive(Default)]
struct State {
    queue: VecDeque<News>,
    /// Items ever queued and ever sent.
    queued: u64,
    sent: u64,
    stopped: bool,
}

impl Notifications {
    /// Starts the notifier thread.
    pub(crate) fn start(
        told: impl Told,
        numbers: Numbers,
        company: Arc<Company>,
        wait: Duration,
        meters: Arc<Meters>,
    ) -> io::Result<Arc<Self>> {
        let shared =
            Arc::new(Shared { numbers, meters, state: Mutex::default(), work: Condvar::new(), sent: Condvar::new() });
        let for_thread = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("fuse-notify".to_owned()).spawn(move || for_thread.serve(&told))?;
        Ok(Arc::new(Self { shared, company, wait, thread: Mutex::new(Some(thread)) }))
    }

    /// Queues items without waiting for anything: for threads that answer this mount's requests.
    pub(crate) fn later(&self, stale: &[Stale]) {
        let mut state = self.shared.state.lock();
        if !state.stopped {
            state.push(stale.iter().cloned().map(News::Stale));
            self.shared.work.notify_one();
        }
    }

    /// Sends what is queued, then ends the thread. Whoever waits goes on.
    pub(crate) fn stop(&self) {
        self.shared.state.lock().stopped = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the notifier of a mount panicked");
        }
        self.shared.sent.notify_all();
    }
}

impl Invalidate for Notifications {
    fn invalidate(&self, stale: &[Stale], wait: bool) {
        if stale.is_empty() {
            return;
        }
        if !wait {
            return self.later(stale);
        }
        self.tell_and_wait(stale.iter().cloned().map(News::Stale));
    }

    fn company(&self, others: bool) {
        if !others {
            return self.company.left();
        }
        self.company.joined();
        let attributes = self.company.known.all().into_iter().map(|ino| News::Stale(Stale::Inode { ino, data: false }));
        self.tell_and_wait(std::iter::once(News::AllNames).chain(attributes));
    }
}

impl Notifications {
    fn tell_and_wait(&self, news: impl Iterator<Item = News>) {
        let until = Instant::now() + self.wait;
        let mut state = self.shared.state.lock();
        // Nothing is ever left out: a name that the kernel is not told of would stay stale for an hour. So whoever
        // finds the queue full waits, and then adds what it has: that is little, and slow enough to be bounded.
        while state.queue.len() >= ROOM && !state.stopped {
            if self.shared.sent.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        if state.stopped {
            return;
        }
        state.push(news);
        let mine = state.queued;
        self.shared.work.notify_one();
        while state.sent < mine && !state.stopped {
            if self.shared.sent.wait_until(&mut state, until).timed_out() {
                self.shared.meters.late_invalidations.increment(1);
                tracing::warn!(
                    waited = ?self.wait,
                    behind = state.queue.len(),
                    "the kernel has not yet been told of a change; going on"
                );
                return;
            }
        }
    }
}

impl State {
    fn push(&mut self, news: impl Iterator<Item = News>) {
        let before = self.queue.len();
        self.queue.extend(news);
        self.queued += (self.queue.len() - before) as u64;
    }
}

impl Shared {
    fn serve(&self, told: &impl Told) {
        loop {
            let turn: Vec<News> = {
                let mut state = self.state.lock();
                while state.queue.is_empty() {
                    if state.stopped {
                        return;
                    }
                    self.work.wait(&mut state);
                }
                let n = state.queue.len().min(TURN);
                state.queue.drain(..n).collect()
            };
            self.send(told, &turn);
            self.meters.invalidations.increment(turn.len() as u64);
            self.state.lock().sent += turn.len() as u64;
            self.sent.notify_all();
        }
    }

    fn send(&self, told: &impl Told, turn: &[News]) {
        // The kernel marks a directory as changed only if it knew the name, so its attributes are named too, once.
        let mut parents = HashSet::new();
        for item in turn {
            match item {
                // A kernel that cannot do that asks again for each name of which it is told, a moment later.
                News::AllNames => {
                    if let Err(error) = told.all_names() {
                        tracing::debug!(%error, "the kernel could not drop all names at once");
                    }
                }
                News::Stale(Stale::Entry { parent, name }) => {
                    let Some(number) = self.numbers.to_kernel(*parent) else { continue };
                    for shown in shown::all_shown(name) {
                        gone_is_fine("entry", told.entry(number, OsStr::from_bytes(&shown)));
                    }
                    parents.insert(number);
                }
                News::Stale(Stale::Inode { ino, data }) => {
                    let Some(number) = self.numbers.to_kernel(*ino) else { continue };
                    gone_is_fine("inode", told.inode(number, *data));
                }
            }
        }
        for number in parents {
            gone_is_fine("directory", told.inode(number, false));
        }
    }
}

/// What the kernel does not know needs no invalidation, and a mount that ended has no caches.
fn gone_is_fine(what: &'static str, result: io::Result<()>) {
    if let Err(error) = result
        && !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTCONN | libc::ENODEV | libc::ECONNABORTED))
    {
        tracing::warn!(what, %error, "the kernel refused an invalidation");
    }
}

/// The stale name `name` in `parent`, for [`Notifications::later`].
pub(crate) fn stale_name(parent: Ino, name: &[u8]) -> Stale {
    Stale::Entry { parent, name: name.to_vec() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::config::{MountConfig, Ttls};

    #[derive(Debug, PartialEq, Eq)]
    enum Seen {
        AllNames,
        Entry(u64, String),
        Inode(u64, bool),
    }

    /// A kernel that notes what it is told, and waits for a word before each answer if it has a gate.
    struct TestKernel {
        seen: Sender<Seen>,
        gate: Option<Mutex<Receiver<()>>>,
    }

    impl Told for TestKernel {
        fn all_names(&self) -> io::Result<()> {
            self.seen.send(Seen::AllNames).map_err(io::Error::other)
        }
        fn entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
            if let Some(gate) = &self.gate {
                gate.lock().recv().map_err(io::Error::other)?;
            }
            self.seen.send(Seen::Entry(parent.0, name.to_string_lossy().into_owned())).map_err(io::Error::other)?;
            Err(io::Error::from_raw_os_error(libc::ENOENT))
        }
        fn inode(&self, ino: INodeNo, data: bool) -> io::Result<()> {
            self.seen.send(Seen::Inode(ino.0, data)).map_err(io::Error::other)
        }
    }

    fn start(gate: Option<Receiver<()>>, wait: Duration) -> (Arc<Notifications>, Receiver<Seen>) {
        let (seen, saw) = channel();
        let kernel = TestKernel { seen, gate: gate.map(Mutex::new) };
        let numbers = Numbers::new(Ino(40));
        let company = Arc::new(Company::new(&MountConfig::new("/nowhere")));
        (Notifications::start(kernel, numbers, company, wait, Arc::new(Meters::new())).unwrap(), saw)
    }

    #[test]
    fn s6_whoever_waits_returns_after_the_kernel_was_told_of_every_form() {
        let (notifications, saw) = start(None, Duration::from_secs(600));
        let stale = [
            stale_name(Ino(40), b"a"),
            stale_name(Ino(40), b""),
            Stale::Inode { ino: Ino(9), data: true },
            // The list of buckets is not on this mount of a bucket; its number means the mount's root to the kernel.
            stale_name(Ino::ROOT, b"bucket"),
        ];
        notifications.invalidate(&stale, true);
        assert_eq!(
            saw.try_iter().collect::<Vec<_>>(),
            [
                Seen::Entry(1, "a".into()),
                Seen::Entry(1, "%@object:a".into()),
                Seen::Entry(1, "%@empty".into()),
                Seen::Entry(1, "%@self".into()),
                Seen::Inode(9, true),
                Seen::Inode(1, false),
            ]
        );
        notifications.stop();
        notifications.invalidate(&[stale_name(Ino(40), b"late")], true);
        notifications.invalidate(&[stale_name(Ino(40), b"late")], false);
        assert_eq!(saw.try_iter().count(), 0);
    }

    #[test]
    fn ruling21_when_another_mount_comes_the_kernel_drops_what_it_kept() {
        let (notifications, saw) = start(None, Duration::from_secs(600));
        notifications.company.known.looked_up(Ino(9));
        notifications.company(true);
        assert_eq!(saw.try_iter().collect::<Vec<_>>(), [Seen::AllNames, Seen::Inode(9, false)]);
        assert_eq!(notifications.company.ttls(), Ttls::SHARED);
        notifications.company(false);
        assert_eq!(notifications.company.ttls(), Ttls::ALONE);
        notifications.stop();
    }

    #[test]
    fn ruling29_a_kernel_that_does_not_answer_is_waited_for_boundedly_and_told_later() {
        let (open, gate) = channel();
        let (notifications, saw) = start(Some(gate), Duration::from_millis(20));
        notifications.invalidate(&[stale_name(Ino(40), b"a")], true);
        assert_eq!(saw.try_iter().count(), 0, "returned although nothing was sent");
        notifications.invalidate(&[stale_name(Ino(40), b"b")], false);
        for _ in 0..4 {
            open.send(()).unwrap();
        }
        notifications.stop();
        let entries = saw.try_iter().filter(|seen| matches!(seen, Seen::Entry(..))).count();
        assert_eq!(entries, 4, "both names in both forms, nothing left out");
    }
}
