//! Reads over overlay and replica against a map, with the applier anywhere behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, prop_oneof};
use proptest::{prop_assert_eq, proptest, test_runner::Config};

use super::{EngineKind, config, open};
use crate::meta::{MetaConfig, Row, RowChange};
use crate::testkit::sample;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<RowChange>),
    Range(Vec<u8>, Vec<u8>, usize),
    Last(Vec<u8>, Vec<u8>),
    Get(Vec<u8>),
    Settle,
    Reopen,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![4 => b'A'..=b'D', 1 => any::<u8>()], 0..4).prop_map(|mut tail| {
        tail.insert(0, b'E');
        tail
    })
}

fn step() -> impl Strategy<Value = Step> {
    let change = (key(), prop::option::weighted(0.6, prop::collection::vec(any::<u8>(), 0..20)));
    prop_oneof![
        6 => prop::collection::vec(change, 0..12).prop_map(Step::Commit),
        4 => (key(), key(), 0usize..12).prop_map(|(a, b, n)| Step::Range(a.clone().min(b.clone()), a.max(b), n)),
        1 => (key(), key(), 0usize..5).prop_map(|(a, b, n)| Step::Range(a, b, n)),
        3 => (key(), key()).prop_map(|(a, b)| Step::Last(a.clone().min(b.clone()), a.max(b))),
        2 => key().prop_map(Step::Get),
        1 => proptest::strategy::Just(Step::Settle),
        1 => proptest::strategy::Just(Step::Reopen),
    ]
}

fn agrees_with_a_map(config: &MetaConfig, steps: Vec<Step>) -> Result<(), proptest::test_runner::TestCaseError> {
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut meta = open(config).unwrap().0;
    let part = |model: &BTreeMap<Vec<u8>, Vec<u8>>, start: &Vec<u8>, end: &Vec<u8>| -> Vec<Row> {
        model.iter().filter(|(k, _)| *k >= start && *k < end).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    for step in steps {
        match step {
            Step::Commit(rows) => {
                let mut record = sample::record(b"E", None);
                record.rows = rows;
                for (key, value) in &record.rows {
                    match value {
                        Some(value) => model.insert(key.clone(), value.clone()),
                        None => model.remove(key),
                    };
                }
                let seq = meta.commit(record).unwrap();
                prop_assert_eq!(meta.head(), seq);
            }
            Step::Range(start, end, limit) => {
                let mut expected = part(&model, &start, &end);
                expected.truncate(limit);
                prop_assert_eq!(meta.range(&start, &end, limit).unwrap(), expected);
            }
            Step::Last(start, end) => {
                prop_assert_eq!(meta.last(&start, &end).unwrap(), part(&model, &start, &end).pop());
                prop_assert_eq!(meta.first(&start, &end).unwrap(), part(&model, &start, &end).into_iter().next());
            }
            Step::Get(key) => prop_assert_eq!(meta.get(&key).unwrap(), model.get(&key).cloned()),
            Step::Settle => meta.settle().unwrap(),
            Step::Reopen => {
                meta.close().unwrap();
                drop(meta);
                meta = open(config).unwrap().0;
            }
        }
    }
    prop_assert_eq!(super::rows(&meta), model.into_iter().collect::<Vec<_>>());
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 60, ..Config::default() })]

    #[test]
    fn reads_agree_with_a_map(steps in prop::collection::vec(step(), 1..60), slow in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), EngineKind::Memory);
        if slow {
            // Nothing is applied but by settling: everything comes from the overlay.
            config.apply_interval = Duration::from_secs(3600);
            config.commit_interval = Duration::from_secs(3600);
        }
        let steps = if slow { steps.into_iter().filter(|s| !matches!(s, Step::Settle)).collect() } else { steps };
        agrees_with_a_map(&config, steps)?;
    }
}

proptest! {
    #![proptest_config(Config { cases: 8, ..Config::default() })]

    #[test]
    fn reads_agree_with_a_map_on_sled(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        agrees_with_a_map(&config(dir.path(), EngineKind::Sled), steps)?;
    }
}

/// A name moves to and fro while it is listed: it must always be there exactly once.
fn a_moving_name_is_always_seen_once(engine: EngineKind) {
    const NAMES: u64 = 5;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), engine);
    config.segment_bytes = 1 << 20;
    config.apply_interval = Duration::ZERO;
    let (meta, _) = open(&config).unwrap();
    super::put(&meta, &[b'E', 0], b"it");
    let done = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (meta, done) = (meta.clone(), done.clone());
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let rows = meta.range(b"E", b"F", 10).unwrap();
                    assert_eq!(rows.len(), 1, "{rows:?}");
                    assert!(meta.last(b"E", b"F").unwrap().is_some());
                    assert!(meta.first(b"E", b"F").unwrap().is_some());
                }
            });
        }
        for n in 0..2000u64 {
            let (from, to) = ((n % NAMES) as u8, ((n + 1) % NAMES) as u8);
            let mut record = sample::record(&[b'E', to], Some(b"it"));
            record.rows.push((vec![b'E', from], None));
            let seq = meta.commit(record).unwrap();
            if n % 7 == 0 {
                meta.durable_blocking(seq).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_moving_name_is_always_seen_once_in_memory() {
    a_moving_name_is_always_seen_once(EngineKind::Memory);
}

#[test]
fn a_moving_name_is_always_seen_once_in_sled() {
    a_moving_name_is_always_seen_once(EngineKind::Sled);
}
