//! Rows of pins: what is to be looked at (`Q`), what is known of a CID (`P`), what somebody asked for (`Y`).
//!
//! An intent says *look at this CID again*, never *pin* or *unpin*: what is to be done follows from who holds the content when
//! it is looked at. So a pin and an unpin that follow each other collapse, two buckets that commit at once cannot contradict
//! each other, and whoever keeps pins in another way (a pack of many) takes the same rows as they are.

use serde::{Deserialize, Serialize};

use super::rows::RowValue;
use crate::types::{Cid, Timestamp};

/// Who waits for whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum PinClass {
    /// Somebody waits for it.
    Critical,
    /// What was written.
    #[default]
    Normal,
    /// What was found to be in need of it: repairs, what was there before.
    Background,
}

impl PinClass {
    /// All, the first one first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Normal, Self::Background];

    /// In keys.
    pub fn byte(self) -> u8 {
        match self {
            Self::Critical => 0,
            Self::Normal => 1,
            Self::Background => 2,
        }
    }

    /// The counterpart.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.byte() == byte)
    }

    /// For people, and for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Background => "background",
        }
    }
}

/// An intent: a CID's holders changed, or it is time to look again.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct IntentRow {
    /// The row that came to hold it, if that is why: it knows the CID's codec.
    pub holder: Option<Vec<u8>>,
}

/// How far a pin is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum PinState {
    /// The service was not told yet, or is to be told again.
    Queued,
    /// The service was told; peers fetch.
    Pinning,
    /// Every peer that is to hold it does.
    Pinned,
    /// Tried and failed; tried again.
    Failing,
    /// Not there although its time is over: an alert. Still tried, seldom.
    Overdue,
}

impl PinState {
    /// All.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Pinning, Self::Pinned, Self::Failing, Self::Overdue];

    /// For people, and for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pinning => "pinning",
            Self::Pinned => "pinned",
            Self::Failing => "failing",
            Self::Overdue => "overdue",
        }
    }
}

/// What a pin asks of the service, beyond its root.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PinTerms {
    /// Name, for people.
    pub name: String,
    /// Peers at least; -1 is all.
    pub replication_min: i32,
    /// Peers at most; -1 is all.
    pub replication_max: i32,
}

/// What is known of a CID.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PinRow {
    /// The root.
    pub cid: Cid,
    /// How far it is.
    pub state: PinState,
    /// Class of the next look.
    pub class: PinClass,
    /// Since when it is wanted.
    pub wanted_since: Timestamp,
    /// When the service was told last, and what.
    pub told: Option<(Timestamp, PinTerms)>,
    /// Tries in a row without success.
    pub attempts: u32,
    /// Peers that held it and peers that are to, when it was looked at last.
    pub replicas: (u32, u32),
    /// Why it fails.
    pub error: Option<String>,
}

/// A pin that somebody asked for, beside those that objects have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AskRow {
    /// The root.
    pub cid: Cid,
    /// Class.
    pub class: PinClass,
    /// What the service is told.
    pub terms: PinTerms,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl RowValue for IntentRow {}
impl RowValue for PinRow {}
impl RowValue for AskRow {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unixfs::raw_cid;

    /// As version 1 is stored: it must be read for ever.
    #[test]
    fn version_1() {
        let terms = PinTerms { name: "n".to_owned(), replication_min: 2, replication_max: -1 };
        let at = Timestamp { secs: 1, nanos: 2 };
        let row = PinRow {
            cid: raw_cid(b""),
            state: PinState::Failing,
            class: PinClass::Background,
            wanted_since: at,
            told: Some((at, terms.clone())),
            attempts: 3,
            replicas: (1, 3),
            error: Some("e".to_owned()),
        };
        let cid = "2401551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let stored = format!("01{cid}03020202010202016e0401030103010165");
        assert_eq!(hex::encode(row.encode().unwrap()), stored);
        assert_eq!(PinRow::decode(&hex::decode(stored).unwrap()).unwrap(), row);
        let ask = AskRow { cid: raw_cid(b""), class: PinClass::Critical, terms, by: "root".to_owned(), at };
        let stored = format!("01{cid}00016e040104726f6f740202");
        assert_eq!(hex::encode(ask.encode().unwrap()), stored);
        let intent = IntentRow { holder: Some(vec![b'E', 1]) };
        assert_eq!(hex::encode(intent.encode().unwrap()), "010102".to_owned() + "4501");
    }
}
