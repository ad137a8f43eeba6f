//! Pins that somebody asks for, beside those that objects have. They hold the content as an object does (S16).

use crate::error::{Error, ErrorKind, Result};
use crate::meta::pin_row::{AskRow, IntentRow, PinClass, PinTerms};
use crate::meta::record::{Op, SYSTEM_STREAM};
use crate::meta::schema;
use crate::namespace::Namespace;
use crate::namespace::txn::Rows;
use crate::pin::millis;
use crate::types::{Caller, Cid};
use crate::unixfs::digest_of;

/// Pins asked for or given back in one record.
const STEP: usize = 16;

/// What somebody asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedPin {
    /// The root.
    pub cid: Cid,
    /// Class.
    pub class: PinClass,
    /// What the service is told.
    pub terms: PinTerms,
}

impl Namespace {
    fn check_pins(&self) -> Result<()> {
        match self.0.config.pins {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Unsupported, "no IPFS Cluster is configured")),
        }
    }

    /// Asks for pins, whether or not objects have these CIDs; one that was asked for before gets the new terms. Unsupported
    /// where no cluster is configured.
    pub async fn ask_pins(&self, caller: &Caller, asked: Vec<AskedPin>) -> Result<()> {
        self.check_pins()?;
        let mut last = None;
        for step in asked.chunks(STEP) {
            let set = self.0.commit(caller, SYSTEM_STREAM, Op::System, |txn| {
                let due = millis(txn.now);
                for AskedPin { cid, class, terms } in step {
                    let digest = digest_of(cid)?;
                    let key = schema::asked_pin(&digest);
                    let by = caller.principal.clone();
                    txn.put(key.clone(), &AskRow { cid: *cid, class: *class, terms: terms.clone(), by, at: txn.now })?;
                    txn.mark(schema::held(&digest, &key));
                    // One of its class, beside that which every new holder gets.
                    let intent = schema::intent(class.byte(), due, SYSTEM_STREAM, txn.seq, &digest);
                    txn.put(intent, &IntentRow { holder: Some(key) })?;
                }
                Ok(())
            })?;
            last = Some(set);
        }
        match last {
            Some(last) => self.0.acknowledged(caller, last).await,
            None => Ok(()),
        }
    }

    /// Gives pins back that were asked for; objects that have these CIDs keep theirs. How many there were.
    pub async fn unask_pins(&self, caller: &Caller, cids: Vec<Cid>) -> Result<u64> {
        self.check_pins()?;
        let (mut count, mut last) = (0, None);
        for step in cids.chunks(STEP) {
            let unset = self.0.commit(caller, SYSTEM_STREAM, Op::System, |txn| {
                let mut there = 0;
                for cid in step {
                    let digest = digest_of(cid)?;
                    let key = schema::asked_pin(&digest);
                    if txn.row::<AskRow>(&key)?.is_none() {
                        continue;
                    }
                    there += 1;
                    txn.let_go(&[digest], &key);
                    txn.delete(key);
                }
                Ok(there)
            })?;
            count += unset.value;
            last = Some(unset);
        }
        match last {
            Some(last) => self.0.acknowledged(caller, last).await.map(|_| count),
            None => Ok(0),
        }
    }
}
