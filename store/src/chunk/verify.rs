//! The scrub: every stored byte is read and compared with its CID. Nothing is changed, but that a damaged content file is
//! no longer given to the kernel, and is replaced when its bytes come again.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::chunk::content::Handle;
use crate::chunk::frame::{FRAME_HEADER, SLAB_HEADER};
use crate::chunk::index::{Kind, ObjectRow, PAGE, Place, decode};
use crate::chunk::pool::{Buffer, Pending, WINDOW};
use crate::chunk::recover::{Progress, ProgressFn, read_header};
use crate::chunk::sidecar::{LeafInfo, Run};
use crate::chunk::store::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::schema::prefix_end;
use crate::types::Cid;
use crate::unixfs::{self, RAW, cid_of_digest};

/// Damaged places reported one by one; the rest is only counted.
const MOST_LISTED: usize = 10_000;

/// A block that is not what its CID says, or not there.
#[derive(Clone, Debug)]
pub struct Damage {
    /// The block, or the object where no block can be told.
    pub cid: Cid,
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub error: Error,
}

/// What a scrub found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Objects with a file or sidecar of their own.
    pub objects: u64,
    /// Blocks read and compared: chunks, nodes, blocks in slabs.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Damaged or missing blocks.
    pub damaged: u64,
    /// The first of them.
    pub damage: Vec<Damage>,
}

/// What sets a scrub's pace: told of the bytes of each block before they are read; its error ends the scrub.
pub type PaceFn<'a> = dyn Fn(u64) -> Result<()> + 'a;

/// A scrub on its way.
struct Scrub<'a> {
    report: VerifyReport,
    pace: &'a PaceFn<'a>,
    progress: &'a ProgressFn<'a>,
    /// Bytes to read, about.
    total: u64,
}

impl Scrub<'_> {
    fn add(&mut self, cid: Cid, path: PathBuf, offset: u64, error: Error) {
        tracing::error!(%cid, path = %path.display(), offset, %error, "stored bytes are damaged");
        let report = &mut self.report;
        report.damaged += 1;
        if report.damage.len() < MOST_LISTED {
            report.damage.push(Damage { cid, path, offset, error });
        }
    }

    fn count(&mut self, bytes: u64) -> Result<()> {
        (self.pace)(bytes)?;
        self.report.blocks += 1;
        self.report.bytes += bytes;
        (self.progress)(Progress {
            what: "reading what is stored (bytes)",
            done: self.report.bytes,
            total: self.total,
        });
        Ok(())
    }
}

impl Inner {
    /// Reads and checks everything, objects from the digest `first` on and round to it, then slabs.
    pub(super) fn verify_all(
        &self,
        first: &[u8; 32],
        progress: &ProgressFn<'_>,
        pace: &PaceFn<'_>,
    ) -> Result<VerifyReport> {
        let live: u64 = self.slabs.rows().iter().map(|(_, row)| row.live).sum();
        let total = self.totals.get().disk + live;
        let mut scrub = Scrub { report: VerifyReport::default(), pace, progress, total };
        let middle = [b"c", first.as_slice()].concat();
        for (start, end) in [(middle.clone(), prefix_end(b"c")), (b"c".to_vec(), middle)] {
            self.verify_objects(start, &end, &mut scrub)?;
        }
        for (id, row) in self.slabs.rows() {
            self.verify_slab(id, row.len, &mut scrub)?;
        }
        Ok(scrub.report)
    }

    fn verify_objects(&self, mut start: Vec<u8>, end: &[u8], scrub: &mut Scrub<'_>) -> Result<()> {
        loop {
            let rows = self.index.0.range(&start, end, PAGE)?;
            for (_, value) in &rows {
                let row: ObjectRow = decode(value)?;
                // Collection spares it; if it went before, there is nothing to check.
                let _pin = self.pins.pin(&row.root).quiet();
                let Some(row) = self.index.object(&row.root)? else { continue };
                scrub.report.objects += 1;
                self.verify_object(&row, scrub)?;
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => start = [last.as_slice(), &[0]].concat(),
                _ => return Ok(()),
            }
        }
    }

