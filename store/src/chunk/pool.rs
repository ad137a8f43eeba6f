//! The store's own threads for hashing, shared by everything that writes, and the buffers that travel to them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use md5::{Digest as _, Md5};
use parking_lot::{Condvar, Mutex};
use sha2::Sha256;

use crate::chunk::pins::Digest32;
use crate::crypto::{ContentKey, Frame};
use crate::error::{Error, ErrorKind, IoContext, Result};

/// Buffers kept for the next writer.
const SPARE_BUFFERS: usize = 16;
/// Chunks of one object that may be on their way through a hash at a time: what bounds a writer's memory.
pub(super) const WINDOW: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run short jobs. Dropping it finishes what was queued and joins them.
pub(super) struct HashPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl HashPool {
    /// Starts `threads` threads called `chunk-hash-N`.
    pub(super) fn start(threads: usize) -> Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), more: Condvar::new() });
        let threads = (0..threads.max(1))
            .map(|n| {
                let shared = shared.clone();
                std::thread::Builder::new()
                    .name(format!("chunk-hash-{n}"))
                    .spawn(move || work(&shared))
                    .at("starting a hashing thread")
            })
            .collect::<Result<_>>()?;
        Ok(Self { shared, threads, buffers: Arc::default() })
    }

    /// An empty buffer that goes back to the pool when it is dropped.
    pub(super) fn buffer(&self, capacity: usize) -> Buffer {
        let mut bytes = self.buffers.lock().pop().unwrap_or_default();
        bytes.reserve(capacity);
        Buffer { bytes, home: self.buffers.clone() }
    }

    /// Hashes a buffer on one of the threads.
    pub(super) fn sha256(&self, buffer: Arc<Buffer>) -> Pending {
        let (send, receive) = sync_channel(1);
        let job = Box::new(move || {
            let digest = Sha256::digest(&buffer.bytes).into();
            drop(buffer);
            // Nobody waits any more when a writer was dropped.
            let _ = send.send(digest);
        });
        self.shared.queue.lock().jobs.push_back(job);
        self.shared.more.notify_one();
        Pending(receive)
    }

    /// Seals a copy of a buffer, and hashes what comes out, on one of the threads.
    pub(super) fn seal(&self, plain: Arc<Buffer>, key: Arc<ContentKey>) -> PendingSealed {
        let (send, receive) = sync_channel(1);
        let mut sealed = self.buffer(plain.bytes.len());
        let job = Box::new(move || {
            sealed.bytes.extend_from_slice(&plain.bytes);
            drop(plain);
            let result = key.seal_chunk(&mut sealed.bytes).map(|frame| {
                let digest = Sha256::digest(&sealed.bytes).into();
                SealedChunk { bytes: sealed, frame, digest }
            });
            let _ = send.send(result);
        });
        self.shared.queue.lock().jobs.push_back(job);
        self.shared.more.notify_one();
        PendingSealed(receive)
    }

    /// A running MD5 over buffers that are pushed in order.
    pub(super) fn md5(&self) -> Md5Lane {
        Md5Lane { shared: self.shared.clone(), lane: Arc::new((Mutex::default(), Condvar::new())) }
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
    }
}

/// Runs a step of an MD5, before all else: it is the one hash that cannot be shared among threads, so that a stream is
/// as fast as its MD5. What bounds the pieces of a stream (`WINDOW`) keeps these steps from starving the others.
fn run_next(shared: &Shared, job: Job) {
    shared.queue.lock().jobs.push_front(job);
    shared.more.notify_one();
}

fn work(shared: &Shared) {
    loop {
        let mut queue = shared.queue.lock();
        let job = loop {
            if let Some(job) = queue.jobs.pop_front() {
                break job;
            }
            if queue.closed {
                return;
            }
            shared.more.wait(&mut queue);
        };
        drop(queue);
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a hashing job panicked");
        }
    }
}

/// A digest that is being computed.
pub(super) struct Pending(Receiver<Digest32>);

impl Pending {
    /// Waits for it.
    pub(super) fn wait(self) -> Result<Digest32> {
        self.0.recv().map_err(|_| Error::new(ErrorKind::Internal, "a hashing job ended without an answer"))
    }
}

/// A chunk as it is stored, with what opens it again.
pub(super) struct SealedChunk {
    pub(super) bytes: Buffer,
    pub(super) frame: Frame,
    pub(super) digest: Digest32,
}

/// A chunk that is being sealed.
pub(super) struct PendingSealed(Receiver<Result<SealedChunk>>);

impl PendingSealed {
    /// Waits for it.
    pub(super) fn wait(self) -> Result<SealedChunk> {
        self.0.recv().map_err(|_| Error::new(ErrorKind::Internal, "a sealing job ended without an answer"))?
    }
}

