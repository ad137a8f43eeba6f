//! Appending to slabs: one named thread writes, one sync serves everybody who waits (group commit), and only then are the
//! blocks named in the index.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::IoSlice;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::chunk::frame::{FRAME_HEADER, FrameHeader, SLAB_HEADER, slab_header};
use crate::chunk::health::{DirSync, Health};
use crate::chunk::ids::Ids;
use crate::chunk::index::SlabRow;
use crate::chunk::pins::Digest32;
use crate::chunk::slab::{Placed, Slabs};
use crate::chunk::space::Space;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::RowChange;
use crate::meta::aside::Aside;
use crate::types::Cid;
use crate::unixfs;

/// Requests that may wait before those who bring more are held up.
const QUEUE: usize = 256;
/// A group is synced when it has so many bytes or blocks, however many more wait.
const GROUP_BYTES: u64 = 8 << 20;
const GROUP_BLOCKS: usize = 1024;

/// Set aside in the slab that is appended to: small bodies that a commit carried have been acknowledged, and commits that
/// give space back wait behind them. A slab of the usual size has 4 MiB.
fn aside_of(slab_bytes: u64) -> u64 {
    slab_bytes / 64
}

/// A block to store. The caller holds a pin on it until it is named or needed by a row.
pub(super) struct NewBlock {
    pub(super) header: FrameHeader,
    pub(super) bytes: Bytes,
    /// Where it is moved from: a slab or content file, which loses it in the same step.
    pub(super) from: Option<u64>,
    /// Rows that are applied together with its own.
    pub(super) extra: Vec<RowChange>,
}

impl NewBlock {
    /// A block that is new here. InvalidArgument if slabs cannot hold it.
    pub(super) fn new(cid: &Cid, bytes: Bytes) -> Result<Self> {
        let digest = unixfs::digest_of(cid)?;
        let header = u32::try_from(bytes.len()).ok().and_then(|len| FrameHeader::new(cid, digest, len));
        let header = header.ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "a slab cannot hold this block")
                .with("cid", cid)
                .with("bytes", bytes.len())
        })?;
        Ok(Self { header, bytes, from: None, extra: Vec::new() })
    }
}

struct Request {
    blocks: Vec<NewBlock>,
    reply: Sender<Result<()>>,
}

/// The appending thread. Dropping it ends what was asked for and joins the thread.
pub(super) struct Appender {
    requests: Mutex<Option<SyncSender<Request>>>,
    space: Arc<Space>,
    health: Arc<Health>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
pub(super) struct AppendTo {
    pub(super) slabs: Arc<Slabs>,
    pub(super) ids: Arc<Ids>,
    pub(super) health: Arc<Health>,
    pub(super) dirs: Arc<DirSync>,
    pub(super) slab_bytes: u64,
}

impl Appender {
    /// Starts the thread `chunk-slab`, which goes on in the slab that was last in use, if it is not full.
    pub(super) fn start(to: AppendTo, space: Arc<Space>) -> Result<Self> {
        let health = to.health.clone();
        let (requests, receiver) = sync_channel(QUEUE);
        let current = to.last_slab()?;
        to.slabs.set_active(current.as_ref().map_or(0, |c| c.id));
        let thread = std::thread::Builder::new()
            .name("chunk-slab".to_owned())
            .spawn(move || Worker { to, current }.run(&receiver))
            .at("starting the slab thread")?;
        Ok(Self { requests: Mutex::new(Some(requests)), space, health, thread: Some(thread) })
    }

    /// Stores blocks: returns when they are durable and named. Those that slabs hold already are not written again.
    /// NoSpace if the disk's reserve is reached, unless `publishing` what is on this disk already.
    pub(super) fn append(&self, blocks: Vec<NewBlock>, publishing: bool) -> Result<()> {
        self.health.check()?;
        if !publishing {
            self.space.admit(blocks.iter().map(|b| b.header.frame_len()).sum())?;
        }
        let stopped = || Error::new(ErrorKind::Unavailable, "the chunk store is stopping");
        let (reply, answer) = channel();
        let requests = self.requests.lock().clone().ok_or_else(stopped)?;
        requests.send(Request { blocks, reply }).map_err(|_| stopped())?;
        answer.recv().map_err(|_| stopped())?
    }

    /// Lets the thread begin a new slab with the next block, so that the current one can be compacted.
    pub(super) fn close_slab(&self) -> Result<()> {
        self.append(Vec::new(), true)
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.requests.lock().take();
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the thread's own end: every later append is Unavailable.
            let _ = thread.join();
        }
    }
}

impl AppendTo {
    fn last_slab(&self) -> Result<Option<Current>> {
        let Some((id, row)) = self.slabs.rows().last().copied() else { return Ok(None) };
        if row.len >= self.slab_bytes {
            return Ok(None);
        }
        let path = self.slabs.layout.slab(id);
        let file = OpenOptions::new().read(true).write(true).open(path).at("opening the last slab")?;
        Current::new(id, file, row.len, self.slab_bytes).map(Some)
    }
}

struct Current {
    id: u64,
    file: File,
    len: u64,
    aside: Aside,
}

impl Current {
    fn new(id: u64, file: File, len: u64, slab_bytes: u64) -> Result<Self> {
        let aside = Aside::new(aside_of(slab_bytes));
        aside.fill_up(&file)?;
        Ok(Self { id, file, len, aside })
    }

    /// No more is appended: gives back what was set aside.
    fn close(self) -> Result<()> {
        self.file.set_len(self.len).at("closing a slab")
    }
}

