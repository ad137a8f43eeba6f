//! How many pins there are in each state.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::ledger::StateMove;
use crate::meta::pin_row::PinState;

/// Pins by state; shared. Counted at the start, then kept up.
#[derive(Clone, Default, Debug)]
pub struct Tally(Arc<[AtomicI64; PinState::ALL.len()]>);

/// The same at one moment.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct PinCounts {
    /// Not told yet.
    pub queued: u64,
    /// On their way.
    pub pinning: u64,
    /// Held.
    pub pinned: u64,
    /// Failed, to be tried again.
    pub failing: u64,
    /// Not there in time.
    pub overdue: u64,
}

impl Tally {
    /// A pin went from one state to another; none is no pin.
    pub(super) fn moved(&self, from: Option<PinState>, to: Option<PinState>) {
        if from == to {
            return;
        }
        let slot = |state: PinState| PinState::ALL.iter().position(|other| *other == state).unwrap_or_default();
        if let Some(from) = from {
            self.0[slot(from)].fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(to) = to {
            self.0[slot(to)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Several pins did; the metrics are told.
    pub(super) fn moved_all(&self, moves: &[StateMove]) {
        moves.iter().for_each(|(from, to)| self.moved(*from, *to));
        self.publish();
    }

    /// The counts now.
    pub fn counts(&self) -> PinCounts {
        let [queued, pinning, pinned, failing, overdue] =
            [0, 1, 2, 3, 4].map(|n| u64::try_from(self.0[n].load(Ordering::Relaxed)).unwrap_or(0));
        PinCounts { queued, pinning, pinned, failing, overdue }
    }

    /// Tells the metrics.
    pub fn publish(&self) {
        for (state, slot) in PinState::ALL.iter().zip(self.0.iter()) {
            metrics::gauge!("pinfold_store_pin_pins", "state" => state.word()).set(slot.load(Ordering::Relaxed) as f64);
        }
    }
}
