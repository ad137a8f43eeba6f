//! What follows from what the service said.

use std::time::Duration;

use super::ledger::millis;
use super::settings::PinSettings;
use crate::ipfs::PinStatus;
use crate::meta::pin_row::{PinRow, PinState};
use crate::types::Timestamp;

/// A pin that the service was told of and does not know after this is told again.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Doubling from `first` to `longest`, a quarter more or less, so that what failed together is not tried together.
pub(super) fn pause(first: Duration, longest: Duration, attempts: u32) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(longest);
    doubled.mul_f64(rand::random_range(0.75..1.25))
}

fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(millis(now).saturating_sub(millis(earlier)))
}

/// Failed: what is known now, and the pause.
pub(super) fn failed(mut row: PinRow, error: String, now: Timestamp, settings: &PinSettings) -> (PinRow, Duration) {
    let wait = pause(settings.retry, settings.retry_longest, row.attempts);
    row.attempts = row.attempts.saturating_add(1);
    // As much of it as a person reads.
    row.error = Some(error.chars().take(500).collect());
    if row.state != PinState::Overdue {
        row.state = PinState::Failing;
    }
    (late(row, now, settings), wait)
}

/// Looked at: what is known now, and the pause until the next look, if there is to be one.
pub(super) fn looked(
    mut row: PinRow,
    status: &PinStatus,
    now: Timestamp,
    settings: &PinSettings,
) -> (PinRow, Option<Duration>) {
    row.replicas = (status.pinned, status.wanted);
    if status.is_complete() {
        if let Some(seconds) =
            row.told.as_ref().filter(|_| row.state == PinState::Pinning).map(|(at, _)| since(*at, now))
        {
            metrics::histogram!("pinfold_store_pin_seconds").record(seconds.as_secs_f64());
        }
        row.state = PinState::Pinned;
        row.attempts = 0;
        row.error = None;
        return (row, None);
    }
    if let Some((peer, error)) = status.errors.first() {
        let (row, wait) = failed(row, format!("{peer}: {error}"), now, settings);
        return (row, Some(wait));
    }
    let told = row.told.as_ref().map_or(Duration::MAX, |(at, _)| since(*at, now));
    if !status.is_known() && told > FORGOTTEN {
        row.state = PinState::Queued;
        row.told = None;
        return (late(row, now, settings), Some(Duration::ZERO));
    }
    let wait = pause(settings.first_look, settings.look, row.attempts);
    row.attempts = row.attempts.saturating_add(1);
    row.error = None;
    if row.state != PinState::Overdue {
        row.state = PinState::Pinning;
    }
    (late(row, now, settings), Some(wait))
}

/// An alert, once, if its time is over.
fn late(mut row: PinRow, now: Timestamp, settings: &PinSettings) -> PinRow {
    if row.state != PinState::Overdue && since(row.wanted_since, now) > settings.deadline {
        row.state = PinState::Overdue;
        metrics::counter!("pinfold_store_pin_overdue_total").increment(1);
        tracing::error!(
            cid = %row.cid,
            pinned = row.replicas.0,
            of = row.replicas.1,
            error = row.error.as_deref().unwrap_or("peers are still fetching"),
            "a pin is overdue; it is tried on, seldom"
        );
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::pin_row::{PinClass, PinTerms};
    use crate::unixfs::raw_cid;

    fn row() -> PinRow {
        PinRow {
            cid: raw_cid(b"x"),
            state: PinState::Pinning,
            class: PinClass::Normal,
            wanted_since: Timestamp { secs: 1000, nanos: 0 },
            told: Some((Timestamp { secs: 1000, nanos: 0 }, PinTerms::default())),
            attempts: 0,
            replicas: (0, 0),
            error: None,
        }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp { secs, nanos: 0 }
    }

    #[test]
    fn pins_become_whole_fail_and_are_overdue_once() {
        let settings = PinSettings::default();
        let status = PinStatus { wanted: 3, pinned: 1, pending: 2, ..PinStatus::default() };
        let (row, wait) = looked(row(), &status, at(1001), &settings);
        assert_eq!((row.state, row.replicas, row.attempts), (PinState::Pinning, (1, 3), 1));
        assert!(wait.unwrap() < Duration::from_secs(1));

        let errors = vec![("peer2".to_owned(), "no room".to_owned())];
        let failing = PinStatus { errors, ..status.clone() };
        let (row, wait) = looked(row, &failing, at(1002), &settings);
        assert_eq!((row.state, row.error.as_deref()), (PinState::Failing, Some("peer2: no room")));
        assert!(wait.unwrap() >= Duration::from_millis(1500), "it doubles");

        let (row, _) = looked(row, &failing, at(1000 + 3601), &settings);
        assert_eq!(row.state, PinState::Overdue);
        let (row, wait) = looked(row, &status, at(1000 + 3700), &settings);
        assert_eq!((row.state, row.error), (PinState::Overdue, None));
        assert!(wait.is_some(), "it is never given up");

        let whole = PinStatus { wanted: 3, pinned: 3, ..PinStatus::default() };
        let (row, wait) = looked(PinRow { error: None, ..super::tests::row() }, &whole, at(9999), &settings);
        assert_eq!((row.state, row.replicas, row.attempts, wait), (PinState::Pinned, (3, 3), 0, None));
    }

    #[test]
    fn what_the_service_forgot_is_told_again() {
        let settings = PinSettings::default();
        let (early, wait) = looked(row(), &PinStatus::default(), at(1010), &settings);
        assert!(early.told.is_some() && wait.unwrap() > Duration::ZERO);
        let (row, wait) = looked(row(), &PinStatus::default(), at(1061), &settings);
        assert_eq!((row.state, row.told, wait), (PinState::Queued, None, Some(Duration::ZERO)));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        assert!(pause(first, longest, 0) <= Duration::from_millis(1250));
        for attempts in [6, 31, 32, u32::MAX] {
            let wait = pause(first, longest, attempts);
            assert!((Duration::from_secs(45)..=Duration::from_secs(75)).contains(&wait), "{wait:?}");
        }
    }
}
