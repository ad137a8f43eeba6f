//! The namespace's side of pins: intents in the commit, the ledger of the pin manager, what either door shows, and pins that
//! somebody asks for.

mod asks;
mod ledger;
mod shown;

use std::collections::BTreeMap;

pub use asks::AskedPin;
pub use shown::{PinLine, PinView};

use super::engine::Engine;
use crate::error::Result;
use crate::meta::pin_row::{IntentRow, PinClass};
use crate::meta::rows::RowValue;
use crate::meta::schema;
use crate::pin::Digest;
use crate::types::{Id, Seq, Timestamp};

/// Whether the row of this key is one for which a content is pinned: an object, a version, an asked pin. Parts of uploads are
/// none.
fn is_pinnable(holder: &[u8]) -> bool {
    matches!(holder.first(), Some(b'D' | b'E' | b'N' | b'W' | b'Y'))
}

impl Engine {
    /// Adds an intent for each content that got its holder by this record, or lost one. Contents that stay held by another row
    /// of the same record (a rename) get none. Without IPFS nothing is added, and nothing looked at.
    pub(super) fn intend(
        &self,
        stream: Id,
        seq: Seq,
        now: Timestamp,
        rows: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Result<()> {
        if !self.config.pins {
            return Ok(());
        }
        // By digest: a row that came to hold it, and whether one ceased to.
        let mut changed: BTreeMap<Digest, (Option<Vec<u8>>, bool)> = BTreeMap::new();
        for (key, value) in rows.range(vec![schema::HELD]..vec![schema::HELD + 1]) {
            let (digest, holder) = schema::parse_held(key)?;
            if is_pinnable(holder) {
                let (came, went) = changed.entry(digest).or_default();
                match value {
                    Some(_) => *came = Some(holder.to_vec()),
                    None => *went = true,
                }
            }
        }
        let due = crate::pin::millis(now);
        for (digest, (came, went)) in changed {
            if came.is_some() && went {
                continue;
            }
            let key = schema::intent(PinClass::Normal.byte(), due, stream, seq, &digest);
            rows.insert(key, Some(IntentRow { holder: came }.encode()?));
        }
        Ok(())
    }
}
