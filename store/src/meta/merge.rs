//! Reading a range of the replica with the overlay's changes over it.

use super::overlay::Slice;
use super::{Row, RowChange};
use crate::error::Result;

/// Up to `limit` rows with `start <= key < end`: those that `read` gives, changed as `slice` says.
pub(super) fn merge(
    start: &[u8],
    end: &[u8],
    limit: usize,
    slice: Slice,
    read: impl Fn(&[u8], &[u8], usize) -> Result<Vec<Row>>,
) -> Result<Vec<Row>> {
    let deletions = slice.changes.iter().filter(|(_, value)| value.is_none()).count();
    // A change may hide a stored row each, and then more are needed; but do not read far beyond what is asked for.
    let chunk = limit.saturating_add(deletions.min(1024)).max(1);
    let end = match slice.changes.last() {
        // The changes up to this one alone are enough rows.
        Some((key, _)) if slice.cut => successor(key),
        _ => end.to_vec(),
    };
    let mut out = Vec::new();
    if limit == 0 || start >= end.as_slice() {
        return Ok(out);
    }
    let mut changes = slice.changes.into_iter().peekable();
    let mut from = start.to_vec();
    loop {
        let stored = read(&from, &end, chunk)?;
        let more = (stored.len() == chunk).then(|| stored.last().map(|(key, _)| successor(key))).flatten();
        for row in stored {
            while let Some(change) = changes.next_if(|(key, _)| *key < row.0) {
                push(&mut out, change);
            }
            match changes.next_if(|(key, _)| *key == row.0) {
                Some(change) => push(&mut out, change),
                None => out.push(row),
            }
            if out.len() >= limit {
                out.truncate(limit);
                return Ok(out);
            }
        }
        match more {
            Some(next) if next < end => from = next,
            _ => break,
        }
    }
    for change in changes {
        push(&mut out, change);
    }
    out.truncate(limit);
    Ok(out)
}

fn push(out: &mut Vec<Row>, (key, value): RowChange) {
    if let Some(value) = value {
        out.push((key, value));
    }
}

/// The next key in byte order.
fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