    fn verify_object(&self, row: &ObjectRow, scrub: &mut Scrub<'_>) -> Result<()> {
        let cid = cid_of_digest(row.codec, row.root);
        let path = self.content.file_path(row);
        let handle = match self.content.open(row) {
            Ok(Some(handle)) => handle,
            Ok(None) => {
                scrub.add(cid, path, 0, Error::corrupt("an object's file is gone"));
                return Ok(());
            }
            Err(error) => {
                scrub.add(cid, path, 0, error);
                return Ok(());
            }
        };
        let before = scrub.report.damaged;
        let mut reading = Reading { inner: self, handle: &handle, path: &path, scrub, in_flight: VecDeque::new() };
        let leaves = match handle.sidecar() {
            None => handle.leaf(0).and_then(|leaf| reading.leaf(leaf)),
            Some(sidecar) => sidecar.for_each_leaf(&mut |run| match (run, row.kind) {
                (Run::Leaf(leaf), Kind::Whole | Kind::Slice) => reading.leaf(leaf),
                (Run::Leaf(leaf), Kind::Scattered) => reading.elsewhere(&leaf),
                (Run::Zeros { offset, count }, Kind::Whole | Kind::Slice) => reading.zeros(offset, count),
                (Run::Zeros { .. }, Kind::Scattered) => Ok(()),
            }),
        };
        let leaves = leaves.and_then(|()| reading.settle(0));
        if scrub.report.damaged > before && row.kind == Kind::Whole {
            self.distrust(row)?;
        }
        let nodes = leaves.and_then(|()| self.verify_nodes(&handle, row, scrub));
        match nodes {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                scrub.add(cid, self.layout.sidecar(row.id, &row.root), 0, error);
                Ok(())
            }
            result => result,
        }
    }

    fn verify_nodes(&self, handle: &Handle, row: &ObjectRow, scrub: &mut Scrub<'_>) -> Result<()> {
        let Some(sidecar) = handle.sidecar() else { return Ok(()) };
        sidecar.for_each_node(&mut |node| {
            scrub.count(u64::from(node.len))?;
            let checked = sidecar.bytes(node.offset, node.len).and_then(|bytes| unixfs::verify(&node.cid, &bytes));
            if let Err(error) = checked {
                scrub.add(node.cid, self.layout.sidecar(row.id, &row.root), node.offset, error);
            }
            Ok(())
        })
    }

    fn verify_slab(&self, id: u64, len: u64, scrub: &mut Scrub<'_>) -> Result<()> {
        // Gone since it was listed: what was live in it lies in another one now, checked when it was moved.
        let Some(file) = self.slabs.file(id)? else { return Ok(()) };
        let path = self.layout.slab(id);
        let mut at = SLAB_HEADER;
        while at < len {
            let Ok(Some(header)) = read_header(&file, at, len) else {
                let cid = unixfs::raw_cid(b"");
                scrub.add(
                    cid,
                    path,
                    at,
                    Error::corrupt("a frame of a slab is damaged: those behind it are not checked"),
                );
                return Ok(());
            };
            let offset = at + FRAME_HEADER as u64;
            at += header.frame_len();
            let _pin = self.pins.pin(&header.digest).quiet();
            if self.index.place(&header.digest, id)? != Some(Place::Slab { offset, len: header.len }) {
                continue;
            }
            scrub.count(u64::from(header.len))?;
            if let Err(error) = check_payload(&file, offset, header.len, &header.cid()) {
                scrub.add(header.cid(), path.clone(), offset, error);
            }
        }
        Ok(())
    }
}

fn check_payload(file: &File, offset: u64, len: u32, cid: &Cid) -> Result<()> {
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, offset).map_err(|e| Error::io("reading a slab", e))?;
    unixfs::verify(cid, &bytes)
}

/// Chunks of one object on their way through the hashing threads.
struct Reading<'a, 'p> {
    inner: &'a Inner,
    handle: &'a Handle,
    path: &'a PathBuf,
    scrub: &'a mut Scrub<'p>,
    in_flight: VecDeque<(Pending, LeafInfo)>,
}

impl Reading<'_, '_> {
    /// Reads a chunk of the content file.
    fn leaf(&mut self, leaf: LeafInfo) -> Result<()> {
        self.scrub.count(u64::from(leaf.size))?;
        let mut buffer: Buffer = self.inner.pool.buffer(leaf.size as usize);
        buffer.bytes.resize(leaf.size as usize, 0);
        if let Err(error) = self.handle.read_raw(leaf.offset, &mut buffer.bytes) {
            self.scrub.add(cid_of_digest(RAW, leaf.digest), self.path.clone(), leaf.offset, error);
            return Ok(());
        }
        self.settle(WINDOW - 1)?;
        self.in_flight.push_back((self.inner.pool.sha256(Arc::new(buffer)), leaf));
        Ok(())
    }

    /// Whole chunks of zeros: holes are not read.
    fn zeros(&mut self, offset: u64, count: u64) -> Result<()> {
        let size = self.handle.row.chunk_size;
        let Some(file) = self.handle.file() else { return Ok(()) };
        let base = self.handle.base();
        let end = base + offset + count * u64::from(size);
        let mut at = base + offset;
        // The position that this moves is nobody's.
        while let Some((begin, _)) = crate::chunk::live::next_data(&file, at, end)? {
            let number = (begin - base) / u64::from(size);
            self.leaf(self.handle.leaf(number)?)?;
            at = base + (number + 1) * u64::from(size);
        }
        Ok(())
    }

    /// A chunk that lies in a slab, which is checked by itself, or in another object's content file.
    fn elsewhere(&mut self, leaf: &LeafInfo) -> Result<()> {
        if self.inner.index.places(&leaf.digest)?.is_empty() {
            let error = Error::corrupt("a chunk of an object is missing").with("object_offset", leaf.offset);
            self.scrub.add(cid_of_digest(RAW, leaf.digest), self.path.clone(), 0, error);
        }
        Ok(())
    }

    fn settle(&mut self, left: usize) -> Result<()> {
        while self.in_flight.len() > left {
            if let Some((pending, leaf)) = self.in_flight.pop_front()
                && pending.wait()? != leaf.digest
            {
                let error = Error::corrupt("a chunk of a content file does not match its CID");
                self.scrub.add(cid_of_digest(RAW, leaf.digest), self.path.clone(), leaf.offset, error);
            }
        }
        Ok(())
    }
}
