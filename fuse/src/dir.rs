//! Reading directories.
//!
//! The kernel knows a position by a number of 64 bits, the store by a key. Positions count: 1 is after `.`, 2 after
//! `..`, then one an entry. An open directory remembers the keys of the last [`REMEMBERED`] positions, which are exact
//! whatever changes meanwhile: going on after a buffer that the kernel used in part, and `seekdir` to a place not long
//! ago. A `seekdir` to before those counts again from the beginning.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use fuser::{INodeNo, ReplyDirectory, ReplyDirectoryPlus};
use parking_lot::Mutex;
use pinfold_store::namespace::mount_types::DirEntry;
use pinfold_store::namespace::{Namespace, shown};
use pinfold_store::types::Ino;

use crate::attr::{self, Entry, GENERATION};
use crate::door::Door;
use crate::errno::Outcome;

/// Keys that an open directory remembers, and how many bytes they may take together.
const REMEMBERED: usize = 64 * 1024;
const REMEMBERED_BYTES: usize = 4 << 20;
/// The most entries that are asked of the store at once, and as many as are asked for at first.
const PAGE: usize = 1000;
const FIRST_PAGE: usize = 128;
/// Positions of `.` and `..`.
const DOTS: u64 = 2;

/// An open directory.
pub(crate) struct Dir {
    /// The directory.
    pub(crate) ino: Ino,
    /// It is the mount's root, above which is nothing of ours.
    root: bool,
    state: Mutex<State>,
}

struct State {
    /// Keys of positions `first`, `first + 1` …
    keys: VecDeque<Vec<u8>>,
    first: u64,
    bytes: usize,
    /// Entries that fitted into the last answer: about as many will fit into the next.
    fitted: usize,
}

/// What is listed.
pub(crate) enum Item<'a> {
    /// `.`
    Here(Ino),
    /// `..`
    Above(Ino),
    /// An entry.
    Entry(&'a DirEntry),
}

/// Whether an item was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// It was.
    Yes,
    /// It is not there any more; go on with the next.
    Gone,
    /// There is no room for it in this answer.
    NoRoom,
}

/// Where entries come from: the store, or a test.
pub(crate) trait Source {
    /// Entries after a key.
    fn page(&self, ino: Ino, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<DirEntry>>;
    /// The directory above.
    fn above(&self, ino: Ino) -> Outcome<Ino>;
}

impl Source for Namespace {
    fn page(&self, ino: Ino, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<DirEntry>> {
        Ok(self.readdir(ino, after, limit)?)
    }
    fn above(&self, ino: Ino) -> Outcome<Ino> {
        Ok(self.parent(ino)?)
    }
}

impl Dir {
    /// A directory that was just opened.
    pub(crate) fn new(ino: Ino, root: bool) -> Self {
        let state = State { keys: VecDeque::new(), first: DOTS + 1, bytes: 0, fitted: FIRST_PAGE };
        Self { ino, root, state: Mutex::new(state) }
    }

