//! A body that flows no faster than who pays for it may have it.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::{By, KIB, Payer};
use crate::metrics;

/// The longest sleep: a connection whose body waits for its turn must look alive.
const LONGEST: Duration = Duration::from_secs(2);

/// What one body owes.
#[derive(Default)]
pub(crate) struct Pace {
    /// Cells of each limit.
    owed: [u32; 3],
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// A piece of the body came: it is to be paid before it goes on.
    pub(crate) fn charge(&mut self, payer: &Payer, bytes: usize) {
        let kib = u32::try_from((bytes as u64).div_ceil(KIB)).unwrap_or(u32::MAX);
        for by in By::ALL.into_iter().filter(|by| payer.most(*by).is_some()) {
            let owed = &mut self.owed[by as usize];
            *owed = owed.saturating_add(kib);
        }
    }

    /// Ready when nothing is owed any more.
    pub(crate) fn poll_paid(&mut self, cx: &mut Context<'_>, payer: &Payer) -> Poll<()> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            let Some((by, piece)) = self.next(payer) else { return Poll::Ready(()) };
            match payer.pay(by, piece) {
                Ok(()) => self.owed[by as usize] -= piece.get(),
                Err(wait) => {
                    payer.waits();
                    metrics::paced(by.label());
                    self.sleep = Some(Box::pin(tokio::time::sleep_until(Instant::now() + wait.min(LONGEST))));
                }
            }
        }
    }

    /// What to pay next.
    fn next(&self, payer: &Payer) -> Option<(By, NonZeroU32)> {
        By::ALL.into_iter().find_map(|by| {
            let owed = NonZeroU32::new(self.owed[by as usize])?;
            Some((by, owed.min(payer.most(by)?)))
        })
    }
}
