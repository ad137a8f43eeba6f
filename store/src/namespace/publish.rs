//! Publishing (S8): a live file's bytes get chunked, hashed and named by a CID, in one commit.

use std::sync::Arc;
use std::time::Instant;

use super::Namespace;
use super::engine::Engine;
use super::inode::{Holder, Inode, Place};
use super::live::{Copied, Data, OpenState};
use super::local::{self, LocalStat};
use super::node::{published_etag, read_node};
use super::notices::Event;
use super::sealing::content_of;
use super::version::key_of;
use crate::chunk::{LiveFile, Sealing, Stored};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Op;
use crate::meta::rows::{Checksum, NodeRow};
use crate::types::{Caller, ETag, Id, Ino, Timestamp};
use crate::unixfs::Profile;

/// A file that stays open is published again at the earliest after this many times the last publish's cost (ruling 9).
const COPY_PACE: u32 = 20;

impl Engine {
    /// Publishes an inode's live file for a reader at the other door. True if the caller should look at the row again.
    pub(super) fn publish_now(&self, ino: Ino) -> Result<bool> {
        let Some(inode) = self.lives.get(ino) else { return Ok(true) };
        let mut open = inode.open.lock();
        // What nobody has open can be sealed instead of copied.
        inode.wait_for_writers(&mut open);
        self.publish_locked(&inode, &mut open)
    }

    /// As [`Self::publish_now`], but not for a file that somebody is writing to (LIST, ruling 20).
    pub(super) fn publish_closed(&self, ino: Ino) -> Result<bool> {
        match self.lives.get(ino) {
            Some(inode) if inode.open.lock().unflushed > 0 => Ok(false),
            _ => self.publish_now(ino),
        }
    }

    /// Publishes with the inode's `open` held. True if the row changed.
    pub(super) fn publish_locked(&self, inode: &Arc<Inode>, open: &mut OpenState) -> Result<bool> {
        let data = inode.data.read().clone();
        let Data::Live(live) = data else { return Ok(true) };
        let bucket = match &*inode.place.read() {
            Place::Held { bucket, .. } => *bucket,
            // Without a name there is nothing to publish.
            _ => {
                drop(live);
                self.drop_unknown_live(inode, open);
                return Ok(false);
            }
        };
        // What the row said of the times before the file was looked at: who sets them meanwhile is right.
        let times_of_row = self.load_node(inode)?.attr.mtime;
        let before = local::stat(&live)?;
        // Whoever has it open, even for reading, may have it mapped or be reading it directly.
        let may_seal = open.handles == 0;
        if let Some(copied) = &open.copied {
            let unchanged = copied.size == before.size && copied.mtime == before.mtime;
            let soon =
                open.unflushed > 0 && copied.ended == open.ended && copied.at.elapsed() < copied.took * COPY_PACE;
            if !may_seal && (unchanged || soon) {
                return Ok(false);
            }
        }
        let profile = self.profile_of(bucket)?;
        let started = Instant::now();
        let (stored, sealed) = if let Some(sealing) = self.publish_sealing(bucket, &live)? {
            // The bytes are read and stored anew: a sealed live file is sealed in another way.
            (self.chunks.publish_sealed(&live, profile, &sealing)?, may_seal && self.lets_go(inode, live)?)
        } else if may_seal {
            drop(live);
            self.seal(inode, before, times_of_row, profile)?
        } else {
            (self.chunks.publish_copy(&live, profile)?, false)
        };
        let (root, size) = (stored.root, stored.size);
        // What was published since the file was opened is not a version of its own.
        let fresh = open.copied.is_none();
        match self.commit_publish(inode, bucket, stored, profile, (times_of_row, before.mtime), sealed, fresh) {
            Ok(None) => {
                // Its last name went meanwhile: the live file is all there is for a kernel that knows the inode.
                if sealed && !matches!(&*inode.data.read(), Data::Live(_)) {
                    self.reopen_live(inode)?;
                }
                self.drop_unknown_live(inode, open);
                Ok(false)
            }
            Ok(Some(changed)) if sealed => {
                tracing::trace!(inode = %inode.ino, %root, size, "published");
                open.copied = None;
                // The bytes of the live file are all there is until the record is durable.
                self.discard_later(inode);
                Ok(changed)
            }
            Ok(Some(changed)) => {
                let took = started.elapsed();
                let (size, mtime) = (before.size, before.mtime);
                open.copied = Some(Copied { size, mtime, ended: open.ended, at: Instant::now(), took });
                self.lives.schedule(inode.ino, Instant::now() + self.config.publish_at_most.max(took * COPY_PACE));
                Ok(changed)
            }
            Err(error) => {
                if sealed && !matches!(&*inode.data.read(), Data::Live(_)) {
                    self.reopen_live(inode)?;
                }
                Err(error)
            }
        }
    }

