//! Bucket rows in memory: every request reads one, and they hardly ever change.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::error::Result;
use crate::meta::rows::BucketRow;

/// Buckets remembered; then all are forgotten.
const MOST: usize = 4096;

/// Rows of buckets that were read, as of the log's head.
#[derive(Default)]
pub(super) struct Buckets(Mutex<State>);

#[derive(Default)]
struct State {
    rows: HashMap<String, BucketRow>,
    /// Changes with each commit that changes a bucket: what was read before it is not remembered after it.
    age: u64,
}

impl Buckets {
    /// The row, from here or by `read`.
    pub(super) fn get(
        &self,
        name: &str,
        read: impl FnOnce() -> Result<Option<BucketRow>>,
    ) -> Result<Option<BucketRow>> {
        let age = {
            let state = self.0.lock();
            if let Some(row) = state.rows.get(name) {
                return Ok(Some(row.clone()));
            }
            state.age
        };
        let Some(row) = read()? else { return Ok(None) };
        let mut state = self.0.lock();
        if state.age == age {
            if state.rows.len() >= MOST {
                state.rows.clear();
            }
            state.rows.insert(name.to_owned(), row.clone());
        }
        Ok(Some(row))
    }

    /// To be called once a change of a bucket's row is visible, before its stream's lock is let go.
    pub(super) fn changed(&self) {
        let mut state = self.0.lock();
        state.age += 1;
        state.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::{Id, Timestamp};
    use crate::unixfs::Profile;

    fn row(owner: &str) -> BucketRow {
        BucketRow {
            id: Id([1; 16]),
            created: Timestamp::default(),
            owner: owner.to_owned(),
            profile: Profile::default(),
            region: None,
            tags: Vec::new(),
            settings: Arc::default(),
        }
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let buckets = Buckets::default();
        let read = |owner: &'static str| buckets.get("a", || Ok(Some(row(owner)))).unwrap().unwrap().owner;
        assert_eq!(read("first"), "first");
        assert_eq!(read("unread"), "first");
        buckets.changed();
        assert_eq!(read("second"), "second");
        buckets.changed();
        let raced = buckets.get("a", || {
            buckets.changed();
            Ok(Some(row("old")))
        });
        assert_eq!(raced.unwrap().unwrap().owner, "old");
        assert_eq!(read("new"), "new");
        assert_eq!(buckets.get("none", || Ok(None)).unwrap(), None);
    }
}
