//! What every [`MetaStore`] must do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::meta::{MetaStore, Row, RowChange};

/// Runs the suite. `open` opens the database of that name, a new one for a new name; the same name again, after the
/// store was dropped, reopens it if the engine has a disk (`reopens`).
pub fn meta_store(open: impl Fn(&str) -> Arc<dyn MetaStore>, reopens: bool) {
    single_rows(&*open("single"));
    ranges_have_bounds_and_order(&*open("ranges"));
    the_last_change_of_a_key_wins(&*open("twice"));
    large_values_and_batches(&*open("large"));
    behaves_like_a_map(&*open("model"));
    batches_are_seen_whole(open("whole"));
    many_threads(open("threads"));
    if reopens {
        rows_survive_reopening(&open);
    }
}

fn put(key: &[u8], value: &[u8]) -> RowChange {
    (key.to_vec(), Some(value.to_vec()))
}

fn row(key: &[u8], value: &[u8]) -> Row {
    (key.to_vec(), value.to_vec())
}

fn single_rows(store: &dyn MetaStore) {
    assert!(!store.engine().is_empty() && store.batch_keys() > 0);
    assert_eq!(store.get(b"a").unwrap(), None);
    store.apply(&[]).unwrap();
    store.apply(&[put(b"a", b"1"), put(b"b", b"")]).unwrap();
    assert_eq!(store.get(b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.get(b"b").unwrap(), Some(Vec::new()), "an empty value is a value");
    assert_eq!(store.get(b"").unwrap(), None);
    assert_eq!(store.get(b"a\0").unwrap(), None);
    store.apply(&[(b"a".to_vec(), None), (b"never there".to_vec(), None)]).unwrap();
    assert_eq!(store.get(b"a").unwrap(), None);
    store.flush().unwrap();
    store.stats().unwrap();
}

fn ranges_have_bounds_and_order(store: &dyn MetaStore) {
    let keys: [&[u8]; 8] = [b"E", b"E\0", b"Ea", b"Ea-b", b"Ea/", b"Ea0", b"Eb", &[0xff, 0xff]];
    let batch: Vec<_> = keys.iter().rev().map(|k| put(k, k)).collect();
    store.apply(&batch).unwrap();
    let all: Vec<Row> = keys.iter().map(|k| row(k, k)).collect();
    assert_eq!(store.range(b"", &[0xff; 3], 100).unwrap(), all);
    assert_eq!(store.range(b"Ea", b"Eb", 100).unwrap(), all[2..6]);
    assert_eq!(store.range(b"Ea", b"Eb\0", 100).unwrap(), all[2..7]);
    assert_eq!(store.range(b"Ea", b"Eb", 2).unwrap(), all[2..4]);
    assert_eq!(store.range(b"Ea", b"Eb", 0).unwrap(), []);
    for (start, end) in [(b"Eb", b"Ea"), (b"Ea", b"Ea"), (b"Ec", b"Ed")] {
        assert_eq!(store.range(start, end, 100).unwrap(), []);
        assert_eq!(store.last(start, end).unwrap(), None);
    }
    assert_eq!(store.last(b"", &[0xff; 3]).unwrap().as_ref(), all.last());
    assert_eq!(store.last(b"E", b"Eb").unwrap(), Some(row(b"Ea0", b"Ea0")));
    assert_eq!(store.last(b"Ea", b"Ea\0").unwrap(), Some(row(b"Ea", b"Ea")));
}

fn the_last_change_of_a_key_wins(store: &dyn MetaStore) {
    let gone = |key: &[u8]| (key.to_vec(), None);
    store.apply(&[put(b"a", b"1"), put(b"a", b"2"), put(b"b", b"1"), gone(b"b"), gone(b"c"), put(b"c", b"3")]).unwrap();
    assert_eq!(store.range(b"a", b"z", 9).unwrap(), [row(b"a", b"2"), row(b"c", b"3")]);
}

fn large_values_and_batches(store: &dyn MetaStore) {
    let large = vec![0xab; 300_000];
    store.apply(&[put(b"large", &large)]).unwrap();
    store.flush().unwrap();
    assert_eq!(store.get(b"large").unwrap().as_deref(), Some(large.as_slice()));
    // However many there are.
    let many: Vec<_> = (0..3000u32).map(|n| put(&n.to_be_bytes(), &n.to_le_bytes())).collect();
    store.apply(&many).unwrap();
    assert_eq!(store.range(&[0], &[1], 5000).unwrap().len(), 3000);
    let none: Vec<_> = (0..3000u32).map(|n| (n.to_be_bytes().to_vec(), None)).collect();
    store.apply(&none).unwrap();
    assert_eq!(store.range(&[0], &[1], 5000).unwrap(), []);
}

/// A small generator, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn key(&mut self) -> Vec<u8> {
        (0..=self.roll(3)).map(|_| b'a' + self.roll(6) as u8).collect()
    }
}

