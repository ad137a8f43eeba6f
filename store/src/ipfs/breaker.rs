//! The circuit breaker of one server: after some failures in a row it is left alone for a while, then one request tries
//! whether it is back.

use std::time::{Duration, Instant};

/// When to leave a server alone, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) failures: u32,
    pub(super) pause: Duration,
    pub(super) longest: Duration,
}

/// The state of one server.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Left alone until then.
    open_until: Option<Instant>,
    /// One request is trying.
    trying: bool,
}

/// What a failure changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Changed {
    /// Nothing that an operator must hear.
    Nothing,
    /// The server is left alone from now on.
    Opened,
    /// The server is back.
    Closed,
}

impl Breaker {
    /// Whether a request may go there now. A server that was left alone long enough gets one, whose outcome decides.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        match self.open_until {
            None => true,
            Some(_) if self.trying => false,
            Some(until) if now < until => false,
            Some(_) => {
                self.trying = true;
                true
            }
        }
    }

    /// Whether it is left alone.
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// It answered.
    pub(super) fn succeeded(&mut self) -> Changed {
        let was_open = self.open_until.is_some();
        *self = Self::default();
        if was_open { Changed::Closed } else { Changed::Nothing }
    }

    /// It did not.
    pub(super) fn failed(&mut self, now: Instant, rules: Rules) -> Changed {
        self.trying = false;
        self.failures = self.failures.saturating_add(1);
        let Some(beyond) = self.failures.checked_sub(rules.failures.max(1)) else { return Changed::Nothing };
        let pause = rules.pause.saturating_mul(1 << beyond.min(16)).min(rules.longest);
        let opened = self.open_until.is_none();
        self.open_until = Some(now + pause);
        if opened { Changed::Opened } else { Changed::Nothing }
    }

    /// The request that tried was given up without an outcome.
    pub(super) fn abandoned(&mut self) {
        self.trying = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { failures: 2, pause: Duration::from_secs(1), longest: Duration::from_secs(4) };

    #[test]
    fn it_opens_tries_once_and_closes() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        assert_eq!(breaker.failed(start, RULES), Changed::Nothing);
        assert!(breaker.admit(start));
        assert_eq!(breaker.failed(start, RULES), Changed::Opened);
        assert!(!breaker.admit(start + Duration::from_millis(999)));
        assert!(breaker.admit(start + Duration::from_secs(1)), "one request tries");
        assert!(!breaker.admit(start + Duration::from_secs(1)), "no second one beside it");
        assert_eq!(breaker.failed(start + Duration::from_secs(1), RULES), Changed::Nothing);
        assert!(!breaker.admit(start + Duration::from_secs(2)), "twice as long");
        assert!(breaker.admit(start + Duration::from_secs(3)));
        assert_eq!(breaker.succeeded(), Changed::Closed);
        assert!(breaker.admit(start) && !breaker.is_open());
    }

    #[test]
    fn the_pause_is_bounded_and_a_trial_that_was_given_up_blocks_nobody() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            breaker.failed(start, RULES);
        }
        assert!(!breaker.admit(start + Duration::from_millis(3_999)));
        assert!(breaker.admit(start + Duration::from_secs(4)));
        breaker.abandoned();
        assert!(breaker.admit(start + Duration::from_secs(4)));
    }
}