    /// Hands items after position `offset` to `take`, each with its own position, until one finds no room.
    ///
    /// # Errors
    /// The store's, if it came before anything was taken; else the items so far are the answer and the next call
    /// meets the error.
    pub(crate) fn list(
        &self,
        source: &impl Source,
        offset: u64,
        mut take: impl FnMut(u64, Item<'_>) -> Taken,
    ) -> Outcome<()> {
        let mut state = self.state.lock();
        if offset == 0 {
            state.rewind();
            if take(1, Item::Here(self.ino)) == Taken::NoRoom {
                return Ok(());
            }
        }
        if offset <= 1 {
            let above = if self.root { self.ino } else { source.above(self.ino)? };
            if take(2, Item::Above(above)) == Taken::NoRoom {
                return Ok(());
            }
        }
        let mut position = offset.max(DOTS);
        let mut after = state.key(source, self.ino, position)?;
        let mut fitted = 0;
        loop {
            // A few more than fitted last time, so that the common answer takes one page and wastes little of it.
            let limit = (state.fitted + 8).saturating_sub(fitted).clamp(FIRST_PAGE, PAGE);
            let page = match source.page(self.ino, after.as_deref(), limit) {
                Ok(page) => page,
                Err(_) if position > offset => break,
                Err(failure) => return Err(failure),
            };
            let full = page.len() >= limit;
            for entry in page {
                match take(position + 1, Item::Entry(&entry)) {
                    Taken::Yes => {
                        position += 1;
                        fitted += 1;
                        state.remember(position, &entry.cookie);
                    }
                    Taken::Gone => {}
                    Taken::NoRoom => {
                        state.fitted = fitted;
                        return Ok(());
                    }
                }
                after = Some(entry.cookie);
            }
            if !full {
                break;
            }
        }
        Ok(())
    }
}

impl Door {
    /// `open` of a directory.
    pub(crate) fn opendir(&self, number: INodeNo) -> Outcome<fuser::FileHandle> {
        let ino = self.numbers.to_store(number);
        self.namespace.opendir(ino)?;
        Ok(self.dirs.insert(Dir::new(ino, number == INodeNo::ROOT)))
    }

    /// `close` of a directory.
    pub(crate) fn releasedir(&self, number: fuser::FileHandle) -> Outcome<()> {
        let dir = self.dirs.remove(number)?;
        self.namespace.closedir(dir.ino);
        Ok(())
    }

    /// `readdir`.
    pub(crate) fn readdir(&self, handle: fuser::FileHandle, offset: u64, reply: &mut ReplyDirectory) -> Outcome<()> {
        self.dirs.get(handle)?.list(&self.namespace, offset, |position, item| {
            let (ino, kind, name) = match &item {
                Item::Here(ino) => (*ino, fuser::FileType::Directory, b"."[..].into()),
                Item::Above(ino) => (*ino, fuser::FileType::Directory, b".."[..].into()),
                Item::Entry(entry) => {
                    (entry.stat.ino, attr::kind(entry.stat.kind), shown::shown(&entry.name, entry.form))
                }
            };
            let number = self.numbers.to_kernel(ino).unwrap_or(INodeNo::ROOT);
            if reply.add(number, position, kind, OsStr::from_bytes(&name)) { Taken::NoRoom } else { Taken::Yes }
        })
    }

    /// `readdir` with attributes: each entry counts as looked up.
    pub(crate) fn readdirplus(
        &self,
        handle: fuser::FileHandle,
        offset: u64,
        reply: &mut ReplyDirectoryPlus,
    ) -> Outcome<()> {
        let dir = self.dirs.get(handle)?;
        dir.list(&self.namespace, offset, |position, item| {
            let entry = match item {
                // The kernel takes only the number and the kind of these, and counts no look-up.
                Item::Here(ino) | Item::Above(ino) => {
                    let mut attr = Entry::absent(Duration::ZERO).attr;
                    attr.ino = self.numbers.to_kernel(ino).unwrap_or(INodeNo::ROOT);
                    attr.kind = fuser::FileType::Directory;
                    let name = if position == 1 { "." } else { ".." };
                    let full = reply.add(attr.ino, position, name, &Duration::ZERO, &attr, GENERATION);
                    return if full { Taken::NoRoom } else { Taken::Yes };
                }
                Item::Entry(entry) => entry,
            };
            // First known, then handed over: the kernel may use it at once.
            if self.namespace.remember(dir.ino, entry).is_err() {
                return Taken::Gone;
            }
            let known = self.entry(&entry.stat, entry.form);
            // One time for both: the shorter.
            let ttl = known.entry_ttl.min(known.attr_ttl);
            let name = shown::shown(&entry.name, entry.form);
            if reply.add(known.attr.ino, position, OsStr::from_bytes(&name), &ttl, &known.attr, GENERATION) {
                self.forget(known.attr.ino, 1);
                return Taken::NoRoom;
            }
            Taken::Yes
        })
    }
}

impl State {
    fn rewind(&mut self) {
        self.keys.clear();
        self.first = DOTS + 1;
        self.bytes = 0;
    }

