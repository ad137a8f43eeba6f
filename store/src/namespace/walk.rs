//! A walk over a bucket's keys in S3's order, by seeking (S4): a page costs what it returns, wherever it starts.
//!
//! Within a directory, rows are sorted by name with directories as `name/`, so a depth-first walk over rows is the
//! byte order of whole keys.

use std::collections::VecDeque;

use super::engine::Engine;
use super::inode::Holder;
use super::node::{dir_row, find_dir, implied_marker};
use super::txn::Rows;
use crate::error::{Error, Result};
use crate::meta::rows::{EntryRow, NodeRow, RowValue};
use crate::meta::schema;
use crate::types::{DirId, Id};
use crate::unixfs::Profile;

/// Rows read at a time, growing while the walk stays in one directory.
const FIRST_BATCH: usize = 64;
const LARGEST_BATCH: usize = 1024;

/// What the walk meets.
pub(super) enum Step {
    /// An object's key.
    Object {
        /// The whole key.
        key: Vec<u8>,
        /// Which row holds it.
        holder: Holder,
        /// The inode.
        node: Box<NodeRow>,
    },
    /// A directory, before anything below it; [`KeyWalk::descend`] enters it, else it is skipped. It holds at least one
    /// key (an implicit directory has something below it, an explicit one is a key itself).
    Directory {
        /// Its path with the trailing `/`.
        path: Vec<u8>,
        /// Its id.
        id: DirId,
    },
}

/// The rows of one directory, in order.
pub(super) struct EntryRows {
    /// The first row key not yet read.
    next: Vec<u8>,
    /// End of the directory's rows.
    end: Vec<u8>,
    read: VecDeque<(Vec<u8>, Vec<u8>)>,
    exhausted: bool,
    batch: usize,
}

impl EntryRows {
    /// Those of `dir` from the row name `from` on.
    pub(super) fn new(dir: DirId, from: &[u8]) -> Self {
        let prefix = schema::entries(dir);
        Self {
            next: [prefix.as_slice(), from].concat(),
            end: schema::prefix_end(&prefix),
            read: VecDeque::new(),
            exhausted: false,
            batch: FIRST_BATCH,
        }
    }

    /// The next row's key and value.
    pub(super) fn next(&mut self, engine: &Engine) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        if self.read.is_empty() && !self.exhausted {
            let rows = engine.meta.range(&self.next, &self.end, self.batch)?;
            self.exhausted = rows.len() < self.batch;
            self.batch = (self.batch * 2).min(LARGEST_BATCH);
            if let Some((last, _)) = rows.last() {
                self.next = [last.as_slice(), b"\0"].concat();
            }
            self.read = rows.into();
        }
        Ok(self.read.pop_front())
    }
}

struct Frame {
    /// Path of the directory with the trailing `/`; empty for the bucket's root.
    path: Vec<u8>,
    rows: EntryRows,
}

impl Frame {
    fn new(dir: DirId, path: Vec<u8>, from: &[u8]) -> Self {
        Self { path, rows: EntryRows::new(dir, from) }
    }
}

/// A position in a bucket's keys.
pub(super) struct KeyWalk<'a> {
    engine: &'a Engine,
    bucket: Id,
    profile: Profile,
    stack: Vec<Frame>,
    /// A directory's own key, to be yielded next.
    marker: Option<(Vec<u8>, DirId)>,
}

impl<'a> KeyWalk<'a> {
    /// A walk that begins at the first key (or directory path) not smaller than `from`.
    pub(super) fn new(engine: &'a Engine, bucket: Id, profile: Profile, from: &[u8]) -> Result<Self> {
        let mut walk = Self { engine, bucket, profile, stack: Vec::new(), marker: None };
        walk.seek(from)?;
        Ok(walk)
    }

    /// Moves to the first key not smaller than `target`.
    pub(super) fn seek(&mut self, target: &[u8]) -> Result<()> {
        self.stack.clear();
        self.marker = None;
        let (mut dir, mut at) = (self.bucket, 0);
        loop {
            let rest = &target[at..];
            let Some(slash) = rest.iter().position(|b| *b == b'/') else {
                self.stack.push(Frame::new(dir, target[..at].to_vec(), rest));
                return Ok(());
            };
            let name = &rest[..slash];
            // The directory on the way is entered below; its own row is smaller than the target.
            let after = [name, b"/\0"].concat();
            self.stack.push(Frame::new(dir, target[..at].to_vec(), &after));
            let Some((id, _)) = find_dir(self.engine, dir, name)? else { return Ok(()) };
            at += slash + 1;
            dir = id;
            if at == target.len() {
                self.enter(id, target.to_vec());
                return Ok(());
            }
        }
    }

    /// Enters a directory that [`Step::Directory`] named.
    pub(super) fn descend(&mut self, id: DirId, path: Vec<u8>) {
        self.enter(id, path);
    }

    fn enter(&mut self, id: DirId, path: Vec<u8>) {
        self.marker = Some((path.clone(), id));
        self.stack.push(Frame::new(id, path, b""));
    }

    /// The next key or directory.
    pub(super) fn next(&mut self) -> Result<Option<Step>> {
        if let Some((key, dir)) = self.marker.take()
            && let Some(step) = self.marker_step(key, dir)?
        {
            return Ok(Some(step));
        }
        loop {
            let Some(frame) = self.stack.last_mut() else { return Ok(None) };
            let Some((row_key, value)) = frame.rows.next(self.engine)? else {
                self.stack.pop();
                continue;
            };
            let (dir, name, is_dir) = schema::parse_entry(&row_key)?;
            let mut key = [frame.path.as_slice(), name].concat();
            match EntryRow::decode(&value)? {
                EntryRow::Dir { id, .. } if is_dir => {
                    key.push(b'/');
                    return Ok(Some(Step::Directory { path: key, id }));
                }
                EntryRow::Node(node) if node.file().is_some() => {
                    let holder = Holder::Entry { dir, name: name.to_vec() };
                    return Ok(Some(Step::Object { key, holder, node }));
                }
                EntryRow::Node(_) => {}
                EntryRow::Shared(ino) => {
                    let holder = Holder::Shared(ino);
                    match self.engine.row::<NodeRow>(&holder.key())? {
                        Some(node) if node.file().is_some() => {
                            return Ok(Some(Step::Object { key, holder, node: Box::new(node) }));
                        }
                        // Unlinked since the row was read, or a special file.
                        _ => {}
                    }
                }
                EntryRow::Dir { .. } => {
                    return Err(Error::corrupt("a directory's row lies under an object's key")
                        .with("key", String::from_utf8_lossy(&key)));
                }
            }
        }
    }

    fn marker_step(&self, key: Vec<u8>, dir: DirId) -> Result<Option<Step>> {
        let Ok(row) = dir_row(self.engine, dir) else { return Ok(None) };
        let node = match row.marker {
            Some(marker) => marker,
            None if row.explicit => Box::new(implied_marker(&row, self.profile)),
            None => return Ok(None),
        };
        Ok(Some(Step::Object { key, holder: Holder::Marker(dir), node }))
    }
}
