//! What to do with a CID, by what is wanted and what is known.

use super::ledger::{Digest, Standing};
use crate::meta::pin_row::{PinClass, PinRow, PinState, PinTerms};
use crate::types::{Cid, Timestamp};
use crate::unixfs::DAG_PB;

/// A CID with its intents, looked at together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Task {
    pub(super) digest: Digest,
    /// The best class of its intents.
    pub(super) class: PinClass,
    /// Rows of its intents.
    pub(super) rows: Vec<Vec<u8>>,
    /// What was known before.
    pub(super) before: Option<PinRow>,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Todo {
    /// Nothing: all is as it should be.
    Nothing,
    /// Forget it: nobody was told.
    Forget,
    /// Tell the service that it is wanted; `row` is what is known from now on, `instead` a pin that it takes the place of.
    Pin { row: Box<PinRow>, terms: PinTerms, instead: Option<Cid> },
    /// Ask the service how far it is.
    Look { row: Box<PinRow> },
    /// Tell the service that it is not wanted.
    Unpin { cid: Cid },
}

/// Decides. `defaults` is what is asked for unless somebody asked for something else.
pub(super) fn decide(standing: &Standing, class: PinClass, defaults: &PinTerms, now: Timestamp) -> Todo {
    let (wanted, row) = match (&standing.wanted, &standing.row) {
        (None, None) => return Todo::Nothing,
        (None, Some(row)) if row.told.is_none() => return Todo::Forget,
        (None, Some(row)) => return Todo::Unpin { cid: row.cid },
        (Some(wanted), row) => (wanted, row.clone()),
    };
    let class = wanted.class.unwrap_or(class);
    let terms = wanted.terms.clone().unwrap_or_else(|| defaults.clone());
    let fresh = || PinRow {
        cid: wanted.cid,
        state: PinState::Queued,
        class,
        wanted_since: now,
        told: None,
        attempts: 0,
        replicas: (0, 0),
        error: None,
    };
    let mut row = row.unwrap_or_else(fresh);
    let mut instead = None;
    // A block may be both an object's bytes and the root of another's DAG: the DAG's pin is a pin of the block, too.
    if row.cid != wanted.cid && wanted.cid.codec() == DAG_PB {
        instead = row.told.as_ref().map(|_| row.cid);
        row = PinRow { cid: wanted.cid, ..fresh() };
    }
    let is_told = row.told.as_ref().is_some_and(|(_, told)| *told == terms);
    match row.state {
        PinState::Pinned if is_told => Todo::Nothing,
        PinState::Queued => Todo::Pin { row: Box::new(row), terms, instead },
        _ if is_told => Todo::Look { row: Box::new(row) },
        _ => Todo::Pin { row: Box::new(row), terms, instead },
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Wanted;
    use super::*;
    use crate::unixfs::{RAW, cid_of_digest};

    fn standing(wanted: Option<u64>, row: Option<(u64, PinState, bool)>) -> Standing {
        let told = Some((Timestamp::default(), PinTerms::default()));
        Standing {
            wanted: wanted.map(|codec| Wanted { cid: cid_of_digest(codec, [1; 32]), class: None, terms: None }),
            row: row.map(|(codec, state, is_told)| PinRow {
                cid: cid_of_digest(codec, [1; 32]),
                state,
                class: PinClass::Normal,
                wanted_since: Timestamp::default(),
                told: told.filter(|_| is_told),
                attempts: 0,
                replicas: (0, 0),
                error: None,
            }),
        }
    }

    fn what(standing: &Standing, terms: &PinTerms) -> &'static str {
        match decide(standing, PinClass::Normal, terms, Timestamp::default()) {
            Todo::Nothing => "nothing",
            Todo::Forget => "forget",
            Todo::Pin { instead: None, .. } => "pin",
            Todo::Pin { instead: Some(_), .. } => "pin instead",
            Todo::Look { .. } => "look",
            Todo::Unpin { .. } => "unpin",
        }
    }

    #[test]
    fn what_follows_from_what() {
        let (same, other) = (PinTerms::default(), PinTerms { replication_min: 2, ..PinTerms::default() });
        let cases = [
            (standing(None, None), &same, "nothing"),
            (standing(Some(RAW), None), &same, "pin"),
            (standing(None, Some((RAW, PinState::Pinned, true))), &same, "unpin"),
            (standing(None, Some((RAW, PinState::Failing, true))), &same, "unpin"),
            // Wanted and unwanted before anybody was told.
            (standing(None, Some((RAW, PinState::Queued, false))), &same, "forget"),
            (standing(Some(RAW), Some((RAW, PinState::Pinned, true))), &same, "nothing"),
            (standing(Some(RAW), Some((RAW, PinState::Pinned, true))), &other, "pin"),
            (standing(Some(RAW), Some((RAW, PinState::Pinning, true))), &same, "look"),
            (standing(Some(RAW), Some((RAW, PinState::Overdue, true))), &same, "look"),
            (standing(Some(RAW), Some((RAW, PinState::Failing, false))), &same, "pin"),
            (standing(Some(DAG_PB), Some((RAW, PinState::Pinned, true))), &same, "pin instead"),
            (standing(Some(RAW), Some((DAG_PB, PinState::Pinned, true))), &same, "nothing"),
        ];
        for (n, (standing, terms, expected)) in cases.iter().enumerate() {
            assert_eq!(what(standing, terms), *expected, "case {n}");
        }
    }
}
