//! Listings against a sorted model (S4).

use std::collections::BTreeSet;

use proptest::prelude::{ProptestConfig, Strategy, any, prop};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert_eq, proptest};

use super::{Fixture, item_text};
use crate::meta::EngineKind;
use crate::namespace::s3_types::{ListItem, ListRequest};

/// What a listing is, said as simply as it can be.
fn model(keys: &BTreeSet<String>, request: &ListRequest) -> (Vec<String>, bool) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (prefix, delimiter, after) = (text(&request.prefix), text(&request.delimiter), text(&request.after));
    // A key after which a listing goes on skips all that it rolls up, if it is a common prefix itself; else what follows it
    // may roll up to a prefix that is smaller than it.
    let skipped = !delimiter.is_empty() && after.starts_with(&prefix) && {
        let rest = &after[prefix.len()..];
        rest.find(&delimiter).is_some_and(|at| at + delimiter.len() == rest.len())
    };
    let begun = |key: &str| key > after.as_str() && !(skipped && key.starts_with(&after));
    let mut items: Vec<String> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(&prefix) && begun(key)) {
        let rolled = match key[prefix.len()..].find(&delimiter) {
            Some(at) if !delimiter.is_empty() => format!("{}*", &key[..prefix.len() + at + delimiter.len()]),
            _ => key.clone(),
        };
        if items.last() != Some(&rolled) {
            items.push(rolled);
        }
    }
    let truncated = items.len() > request.max;
    items.truncate(request.max);
    (items, truncated)
}

fn check(f: &Fixture, keys: &BTreeSet<String>, request: ListRequest) -> Result<(), TestCaseError> {
    let expected = model(keys, &request);
    let page = f.list(request.clone());
    let got: Vec<String> = page.items.iter().map(item_text).collect();
    prop_assert_eq!((got, page.truncated), expected, "{:?}", request);
    Ok(())
}

fn key() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "-", ".", "0", "/", "//", "é", "~"]), 1..7)
        .prop_map(|parts| parts.concat())
}

fn engines() -> Vec<EngineKind> {
    EngineKind::on_disk().iter().copied().chain([EngineKind::Memory]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 36, ..ProptestConfig::default() })]
    #[test]
    fn pages_equal_the_model(
        engine in prop::sample::select(engines()),
        keys in prop::collection::btree_set(key(), 1..30),
        queries in prop::collection::vec((0usize..4, any::<prop::sample::Index>(), 0usize..4, 0usize..5, 1usize..6), 12),
    ) {
        pages_on(engine, &keys, &queries)?;
    }
}

/// What a query is made of: prefix, key, delimiter, start, length of a page.
type Query = (usize, prop::sample::Index, usize, usize, usize);

fn pages_on(engine: EngineKind, keys: &BTreeSet<String>, queries: &[Query]) -> Result<(), TestCaseError> {
    let f = Fixture::new(engine);
    for key in keys {
        f.put(key, key.as_bytes());
    }
    prop_assert_eq!(f.keys(), keys.iter().cloned().collect::<Vec<_>>());
    let sorted: Vec<_> = keys.iter().cloned().collect();
    for &(prefix_len, index, delimiter, cut, max) in queries {
        let some = &sorted[index.index(sorted.len())];
        let take = |n: usize| some.chars().take(n).collect::<String>().into_bytes();
        let request = ListRequest {
            prefix: take(prefix_len),
            delimiter: [&b""[..], b"/", b"a", b"/-"][delimiter].to_vec(),
            after: take(cut),
            max,
        };
        check(&f, keys, request.clone())?;
        // Pages put together are the whole listing.
        let whole = f.list(ListRequest { max: 1000, after: Vec::new(), ..request.clone() });
        let mut pages = Vec::new();
        let mut after = Vec::new();
        loop {
            let page = f.list(ListRequest { after: after.clone(), max: 2, ..request.clone() });
            match page.items.last() {
                Some(ListItem::Object(info)) => after = info.key.clone(),
                Some(ListItem::Prefix(prefix)) => after = prefix.clone(),
                None => {}
            }
            pages.extend(page.items);
            if !page.truncated {
                break;
            }
        }
        prop_assert_eq!(pages, whole.items);
    }
    for key in keys {
        f.delete(key);
    }
    prop_assert_eq!(f.keys(), Vec::<String>::new());
    prop_assert_eq!(f.names(f.bucket_ino()), Vec::<String>::new());
    Ok(())
}
