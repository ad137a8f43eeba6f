//! How pins are made.

use std::time::Duration;

use crate::meta::pin_row::PinTerms;

/// Settings of the manager.
#[derive(Clone, Debug)]
pub struct PinSettings {
    /// What a pin asks for unless somebody asked for something else. Its name is that of every pin.
    pub terms: PinTerms,
    /// Calls at once, at most; fewer while they take long.
    pub workers: usize,
    /// A call that takes longer makes the manager ask less at once.
    pub slow: Duration,
    /// First look at a pin after the service was told.
    pub first_look: Duration,
    /// Longest pause between two looks while peers fetch.
    pub look: Duration,
    /// First pause after a failure; it doubles.
    pub retry: Duration,
    /// The longest.
    pub retry_longest: Duration,
    /// A pin that is not there so long after it was wanted is an alert.
    pub deadline: Duration,
    /// Pause between two looks at what failed at the peers.
    pub trouble_every: Duration,
    /// Pause between two comparisons of everything.
    pub reconcile_every: Duration,
    /// Before the first of them.
    pub reconcile_first: Duration,
}

impl Default for PinSettings {
    fn default() -> Self {
        Self {
            terms: PinTerms { name: "pinfold".to_owned(), replication_min: -1, replication_max: -1 },
            workers: 16,
            slow: Duration::from_secs(2),
            first_look: Duration::from_millis(300),
            look: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            retry_longest: Duration::from_secs(600),
            deadline: Duration::from_secs(3600),
            trouble_every: Duration::from_secs(60),
            reconcile_every: Duration::from_secs(3600),
            reconcile_first: Duration::from_secs(60),
        }
    }
}
