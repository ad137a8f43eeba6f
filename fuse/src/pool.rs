//! Threads for what waits: a request that ends with a sync must not hold up those that come after it (ruling 29).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

/// A few named threads behind a bounded queue. When the queue is full the asking thread does the job itself: requests
/// then come in more slowly, and nothing piles up.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    depth: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A queue and a condition, not a channel behind a lock: a job wakes one thread, and no thread wakes the next.
#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    stopped: bool,
}

impl Pool {
    /// Starts `threads` threads (one at least) with room for `depth` waiting jobs.
    pub(crate) fn start(name: &str, threads: usize, depth: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let threads = (0..threads.max(1))
            .map(|n| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("{name}-{n}")).spawn(move || work(&shared))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self { shared, depth, threads: Mutex::new(threads) })
    }

    /// Does `job` on one of the threads, or here if they have enough to do or were stopped.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let job: Job = Box::new(job);
        let mut queue = self.shared.queue.lock();
        if queue.stopped || queue.jobs.len() >= self.depth {
            drop(queue);
            return guarded(job);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.shared.more.notify_one();
    }

    /// Lets the threads finish what is queued and waits for them.
    pub(crate) fn stop(&self) {
        self.shared.queue.lock().stopped = true;
        self.shared.more.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread of the mount's pool panicked");
            }
        }
    }
}

fn work(shared: &Shared) {
    loop {
        let mut queue = shared.queue.lock();
        let job = loop {
            if let Some(job) = queue.jobs.pop_front() {
                break job;
            }
            if queue.stopped {
                return;
            }
            shared.more.wait(&mut queue);
        };
        drop(queue);
        guarded(job);
    }
}

/// A job that panics answers its request with EIO (the unanswered reply does that) and must not take the thread along.
fn guarded(job: Job) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a waiting operation of the mount panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn every_job_is_done_before_stop_returns_and_later_ones_at_once() {
        let pool = Pool::start("test", 2, 4).unwrap();
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let done = Arc::clone(&done);
            pool.run(move || {
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        pool.stop();
        assert_eq!(done.load(Ordering::SeqCst), 100);
        let late = Arc::clone(&done);
        pool.run(move || {
            late.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(done.load(Ordering::SeqCst), 101);
    }

    #[test]
    fn a_full_queue_makes_the_asker_work() {
        let pool = Pool::start("test", 1, 1).unwrap();
        let (release, held) = channel::<()>();
        let (started, running) = channel();
        pool.run(move || {
            started.send(()).unwrap();
            held.recv().unwrap();
        });
        running.recv().unwrap();
        pool.run(|| {}); // fills the queue
        let asker = std::thread::current().id();
        let (tell, by) = channel();
        pool.run(move || tell.send(std::thread::current().id()).unwrap());
        assert_eq!(by.recv().unwrap(), asker);
        release.send(()).unwrap();
        pool.stop();
    }

    #[test]
    fn a_panic_does_not_take_the_thread_along() {
        let pool = Pool::start("test", 1, 8).unwrap();
        let (tell, told) = channel();
        pool.run(|| panic!("expected in this test"));
        pool.run(move || tell.send(7).unwrap());
        assert_eq!(told.recv().unwrap(), 7);
        pool.stop();
    }
}
