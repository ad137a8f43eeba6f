//! The scrub in the background: media rot is found before somebody needs the bytes (ruling 13).

use std::time::{Duration, Instant};

use super::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::types::Id;
use crate::worker::Stop;

/// Naps shorter than this are saved up: small blocks would cost more naps than reading.
const NAP: Duration = Duration::from_millis(20);

impl Engine {
    /// Reads all content once, at the configured rate. Damage is logged block by block, and a damaged content file is no
    /// longer given to the kernel.
    pub(super) fn scrub(&self, stop: &Stop) -> Result<()> {
        let rate = self.config.scrub_rate as f64;
        let (began, read) = (Instant::now(), std::cell::Cell::new(0));
        let pace = |bytes: u64| {
            read.set(read.get() + bytes);
            let due = Duration::from_secs_f64(read.get() as f64 / rate);
            let ahead = due.saturating_sub(began.elapsed());
            if stop.wait(if ahead < NAP { Duration::ZERO } else { ahead }) {
                return Err(Error::new(ErrorKind::Unavailable, "the namespace is closing"));
            }
            Ok(())
        };
        // A node that is often restarted gets round as well.
        let mut first = [0; 32];
        first[..16].copy_from_slice(Id::random().as_bytes());
        match self.chunks.scrub(&first, &pace) {
            Ok(report) if report.damaged > 0 => {
                tracing::error!(
                    objects = report.objects,
                    bytes = report.bytes,
                    damaged = report.damaged,
                    "a scrub found damage"
                );
                Err(Error::corrupt("stored blocks are damaged").with("blocks", report.damaged))
            }
            Ok(report) => {
                tracing::info!(
                    objects = report.objects,
                    blocks = report.blocks,
                    bytes = report.bytes,
                    "all content was read and is whole"
                );
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(()),
            Err(error) => Err(error),
        }
    }
}
