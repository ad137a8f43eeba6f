//! An entry of each directory that was not empty when it was last asked for: a hint, read again before it is believed.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::types::DirId;

/// Directories remembered; then all are forgotten, which costs each one look.
const MOST: usize = 16 << 10;

/// Keys of entries, by directory.
#[derive(Default)]
pub(super) struct Witnesses(Mutex<HashMap<DirId, Vec<u8>>>);

impl Witnesses {
    /// The entry row's key that was there.
    pub(super) fn get(&self, dir: DirId) -> Option<Vec<u8>> {
        self.0.lock().get(&dir).cloned()
    }

    /// What was found: an entry row's key, or nothing.
    pub(super) fn set(&self, dir: DirId, key: Option<Vec<u8>>) {
        let mut known = self.0.lock();
        match key {
            None => {
                known.remove(&dir);
            }
            Some(key) => {
                if known.len() >= MOST && !known.contains_key(&dir) {
                    known.clear();
                }
                known.insert(dir, key);
            }
        }
    }
}
