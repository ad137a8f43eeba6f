//! Where intents and what is known of pins are kept: the metadata, as the manager sees it.

use bytes::Bytes;

use crate::error::Result;
use crate::meta::pin_row::{PinClass, PinRow, PinState, PinTerms};
use crate::types::{Cid, Id, Timestamp};

/// A root's SHA-256.
pub type Digest = [u8; 32];

/// A CID to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intent {
    /// Its row, to be given back when it was looked at.
    pub row_key: Vec<u8>,
    /// Which CID.
    pub digest: Digest,
    /// Class.
    pub class: PinClass,
    /// The row that came to hold it, if that is why.
    pub holder: Option<Vec<u8>>,
}

/// A CID that somebody wants held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The root.
    pub cid: Cid,
    /// Its class, where somebody asked for it by itself.
    pub class: Option<PinClass>,
    /// What is asked, where it is not the default.
    pub terms: Option<PinTerms>,
}

/// What is wanted and what is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// None if nobody wants it.
    pub wanted: Option<Wanted>,
    /// None if nothing is known.
    pub row: Option<PinRow>,
}

/// What becomes of what is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RowUpdate {
    /// Nothing.
    Keep,
    /// This.
    Set(Box<PinRow>),
    /// It is forgotten.
    Remove,
}

/// What came of looking at a CID.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Which CID.
    pub digest: Digest,
    /// Intents that are done.
    pub done: Vec<Vec<u8>>,
    /// What is known now.
    pub row: RowUpdate,
    /// When to look again, in milliseconds since 1970.
    pub again: Option<(PinClass, u64)>,
}

/// The state of a pin before and after; none is no pin.
pub type StateMove = (Option<PinState>, Option<PinState>);

/// How far a sweep has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Where the next step begins; none at the end.
    pub next: Option<Digest>,
    /// CIDs that got an intent.
    pub found: u64,
}

/// The metadata's side. All calls may wait for the disk.
pub trait Ledger: Send + Sync + 'static {
    /// Now, by the namespace's clock.
    fn now(&self) -> Timestamp;

    /// Whose pins they are: the namespace's identity, made with the first call.
    fn owner(&self) -> Result<Id>;

    /// The first intents of a class that are due. Only durable ones: nothing is told of what a crash may take back.
    fn due(&self, class: PinClass, max: usize) -> Result<Vec<Intent>>;

    /// What is wanted and known of a CID. `holders` are rows that came to hold it.
    fn standing(&self, digest: &Digest, holders: &[Vec<u8>]) -> Result<Standing>;

    /// Writes what came of looking. How the states of pins changed by that; none is no pin.
    fn settle(&self, changes: &[Change]) -> Result<Vec<StateMove>>;

    /// What is known of a CID.
    fn row(&self, digest: &Digest) -> Result<Option<PinRow>>;

    /// What is known of CIDs from one on, in their order.
    fn rows(&self, from: &Digest, max: usize) -> Result<Vec<(Digest, PinRow)>>;

    /// Compares what is wanted with what is known, for some CIDs from one on, and leaves an intent for each that differs.
    fn sweep(&self, from: &Digest, max: usize) -> Result<Swept>;

    /// A block of the chunk store.
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>>;
}

/// A time in milliseconds since 1970.
pub(crate) fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.secs).unwrap_or(0).saturating_mul(1000).saturating_add(u64::from(at.nanos / 1_000_000))
}
