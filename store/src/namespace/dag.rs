//! CIDs of directories and buckets: what `ipfs add --recursive --hidden` gives for the directory as a mount shows it.
//!
//! Names are those of [`super::shown`] (a UnixFS directory can hold no more than a file system can), symbolic links are
//! UnixFS's own, empty directories are there; FIFOs, sockets and devices, which UnixFS has no word for, are left out.

use super::Namespace;
use super::engine::Engine;
use super::inode::Holder;
use super::lookup::shown_marker;
use super::mount_types::Form;
use super::node::{find_dir, find_node, read_node};
use super::path::{KeyPath, walk};
use super::pictures::Nodes;
use super::shown::shown;
use super::walk::EntryRows;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::rows::{BucketRow, EncryptionMode, EntryRow, NodeKind, NodeRow, RowValue};
use crate::meta::schema;
use crate::types::{Cid, DirId};
use crate::unixfs::{Block, DagBuilder, DirectoryBuilder, Entry};

/// Passes over a bucket that changes meanwhile. The first one publishes closed files, which is a change already.
const PASSES: usize = 4;
/// Memory for the entries of one large directory, in bytes; more are sorted on disk.
const SORT_MEMORY: usize = 1 << 20;

/// The DAG of a directory and all below it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectoryDag {
    /// Its root.
    pub cid: Cid,
    /// Bytes of all blocks, as often as they are linked.
    pub tsize: u64,
    /// Files and symbolic links in it.
    pub files: u64,
    /// Directories in it, itself not counted.
    pub directories: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// FIFOs, sockets and devices, which are not in it.
    pub left_out: u64,
}

/// A directory whose entries are being collected.
struct Open {
    dir: DirId,
    /// Its name in the directory that it is in.
    name: String,
    rows: EntryRows,
    builder: DirectoryBuilder,
}

struct Walk<'a> {
    engine: &'a Engine,
    bucket: &'a BucketRow,
    dag: DirectoryDag,
    open: Vec<Open>,
    nodes: Nodes,
}

fn text(name: &[u8], form: Form) -> Result<String> {
    String::from_utf8(shown(name, form).into_owned())
        .map_err(|e| Error::corrupt("a name in the metadata is not UTF-8").caused_by(e))
}

impl Walk<'_> {
    /// Begins a directory; its own bytes, if it has some, are its first entry.
    fn enter(&mut self, dir: DirId, name: String) -> Result<()> {
        let builder =
            DirectoryBuilder::new(self.bucket.profile).with_scratch(&self.engine.config.data_dir, SORT_MEMORY);
        self.open.push(Open { dir, name, rows: EntryRows::new(dir, b""), builder });
        let marker = Holder::Marker(dir);
        match read_node(self.engine, &marker)?.filter(shown_marker) {
            Some(node) => self.add_node(&marker, node, text(b"", Form::Marker)?),
            None => Ok(()),
        }
    }

    fn add(&mut self, entry: Entry) -> Result<()> {
        match self.open.last_mut() {
            Some(open) => open.builder.push(entry),
            None => Err(Error::new(ErrorKind::Internal, "an entry outside of any directory")),
        }
    }

    fn add_node(&mut self, holder: &Holder, mut node: NodeRow, name: String) -> Result<()> {
        if node.file().is_some_and(|file| file.live) {
            self.engine.publish_closed(node.attr.ino)?;
            if let Some(published) = read_node(self.engine, holder)?.filter(|now| now.attr.ino == node.attr.ino) {
                node = published;
            }
        }
        let (cid, tsize) = match &node.kind {
            NodeKind::File(file) => {
                self.dag.bytes += file.content.size;
                (file.content.root, DagBuilder::tsize_of(file.content.profile, file.content.size)?)
            }
            NodeKind::Symlink(_, target) => {
                let block = Block::symlink(target.clone());
                self.nodes.add(&block);
                (block.cid, block.bytes.len() as u64)
            }
            NodeKind::Fifo | NodeKind::Socket | NodeKind::CharDevice(_) | NodeKind::BlockDevice(_) => {
                self.dag.left_out += 1;
                return Ok(());
            }
        };
        self.dag.files += 1;
        self.add(Entry { name, cid, tsize })
    }

    /// One row of the innermost directory.
    fn add_row(&mut self, row_key: &[u8], value: &[u8]) -> Result<()> {
        let (dir, name, _) = schema::parse_entry(row_key)?;
        if let EntryRow::Dir { id, .. } = EntryRow::decode(value)? {
            self.dag.directories += 1;
            return self.enter(id, text(name, Form::Plain)?);
        }
        // It may have been removed since its row was read.
        let Some((holder, node)) = find_node(self.engine, dir, name)? else { return Ok(()) };
        let form = if find_dir(self.engine, dir, name)?.is_some() { Form::Object } else { Form::Plain };
        self.add_node(&holder, node, text(name, form)?)
    }

    fn run(mut self, progress: &dyn Fn(u64)) -> Result<(DirectoryDag, Nodes)> {
        loop {
            let Some(inner) = self.open.last_mut() else { return Ok((self.dag, self.nodes)) };
            if let Some((row_key, value)) = inner.rows.next(self.engine)? {
                self.add_row(&row_key, &value)?;
                continue;
            }
            let Some(done) = self.open.pop() else { return Ok((self.dag, self.nodes)) };
            tracing::trace!(dir = %done.dir, name = done.name, "a directory's entries are complete");
            let root = done.builder.finish(&mut |block| {
                self.nodes.add(&block);
                Ok(())
            })?;
            progress(self.dag.files);
            if self.open.is_empty() {
                self.dag.cid = root.cid;
                self.dag.tsize = root.tsize;
            } else {
                self.add(Entry { name: done.name, cid: root.cid, tsize: root.tsize })?;
            }
        }
    }
}

