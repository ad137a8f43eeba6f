//! Names: look-ups, and operations that make, move and remove them.

use fuser::{Errno, INodeNo, RenameFlags, TimeOrNow};
use pinfold_store::ErrorKind;
use pinfold_store::namespace::mount_types::{FileKind, Form, Name, RenameMode, SetAttr, Special, Stat};
use pinfold_store::namespace::shown;
use pinfold_store::types::{Caller, Ino};

use crate::attr::{Entry, set_time};
use crate::door::Door;
use crate::errno::{Creating, Failure, Outcome};
use crate::privilege;

/// A name that is to be made, with who makes it (the group is the parent's below a setgid directory) and with which
/// mode.
pub(crate) struct New<'a> {
    pub(crate) caller: Caller,
    pub(crate) parent: Ino,
    pub(crate) name: Name<'a>,
    pub(crate) mode: u32,
}

/// Attributes to set, as the kernel sends them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setting {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) size: Option<u64>,
    pub(crate) atime: Option<TimeOrNow>,
    pub(crate) mtime: Option<TimeOrNow>,
}

fn using(shown: &[u8]) -> Outcome<Name<'_>> {
    shown::raw(shown).map_err(|bad| (bad, Creating::No).into())
}

fn creating(shown: &[u8]) -> Outcome<Name<'_>> {
    shown::raw(shown).map_err(|bad| (bad, Creating::Yes).into())
}