    /// What a live file's content is to be sealed with: as its bucket's, or, where that is plain by now, as it is itself.
    fn publish_sealing(&self, bucket: Id, live: &LiveFile) -> Result<Option<Sealing>> {
        match (self.default_sealing(bucket)?, live.cipher()) {
            (Some(sealing), _) => Ok(Some(sealing)),
            (None, Some(cipher)) => self.seal_by_bucket(cipher.key()).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Whether a live file that was just published by copy may go: nobody can have written to it since.
    fn lets_go(&self, inode: &Inode, live: Arc<LiveFile>) -> Result<bool> {
        if live.cipher().is_some() {
            return Ok(true);
        }
        // A plain one, of before its bucket was encrypted: a mapping may outlive its last close.
        let before = local::stat(&live)?;
        *inode.data.write() = Data::Sealing(before, before.mtime);
        let alone = match Arc::try_unwrap(live) {
            Ok(live) => self.chunks.nobody_writes(live)?,
            Err(_) => false,
        };
        let live = self.reopen_live(inode)?;
        let after = local::stat(&live)?;
        Ok(alone && (after.size, after.mtime) == (before.size, before.mtime))
    }

    /// Stores a live file that nobody has open: small ones in the log or a slab, others become content files. The live
    /// file itself is let go of after the commit. True if it was sealed, false if a copy was published.
    fn seal(
        &self,
        inode: &Inode,
        before: LocalStat,
        times_of_row: Timestamp,
        profile: Profile,
    ) -> Result<(Stored, bool)> {
        let Data::Live(live) = std::mem::replace(&mut *inode.data.write(), Data::Sealing(before, times_of_row)) else {
            return Err(Error::new(ErrorKind::Internal, "a live file went away while it was published"));
        };
        let sealed = (|| {
            // Its own descriptor must be gone for the kernel to tell whether anybody else can write.
            let Ok(live) = Arc::try_unwrap(live) else { return Ok(None) };
            match self.chunks.seal_live(live, profile) {
                Ok(stored) => Ok(Some(stored)),
                Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
                Err(error) => Err(error),
            }
        })();
        match sealed {
            Ok(Some(stored)) => Ok((stored, true)),
            // A mapping, or a descriptor of a killed daemon's mount, may still write: publish a copy, look again.
            Ok(None) => {
                let live = self.reopen_live(inode)?;
                Ok((self.chunks.publish_copy(&live, profile)?, false))
            }
            Err(error) => {
                self.reopen_live(inode)?;
                Err(error)
            }
        }
    }

    /// Takes an inode's live file up again.
    fn reopen_live(&self, inode: &Inode) -> Result<Arc<LiveFile>> {
        let live = Arc::new(self.chunks.open_live(inode.ino)?);
        *inode.data.write() = Data::Live(Arc::clone(&live));
        Ok(live)
    }

    /// Names the stored bytes in the inode's row. Whether the row changed; none if the inode has no row any more.
    #[allow(clippy::too_many_arguments)] // what is published, of what, and how
    fn commit_publish(
        &self,
        inode: &Inode,
        bucket: crate::types::Id,
        mut stored: Stored,
        profile: Profile,
        (times_of_row, mtime): (Timestamp, Timestamp),
        sealed: bool,
        fresh: bool,
    ) -> Result<Option<bool>> {
        let caller = Caller::worker("publish");
        let inline = stored.inline.take();
        let content = content_of(&stored, profile);
        let committed = self.commit(&caller, bucket, Op::Publish, |txn| {
            let place = inode.place.read().clone();
            let Place::Held { holder, .. } = place else { return Ok(None) };
            let old = read_node(txn, &holder)?.filter(|node| node.attr.ino == inode.ino).ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a live file's inode is gone").with("inode", inode.ino)
            })?;
            let mut new = old.clone();
            if old.attr.mtime == times_of_row && mtime != times_of_row {
                new.attr.ctime = old.attr.ctime.max(mtime);
                new.attr.mtime = mtime;
            }
            let new_mtime = new.attr.mtime;
            let Some(file) = new.file_mut() else { return Ok(None) };
            file.live = !sealed;
            file.meta.posix_shown.mtime |= new_mtime != old.attr.mtime;
            if file.content != content || file.meta.etag.0.is_empty() {
                // No write ever leaves an old ETag or checksum in place (S12).
                file.meta.etag = ETag(published_etag(&content)?);
                file.meta.last_modified = txn.now;
                file.meta.checksum = None::<Checksum>;
                file.meta.parts.clear();
                file.meta.posix_shown.mtime = true;
                file.content = content;
                txn.carry(inline);
                if fresh {
                    file.meta.version = txn.displace(&holder, &old)?;
                }
            }
            if new == old {
                return Ok(Some(false));
            }
            if txn.tells() && is_news(&old, &new) {
                let key = match &holder {
                    Holder::Entry { dir, name } => Some(key_of(txn, *dir, name)?),
                    Holder::Marker(dir) => Some(key_of(txn, *dir, b"")?),
                    // Which of its names was written to is not known.
                    Holder::Shared(_) => None,
                };
                if let Some(key) = key {
                    txn.tell(Event::Put, &key, new.file(), None)?;
                }
            }
            txn.put_node(&holder, Some(&old), &new)?;
            Ok(Some(true))
        })?;
        if committed.value.is_some() {
            stored.committed();
        }
        Ok(self.sequenced(&caller, committed))
    }

