//! The ledger of the pin manager.

use bytes::Bytes;

use super::is_pinnable;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::kept::VersionRow;
use crate::meta::pin_row::{AskRow, IntentRow, PinClass, PinRow};
use crate::meta::record::{Op, SYSTEM_STREAM};
use crate::meta::rows::{DirRow, EntryRow, NodeRow, RowValue};
use crate::meta::schema;
use crate::namespace::Namespace;
use crate::namespace::engine::Engine;
use crate::namespace::txn::Rows;
use crate::pin::{Change, Digest, Intent, Ledger, RowUpdate, Standing, StateMove, Swept, Wanted, millis};
use crate::types::{Caller, Cid, Id, Timestamp};
use crate::unixfs::{DAG_PB, digest_of};

/// Changes in one record: each has some rows (ruling 6).
const STEP: usize = 16;
/// Holders of one content that are looked at to learn its codec.
const HOLDERS: usize = 64;
/// Where the namespace's identity towards the pin service is kept.
const OWNER: &str = "pin-owner";

impl Engine {
    /// The root with this digest that a row holds.
    fn held_root(&self, holder: &[u8], digest: &Digest) -> Result<Option<Cid>> {
        let of_node = |node: &NodeRow| {
            let roots = node.file().map(|file| file.content.roots());
            roots.into_iter().flatten().find(|root| digest_of(root).is_ok_and(|d| d == *digest))
        };
        Ok(match holder.first() {
            Some(b'E') => match self.row::<EntryRow>(holder)? {
                Some(EntryRow::Node(node)) => of_node(&node),
                _ => None,
            },
            Some(b'N') => self.row::<NodeRow>(holder)?.as_ref().and_then(of_node),
            Some(b'D') => self.row::<DirRow>(holder)?.and_then(|dir| dir.marker).and_then(|node| of_node(&node)),
            Some(b'W') => self.row::<VersionRow>(holder)?.and_then(|row| row.node).and_then(|node| of_node(&node)),
            Some(b'Y') => self.row::<AskRow>(holder)?.map(|ask| ask.cid),
            _ => None,
        })
    }

    /// Whether a row for which contents are pinned holds this one, and some of these rows.
    pub(super) fn pinnable_holders(&self, digest: &Digest, max: usize) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        // Parts of uploads are between the others.
        for (first, end) in [(b'D', b'V'), (b'W', b'Z')] {
            let rows =
                self.meta.range(&schema::held(digest, &[first]), &schema::held(digest, &[end]), max - found.len())?;
            for (key, _) in rows {
                let (_, holder) = schema::parse_held(&key)?;
                if is_pinnable(holder) {
                    found.push(holder.to_vec());
                }
            }
            if found.len() == max {
                break;
            }
        }
        Ok(found)
    }

    pub(super) fn pin_standing(&self, digest: &Digest, holders: &[Vec<u8>]) -> Result<Standing> {
        let row = self.row::<PinRow>(&schema::pin(digest))?;
        let held = self.pinnable_holders(digest, 1)?;
        if held.is_empty() {
            return Ok(Standing { wanted: None, row });
        }
        let asked = self.row::<AskRow>(&schema::asked_pin(digest))?;
        let known = row.as_ref().map(|row| row.cid);
        let mut cid = known.filter(|cid| cid.codec() == DAG_PB);
        for holder in holders.iter().take(HOLDERS) {
            if cid.is_none_or(|cid| cid.codec() != DAG_PB) {
                cid = self.held_root(holder, digest)?.or(cid);
            }
        }
        let mut cid = cid.or(known);
        if cid.is_none() {
            for holder in self.pinnable_holders(digest, HOLDERS)? {
                match self.held_root(&holder, digest)? {
                    Some(root) if root.codec() == DAG_PB => {
                        cid = Some(root);
                        break;
                    }
                    root => cid = cid.or(root),
                }
            }
        }
        // Its holders changed between two reads: the record that changed them left an intent.
        let Some(cid) = cid else { return Ok(Standing { wanted: None, row }) };
        let (class, terms) = asked.map_or((None, None), |ask| (Some(ask.class), Some(ask.terms)));
        Ok(Standing { wanted: Some(Wanted { cid, class, terms }), row })
    }
}

impl Ledger for Namespace {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn owner(&self) -> Result<Id> {
        let key = schema::setting(OWNER);
        let read =
            |value: Vec<u8>| value.try_into().map(Id).map_err(|_| Error::corrupt("the owner of pins is no identity"));
        if let Some(value) = self.0.meta.get(&key)? {
            return read(value);
        }
        let made = self.0.commit(&Caller::worker("pins"), SYSTEM_STREAM, Op::System, |txn| {
            match txn.engine.meta.get(&key)? {
                Some(value) => read(value),
                None => {
                    let id = Id::random();
                    txn.put_raw(key.clone(), id.as_bytes().to_vec());
                    Ok(id)
                }
            }
        })?;
        self.0.meta.durable_blocking(made.seq)?;
        Ok(made.value)
    }

