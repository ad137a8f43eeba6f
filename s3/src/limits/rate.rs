//! One rate of many names, in bounded memory: names that have not been heard of for as long as their rate remembers are
//! forgotten, and while there are still too many, new ones share one rate.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;

/// Names that a rate keeps.
const MAX_NAMES: usize = 65_536;
/// How many requests pass from one look at the number of names to the next.
const LOOK: u32 = 256;
/// How often names are forgotten at most; it takes a walk over all of them.
const SWEEP: Duration = Duration::from_secs(1);
/// The name of those that come while there are too many.
const OTHERS: &str = "";

/// So many cells a second for each name, as many at once.
pub(super) struct Rate {
    pub(super) burst: NonZeroU32,
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
    seen: AtomicU32,
    crowded: AtomicBool,
    swept: Mutex<Instant>,
    max: usize,
}

impl Rate {
    pub(super) fn new(rate: NonZeroU32) -> Self {
        Self::with_names(rate, MAX_NAMES)
    }

    fn with_names(rate: NonZeroU32, max: usize) -> Self {
        Self {
            burst: rate,
            limiter: RateLimiter::keyed(Quota::per_second(rate)),
            clock: DefaultClock::default(),
            seen: AtomicU32::new(0),
            crowded: AtomicBool::new(false),
            swept: Mutex::new(Instant::now()),
            max,
        }
    }

    /// Takes `cells` of a name's; how long until there are so many, if there are not. More than the burst are never there.
    pub(super) fn take(&self, name: &str, cells: NonZeroU32) -> Result<(), Duration> {
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK) {
            self.look();
        }
        let name = if self.crowded.load(Ordering::Relaxed) { OTHERS } else { name };
        match self.limiter.check_key_n(&name.to_owned(), cells.min(self.burst)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            Err(_) => Err(Duration::from_secs(1)),
        }
    }

    fn look(&self) {
        if self.limiter.len() < self.max / 2 {
            self.crowded.store(false, Ordering::Relaxed);
            return;
        }
        let Some(mut swept) = self.swept.try_lock().filter(|swept| swept.elapsed() >= SWEEP) else {
            self.crowded.store(self.limiter.len() >= self.max, Ordering::Relaxed);
            return;
        };
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.crowded.store(self.limiter.len() >= self.max, Ordering::Relaxed);
        *swept = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn of(rate: u32, max: usize) -> Rate {
        Rate::with_names(NonZeroU32::new(rate).unwrap(), max)
    }

    #[test]
    fn names_are_bounded_and_old_ones_forgotten() {
        let rate = of(1000, 2000);
        for n in 0..20_000 {
            let _ = rate.take(&format!("name-{n}"), ONE);
        }
        assert!(rate.limiter.len() <= 2000 + LOOK as usize, "{}", rate.limiter.len());
        // What was taken is given back within a millisecond here, so that all are as new.
        std::thread::sleep(SWEEP + Duration::from_millis(100));
        for _ in 0..=LOOK {
            let _ = rate.take("again", ONE);
        }
        assert!(rate.limiter.len() < 10, "{}", rate.limiter.len());
        assert!(!rate.crowded.load(Ordering::Relaxed));
    }

    #[test]
    fn the_wait_is_told() {
        let rate = of(2, 10);
        assert!(rate.take("a", ONE).is_ok() && rate.take("a", ONE).is_ok());
        let wait = rate.take("a", ONE).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500), "{wait:?}");
        assert!(rate.take("b", NonZeroU32::new(100).unwrap()).is_ok(), "a burst at most is taken");
    }
}
