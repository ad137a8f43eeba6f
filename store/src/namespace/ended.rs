//! Uploads that ended: their parts' rows go in steps, so that no record and no batch grows with their number (ruling 6).
//!
//! The record that ends an upload takes its row away, with which the parts are out of everybody's sight; until the last
//! of them is gone a row of its own keeps the upload's id, so that a crash between two steps loses none.

use super::engine::Engine;
use super::txn::Txn;
use crate::error::{Error, Result};
use crate::meta::record::{Op, SYSTEM_STREAM};
use crate::meta::schema;
use crate::types::{Caller, Id};

/// Parts whose rows go with one record: two rows each, 100 in all with the record's own.
const STEP: usize = 48;
/// Ended uploads looked at in one go.
const UPLOADS: usize = 64;

impl Txn<'_> {
    /// Ends an upload: few parts go at once, more of them in later steps.
    pub(super) fn end_upload(&mut self, key: &[u8], upload: Id) -> Result<()> {
        self.delete(schema::upload(self.bucket, key, upload));
        let parts = self.engine.part_rows(upload, 0, STEP + 1)?;
        if parts.len() > STEP {
            self.mark(schema::ended_upload(upload));
            return Ok(());
        }
        for (part_key, row) in parts {
            self.drop_part(part_key, &row)?;
        }
        Ok(())
    }

    /// Ends all uploads of a bucket that goes.
    pub(super) fn end_uploads(&mut self, bucket: Id) -> Result<()> {
        let prefix = schema::upload_prefix(bucket);
        for (row_key, _) in self.engine.meta.range(&prefix, &schema::prefix_end(&prefix), usize::MAX)? {
            let (key, upload) = schema::parse_upload(&row_key)?;
            self.end_upload(key, upload)?;
        }
        Ok(())
    }
}

impl Engine {
    /// Takes the parts of ended uploads away. Nobody else touches their rows: a part needs its upload's row.
    pub(super) fn sweep_uploads(&self) -> Result<()> {
        let prefix = schema::ended_uploads();
        let end = schema::prefix_end(&prefix);
        loop {
            let ended = self.meta.range(&prefix, &end, UPLOADS)?;
            if ended.is_empty() {
                return Ok(());
            }
            for (key, _) in &ended {
                let id = key[prefix.len()..]
                    .try_into()
                    .map_err(|_| Error::corrupt("an ended upload's key has a wrong length"))?;
                while self.sweep_step(Id(id))? {}
            }
        }
    }

    /// One step. False after the last.
    pub(super) fn sweep_step(&self, upload: Id) -> Result<bool> {
        let caller = Caller::worker("uploads");
        let swept = self.commit(&caller, SYSTEM_STREAM, Op::Multipart, |txn| {
            let parts = txn.engine.part_rows(upload, 0, STEP)?;
            if parts.is_empty() {
                txn.delete(schema::ended_upload(upload));
            }
            let more = !parts.is_empty();
            for (part_key, row) in parts {
                txn.drop_part(part_key, &row)?;
            }
            Ok(more)
        })?;
        Ok(self.sequenced(&caller, swept))
    }
}