struct Worker {
    to: AppendTo,
    current: Option<Current>,
}

impl Worker {
    fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let size = |r: &Request| r.blocks.iter().map(|b| b.header.frame_len()).sum::<u64>();
            let (mut bytes, mut blocks) = (size(&first), first.blocks.len());
            let mut group = vec![first];
            while bytes < GROUP_BYTES && blocks < GROUP_BLOCKS {
                let Ok(next) = requests.try_recv() else { break };
                bytes += size(&next);
                blocks += next.blocks.len();
                group.push(next);
            }
            let mut replies = Vec::with_capacity(group.len());
            let mut all = Vec::with_capacity(blocks);
            for request in group {
                if request.blocks.is_empty() {
                    self.close_current();
                    self.to.slabs.set_active(0);
                }
                all.extend(request.blocks);
                replies.push(request.reply);
            }
            let result = if all.is_empty() { Ok(()) } else { self.store(all) };
            if let Err(error) = &result {
                tracing::error!(%error, "appending to a slab failed");
            }
            for reply in replies {
                // Who asked may have given up.
                let _ = reply.send(result.clone());
            }
        }
    }

    fn store(&mut self, blocks: Vec<NewBlock>) -> Result<()> {
        self.to.health.check()?;
        let mut blocks = blocks.into_iter().peekable();
        while blocks.peek().is_some() {
            let current = match self.current.take() {
                Some(current) if current.len < self.to.slab_bytes => current,
                full => {
                    self.current = full;
                    self.close_current();
                    self.new_slab()?
                }
            };
            let mut part = Vec::new();
            let mut len = current.len;
            while len < self.to.slab_bytes {
                let Some(block) = blocks.next() else { break };
                len += block.header.frame_len();
                part.push(block);
            }
            self.store_in(current, part)?;
        }
        Ok(())
    }

    /// Writes, syncs and names blocks in one slab.
    fn store_in(&mut self, mut current: Current, blocks: Vec<NewBlock>) -> Result<()> {
        let (before, mut end) = (current.len, current.len);
        let mut placed = Vec::with_capacity(blocks.len());
        let mut frames: Vec<([u8; FRAME_HEADER], Bytes)> = Vec::with_capacity(blocks.len());
        let mut seen: HashSet<Digest32> = HashSet::new();
        for block in blocks {
            let digest = block.header.digest;
            // A chunk may occur twice in what is moved, and a block may come from two writers at once.
            let known = !seen.insert(digest) || self.to.slabs.hold(&digest, block.from)?;
            let (len, frame_len) = (block.header.len, block.header.frame_len());
            let offset = (!known).then_some(end + FRAME_HEADER as u64);
            if !known {
                end += frame_len;
                frames.push((block.header.encode(), block.bytes));
            }
            placed.push(Placed { digest, len, offset, end, from: block.from, extra: block.extra });
        }
        if !frames.is_empty()
            && let Err(error) = write_frames(&current.file, before, &frames)
        {
            // What was written of the group would be read as frames after a crash, which is harmless; but the next
            // group must begin where the last good frame ends.
            if let Err(e) = current.file.set_len(before) {
                return Err(self.to.health.fail(Error::io("cutting a slab after a failed write", e)));
            }
            self.current = Some(current);
            return Err(error);
        }
        if !frames.is_empty() {
            self.to.health.sync_data(&current.file, "slab: syncing blocks")?;
        }
        self.to.health.step("slab: blocks durable, not named")?;
        let result = self.to.slabs.add(current.id, placed);
        current.len = end;
        if let Err(error) = current.aside.fill_up(&current.file) {
            tracing::warn!(%error, "no room is set aside in a slab");
        }
        self.current = Some(current);
        result
    }

    fn close_current(&mut self) {
        if let Some(Err(error)) = self.current.take().map(Current::close) {
            tracing::warn!(%error, "what was set aside in a slab was not given back");
        }
    }

    fn new_slab(&mut self) -> Result<Current> {
        let id = self.to.ids.allocate()?.id;
        let path = self.to.slabs.layout.slab(id);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path).at("making a slab")?;
        if let Err(error) = file.write_all_at(&slab_header(id), 0).at("writing a slab's header") {
            // A full disk: it is tried again and again, and would leave a file each time.
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, slab = id, "an unfinished slab stays until the next start");
            }
            return Err(error);
        }
        self.to.health.sync_data(&file, "slab: syncing a new one")?;
        self.to.dirs.sync(&self.to.slabs.layout.slabs)?;
        self.to.slabs.set_row(id, SlabRow { len: SLAB_HEADER, live: 0 })?;
        self.to.slabs.set_active(id);
        Current::new(id, file, SLAB_HEADER, self.to.slab_bytes)
    }
}

/// Writes frames one after the other from `at`.
fn write_frames(file: &File, mut at: u64, frames: &[([u8; FRAME_HEADER], Bytes)]) -> Result<()> {
    // IOV_MAX is 1024 slices.
    for some in frames.chunks(512) {
        let mut slices: Vec<IoSlice<'_>> =
            some.iter().flat_map(|(header, bytes)| [IoSlice::new(header), IoSlice::new(bytes)]).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match rustix::io::pwritev(file, left, at) {
                Ok(0) => return Err(Error::new(ErrorKind::Io, "a write to a slab wrote nothing")),
                Ok(n) => {
                    at += n as u64;
                    IoSlice::advance_slices(&mut left, n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(Error::io("writing to a slab", e.into())),
            }
        }
    }
    Ok(())
}