/// A chunk's bytes.
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    home: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut home = self.home.lock();
        if home.len() < SPARE_BUFFERS {
            home.push(bytes);
        }
    }
}

/// An MD5 over a stream: its pieces run on the pool's threads, one at a time, in order.
pub(super) struct Md5Lane {
    shared: Arc<Shared>,
    lane: Arc<(Mutex<Lane>, Condvar)>,
}

#[derive(Default)]
struct Lane {
    md5: Md5State,
    waiting: VecDeque<Arc<Buffer>>,
    scheduled: bool,
}

#[derive(Default)]
enum Md5State {
    #[default]
    Fresh,
    Here(Box<Md5>),
    Away,
}

impl Md5Lane {
    /// Adds the next piece; waits while too many are queued.
    pub(super) fn push(&self, buffer: Arc<Buffer>) {
        let mut lane = self.lane.0.lock();
        while lane.waiting.len() >= WINDOW {
            self.lane.1.wait(&mut lane);
        }
        lane.waiting.push_back(buffer);
        if !lane.scheduled {
            lane.scheduled = true;
            drop(lane);
            step_later(&self.shared, &self.lane);
        }
    }

    /// Waits for all pieces.
    pub(super) fn finish(self) -> Result<[u8; 16]> {
        let mut lane = self.lane.0.lock();
        while lane.scheduled {
            self.lane.1.wait(&mut lane);
        }
        match std::mem::take(&mut lane.md5) {
            Md5State::Fresh => Ok(Md5::digest(b"").into()),
            Md5State::Here(md5) => Ok(md5.finalize().into()),
            Md5State::Away => Err(Error::new(ErrorKind::Internal, "an MD5 job ended without an answer")),
        }
    }
}

/// One piece a job: a long stream does not keep a thread from others.
fn step_later(shared: &Arc<Shared>, lane: &Arc<(Mutex<Lane>, Condvar)>) {
    let (again, lane) = (shared.clone(), lane.clone());
    run_next(
        shared,
        Box::new(move || {
            let (mut md5, piece) = {
                let mut state = lane.0.lock();
                let md5 = match std::mem::replace(&mut state.md5, Md5State::Away) {
                    Md5State::Here(md5) => md5,
                    Md5State::Fresh | Md5State::Away => Box::new(Md5::new()),
                };
                // A scheduled lane has a piece, and only this job takes it.
                let Some(piece) = state.waiting.pop_front() else { return };
                (md5, piece)
            };
            md5.update(&piece.bytes);
            drop(piece);
            let mut state = lane.0.lock();
            state.md5 = Md5State::Here(md5);
            state.scheduled = !state.waiting.is_empty();
            lane.1.notify_all();
            if state.scheduled {
                drop(state);
                step_later(&again, &lane);
            }
        }),
    );
}

/// Whether all bytes are zero. About as fast as memory.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    let (head, tail) = bytes.as_chunks::<64>();
    head.iter().all(|block| block.iter().fold(0, |a, b| a | b) == 0) && tail.iter().all(|b| *b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(pool: &HashPool, bytes: &[u8]) -> Arc<Buffer> {
        let mut buffer = pool.buffer(bytes.len());
        buffer.bytes.extend_from_slice(bytes);
        Arc::new(buffer)
    }

    #[test]
    fn many_streams_are_hashed_in_order() {
        let pool = HashPool::start(3).unwrap();
        std::thread::scope(|s| {
            for seed in 0..6u8 {
                let pool = &pool;
                s.spawn(move || {
                    let lane = pool.md5();
                    let mut whole = Md5::new();
                    let mut digests = Vec::new();
                    for k in 0..40u8 {
                        let piece = vec![seed ^ k; 1000 + usize::from(k) * 7];
                        whole.update(&piece);
                        let piece = buffer(pool, &piece);
                        digests.push((pool.sha256(piece.clone()), Sha256::digest(&piece.bytes)));
                        lane.push(piece);
                    }
                    assert_eq!(lane.finish().unwrap(), <[u8; 16]>::from(whole.finalize()));
                    for (pending, expected) in digests {
                        assert_eq!(pending.wait().unwrap(), <[u8; 32]>::from(expected));
                    }
                });
            }
        });
        assert_eq!(pool.md5().finish().unwrap(), <[u8; 16]>::from(Md5::digest(b"")));
        assert!(pool.buffers.lock().len() <= SPARE_BUFFERS);
    }

    #[test]
    fn zeros_are_told_from_anything_else() {
        let mut bytes = vec![0; 200];
        assert!(is_zero(&bytes) && is_zero(&[]));
        for at in [0, 63, 64, 191, 192, 199] {
            bytes[at] = 1;
            assert!(!is_zero(&bytes));
            bytes[at] = 0;
        }
    }
}
