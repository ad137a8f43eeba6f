//! Lifecycle rules (S3's): what of a bucket goes by itself, and when. Here they are data and pure functions; [`sweep`]
//! applies them.
//!
//! Times are S3's: so many days after an event, and from there to the next midnight of UTC.

mod stats;
mod sweep;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::types::Timestamp;

pub use stats::Swept;
pub(super) use stats::Tally;

/// Name of the bucket's document that holds the rules, in JSON.
pub const DOCUMENT: &str = "lifecycle";

/// A bucket's rules.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Lifecycle {
    /// In the order in which they were given.
    pub rules: Vec<Rule>,
}

/// One rule: what it is about, and what becomes of that.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, unique in the bucket.
    pub id: String,
    /// Rules that are not are kept and do nothing.
    pub enabled: bool,
    /// What it is about.
    pub filter: Filter,
    /// The filter was given in S3's older form, as a prefix alone.
    pub plain_prefix: bool,
    /// What becomes of current versions.
    pub expiration: Option<Expiration>,
    /// What becomes of versions that were replaced or deleted.
    pub noncurrent: Option<Noncurrent>,
    /// Uploads that were not completed end so many days after they were begun.
    pub abort_uploads: Option<u32>,
}

/// All that are given must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Keys that begin so.
    pub prefix: String,
    /// Objects with all these tags.
    pub tags: Vec<(String, String)>,
    /// Objects of more bytes than this.
    pub larger: Option<u64>,
    /// Objects of fewer bytes than this.
    pub smaller: Option<u64>,
}

/// When a current version goes: deleted or, where the bucket keeps versions, hidden by a delete marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Expiration {
    /// So many days after it was made.
    Days(u32),
    /// From this moment on (seconds since 1970).
    Date(i64),
    /// Never; but (if true) a delete marker goes that hides nothing any more.
    Markers(bool),
}

/// When a version that is not the current one goes, for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Noncurrent {
    /// So many days after it was replaced.
    pub days: u32,
    /// The newest so many of a key stay.
    pub keep: Option<u32>,
}

/// What a filter looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its size in bytes.
    pub size: u64,
    /// Its tags.
    pub tags: &'a [(String, String)],
}

/// How long a day is: 24 hours, or less to try rules out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    day: i64,
}

impl Calendar {
    /// With days of so many seconds (at least 1).
    pub fn new(day: std::time::Duration) -> Self {
        Self { day: i64::try_from(day.as_secs()).unwrap_or(i64::MAX).max(1) }
    }

    /// So many days later, then on to the next midnight (seconds since 1970).
    pub fn after(&self, from: Timestamp, days: u32) -> i64 {
        let then = from.secs.saturating_add(self.day.saturating_mul(i64::from(days)));
        let into = then.rem_euclid(self.day);
        match (into, from.nanos) {
            (0, 0) => then,
            _ => then.saturating_add(self.day - into),
        }
    }
}

impl Filter {
    fn has_key(&self, key: &[u8]) -> bool {
        key.starts_with(self.prefix.as_bytes())
    }

    /// Whether an object is meant.
    pub fn fits(&self, subject: &Subject<'_>) -> bool {
        self.has_key(subject.key)
            && self.larger.is_none_or(|bytes| subject.size > bytes)
            && self.smaller.is_none_or(|bytes| subject.size < bytes)
            && self.tags.iter().all(|tag| subject.tags.contains(tag))
    }

    /// Whether what has neither size nor tags is meant: delete markers, uploads.
    fn fits_bare(&self, key: &[u8]) -> bool {
        self.has_key(key) && self.tags.is_empty() && self.larger.is_none() && self.smaller.is_none()
    }
}

