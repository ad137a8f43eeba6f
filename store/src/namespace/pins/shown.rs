//! What is shown of a pin.

use crate::error::Result;
use crate::meta::pin_row::{AskRow, PinRow, PinState};
use crate::meta::rows::RowValue;
use crate::meta::schema;
use crate::namespace::Namespace;
use crate::namespace::engine::Engine;
use crate::namespace::txn::Rows;
use crate::pin::Digest;
use crate::types::Cid;
use crate::unixfs::digest_of;

/// How a CID stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinView {
    /// How far it is.
    pub state: PinState,
    /// Peers that held it when they were asked last.
    pub pinned: u32,
    /// Peers that are to; 0 while nobody was asked.
    pub of: u32,
    /// Why it fails.
    pub error: Option<String>,
}

impl PinView {
    fn of(row: Option<PinRow>) -> Self {
        row.map_or(Self { state: PinState::Queued, pinned: 0, of: 0, error: None }, |row| Self {
            state: row.state,
            pinned: row.replicas.0,
            of: row.replicas.1,
            error: row.error,
        })
    }

    /// In a few words: `pinned 3 of 3`.
    pub fn text(&self) -> String {
        let mut text = self.state.word().to_owned();
        if self.of > 0 {
            text = format!("{text} {} of {}", self.pinned, self.of);
        }
        text
    }
}

/// A pin in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinLine {
    /// The root.
    pub cid: Cid,
    /// How it stands.
    pub view: PinView,
    /// What is known of it.
    pub row: Option<PinRow>,
    /// What somebody asked for.
    pub asked: Option<AskRow>,
}

impl Engine {
    /// How an object's root stands; none where nothing is pinned at all.
    pub(in crate::namespace) fn pin_view(&self, root: &Cid) -> Result<Option<PinView>> {
        if !self.config.pins {
            return Ok(None);
        }
        Ok(Some(PinView::of(self.row::<PinRow>(&schema::pin(&digest_of(root)?))?)))
    }
}

impl Namespace {
    /// How an object's root stands; none where the node pins nothing.
    pub fn pin_view(&self, root: &Cid) -> Result<Option<PinView>> {
        self.0.pin_view(root)
    }

    /// All that is known of a CID; none if nobody wants it and nothing is known.
    pub fn pin_line(&self, cid: &Cid) -> Result<Option<PinLine>> {
        let digest = digest_of(cid)?;
        let standing = self.0.pin_standing(&digest, &[])?;
        let asked = self.0.row::<AskRow>(&schema::asked_pin(&digest))?;
        let root = standing.row.as_ref().map(|row| row.cid).or(standing.wanted.map(|wanted| wanted.cid));
        Ok(root.map(|cid| PinLine { cid, view: PinView::of(standing.row.clone()), row: standing.row, asked }))
    }

    /// Known pins from one on, in the order of their digests, and where the next ones begin. Of `state`, if one is named: then
    /// a step may have none and others follow.
    pub fn pin_lines(
        &self,
        from: &Digest,
        state: Option<PinState>,
        max: usize,
    ) -> Result<(Vec<PinLine>, Option<Digest>)> {
        let rows = self.0.meta.range(&schema::pin(from), b"Q", max)?;
        let next = match rows.last() {
            Some((key, _)) if rows.len() == max => crate::pin::next_digest(&schema::parse_pin(key)?),
            _ => None,
        };
        let mut lines = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            let row = PinRow::decode(&value)?;
            if state.is_none_or(|state| state == row.state) {
                let asked = self.0.row::<AskRow>(&schema::asked_pin(&schema::parse_pin(&key)?))?;
                lines.push(PinLine { cid: row.cid, view: PinView::of(Some(row.clone())), row: Some(row), asked });
            }
        }
        Ok((lines, next))
    }
}
