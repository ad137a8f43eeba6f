//! Pins: what the namespace wants held by IPFS peers, told to whoever keeps pins, watched until it is so, and put right when
//! it is not any more.
//!
//! The truth about what is wanted is in the metadata: who holds a content (`I` rows). A commit that gives a content its first
//! holder or takes its last one away leaves an *intent* in the same record (`meta::pin_row`); [`Manager`] takes intents in
//! turn, compares what is wanted with what is known, and makes the service agree. It reaches the metadata through
//! [`Ledger`] and the peers through [`PinService`](crate::ipfs::PinService).

mod decide;
mod jobs;
mod ledger;
mod manager;
mod outcome;
mod push;
mod reconcile;
mod settings;
mod tally;
mod turns;
mod width;

pub(crate) use ledger::millis;
pub use ledger::{Change, Digest, Intent, Ledger, RowUpdate, Standing, StateMove, Swept, Wanted};
pub use manager::Manager;
pub(crate) use manager::next_digest;
pub use push::{KuboPush, Push};
pub use settings::PinSettings;
pub use tally::{PinCounts, Tally};

/// The name under which a pin's metadata says whose it is.
pub const OWNER: &str = "pinfold";