fn behaves_like_a_map(store: &dyn MetaStore) {
    let mut dice = Dice(42);
    let mut model = BTreeMap::new();
    for step in 0..400 {
        let batch: Vec<RowChange> = (0..dice.roll(20))
            .map(|_| (dice.key(), (dice.roll(3) > 0).then(|| vec![step as u8; dice.roll(50) as usize])))
            .collect();
        store.apply(&batch).unwrap();
        for (key, value) in batch {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        let (start, end) = (dice.key(), dice.key());
        let limit = dice.roll(40) as usize;
        let expected: Vec<Row> = if start < end {
            model.range(start.clone()..end.clone()).map(|(k, v)| (k.clone(), v.clone())).collect()
        } else {
            Vec::new()
        };
        assert_eq!(store.last(&start, &end).unwrap(), expected.last().cloned(), "step {step}");
        assert_eq!(store.range(&start, &end, limit).unwrap(), expected[..limit.min(expected.len())], "step {step}");
        let key = dice.key();
        assert_eq!(store.get(&key).unwrap().as_ref(), model.get(&key), "step {step}");
    }
}

fn batches_are_seen_whole(store: Arc<dyn MetaStore>) {
    const KEYS: u8 = 60;
    let batch = |n: u32| -> Vec<RowChange> { (0..KEYS).map(|k| put(&[k], &n.to_be_bytes())).collect() };
    store.apply(&batch(0)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let rows = store.range(&[0], &[KEYS], 100).unwrap();
                    assert_eq!(rows.len(), usize::from(KEYS));
                    assert!(rows.iter().all(|(_, v)| *v == rows[0].1), "half of a batch was seen");
                }
            });
        }
        for n in 1..300 {
            store.apply(&batch(n)).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn many_threads(store: Arc<dyn MetaStore>) {
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..100u8 {
                    store.apply(&[put(&[thread, n], &[n])]).unwrap();
                    assert_eq!(store.get(&[thread, n]).unwrap(), Some(vec![n]));
                    if n % 50 == 0 {
                        store.flush().unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(store.range(&[0], &[9], 1000).unwrap().len(), 400);
}

fn rows_survive_reopening(open: &impl Fn(&str) -> Arc<dyn MetaStore>) {
    let mut model = BTreeMap::new();
    let mut dice = Dice(7);
    for round in 0..4u8 {
        let store = open("reopened");
        let rows = store.range(&[], &[0xff; 8], usize::MAX).unwrap();
        assert_eq!(rows, model.clone().into_iter().collect::<Vec<Row>>(), "round {round}");
        for _ in 0..50 {
            let batch: Vec<RowChange> =
                (0..dice.roll(10)).map(|_| (dice.key(), (dice.roll(4) > 0).then(|| vec![round; 100]))).collect();
            store.apply(&batch).unwrap();
            for (key, value) in batch {
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
        }
        store.apply(&[put(b"large", &vec![round; 200_000])]).unwrap();
        model.insert(b"large".to_vec(), vec![round; 200_000]);
        store.flush().unwrap();
    }
}
