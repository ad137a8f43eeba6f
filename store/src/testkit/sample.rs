//! Records to put into logs.

use crate::meta::record::{InlineBlock, Op, Record};
use crate::types::{Caller, Cid, Id, Timestamp};

/// A CIDv1 of raw bytes.
pub fn raw_cid(bytes: &[u8]) -> Cid {
    use sha2::{Digest, Sha256};
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    Cid::new_v1(0x55, multihash::Multihash::wrap(0x12, &digest).expect("a SHA-256 digest fits a CID"))
}

/// A record that sets `key` to `value` (or deletes it), with a request id of its own.
pub fn record(key: &[u8], value: Option<&[u8]>) -> Record {
    let mut record = Record::new(Id([7; 16]), &Caller::worker("sample"), Timestamp { secs: 1, nanos: 2 }, Op::Put);
    record.rows.push((key.to_vec(), value.map(<[u8]>::to_vec)));
    record
}

/// The same with a small body.
pub fn record_with_block(key: &[u8], body: &[u8]) -> Record {
    let mut record = record(key, Some(body));
    record.blocks.push(InlineBlock { cid: raw_cid(body), bytes: body.to_vec().into() });
    record
}