impl Engine {
    fn dag_of(&self, name: &str, dirs: &[&[u8]], progress: &dyn Fn(u64)) -> Result<DirectoryDag> {
        let bucket = self.bucket_row(name)?;
        let position = || self.meta.get(&schema::stream_position(bucket.id));
        for _ in 0..PASSES {
            let before = position()?;
            let dir = walk(self, bucket.id, dirs)?.ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "there is no such directory")
                    .with("bucket", name)
                    .with("directory", String::from_utf8_lossy(&dirs.join(&b'/')))
            })?;
            let empty = Block::raw(&b""[..]).cid;
            let dag = DirectoryDag { cid: empty, tsize: 0, files: 0, directories: 0, bytes: 0, left_out: 0 };
            let mut walk = Walk { engine: self, bucket: &bucket, dag, open: Vec::new(), nodes: Nodes::default() };
            let done = walk.enter(dir, String::new()).and_then(|()| walk.run(progress));
            // Of a namespace that changed meanwhile a walk may have seen what never was at one time.
            if position()? == before {
                let (dag, nodes) = done?;
                // Names of what is encrypted are for this node alone.
                let sealed = bucket.settings.encryption.is_some_and(|e| e.mode != EncryptionMode::None);
                if !sealed {
                    self.pictures.keep(bucket.id, nodes);
                }
                return Ok(dag);
            }
        }
        Err(Error::new(ErrorKind::Busy, "the bucket changes faster than its CID can be computed")
            .with("bucket", name)
            .with("passes", PASSES))
    }
}

impl Namespace {
    /// The DAG of a bucket (empty `path`) or of the directory `path` in it (as in keys, a last `/` or not). It is that of
    /// one moment: Busy if the bucket did not stand still for one of a few passes. Files that were written and closed at a mount are
    /// published first, one that is open for writing counts with what is published (as in a listing).
    ///
    /// Its nodes are kept in memory for a while, so that IPFS peers can fetch it ([`super::provide`]).
    /// Costs a look at every row below. `progress` hears how many files were seen. May block.
    pub fn directory_dag(&self, bucket: &str, path: &[u8], progress: &dyn Fn(u64)) -> Result<DirectoryDag> {
        let key = match path {
            [] | [.., b'/'] => path.to_vec(),
            _ => [path, b"/"].concat(),
        };
        let dirs = if key.is_empty() { Vec::new() } else { KeyPath::parse(&key)?.dirs };
        self.0.dag_of(bucket, &dirs, progress)
    }
}
