//! Whether a mount is the only one of its namespace (ruling 21), and what follows for the kernel's caches.
//!
//! The only mount of a namespace hears of every change before the operation that made it returns (S3's), or made it
//! itself: its kernel may keep names, attributes and pages for long. With several mounts each is told of what the others
//! did a moment later; until then names that it kept would be wrong. So from the moment another one comes, names are
//! asked for each time and attributes are kept for a second, whatever was configured; what the kernel had kept before is
//! dropped then. When the others have gone it is again as configured.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::{MountConfig, Ttls};
use crate::known::Known;

/// One mount's cache times, as they are now, and what its kernel knows.
pub(crate) struct Company {
    /// What the kernel knows of.
    pub(crate) known: Known,
    ttls: Ttls,
    keep_cache: bool,
    others: AtomicBool,
}

impl Company {
    /// Alone, as configured.
    pub(crate) fn new(config: &MountConfig) -> Self {
        Self { known: Known::default(), ttls: config.ttls, keep_cache: config.keep_cache, others: false.into() }
    }

    /// The cache times of answers that are given now.
    pub(crate) fn ttls(&self) -> Ttls {
        if self.others.load(Ordering::SeqCst) { self.ttls.or_shorter(Ttls::SHARED) } else { self.ttls }
    }

    /// Whether pages may stay from one open to the next.
    pub(crate) fn keep_cache(&self) -> bool {
        self.keep_cache && !self.others.load(Ordering::SeqCst)
    }

    /// Another mount comes: from now on answers are short-lived. What was answered before has to be dropped next.
    pub(crate) fn joined(&self) {
        self.others.store(true, Ordering::SeqCst);
    }

    /// The others have gone. Pages that the kernel read meanwhile may be older than what they wrote.
    pub(crate) fn left(&self) {
        self.known.all_pages_grow_old();
        self.others.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use pinfold_store::types::Ino;

    use super::*;

    #[test]
    fn ruling21_company_shortens_times_and_drops_pages_and_solitude_brings_them_back() {
        let company = Company::new(&MountConfig::new("/nowhere"));
        company.known.looked_up(Ino(7));
        assert_eq!((company.ttls(), company.keep_cache()), (Ttls::ALONE, true));
        company.joined();
        assert_eq!((company.ttls(), company.keep_cache()), (Ttls::SHARED, false));
        company.left();
        assert_eq!((company.ttls(), company.keep_cache()), (Ttls::ALONE, true));
        assert!(!company.known.may_keep_pages(Ino(7)), "the other may have written past them");
    }

    #[test]
    fn ruling21_shorter_times_than_those_of_company_stay() {
        let mut config = MountConfig::new("/nowhere");
        config.ttls.attr = std::time::Duration::ZERO;
        let company = Company::new(&config);
        company.joined();
        assert_eq!(company.ttls(), Ttls { attr: std::time::Duration::ZERO, ..Ttls::SHARED });
    }
}
