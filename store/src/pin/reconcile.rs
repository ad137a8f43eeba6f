//! Looking for what nobody told of: pins that peers lost, pins that nobody wants, contents that nobody pinned.

use std::sync::Arc;
use std::time::Duration;

use super::OWNER;
use super::ledger::{Change, Digest, RowUpdate, millis};
use super::manager::{Manager, blocking, next_digest};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::pin_row::{PinClass, PinRow, PinState};
use crate::types::{Cid, Timestamp};
use crate::unixfs::digest_of;

/// CIDs in a step of a sweep, with a pause between two.
const STEP: usize = 500;
const REST: Duration = Duration::from_millis(20);
/// CIDs of the service's set that are in memory: 8 bytes each. A larger set is compared in several passes.
const IN_MEMORY: u64 = 1 << 20;
/// Troubled CIDs that are looked at in one round; the others have their turn in the next.
const TROUBLED: usize = 2000;
/// Whole pins that are asked about in one round.
const AROUND: usize = 640;

impl Manager {
    /// Looks, now and then, at what failed at the peers after it was pinned.
    pub(super) async fn watch_trouble(&self) {
        let mut around = [0; 32];
        loop {
            tokio::time::sleep(self.tools.settings.trouble_every).await;
            let looked = async {
                self.look_for_trouble().await?;
                self.look_around(&mut around).await
            };
            if let Err(error) = looked.await {
                tracing::debug!(%error, "what failed at the peers cannot be seen");
            }
        }
    }

    /// Asks about some pins that are taken for whole, a few further each time: peers come and go without a failure.
    async fn look_around(&self, from: &mut Digest) -> Result<()> {
        let at = *from;
        let rows = blocking(&self.tools.ledger, move |ledger| ledger.rows(&at, AROUND)).await?;
        *from = rows.last().filter(|_| rows.len() == AROUND).and_then(|(last, _)| next_digest(last)).unwrap_or([0; 32]);
        let pinned: Vec<_> = rows.into_iter().filter(|(_, row)| row.state == PinState::Pinned).collect();
        let cids: Vec<Cid> = pinned.iter().map(|(_, row)| row.cid).collect();
        if cids.is_empty() {
            return Ok(());
        }
        let statuses = self.tools.service.status(&cids).await?;
        let changed = pinned.iter().zip(statuses).filter(|((_, row), now)| row.replicas != (now.pinned, now.wanted));
        let changed = changed.map(|((_, row), _)| row.cid).collect();
        self.look_again(changed, |row| row.state == PinState::Pinned, PinState::Pinning).await.map(drop)
    }

    async fn look_for_trouble(&self) -> Result<()> {
        let mut troubled = Vec::new();
        let mut visit = |cid| {
            if troubled.len() == TROUBLED {
                return Err(Error::new(ErrorKind::TooMany, "enough for one round"));
            }
            troubled.push(cid);
            Ok(())
        };
        match self.tools.service.troubled(&mut visit).await {
            Err(error) if error.kind() != ErrorKind::TooMany => return Err(error),
            _ => {}
        }
        metrics::gauge!("pinfold_store_pin_troubled").set(troubled.len() as f64);
        // Those that are not taken for whole have an intent already.
        self.look_again(troubled, |row| row.state == PinState::Pinned, PinState::Pinning).await.map(drop)
    }

    /// Compares everything, for ever.
    pub(super) async fn reconcile_for_ever(&self) {
        let mut pause = self.tools.settings.reconcile_first;
        loop {
            tokio::time::sleep(pause).await;
            pause = self.tools.settings.reconcile_every;
            match self.reconcile().await {
                Ok(()) => metrics::counter!("pinfold_store_pin_reconciled_total").increment(1),
                Err(error) => {
                    tracing::warn!(%error, "pins could not be compared with what is wanted; again in a minute at most");
                    pause = pause.min(Duration::from_secs(60));
                }
            }
        }
    }

    /// Compares everything once, in bounded memory: what is wanted with what is known, what is known with the service's set.
    pub async fn reconcile(&self) -> Result<()> {
        let (mut from, mut found) = (Some([0; 32]), 0);
        while let Some(at) = from {
            let swept = blocking(&self.tools.ledger, move |ledger| ledger.sweep(&at, STEP)).await?;
            found += swept.found;
            from = swept.next;
            tokio::time::sleep(REST).await;
        }
        let counts = self.tally.counts();
        let known = counts.queued + counts.pinning + counts.pinned + counts.failing + counts.overdue;
        let passes = known.div_ceil(IN_MEMORY).next_power_of_two().clamp(1, 256);
        let (mut lost, mut strange) = (0, 0);
        for pass in 0..passes {
            let (l, s) = self.compare(pass, passes).await?;
            lost += l;
            strange += s;
        }
        if found + lost + strange > 0 {
            tracing::info!(
                unnoticed = found,
                lost,
                unwanted = strange,
                "pins differed from what is wanted; they are put right"
            );
        }
        for (what, count) in [("unnoticed", found), ("lost", lost), ("unwanted", strange)] {
            metrics::counter!("pinfold_store_pin_differences_total", "what" => what).increment(count);
        }
        Ok(())
    }

