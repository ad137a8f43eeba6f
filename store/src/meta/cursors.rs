//! How far the log's consumers (pins, sync, audit) have come: they hold truncation back.
//!
//! Kept in one small text file beside the log, not in the replica: a replica may be thrown away.
//!
//! ```text
//! pinfold cursors 1
//! pins 1234
//! crc32c 89abcdef
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::log::sync_dir;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::Seq;

const HEADER: &str = "pinfold cursors 1";

/// The consumers' positions.
pub(super) struct Cursors {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    cursors: BTreeMap<String, Seq>,
    /// Differs from the file.
    changed: bool,
}

impl Cursors {
    /// Reads the file `path`; no file means no consumers.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let cursors = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(Error::io("cannot read the cursors of the log", e)),
            Ok(text) => parse(&text).ok_or_else(|| {
                Error::corrupt("the cursors of the log cannot be read")
                    .with("file", path.display())
                    .with("help", "without the file all consumers begin anew at the log's oldest record")
            })?,
        };
        Ok(Self { path, state: Mutex::new(State { cursors, changed: false }) })
    }

    /// Up to where `name` has consumed everything, if it is known.
    pub(super) fn get(&self, name: &str) -> Option<Seq> {
        self.state.lock().cursors.get(name).copied()
    }

    /// The highest position of all.
    pub(super) fn highest(&self) -> Seq {
        self.state.lock().cursors.values().copied().max().unwrap_or(0)
    }

    pub(super) fn set(&self, name: &str, seq: Seq) -> Result<()> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_./:".contains(&b);
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(Error::new(ErrorKind::InvalidArgument, "not a name for a cursor").with("name", name));
        }
        let mut state = self.state.lock();
        state.changed |= state.cursors.insert(name.to_owned(), seq) != Some(seq);
        Ok(())
    }

    /// Takes back what is said about records above `seq`, which are lost: their numbers will be given again.
    pub(super) fn clamp(&self, seq: Seq) -> Result<()> {
        {
            let mut state = self.state.lock();
            let State { cursors, changed } = &mut *state;
            for position in cursors.values_mut().filter(|position| **position > seq) {
                (*position, *changed) = (seq, true);
            }
        }
        self.save().map(|_| ())
    }

    pub(super) fn remove(&self, name: &str) {
        let mut state = self.state.lock();
        state.changed |= state.cursors.remove(name).is_some();
    }

    /// Makes the cursors durable; returns the lowest. Only what was saved may let log segments go: a consumer must
    /// not come back from a crash with a position that the log no longer has.
    pub(super) fn save(&self) -> Result<Option<(String, Seq)>> {
        let mut state = self.state.lock();
        if state.changed {
            write(&self.path, &render(&state.cursors)).at("cannot write the cursors of the log")?;
            state.changed = false;
        }
        Ok(state.cursors.iter().min_by_key(|(_, seq)| **seq).map(|(name, seq)| (name.clone(), *seq)))
    }
}

fn render(cursors: &BTreeMap<String, Seq>) -> String {
    let mut text = format!("{HEADER}\n");
    for (name, seq) in cursors {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name} {seq}");
    }
    let crc = crc32c::crc32c(text.as_bytes());
    let _ = writeln!(text, "crc32c {crc:08x}");
    text
}

fn parse(text: &str) -> Option<BTreeMap<String, Seq>> {
    let (body, crc) = text.split_at(text.rfind("crc32c ")?);
    let crc = u32::from_str_radix(crc.trim().strip_prefix("crc32c ")?, 16).ok()?;
    if crc != crc32c::crc32c(body.as_bytes()) {
        return None;
    }
    let lines = body.strip_prefix(HEADER)?.trim().lines();
    lines.map(|line| line.split_once(' ').and_then(|(n, s)| Some((n.to_owned(), s.parse().ok()?)))).collect()
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let temp = path.with_extension("tmp");
    let mut file = File::create(&temp)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temp, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

#[cfg(test)]
mod tests {
    use super::Cursors;
    use crate::ErrorKind;

    #[test]
    fn cursors_are_kept_and_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cursors");
        let cursors = Cursors::open(path.clone()).unwrap();
        assert_eq!((cursors.get("pins"), cursors.save().unwrap()), (None, None));
        assert!(!path.exists());
        cursors.set("pins", 7).unwrap();
        cursors.set("audit:main", 5).unwrap();
        cursors.set("gone", 1).unwrap();
        cursors.remove("gone");
        assert_eq!(cursors.set("two words", 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!(cursors.save().unwrap(), Some(("audit:main".into(), 5)));
        let again = Cursors::open(path.clone()).unwrap();
        assert_eq!((again.get("pins"), again.get("gone")), (Some(7), None));
        let mut bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 2;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(Cursors::open(path.clone()).err().map(|e| e.kind()), Some(ErrorKind::Corrupt), "byte {at}");
            bytes[at] ^= 2;
        }
    }
}
