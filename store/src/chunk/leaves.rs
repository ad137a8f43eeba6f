//! From an object's leaves, in order, to its root: the DAG, and the sidecar that lists them.

use std::collections::HashSet;

use crate::chunk::index::Kind;
use crate::chunk::layout::TmpFile;
use crate::chunk::link::NewObject;
use crate::chunk::pins::Digest32;
use crate::chunk::sidecar::SidecarWriter;
use crate::chunk::store::Inner;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::unixfs::{self, DagBuilder, Leaf, Profile, RAW, Root, cid_of_digest};

/// Makes the DAG and the sidecar of an object from its leaves, in order, and counts what is stored already.
pub(super) struct LeafSink {
    profile: Profile,
    kind: Kind,
    dag: DagBuilder,
    /// The only leaf so far: an object of one chunk has no sidecar.
    first: Option<Digest32>,
    sidecar: Option<(TmpFile, SidecarWriter)>,
    leaves: u64,
    stored: u64,
    holes: u64,
    /// Files that are about to go: what lies in them does not count as stored.
    passing: HashSet<u64>,
}

impl LeafSink {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            profile,
            kind: Kind::Whole,
            dag: DagBuilder::new(profile),
            first: None,
            sidecar: None,
            leaves: 0,
            stored: 0,
            holes: 0,
            passing: HashSet::new(),
        }
    }

    pub(super) fn chunk_size(&self) -> u32 {
        self.profile.chunk_size() as u32
    }

    /// Chunks in these files are no reason to share them.
    pub(super) fn do_not_share_with(&mut self, files: HashSet<u64>) {
        self.passing = files;
    }

    /// For an object without a content file.
    pub(super) fn scattered(profile: Profile) -> Self {
        Self { kind: Kind::Scattered, ..Self::new(profile) }
    }

    /// The next chunk.
    pub(super) fn leaf(&mut self, inner: &Inner, digest: &Digest32, size: u32) -> Result<()> {
        if inner.index.places(digest)?.iter().any(|(id, _)| !self.passing.contains(id)) {
            self.stored += 1;
        }
        self.begin(inner, digest)?;
        let leaf = Leaf { cid: cid_of_digest(RAW, *digest), size: u64::from(size) };
        match &mut self.sidecar {
            Some((_, sidecar)) => {
                sidecar.leaf(digest)?;
                self.dag.push(leaf, &mut |node| sidecar.node(&node))
            }
            None => self.dag.push(leaf, &mut no_node),
        }
    }

    /// The next `count` chunks are whole ones of zeros.
    pub(super) fn zeros(&mut self, inner: &Inner, count: u64) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let zero = inner.zeros.of(self.profile.chunk_size() as u32);
        self.begin(inner, &zero)?;
        self.holes += count;
        self.leaves += count - 1;
        if count > 1 {
            self.open_sidecar(inner)?;
        }
        match &mut self.sidecar {
            Some((_, sidecar)) => {
                let pushed = self.leaves - sidecar.leaves();
                sidecar.zero_leaves(pushed)?;
                self.dag.push_zeros(count, &mut |node| sidecar.node(&node))
            }
            None => self.dag.push_zeros(count, &mut no_node),
        }
    }

    /// Counts one leaf, and opens the sidecar for the second.
    fn begin(&mut self, inner: &Inner, digest: &Digest32) -> Result<()> {
        self.leaves += 1;
        if self.leaves == 1 {
            self.first = Some(*digest);
            return Ok(());
        }
        self.open_sidecar(inner)
    }

    fn open_sidecar(&mut self, inner: &Inner) -> Result<()> {
        if self.sidecar.is_some() {
            return Ok(());
        }
        let tmp = inner.layout.tmp_file()?;
        let file = tmp.file.try_clone().at("keeping a file open")?;
        let chunk_size = self.profile.chunk_size() as u32;
        let mut sidecar = SidecarWriter::new(file, self.kind, chunk_size, inner.zeros.of(chunk_size));
        if let Some(first) = self.first.take() {
            sidecar.leaf(&first)?;
        }
        self.sidecar = Some((tmp, sidecar));
        Ok(())
    }

    /// Names the object.
    pub(super) fn finish(self, inner: &Inner) -> Result<NewObject> {
        let (mut tmp, mut sidecar) = self.sidecar.unzip();
        let mut only = None;
        let root = self.dag.finish(&mut |node| {
            match &mut sidecar {
                Some(sidecar) => sidecar.node(&node)?,
                None => only = Some(node),
            }
            Ok(())
        })?;
        if let Some(sidecar) = sidecar {
            sidecar.finish(&root)?;
        }
        let root = Root { leaves: root.leaves.max(1), ..root };
        inner.health.step("object: hashed, not durable")?;
        Ok(NewObject {
            root,
            digest: unixfs::digest_of(&root.cid)?,
            chunk_size: self.profile.chunk_size() as u32,
            sidecar: tmp.take(),
            stored: self.stored,
            checked: true,
            solid: self.leaves - self.holes,
        })
    }
}

fn no_node(node: unixfs::Block) -> Result<()> {
    Err(Error::new(ErrorKind::Internal, "an object of one chunk has a node").with("cid", node.cid))
}
