//! Rows of what S3's versioning and object lock keep.

use serde::{Deserialize, Serialize};

use super::rows::{NodeRow, RetentionMode, RowValue};
use crate::types::{Id, Timestamp};

/// A version that is not the current one, or a delete marker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VersionRow {
    /// Its identity; the null version's is zeros.
    pub version: Id,
    /// When it was made.
    pub made: Timestamp,
    /// The object as it was; none is a delete marker.
    pub node: Option<Box<NodeRow>>,
}

/// What keeps a version from being deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LockRow {
    /// Until when, and who may shorten that.
    pub retention: Option<Retention>,
    /// Until somebody lifts it.
    pub legal_hold: Option<bool>,
}

/// A retention period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retention {
    /// Who may shorten it.
    pub mode: RetentionMode,
    /// Its end.
    pub until: Timestamp,
}

impl RowValue for VersionRow {}
impl RowValue for LockRow {}

impl LockRow {
    /// Whether the version must stay at `now`. `bypass`: the caller may delete what is under governance.
    pub fn holds(&self, now: Timestamp, bypass: bool) -> bool {
        let retained = |r: Retention| r.until > now && !(bypass && r.mode == RetentionMode::Governance);
        self.legal_hold == Some(true) || self.retention.is_some_and(retained)
    }
}
