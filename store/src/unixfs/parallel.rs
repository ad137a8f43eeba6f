//! Hashing a file's chunks on several threads, in order and in bounded memory.
//!
//! Chunk k goes to worker k mod N over a short queue of its own and its answer comes back over another, so taking the
//! answers in turn gives file order without a reordering buffer.

use std::io::Read;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use rustix::io::{Errno, pread};

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::unixfs::block::raw_cid;
use crate::unixfs::builder::Leaf;

/// Chunks in work or in queue for each worker: bounds memory to `threads × QUEUE` chunks.
const QUEUE: usize = 2;

/// Reads `offset .. offset + len` of a file with positioned reads and hands its leaves to `sink` in order.
///
/// `chunk_size` is the profile's; `offset` is where a leaf begins. `threads` (at least 1) read and hash, each with one
/// chunk's buffer; the caller's own thread runs the sink. A file that ends early is an Io error ("unexpected end").
pub fn hash_file_range(
    file: impl AsFd + Sync,
    offset: u64,
    len: u64,
    chunk_size: usize,
    threads: usize,
    sink: &mut dyn FnMut(Leaf) -> Result<()>,
) -> Result<()> {
    let chunk = chunk_size.max(1) as u64;
    let chunks = len.div_ceil(chunk);
    let threads = (threads.max(1) as u64).min(chunks);
    let hash_one = |k: u64, buffer: &mut Vec<u8>| {
        let begin = k * chunk;
        let size = chunk.min(len - begin);
        buffer.resize(size as usize, 0);
        read_exact_at(&file, buffer, offset + begin)?;
        Ok(Leaf { cid: raw_cid(buffer), size })
    };
    if threads <= 1 {
        let mut buffer = Vec::new();
        return (0..chunks).try_for_each(|k| sink(hash_one(k, &mut buffer)?));
    }
    let hash_one = &hash_one;
    thread::scope(|scope| {
        let answers: Vec<Receiver<Result<Leaf>>> = (0..threads)
            .map(|worker| {
                let (send, receive) = sync_channel(QUEUE);
                scope.spawn(move || {
                    let mut buffer = Vec::new();
                    for k in (worker..chunks).step_by(threads as usize) {
                        let answer = hash_one(k, &mut buffer);
                        let failed = answer.is_err();
                        // A closed channel: the caller has failed and wants no more.
                        if send.send(answer).is_err() || failed {
                            return;
                        }
                    }
                });
                receive
            })
            .collect();
        (0..chunks).try_for_each(|k| sink(answers[(k % threads) as usize].recv().map_err(|_| lost_worker())??))
    })
}

/// Reads `reader` to its end and hands its leaves to `sink` in order; answers the number of bytes read.
///
/// The caller's thread reads and runs the sink, `threads` (at least 1) hash; at most `2 × threads + 1` chunks are in
/// memory. Fails as the reader and the sink do.
pub fn hash_parallel(
    reader: &mut dyn Read,
    chunk_size: usize,
    threads: usize,
    sink: &mut dyn FnMut(Leaf) -> Result<()>,
) -> Result<u64> {
    let chunk_size = chunk_size.max(1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| {
                let (give, work) = sync_channel::<Vec<u8>>(QUEUE);
                let (done, answers) = sync_channel(QUEUE);
                scope.spawn(move || {
                    for chunk in work {
                        let leaf = Leaf { cid: raw_cid(&chunk), size: chunk.len() as u64 };
                        // The buffer goes back to be filled again. A closed channel: the caller has failed.
                        if done.send((leaf, chunk)).is_err() {
                            return;
                        }
                    }
                });
                (give, answers)
            })
            .collect();
        let window = workers.len() * QUEUE;
        let (mut given, mut taken, mut total) = (0, 0, 0);
        let mut spare = Vec::new();
        loop {
            let mut chunk = spare.pop().unwrap_or_else(|| vec![0; chunk_size]);
            let size = fill(reader, &mut chunk).at("reading bytes to hash")?;
            chunk.truncate(size);
            if size > 0 {
                total += size as u64;
                workers[given % workers.len()].0.send(chunk).map_err(|_| lost_worker())?;
                given += 1;
            }
            let ended = size < chunk_size;
            while taken < given && (ended || given - taken >= window) {
                let (leaf, chunk) = workers[taken % workers.len()].1.recv().map_err(|_| lost_worker())?;
                taken += 1;
                spare.push(chunk);
                sink(leaf)?;
            }
            if ended {
                return Ok(total);
            }
        }
    })
}

/// Reads until `buffer` is full or the reader at its end; answers how much it holds.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

fn lost_worker() -> Error {
    Error::new(ErrorKind::Internal, "a hashing thread ended without an answer")
}

fn read_exact_at(file: impl AsFd, mut buffer: &mut [u8], mut offset: u64) -> Result<()> {
    while !buffer.is_empty() {
        match pread(&file, &mut *buffer, offset) {
            Ok(0) => {
                let end = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return Err(Error::io("reading a file to hash", end).with("offset", offset));
            }
            Ok(n) => {
                buffer = &mut buffer[n..];
                offset += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(Error::io("reading a file to hash", e.into()).with("offset", offset)),
        }
    }
    Ok(())
}