    /// Notes the key of a position. What was noted of later ones is of an earlier pass, and goes.
    fn remember(&mut self, position: u64, key: &[u8]) {
        let keep = position.checked_sub(self.first).and_then(|n| usize::try_from(n).ok());
        match keep {
            Some(keep) if keep <= self.keys.len() => {
                for key in self.keys.drain(keep..) {
                    self.bytes -= key.len();
                }
            }
            // A place long ago, or nothing is remembered: begin here.
            _ => {
                self.keys.clear();
                self.bytes = 0;
                self.first = position;
            }
        }
        self.bytes += key.len();
        self.keys.push_back(key.to_vec());
        while self.keys.len() > REMEMBERED || (self.bytes > REMEMBERED_BYTES && self.keys.len() > PAGE) {
            if let Some(key) = self.keys.pop_front() {
                self.bytes -= key.len();
                self.first += 1;
            }
        }
    }

    /// The key of a position; `None` before the first entry.
    fn key(&self, source: &impl Source, ino: Ino, position: u64) -> Outcome<Option<Vec<u8>>> {
        if position <= DOTS {
            return Ok(None);
        }
        let remembered =
            position.checked_sub(self.first).and_then(|n| usize::try_from(n).ok()).and_then(|n| self.keys.get(n));
        if let Some(key) = remembered {
            return Ok(Some(key.clone()));
        }
        let mut left = position - DOTS;
        let mut after = None;
        while left > 0 {
            let limit = usize::try_from(left).map_or(PAGE, |left| left.min(PAGE));
            let page = source.page(ino, after.as_deref(), limit)?;
            let Some(last) = page.last() else { break };
            left -= (page.len() as u64).min(left);
            after = Some(last.cookie.clone());
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use pinfold_store::namespace::mount_types::{FileKind, Form, Stat};
    use pinfold_store::types::Timestamp;
    use pinfold_store::{Error, ErrorKind};

    use super::*;

    /// A directory of numbered names that a test may change while it is read.
    struct Names(RefCell<BTreeSet<Vec<u8>>>);

    impl Names {
        fn new(n: usize) -> Self {
            Self(RefCell::new((0..n).map(name).collect()))
        }
        fn remove(&self, n: usize) {
            assert!(self.0.borrow_mut().remove(&name(n)));
        }
    }

    fn name(n: usize) -> Vec<u8> {
        format!("n{n:07}").into_bytes()
    }

    impl Source for Names {
        fn page(&self, _: Ino, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<DirEntry>> {
            let time = Timestamp::default();
            let stat = Stat {
                ino: Ino(9),
                kind: FileKind::File,
                size: 0,
                blocks: 0,
                mode: 0,
                nlink: 1,
                uid: 0,
                gid: 0,
                rdev: 0,
                atime: time,
                mtime: time,
                ctime: time,
                btime: time,
            };
            let names = self.0.borrow();
            let rest = names.iter().filter(|name| after.is_none_or(|after| name.as_slice() > after));
            let entry = |name: &Vec<u8>| DirEntry { name: name.clone(), form: Form::Plain, stat, cookie: name.clone() };
            Ok(rest.take(limit).map(entry).collect())
        }
        fn above(&self, _: Ino) -> Outcome<Ino> {
            Ok(Ino(1))
        }
    }

    /// One call as the kernel makes it: what came, with positions.
    fn call(dir: &Dir, source: &impl Source, offset: u64, room: usize) -> Vec<(u64, Vec<u8>)> {
        let mut got = Vec::new();
        dir.list(source, offset, |position, item| {
            if got.len() == room {
                return Taken::NoRoom;
            }
            got.push((
                position,
                match item {
                    Item::Here(_) => b".".to_vec(),
                    Item::Above(_) => b"..".to_vec(),
                    Item::Entry(entry) => entry.name.clone(),
                },
            ));
            Taken::Yes
        })
        .unwrap();
        got
    }

    /// The whole directory, read with answers of `room` items of which the kernel uses `used`.
    fn all(dir: &Dir, source: &impl Source, room: usize, used: usize) -> Vec<Vec<u8>> {
        let (mut offset, mut names) = (0, Vec::new());
        loop {
            let mut got = call(dir, source, offset, room);
            if got.is_empty() {
                return names;
            }
            got.truncate(used);
            offset = got.last().unwrap().0;
            names.extend(got.into_iter().map(|(_, name)| name));
        }
    }

    fn expected(n: usize) -> Vec<Vec<u8>> {
        [b".".to_vec(), b"..".to_vec()].into_iter().chain((0..n).map(name)).collect()
    }

    #[test]
    fn everything_once_whatever_the_buffers() {
        for (n, room, used) in [(0, 10, 10), (5, 1, 1), (3000, 100, 100), (3000, 700, 3), (2500, 5000, 5000)] {
            let dir = Dir::new(Ino(2), false);
            assert_eq!(all(&dir, &Names::new(n), room, used), expected(n), "{n} names, {room} fit, {used} used");
            // rewinddir
            assert_eq!(all(&dir, &Names::new(n), room, used), expected(n));
        }
    }

    #[test]
    fn a_place_stays_where_it_was_when_names_before_it_go() {
        let (dir, names) = (Dir::new(Ino(2), false), Names::new(1000));
        let got = call(&dir, &names, 0, 500);
        let (place, ref last) = got[300];
        for n in 0..300 {
            names.remove(n);
        }
        let next = call(&dir, &names, place, 1);
        assert!(next[0].1 > *last);
        assert_eq!(next[0].1, name(300));
    }

    #[test]
    fn a_place_before_what_is_remembered_is_counted_out() {
        let n = REMEMBERED + 5000;
        let (dir, names) = (Dir::new(Ino(2), false), Names::new(n));
        let mut offset = 0;
        let mut early = None;
        loop {
            let got = call(&dir, &names, offset, PAGE);
            let Some((last, _)) = got.last() else { break };
            early.get_or_insert_with(|| got[40].clone());
            offset = *last;
        }
        assert!(dir.state.lock().keys.len() <= REMEMBERED);
        let (place, name_there) = early.unwrap();
        assert_eq!(call(&dir, &names, place - 1, 1), [(place, name_there)]);
    }

    #[test]
    fn what_is_gone_meanwhile_takes_no_position() {
        let (dir, names) = (Dir::new(Ino(2), false), Names::new(10));
        let mut positions = Vec::new();
        dir.list(&names, 2, |position, item| match item {
            Item::Entry(entry) if entry.name == name(4) => Taken::Gone,
            _ => {
                positions.push(position);
                Taken::Yes
            }
        })
        .unwrap();
        assert_eq!(positions, (3..12).collect::<Vec<_>>());
        assert_eq!(call(&dir, &names, 7, 1)[0].1, name(6));
    }

    #[test]
    fn an_error_after_the_first_page_waits_for_the_next_call() {
        struct Breaks(Names);
        impl Source for Breaks {
            fn page(&self, ino: Ino, after: Option<&[u8]>, limit: usize) -> Outcome<Vec<DirEntry>> {
                match after {
                    None => self.0.page(ino, None, limit),
                    Some(_) => Err(Error::new(ErrorKind::Io, "broken").into()),
                }
            }
            fn above(&self, ino: Ino) -> Outcome<Ino> {
                self.0.above(ino)
            }
        }
        let (dir, source) = (Dir::new(Ino(2), false), Breaks(Names::new(5000)));
        let got = call(&dir, &source, 0, 5000);
        assert!(got.len() > 2 && got.len() < 5000);
        assert!(dir.list(&source, got.last().unwrap().0, |_, _| Taken::Yes).is_err());
    }
}
