//! Notices that wait for their targets.

use sha2::{Digest, Sha256};

use super::{DOCUMENT, Event, Notice, Notifications};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::{Op, SYSTEM_STREAM};
use crate::meta::rows::RowValue;
use crate::meta::schema;
use crate::namespace::Namespace;
use crate::namespace::txn::Txn;
use crate::types::{Caller, Timestamp};

/// Rows removed with one record (ruling 6).
const STEP: usize = 90;

/// Where a target's notices are: names are long, and only to be told apart.
fn mailbox(target: &str) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&Sha256::digest(target.as_bytes())[..8]);
    short
}

/// A notice that waits, to be given back when it was taken.
pub struct Waiting {
    row_key: Vec<u8>,
    /// The notice.
    pub notice: Notice,
}

impl Txn<'_> {
    /// Puts a notice into a target's mailbox.
    pub(super) fn post(&mut self, target: &str, notice: &Notice) -> Result<()> {
        let row_key = schema::notice(mailbox(target), self.bucket, self.seq, self.next_notice());
        self.put(row_key, notice)
    }
}

impl Namespace {
    /// Sets whom a bucket tells of what, or (no rules) nobody. Each target gets a test.
    pub async fn set_notifications(&self, caller: &Caller, name: &str, wanted: Notifications) -> Result<()> {
        let id = self.0.bucket_row(name)?.id;
        let text = serde_json::to_string(&wanted)
            .map_err(|e| Error::new(ErrorKind::Internal, "a configuration cannot be written").caused_by(e))?;
        let set = self.0.commit(caller, id, Op::SetAttr, |txn| {
            let mut row = txn.engine.bucket_row(name)?;
            let documents = &mut std::sync::Arc::make_mut(&mut row.settings).documents;
            if wanted.rules.is_empty() {
                documents.remove(DOCUMENT);
            } else {
                documents.insert(DOCUMENT.to_owned(), text);
            }
            for rule in &wanted.rules {
                let test = Notice {
                    event: Event::Test,
                    rule: rule.id.clone(),
                    bucket: name.to_owned(),
                    owner: row.owner.clone(),
                    key: Vec::new(),
                    size: None,
                    etag: None,
                    version: None,
                    principal: caller.principal.clone(),
                    door: caller.door,
                    request: caller.request,
                    time: txn.now,
                    sequence: txn.seq,
                };
                txn.post(&rule.target, &test)?;
            }
            txn.put(schema::bucket(name), &row)
        })?;
        self.0.acknowledged(caller, set).await
    }

    /// The first notices that wait for a target, of each bucket in the order of its records. Only durable ones: what is
    /// told has happened.
    pub fn notices(&self, target: &str, max: usize) -> Result<Vec<Waiting>> {
        let prefix = schema::notices(mailbox(target));
        let end = schema::prefix_end(&prefix);
        let rows = self.0.meta.range(&prefix, &end, max)?;
        if !rows.is_empty() {
            self.0.meta.durable_blocking(self.0.meta.head())?;
        }
        rows.into_iter().map(|(row_key, value)| Ok(Waiting { row_key, notice: Notice::decode(&value)? })).collect()
    }

    /// These were taken, or are given up. A crash before the next sync has them told again.
    pub fn notices_done(&self, done: &[Waiting]) -> Result<()> {
        let caller = Caller::worker("notices");
        for step in done.chunks(STEP) {
            let removed = self.0.commit(&caller, SYSTEM_STREAM, Op::System, |txn| {
                for waiting in step {
                    txn.delete(waiting.row_key.clone());
                }
                Ok(())
            })?;
            self.0.sequenced(&caller, removed);
        }
        Ok(())
    }

    /// Now, by the namespace's clock.
    pub fn clock_now(&self) -> Timestamp {
        self.0.now()
    }
}