impl Lifecycle {
    /// Reads a document.
    pub fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| Error::corrupt("a bucket's lifecycle cannot be read").caused_by(e))
    }

    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.enabled)
    }

    /// When the current version of an object goes (seconds since 1970), and the rule by which it does: the first to
    /// come true.
    pub fn expires(&self, subject: &Subject<'_>, made: Timestamp, calendar: Calendar) -> Option<(i64, &str)> {
        let when = |rule: &Rule| match rule.expiration? {
            Expiration::Days(days) => Some(calendar.after(made, days)),
            Expiration::Date(date) => Some(date),
            Expiration::Markers(_) => None,
        };
        let fitting = self.enabled().filter(|rule| rule.filter.fits(subject));
        fitting.filter_map(|rule| Some((when(rule)?, rule.id.as_str()))).min_by_key(|(at, _)| *at)
    }

    /// Whether a version that was replaced at `since` goes now. `newer`: how many versions of the key that are not current
    /// either are newer. Delete markers have no `subject`.
    fn noncurrent_due(
        &self,
        key: &[u8],
        subject: Option<&Subject<'_>>,
        since: Timestamp,
        newer: u32,
        now: Timestamp,
        calendar: Calendar,
    ) -> bool {
        self.enabled().any(|rule| {
            rule.noncurrent.is_some_and(|noncurrent| {
                subject.map_or_else(|| rule.filter.fits_bare(key), |subject| rule.filter.fits(subject))
                    && newer >= noncurrent.keep.unwrap_or(0)
                    && calendar.after(since, noncurrent.days) <= now.secs
            })
        })
    }

    /// Whether a delete marker that hides nothing goes now.
    fn marker_due(&self, key: &[u8], made: Timestamp, now: Timestamp, calendar: Calendar) -> bool {
        self.enabled().filter(|rule| rule.filter.fits_bare(key)).any(|rule| match rule.expiration {
            Some(Expiration::Markers(wanted)) => wanted,
            Some(Expiration::Days(days)) => calendar.after(made, days) <= now.secs,
            Some(Expiration::Date(date)) => date <= now.secs,
            None => false,
        })
    }

    /// Whether an upload that was begun at `begun` ends now.
    fn upload_due(&self, key: &[u8], begun: Timestamp, now: Timestamp, calendar: Calendar) -> bool {
        self.enabled()
            .filter(|rule| rule.filter.has_key(key))
            .any(|rule| rule.abort_uploads.is_some_and(|days| calendar.after(begun, days) <= now.secs))
    }

    /// What keys begin with that any rule of a kind is about, each once and in order.
    fn prefixes(&self, kind: impl Fn(&Rule) -> bool) -> Vec<&str> {
        let mut prefixes: Vec<&str> = self.enabled().filter(|r| kind(r)).map(|r| r.filter.prefix.as_str()).collect();
        prefixes.sort_unstable();
        let mut apart: Vec<&str> = Vec::new();
        for prefix in prefixes {
            if !apart.last().is_some_and(|last| prefix.starts_with(last)) {
                apart.push(prefix);
            }
        }
        apart
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: i64 = 86_400;

    fn at(secs: i64) -> Timestamp {
        Timestamp { secs, nanos: 0 }
    }

    fn days(id: &str, prefix: &str, days: u32) -> Rule {
        Rule {
            id: id.to_owned(),
            enabled: true,
            filter: Filter { prefix: prefix.to_owned(), ..Filter::default() },
            expiration: Some(Expiration::Days(days)),
            ..Rule::default()
        }
    }

    fn calendar() -> Calendar {
        Calendar::new(Duration::from_secs(86_400))
    }

    #[test]
    fn days_end_at_midnight() {
        let calendar = calendar();
        assert_eq!(calendar.after(at(0), 1), DAY);
        assert_eq!(calendar.after(at(1), 1), 2 * DAY);
        assert_eq!(calendar.after(Timestamp { secs: 0, nanos: 1 }, 1), 2 * DAY);
        assert_eq!(calendar.after(at(DAY - 1), 3), 4 * DAY);
        assert_eq!(calendar.after(at(i64::MAX), u32::MAX), i64::MAX);
    }

    #[test]
    fn the_rule_that_comes_true_first() {
        let mut off = days("off", "", 1);
        off.enabled = false;
        let mut big = days("big", "a", 2);
        big.filter.larger = Some(10);
        let tagged = Rule {
            filter: Filter { tags: vec![("k".into(), "v".into())], ..Filter::default() },
            expiration: Some(Expiration::Date(5)),
            ..days("tagged", "", 0)
        };
        let rules = Lifecycle { rules: vec![off, days("ten", "", 10), days("three", "a/", 3), big, tagged] };
        let tags = [("k".to_owned(), "v".to_owned()), ("l".to_owned(), String::new())];
        let rule = |key: &'static str, size, tags| {
            rules.expires(&Subject { key: key.as_bytes(), size, tags }, at(0), calendar())
        };
        assert_eq!(rule("b", 0, &[]), Some((10 * DAY, "ten")));
        assert_eq!(rule("a/b", 10, &[]), Some((3 * DAY, "three")));
        assert_eq!(rule("a/b", 11, &[]), Some((2 * DAY, "big")));
        assert_eq!(rule("b", 11, &tags), Some((5, "tagged")));
        assert_eq!(rule("b", 11, &tags[1..]), Some((10 * DAY, "ten")));
    }

    #[test]
    fn what_is_newest_of_the_old_stays() {
        let rules = Lifecycle {
            rules: vec![Rule {
                noncurrent: Some(Noncurrent { days: 1, keep: Some(2) }),
                expiration: None,
                ..days("old", "", 0)
            }],
        };
        let due = |newer, now| rules.noncurrent_due(b"k", None, at(0), newer, at(now), calendar());
        assert!(due(2, DAY) && due(3, DAY));
        assert!(!due(1, DAY) && !due(2, DAY - 1));
    }

    #[test]
    fn prefixes_are_looked_at_once() {
        let rules = Lifecycle { rules: ["b", "a/x", "a", "bc", "c"].map(|prefix| days(prefix, prefix, 1)).to_vec() };
        assert_eq!(rules.prefixes(|_| true), ["a", "b", "c"]);
        assert!(rules.prefixes(|rule| rule.noncurrent.is_some()).is_empty());
    }
}
