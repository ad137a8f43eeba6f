//! How many calls at once: one more for each round of quick ones, a third less after a slow one.

use std::time::Duration;

/// The width now.
#[derive(Debug)]
pub(super) struct Width {
    now: f64,
    max: f64,
    slow: Duration,
}

impl Width {
    pub(super) fn new(max: usize, slow: Duration) -> Self {
        let max = max.max(1) as f64;
        Self { now: max.min(4.0), max, slow }
    }

    /// Calls at once, at least one.
    pub(super) fn get(&self) -> usize {
        self.now as usize
    }

    /// A call took so long.
    pub(super) fn took(&mut self, time: Duration) {
        self.now = if time > self.slow { (self.now * 0.7).max(1.0) } else { (self.now + 1.0 / self.now).min(self.max) };
        metrics::gauge!("pinfold_store_pin_width").set(self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_calls_narrow_it_and_quick_ones_widen_it() {
        let mut width = Width::new(16, Duration::from_secs(1));
        (0..200).for_each(|_| width.took(Duration::from_millis(5)));
        assert_eq!(width.get(), 16);
        (0..50).for_each(|_| width.took(Duration::from_secs(2)));
        assert_eq!(width.get(), 1);
        (0..10).for_each(|_| width.took(Duration::from_millis(5)));
        assert!(width.get() > 2);
    }
}