    /// The publishing worker's loop: ends when the table is stopped.
    pub(super) fn run_publisher(&self) {
        while let Some(ino) = self.lives.next_due() {
            let Some(inode) = self.lives.get(ino) else { continue };
            let mut open = inode.open.lock();
            if let Err(error) = self.publish_locked(&inode, &mut open) {
                tracing::error!(inode = %ino, %error, "a written file could not be published; its bytes stay in its live file");
            }
            if matches!(&*inode.data.read(), Data::Live(_)) {
                // Still open, or not published: looked at again.
                self.lives.schedule(ino, Instant::now() + self.config.publish_at_most);
            }
        }
    }
}

/// Whether a publish made something that S3 did not have: other bytes, or an empty file that nobody wrote to.
fn is_news(old: &NodeRow, new: &NodeRow) -> bool {
    let (Some(before), Some(after)) = (old.file(), new.file()) else { return false };
    let made_empty = after.content.size == 0 && !after.live && after.meta.last_modified == new.attr.btime;
    before.meta.etag != after.meta.etag || made_empty
}

/// Up to this many closed files are synced one by one.
const FEW: usize = 16;

impl Engine {
    /// Makes the bytes of files that were closed lately durable (S14). One that is being opened or published is looked at
    /// in the next round.
    pub(super) fn sync_closed(&self) -> Result<()> {
        let closed = std::mem::take(&mut *self.lives.closed.lock());
        let live: Vec<_> = closed.iter().filter_map(|ino| self.lives.get(*ino)).collect();
        if live.len() <= FEW {
            return self.for_each_closed(&live, |file| {
                // Opened since to be written anew: a sync would vouch for what is not whole yet.
                if file.is_draft() { Ok(true) } else { file.sync_data().map(|()| true) }
            });
        }
        self.for_each_closed(&live, |file| {
            file.about_to_sync();
            Ok(true)
        })?;
        self.chunks.sync_live()?;
        self.for_each_closed(&live, LiveFile::mark_synced)?;
        self.chunks.sync_live()
    }

    /// Does something with live files that nobody is opening or publishing. Those of which it says false, and those that
    /// somebody is, are looked at in the next round.
    fn for_each_closed(&self, live: &[Arc<Inode>], each: impl Fn(&LiveFile) -> Result<bool>) -> Result<()> {
        for inode in live {
            let done = match inode.open.try_lock() {
                Some(_open) => match inode.data.read().clone() {
                    Data::Live(file) => each(&file)?,
                    _ => true,
                },
                None => false,
            };
            if !done {
                self.lives.closed.lock().insert(inode.ino);
            }
        }
        Ok(())
    }
}

impl Namespace {
    /// Publishes every written file; returns when all that could be is durable (clean unmount, shutdown).
    pub fn publish_all(&self) -> Result<()> {
        let mut first_error = None;
        for inode in self.0.lives.all() {
            let mut open = inode.open.lock();
            if let Err(error) = self.0.publish_locked(&inode, &mut open) {
                tracing::error!(inode = %inode.ino, %error, "a written file could not be published");
                first_error.get_or_insert(error);
            }
        }
        self.0.discard_durable(true)?;
        first_error.map_or(Ok(()), Err)
    }
}