impl Door {
    /// `lookup`. What is not there is an answer too, which the kernel may remember.
    pub(crate) fn lookup(&self, parent: INodeNo, shown: &[u8]) -> Outcome<Entry> {
        let name = using(shown)?;
        let negative = self.company.ttls().negative;
        match self.namespace.lookup(self.numbers.to_store(parent), name) {
            Ok(stat) => Ok(self.entry(&stat, name.form)),
            // Another form of the name may come to be by an operation on the plain one: not remembered.
            Err(error) if error.kind() == ErrorKind::NotFound && name.form == Form::Plain && !negative.is_zero() => {
                Ok(Entry::absent(negative))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// `getattr`.
    pub(crate) fn getattr(&self, number: INodeNo) -> Outcome<Entry> {
        let stat = self.namespace.getattr(self.numbers.to_store(number))?;
        Ok(self.attributes(&stat))
    }

    /// `setattr`.
    pub(crate) fn setattr(&self, caller: &Caller, number: INodeNo, setting: Setting) -> Outcome<Entry> {
        let ino = self.numbers.to_store(number);
        let mut set = SetAttr {
            mode: setting.mode.map(|mode| mode & 0o7777),
            uid: setting.uid,
            gid: setting.gid,
            size: setting.size,
            atime: setting.atime.map(set_time),
            mtime: setting.mtime.map(set_time),
        };
        if set == SetAttr::default() {
            // How the kernel says that a write (past the daemon, too) or chown(-1, -1) takes privileges away.
            self.clear_privileges(caller, ino)?;
            return Ok(self.attributes(&self.namespace.getattr(ino)?));
        }
        let owner = set.uid.is_some() || set.gid.is_some();
        if owner || (set.size.is_some() && privilege::clears(caller.uid)) {
            let stat = self.namespace.getattr(ino)?;
            if stat.kind != FileKind::Directory {
                let mode = set.mode.unwrap_or(stat.mode);
                let cleared = if owner {
                    privilege::after_chown(mode, stat.gid, caller.uid, caller.gid)
                } else {
                    privilege::after_write(mode)
                };
                if cleared != mode {
                    set.mode = Some(cleared);
                }
            }
        }
        let stat = self.namespace.setattr(caller, ino, set)?;
        Ok(self.attributes(&stat))
    }

    fn attributes(&self, stat: &Stat) -> Entry {
        Entry { attr: self.numbers.attr(stat), attr_ttl: self.attr_ttl(stat.ino), entry_ttl: self.company.ttls().entry }
    }

    /// `readlink`.
    pub(crate) fn readlink(&self, number: INodeNo) -> Outcome<Vec<u8>> {
        Ok(self.namespace.readlink(self.numbers.to_store(number))?)
    }

    /// What `mkdir`, `mknod`, `symlink` and `create` have in common.
    pub(crate) fn new_name<'a>(
        &self,
        mut caller: Caller,
        parent: INodeNo,
        shown: &'a [u8],
        mode: u32,
        directory: bool,
    ) -> Outcome<New<'a>> {
        let name = creating(shown)?;
        // `%@object:x` and `%@self` say that it is no directory. And the key of a file of no name below `d` would be
        // `d/`, which means `d` itself.
        let fits = match name.form {
            Form::Plain => directory || !name.bytes.is_empty(),
            Form::Object | Form::Marker => !directory,
        };
        if !fits {
            return Err(Errno::EINVAL.into());
        }
        let parent = self.numbers.to_store(parent);
        let above = self.namespace.getattr(parent)?;
        let (gid, mode) = privilege::inherit(above.mode, above.gid, caller.gid, mode & 0o7777, directory);
        caller.gid = gid;
        Ok(New { caller, parent, name, mode })
    }

    fn made(&self, new: &New<'_>, stat: &Stat) -> Entry {
        self.other_form_changed(new.parent, new.name.bytes, new.name.form);
        self.entry(stat, new.name.form)
    }

    /// `mknod`.
    pub(crate) fn mknod(
        &self,
        caller: Caller,
        parent: INodeNo,
        shown: &[u8],
        mode: u32,
        device: u32,
    ) -> Outcome<Entry> {
        let what = match mode & libc::S_IFMT {
            0 | libc::S_IFREG => Special::File,
            libc::S_IFIFO => Special::Fifo,
            libc::S_IFSOCK => Special::Socket,
            libc::S_IFCHR => Special::CharDevice(device),
            libc::S_IFBLK => Special::BlockDevice(device),
            _ => return Err(Errno::EINVAL.into()),
        };
        let new = self.new_name(caller, parent, shown, mode, false)?;
        let stat = self.namespace.mknod(&new.caller, new.parent, new.name, new.mode, what)?;
        Ok(self.made(&new, &stat))
    }

    /// `mkdir`.
    pub(crate) fn mkdir(&self, caller: Caller, parent: INodeNo, shown: &[u8], mode: u32) -> Outcome<Entry> {
        let new = self.new_name(caller, parent, shown, mode, true)?;
        let stat = self.namespace.mkdir(&new.caller, new.parent, new.name, new.mode)?;
        Ok(self.made(&new, &stat))
    }

    /// `symlink`.
    pub(crate) fn symlink(&self, caller: Caller, parent: INodeNo, shown: &[u8], target: &[u8]) -> Outcome<Entry> {
        let new = self.new_name(caller, parent, shown, 0o777, false)?;
        let stat = self.namespace.symlink(&new.caller, new.parent, new.name, target)?;
        Ok(self.made(&new, &stat))
    }

    /// `link`.
    pub(crate) fn link(&self, caller: Caller, number: INodeNo, parent: INodeNo, shown: &[u8]) -> Outcome<Entry> {
        let new = self.new_name(caller, parent, shown, 0, false)?;
        let linked = self.namespace.link(&new.caller, self.numbers.to_store(number), new.parent, new.name);
        let stat = linked.map_err(|error| match error.kind() {
            ErrorKind::TooMany => Failure::Door(Errno::EMLINK),
            _ => error.into(),
        })?;
        Ok(self.made(&new, &stat))
    }

    /// `unlink`.
    pub(crate) fn unlink(&self, caller: &Caller, parent: INodeNo, shown: &[u8]) -> Outcome<()> {
        let (parent, name) = (self.numbers.to_store(parent), using(shown)?);
        self.namespace.unlink(caller, parent, name)?;
        self.other_form_changed(parent, name.bytes, name.form);
        Ok(())
    }

    /// `rmdir`.
    pub(crate) fn rmdir(&self, caller: &Caller, parent: INodeNo, shown: &[u8]) -> Outcome<()> {
        Ok(self.namespace.rmdir(caller, self.numbers.to_store(parent), using(shown)?)?)
    }

    /// Whether a rename would wait for a sync.
    pub(crate) fn rename_waits(
        &self,
        (parent, shown): (INodeNo, &[u8]),
        (new_parent, new_shown): (INodeNo, &[u8]),
    ) -> bool {
        let (Ok(from), Ok(to)) = (using(shown), creating(new_shown)) else { return false };
        let (parent, new_parent) = (self.numbers.to_store(parent), self.numbers.to_store(new_parent));
        self.namespace.rename_waits(parent, from, new_parent, to)
    }

    /// `renameat2`.
    pub(crate) fn rename(
        &self,
        caller: &Caller,
        (parent, shown): (INodeNo, &[u8]),
        (new_parent, new_shown): (INodeNo, &[u8]),
        flags: RenameFlags,
    ) -> Outcome<()> {
        let mode = match flags {
            _ if flags.is_empty() => RenameMode::Replace,
            RenameFlags::RENAME_NOREPLACE => RenameMode::NoReplace,
            RenameFlags::RENAME_EXCHANGE => RenameMode::Exchange,
            _ => return Err(Errno::EINVAL.into()),
        };
        let (from, to) = (using(shown)?, creating(new_shown)?);
        if from.form == Form::Marker || to.form == Form::Marker {
            // A directory's own content has no entry to move. `mv` then copies.
            return Err(Errno::EXDEV.into());
        }
        let (parent, new_parent) = (self.numbers.to_store(parent), self.numbers.to_store(new_parent));
        self.namespace.rename(caller, parent, from, new_parent, to, mode)?;
        self.other_form_changed(parent, from.bytes, from.form);
        self.other_form_changed(new_parent, to.bytes, to.form);
        Ok(())
    }
}
