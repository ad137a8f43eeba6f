//! After a start: live files of the last run are published, what nothing names is swept (S14).

use std::collections::HashSet;
use std::sync::Arc;

use super::ROOT_DIR;
use super::engine::Engine;
use super::inode::{Holder, Place};
use super::live::Data;
use super::node::read_node;
use super::txn::Rows;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::{Op, SYSTEM_STREAM};
use crate::meta::rows::{DirRow, LiveRow, RowValue};
use crate::meta::{Progress, schema};
use crate::types::{Caller, Ino};

/// Permission bits of the namespace root.
const ROOT_MODE: u32 = 0o755;

impl Engine {
    /// Makes the namespace root on the very first start.
    pub(super) fn ensure_root(&self) -> Result<()> {
        if self.row::<DirRow>(&schema::dir(ROOT_DIR))?.is_some() {
            return Ok(());
        }
        let caller = Caller::worker("first-start");
        let made = self.commit(&caller, SYSTEM_STREAM, Op::System, |txn| {
            let row = DirRow {
                attr: super::node::fresh_attr(Ino::ROOT, ROOT_MODE, 0, 0, txn.now),
                bucket: SYSTEM_STREAM,
                parent: None,
                name: Vec::new(),
                explicit: true,
                marker: None,
                subdirs: 0,
                xattrs: Vec::new(),
            };
            txn.put(schema::dir(ROOT_DIR), &row)
        })?;
        self.meta.durable_blocking(made.seq)
    }

    /// Publishes the live files that the last run left, and discards those that nothing names.
    pub(super) fn recover_live(&self, progress: &dyn Progress) -> Result<()> {
        let (mut start, end) = (schema::live(Ino(0)), schema::prefix_end(b"L"));
        let mut found = Vec::new();
        loop {
            let rows = self.meta.range(&start, &end, 1000)?;
            let Some((last, _)) = rows.last() else { break };
            start = [last.as_slice(), b"\0"].concat();
            for (key, value) in rows {
                let number = key[1..].try_into().map_err(|_| Error::corrupt("a live file's key has a wrong length"))?;
                found.push((Ino(u64::from_be_bytes(number)), LiveRow::decode(&value)?));
            }
        }
        let mut locked = HashSet::new();
        for (done, (ino, row)) in found.iter().enumerate() {
            progress.report("publishing what was open (files)", done as u64, Some(found.len() as u64));
            match self.recover_one(*ino, row) {
                Err(error) if error.kind() == ErrorKind::KeyUnavailable => {
                    // It stays for a start with the key: its name shows what was published last.
                    tracing::error!(inode = %ino, %error, "a written file of an encrypted bucket waits for its key");
                    locked.insert(*ino);
                }
                done => done?,
            }
        }
        self.discard_durable(true)?;
        for ino in self.chunks.list_live()? {
            if self.lives.get(ino).is_none() && !locked.contains(&ino) {
                self.chunks.discard_live(ino)?;
            }
        }
        Ok(())
    }

    /// The inode's name keeps its last published content.
    fn forget_live(&self, ino: Ino, row: &LiveRow, holder: &Holder) -> Result<()> {
        let caller = Caller::worker("recover");
        let cleared = self.commit(&caller, row.bucket, Op::Publish, |txn| {
            match read_node(txn, holder)?.filter(|node| node.attr.ino == ino) {
                Some(old) => {
                    let mut new = old.clone();
                    if let Some(file) = new.file_mut() {
                        file.live = false;
                    }
                    txn.put_node(holder, Some(&old), &new)
                }
                None => {
                    txn.delete(schema::live(ino));
                    Ok(())
                }
            }
        })?;
        self.sequenced(&caller, cleared);
        Ok(())
    }

    fn recover_one(&self, ino: Ino, row: &LiveRow) -> Result<()> {
        let holder = Holder::parse(&row.holder)?;
        let live = match self.chunks.open_live(ino) {
            Ok(live) if live.is_draft() => {
                // Begun in the place of older content and never closed or synced (S14).
                tracing::info!(inode = %ino, "a file that was being written anew keeps the content it had before");
                return self.forget_live(ino, row, &holder);
            }
            Ok(live) => live,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Made and never synced before the power went: the name keeps its last published content.
                tracing::warn!(inode = %ino, "a live file is missing; its name keeps the last published content");
                return self.forget_live(ino, row, &holder);
            }
            Err(error) => return Err(error),
        };
        let inode = self.inodes.reference(ino, Place::Held { holder, bucket: row.bucket });
        self.set_live(&inode, Arc::new(live));
        {
            let mut open = inode.open.lock();
            self.publish_locked(&inode, &mut open)?;
        }
        // A writer of the dead mount may still be there: then the live file stays and is looked at again.
        if !matches!(&*inode.data.read(), Data::Live(_)) {
            tracing::debug!(inode = %ino, "a file that was open for writing is published");
        }
        self.dereference(ino, 1);
        Ok(())
    }
}
