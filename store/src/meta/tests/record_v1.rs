//! Records of version 1 as they lie in logs: whatever the program learns, it reads them.

use crate::ErrorKind;
use crate::meta::record::{InlineBlock, Op, Record, Replaced};
use crate::testkit::sample;
use crate::types::{Door, Id, Timestamp};

/// Made by the program that first wrote version 1; never to be made anew.
const FIXTURE: &str = include_str!("record_v1.hex");

fn record() -> Record {
    Record {
        seq: 300,
        stream: Id([1; 16]),
        stream_seq: 70_000,
        request: Id([2; 16]),
        principal: "AKIAEXAMPLE".into(),
        door: Door::Mount,
        time: Timestamp { secs: -1, nanos: 999_999_999 },
        op: Op::Rename,
        replaced: Some(Replaced { version: Id([3; 16]), size: 5 << 40, etag: "0123abcd-4".into() }),
        rows: vec![(b"Ekey".to_vec(), Some(b"value".to_vec())), (vec![b'E', 0, 0xff], None)],
        blocks: vec![InlineBlock { cid: sample::raw_cid(b"body"), bytes: b"body".to_vec().into() }],
    }
}

#[test]
fn version_1_is_read_and_written_as_ever() {
    let bytes = hex::decode(FIXTURE.split_whitespace().collect::<String>()).unwrap();
    assert_eq!(Record::decode(&bytes).unwrap(), record());
    assert_eq!(record().encode().unwrap(), bytes);
}

#[test]
fn bytes_that_are_no_record_are_errors() {
    let bytes = record().encode().unwrap();
    for length in 0..bytes.len() {
        assert_eq!(Record::decode(&bytes[..length]).unwrap_err().kind(), ErrorKind::Corrupt, "length {length}");
    }
    let mut other = bytes.clone();
    other[0] = 2;
    assert_eq!(Record::decode(&other).unwrap_err().context("version"), Some("2"));
    // Whatever is flipped, no panic.
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut other = bytes.clone();
            other[at] ^= 1 << bit;
            let _ = Record::decode(&other);
        }
    }
}