    fn due(&self, class: PinClass, max: usize) -> Result<Vec<Intent>> {
        let start = schema::intents(class.byte());
        let end = schema::intent(class.byte(), millis(self.0.now()).saturating_add(1), Id::default(), 0, &[0; 32]);
        let rows = self.0.meta.range(&start, &end, max)?;
        if !rows.is_empty() {
            self.0.meta.durable_blocking(self.0.meta.head())?;
        }
        let read = |(row_key, value): (Vec<u8>, Vec<u8>)| {
            let (_, digest) = schema::parse_intent(&row_key)?;
            let IntentRow { holder } = IntentRow::decode(&value)?;
            Ok(Intent { row_key, digest, class, holder })
        };
        rows.into_iter().map(read).collect()
    }

    fn standing(&self, digest: &Digest, holders: &[Vec<u8>]) -> Result<Standing> {
        self.0.pin_standing(digest, holders)
    }

    fn settle(&self, changes: &[Change]) -> Result<Vec<StateMove>> {
        let caller = Caller::worker("pins");
        let mut moves = Vec::with_capacity(changes.len());
        for step in changes.chunks(STEP) {
            let settled = self.0.commit(&caller, SYSTEM_STREAM, Op::System, |txn| {
                let mut moves = Vec::with_capacity(step.len());
                for change in step {
                    let key = schema::pin(&change.digest);
                    let before = txn.row::<PinRow>(&key)?.map(|row| row.state);
                    match &change.row {
                        RowUpdate::Keep => {}
                        RowUpdate::Set(row) => {
                            txn.put(key, row.as_ref())?;
                            moves.push((before, Some(row.state)));
                        }
                        RowUpdate::Remove if before.is_some() => {
                            txn.delete(key);
                            moves.push((before, None));
                        }
                        RowUpdate::Remove => {}
                    }
                    for row_key in &change.done {
                        txn.delete(row_key.clone());
                    }
                    if let Some((class, due)) = change.again {
                        let key = schema::intent(class.byte(), due, SYSTEM_STREAM, txn.seq, &change.digest);
                        txn.put(key, &IntentRow::default())?;
                    }
                }
                Ok(moves)
            })?;
            moves.extend(self.0.sequenced(&caller, settled));
        }
        Ok(moves)
    }

    fn row(&self, digest: &Digest) -> Result<Option<PinRow>> {
        self.0.row(&schema::pin(digest))
    }

    fn rows(&self, from: &Digest, max: usize) -> Result<Vec<(Digest, PinRow)>> {
        let rows = self.0.meta.range(&schema::pin(from), b"Q", max)?;
        rows.into_iter().map(|(key, value)| Ok((schema::parse_pin(&key)?, PinRow::decode(&value)?))).collect()
    }

    fn sweep(&self, from: &Digest, max: usize) -> Result<Swept> {
        let engine = &*self.0;
        let mut digest = Some(*from);
        let mut differing = Vec::new();
        // Two lists in the order of digests, held contents and known pins: the next of both, whichever comes first.
        for _ in 0..max {
            let Some(at) = digest else { break };
            let held = engine.meta.first(&schema::held(&at, b""), &[schema::HELD + 1])?;
            let held = held.map(|(key, _)| schema::parse_held(&key).map(|(digest, _)| digest)).transpose()?;
            let known = engine.meta.first(&schema::pin(&at), b"Q")?;
            let known = known.map(|(key, _)| schema::parse_pin(&key)).transpose()?;
            let Some(next) = held.into_iter().chain(known).min() else {
                digest = None;
                break;
            };
            if (known == Some(next)) != (held == Some(next) && !engine.pinnable_holders(&next, 1)?.is_empty()) {
                differing.push(next);
            }
            digest = crate::pin::next_digest(&next);
        }
        let caller = Caller::worker("pins");
        let found = differing.len() as u64;
        for step in differing.chunks(STEP) {
            let left = engine.commit(&caller, SYSTEM_STREAM, Op::System, |txn| {
                let due = millis(txn.now);
                for digest in step {
                    let key = schema::intent(PinClass::Background.byte(), due, SYSTEM_STREAM, txn.seq, digest);
                    txn.put(key, &IntentRow::default())?;
                }
                Ok(())
            })?;
            engine.sequenced(&caller, left);
        }
        Ok(Swept { next: digest, found })
    }

    fn block(&self, cid: &Cid) -> Result<Option<Bytes>> {
        match self.0.chunks.block(cid) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            block => block,
        }
    }
}
