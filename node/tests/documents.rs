//! Documents that must say what the code says.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Every string literal of the form `pinfold_CRATE_…` is a metric's name.
fn names_in_code() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["node", "s3", "fuse", "store"] {
        let mut files = Vec::new();
        rust_files(&repository().join(folder).join("src"), &mut files);
        for file in files {
            let text = std::fs::read_to_string(file).unwrap();
            for word in ["node", "s3", "fuse", "store"] {
                for after in text.split(&format!("\"pinfold_{word}_")).skip(1) {
                    let end = after.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_');
                    if let Some((name, "\"")) = end.map(|end| (&after[..end], &after[end..=end])) {
                        names.insert(format!("pinfold_{word}_{name}"));
                    }
                }
            }
        }
    }
    names
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_exists() {
    let page = std::fs::read_to_string(repository().join("docs/METRICS.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert!(documented.len() > 10, "the page's tables are not read");
    assert_eq!(names_in_code(), documented);
}
