//! Lines that wait to be put: one batch for each log object to come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::{Date, OffsetDateTime};

use super::Target;

/// Bytes of all lines that wait, with what a batch costs beside them.
const ALL: usize = 16 << 20;
/// A log object is put at once when it has so many bytes.
const FULL: usize = 1 << 20;
/// What a batch costs beside its lines.
const BATCH: usize = 1024;

/// There is no room for a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// One log object to come.
#[derive(Debug)]
pub(super) struct Batch {
    /// Where it goes.
    pub(super) target: Arc<Target>,
    /// The day of its requests, where its key names that.
    pub(super) day: Option<Date>,
    /// Its text.
    pub(super) text: String,
    /// Lines in it.
    pub(super) lines: u64,
    since: Instant,
}

/// All that wait.
#[derive(Default)]
pub(super) struct Batches {
    waiting: HashMap<(Arc<Target>, Option<Date>), Batch>,
    bytes: usize,
    /// Lines that found no room since somebody asked.
    dropped: u64,
}

impl Batches {
    /// Takes a line; whether its batch is full.
    pub(super) fn add(&mut self, target: &Arc<Target>, time: OffsetDateTime, line: &str) -> Result<bool, NoRoom> {
        let day = target.by_day_of_event().then(|| time.date());
        let key = (target.clone(), day);
        let cost = line.len() + 1 + if self.waiting.contains_key(&key) { 0 } else { BATCH };
        if self.bytes + cost > ALL {
            self.dropped += 1;
            return Err(NoRoom);
        }
        self.bytes += cost;
        let since = Instant::now();
        let batch = self.waiting.entry(key).or_insert_with(|| Batch {
            target: target.clone(),
            day,
            text: String::new(),
            lines: 0,
            since,
        });
        batch.text.push_str(line);
        batch.text.push('\n');
        batch.lines += 1;
        Ok(batch.text.len() >= FULL)
    }

    /// Those that are full, or this old. Their room is given back by [`Self::gone`]: until they are put they are in memory.
    pub(super) fn due(&mut self, age: Duration) -> Vec<Batch> {
        let due = |batch: &Batch| batch.text.len() >= FULL || batch.since.elapsed() >= age;
        self.waiting.extract_if(|_, batch| due(batch)).map(|(_, batch)| batch).collect()
    }

    /// A batch was put, or given up.
    pub(super) fn gone(&mut self, batch: &Batch) {
        self.bytes -= batch.text.len() + BATCH;
    }

    /// Lines that found no room since the last time.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "sixteen bytes ..";

    fn target(source: &str) -> Arc<Target> {
        Arc::new(Target::simple(source, "logs", "p/"))
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let (mut batches, now) = (Batches::default(), OffsetDateTime::UNIX_EPOCH);
        let big = "x".repeat(FULL / 2);
        let mut taken = 0;
        while batches.add(&target("a"), now, &big).is_ok() {
            taken += 1;
        }
        assert!((taken - 1) * big.len() < ALL && batches.bytes <= ALL, "{taken}");
        assert_eq!((batches.take_dropped(), batches.take_dropped()), (1, 0));
        let due = batches.due(Duration::MAX);
        assert_eq!(due.len(), 1, "it is full");
        assert_eq!(batches.add(&target("a"), now, &big), Err(NoRoom), "what is being put is still in memory");
        batches.gone(&due[0]);
        assert_eq!(batches.bytes, 0);
        // Many logs of one line each are bounded, too.
        let kept = (0..100_000).take_while(|n| batches.add(&target(&n.to_string()), now, LINE).is_ok()).count();
        assert!(kept > 1000 && kept < ALL / BATCH, "{kept}");
    }

    #[test]
    fn days_are_apart_where_the_key_names_them() {
        let mut batches = Batches::default();
        let by_day = Arc::new(Target::by_event_day("a", "logs"));
        for day in [0, 0, 86_400] {
            let time = OffsetDateTime::from_unix_timestamp(day).unwrap();
            assert_eq!(batches.add(&by_day, time, LINE), Ok(false));
            assert_eq!(batches.add(&target("a"), time, LINE), Ok(false));
        }
        assert!(batches.due(Duration::from_secs(3600)).is_empty());
        let mut due: Vec<(bool, u64)> =
            batches.due(Duration::ZERO).iter().map(|batch| (batch.day.is_some(), batch.lines)).collect();
        due.sort_unstable();
        assert_eq!(due, [(false, 3), (true, 1), (true, 2)]);
    }
}
