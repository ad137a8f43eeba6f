//! The bytes of a [CARv1](https://ipld.io/specs/transport/car/carv1/): a header that names the root, then sections.

use crate::types::Cid;

/// The header: DAG-CBOR of `{"roots": [root], "version": 1}` behind its length.
pub fn header(root: &Cid) -> Vec<u8> {
    let cid = root.to_bytes();
    let mut body = b"\xa2\x65roots\x81\xd8\x2a".to_vec();
    // A byte string: the CID behind a zero byte.
    let len = cid.len() + 1;
    match u8::try_from(len) {
        Ok(len @ 0..24) => body.push(0x40 | len),
        Ok(len) => body.extend([0x58, len]),
        Err(_) => {
            body.push(0x59);
            body.extend(u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    body.push(0);
    body.extend_from_slice(&cid);
    body.extend_from_slice(b"\x67version\x01");
    let mut out = Vec::with_capacity(body.len() + 2);
    varint(&mut out, body.len() as u64);
    out.extend_from_slice(&body);
    out
}

/// Puts a section: length of what follows, CID, bytes.
pub fn section(out: &mut Vec<u8>, cid: &Cid, bytes: &[u8]) {
    let cid = cid.to_bytes();
    varint(out, (cid.len() + bytes.len()) as u64);
    out.extend_from_slice(&cid);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