    /// One part of all digests: how many the service lost, how many it has that nobody wants.
    async fn compare(&self, pass: u64, passes: u64) -> Result<(u64, u64)> {
        // The first byte tells the pass.
        let width = 256 / passes;
        let mine = move |digest: &Digest| u64::from(digest[0]) / width == pass;
        let began = self.tools.ledger.now();
        let mut listed: Vec<u64> = Vec::new();
        let mut unknown: Vec<Cid> = Vec::new();
        let owner = &self.tools.owner;
        let ledger = &self.tools.ledger;
        let visit = &mut |pin: crate::ipfs::Listed| {
            let Ok(digest) = digest_of(&pin.cid) else { return Ok(()) };
            if !mine(&digest) {
                return Ok(());
            }
            // A point read of what is mostly in the cache. One that somebody else has taken over is held, too.
            if ledger.row(&digest)?.is_some() {
                listed.push(short(&digest));
            } else if unknown.len() < TROUBLED && pin.metadata.get(OWNER) == Some(owner) {
                unknown.push(pin.cid);
            }
            Ok(())
        };
        self.tools.service.list(visit).await?;
        listed.sort_unstable();

        let strange = unknown.len() as u64;
        self.adopt(unknown).await?;

        let mut lost = 0;
        let mut first = [0; 32];
        first[0] = (pass * width) as u8;
        let mut from = Some(first);
        while let Some(at) = from {
            let rows = blocking(&self.tools.ledger, move |ledger| ledger.rows(&at, STEP)).await?;
            let missing = |(digest, row): &&(Digest, PinRow)| {
                let told_before = row.told.as_ref().is_some_and(|(at, _)| millis(*at) + 60_000 < millis(began));
                mine(digest) && told_before && listed.binary_search(&short(digest)).is_err()
            };
            let cids: Vec<Cid> = rows.iter().filter(missing).map(|(_, row)| row.cid).collect();
            lost += self.look_again(cids, |row| row.state != PinState::Queued, PinState::Queued).await?;
            // The settings have changed since it was told: that is decided as for a new one.
            let defaults = &self.tools.settings.terms;
            let old = |row: &PinRow| row.told.as_ref().is_some_and(|(_, terms)| terms != defaults);
            let old: Vec<Cid> = rows.iter().filter(|(_, row)| old(row)).map(|(_, row)| row.cid).collect();
            self.put(old, |_, known, _| known).await?;
            from = rows.last().filter(|(last, _)| mine(last)).and_then(|(last, _)| next_digest(last));
            tokio::time::sleep(REST).await;
        }
        Ok((lost, strange))
    }

    /// Pins that carry our name and of which nothing is known here: they get a row and an intent, by which they go, or stay.
    async fn adopt(&self, cids: Vec<Cid>) -> Result<()> {
        let told = self.tools.settings.terms.clone();
        let row = move |cid: Cid, now: Timestamp| PinRow {
            cid,
            state: PinState::Pinning,
            class: PinClass::Background,
            wanted_since: now,
            told: Some((now, told.clone())),
            attempts: 0,
            replicas: (0, 0),
            error: None,
        };
        self.put(cids, move |cid, known, now| known.is_none().then(|| row(cid, now))).await.map(drop)
    }

    /// Has some be looked at again, as if they were in `state`.
    async fn look_again(
        &self,
        cids: Vec<Cid>,
        which: impl Fn(&PinRow) -> bool + Send + 'static,
        state: PinState,
    ) -> Result<u64> {
        self.put(cids, move |_, known, now| {
            let row = known.filter(|row| which(row))?;
            let wanted_since = if row.state == PinState::Pinned { now } else { row.wanted_since };
            Some(PinRow { state, attempts: 0, wanted_since, ..row })
        })
        .await
    }

    async fn put(
        &self,
        cids: Vec<Cid>,
        change: impl Fn(Cid, Option<PinRow>, Timestamp) -> Option<PinRow> + Send + 'static,
    ) -> Result<u64> {
        if cids.is_empty() {
            return Ok(0);
        }
        let tally = self.tally.clone();
        let ledger = Arc::clone(&self.tools.ledger);
        let count = blocking(&ledger, move |ledger| {
            let now = ledger.now();
            let mut changes = Vec::new();
            for cid in cids {
                let digest = digest_of(&cid)?;
                let known = ledger.row(&digest)?;
                let Some(row) = change(cid, known, now) else { continue };
                let again = Some((PinClass::Background, millis(now)));
                changes.push(Change { digest, done: Vec::new(), row: RowUpdate::Set(Box::new(row)), again });
            }
            tally.moved_all(&ledger.settle(&changes)?);
            Ok(changes.len() as u64)
        })
        .await?;
        Ok(count)
    }
}

/// Enough of a digest to know it again.
fn short(digest: &Digest) -> u64 {
    let mut short = [0; 8];
    short.copy_from_slice(&digest[1..9]);
    u64::from_be_bytes(short)
}
