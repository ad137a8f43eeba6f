//! Keys of the replica's rows: one keyspace, a prefix byte each. Upper-case prefixes are *logged* rows: they come
//! from commit records only and a checkpoint holds them. Lower-case prefixes are *local* rows: this host's own (the
//! block index, the applied position); they are rebuilt from the files they describe.
//!
//! | prefix | key | value |
//! |---|---|---|
//! | `B` | bucket name | [`crate::meta::rows::BucketRow`] |
//! | `E` | directory id (16), name, `/` if a directory | [`crate::meta::rows::EntryRow`] |
//! | `D` | directory id (16) | [`crate::meta::rows::DirRow`] |
//! | `N` | inode number (8) | [`crate::meta::rows::NodeRow`] of an inode with several names |
//! | `I` | digest (32), holder key | empty: who holds this content |
//! | `L` | inode number (8) | [`crate::meta::rows::LiveRow`]: a live file is open for writing |
//! | `U` | bucket id (16), key, NUL, upload id (16) | [`crate::meta::rows::UploadRow`] |
//! | `V` | upload id (16), part number (4) | [`crate::meta::rows::PartRow`] |
//! | `W` | bucket id (16), key, NUL, order (8) | [`crate::meta::kept::VersionRow`]: what was replaced or deleted |
//! | `O` | bucket id (16), key, NUL, version id (16) | [`crate::meta::kept::LockRow`]: retention and legal hold |
//! | `K` | access key | account (JSON of the IAM module) |
//! | `J` | kind (1), name | [`crate::meta::iam_row`]: policies, groups, roles, and which of them an account has |
//! | `P` | digest (32) | [`crate::meta::pin_row::PinRow`]: what is known of a pin |
//! | `Q` | class (1), due (8), stream (16), sequence (8), digest (32) | [`crate::meta::pin_row::IntentRow`]: a CID to look at |
//! | `Y` | digest (32) | [`crate::meta::pin_row::AskRow`]: a pin that somebody asked for |
//! | `S` | name | settings of the namespace: next inode number, identity, positions of streams, ended uploads, buckets with files that S3 does not list, what buckets with a quota use, notices that wait |
//! | `a` | | applied position |
//! | `b`, `c`, `f`, `r` | | the chunk store's index (see `chunk::index`) |

use crate::error::{Error, Result};
use crate::types::{DirId, Id, Ino};

/// Logged rows have prefixes below this byte, local rows this or above.
pub const LOCAL_PREFIX_MIN: u8 = b'a';
/// Key of the applied position (local): value is the sequence number, 8 bytes big-endian.
pub const APPLIED: &[u8] = b"a";

/// Whether a row comes from the log (else it is local to this host).
pub fn is_logged(key: &[u8]) -> bool {
    key.first().is_some_and(|p| *p < LOCAL_PREFIX_MIN)
}

/// Key of a bucket.
pub fn bucket(name: &str) -> Vec<u8> {
    [b"B", name.as_bytes()].concat()
}

/// Whether a key is that of a bucket's row.
pub fn is_bucket(key: &[u8]) -> bool {
    key.first() == Some(&b'B')
}

/// Key of the entry `name` in `dir`. Directories have a trailing `/`, so that store order is S3's key order.
pub fn entry(dir: DirId, name: &[u8], is_dir: bool) -> Vec<u8> {
    let mut key = Vec::with_capacity(18 + name.len());
    key.push(b'E');
    key.extend_from_slice(dir.as_bytes());
    key.extend_from_slice(name);
    if is_dir {
        key.push(b'/');
    }
    key
}

/// Prefix of all entries of `dir`.
pub fn entries(dir: DirId) -> Vec<u8> {
    entry(dir, b"", false)
}

/// Splits an entry's key into directory, name (without the trailing `/`) and whether it is a directory.
pub fn parse_entry(key: &[u8]) -> Result<(DirId, &[u8], bool)> {
    match key {
        [b'E', rest @ ..] if rest.len() > 16 => {
            let (dir, name) = rest.split_at(16);
            let dir = Id(dir.try_into().map_err(|_| Error::corrupt("an entry's key is too short"))?);
            match name.split_last() {
                Some((b'/', name)) => Ok((dir, name, true)),
                _ => Ok((dir, name, false)),
            }
        }
        _ => Err(Error::corrupt("not an entry's key").with("key", hex::encode(key))),
    }
}

/// Key of a directory's own row.
pub fn dir(id: DirId) -> Vec<u8> {
    [b"D", id.as_bytes().as_slice()].concat()
}

/// Key of an inode that has several names.
pub fn node(ino: Ino) -> Vec<u8> {
    [b"N", ino.0.to_be_bytes().as_slice()].concat()
}

/// Key that says that the row `holder` holds content with this digest.
pub fn held(digest: &[u8; 32], holder: &[u8]) -> Vec<u8> {
    [b"I", digest.as_slice(), holder].concat()
}

/// Key of a live file's row.
pub fn live(ino: Ino) -> Vec<u8> {
    [b"L", ino.0.to_be_bytes().as_slice()].concat()
}

/// Key of a multipart upload.
pub fn upload(bucket: Id, key: &[u8], upload: Id) -> Vec<u8> {
    [b"U", bucket.as_bytes().as_slice(), key, b"\0", upload.as_bytes()].concat()
}

/// Prefix of all uploads of a bucket.
pub fn upload_prefix(bucket: Id) -> Vec<u8> {
    [b"U", bucket.as_bytes().as_slice()].concat()
}

/// Splits an upload's row key into the object's key and the upload's id.
pub fn parse_upload(row_key: &[u8]) -> Result<(&[u8], Id)> {
    // `U`, bucket (16), key, NUL, upload (16)
    let bad = || Error::corrupt("not an upload's key");
    let rest = row_key.get(17..).ok_or_else(bad)?;
    let at = rest.len().checked_sub(17).ok_or_else(bad)?;
    let id = rest[at + 1..].try_into().map_err(|_| bad())?;
    Ok((&rest[..at], Id(id)))
}

/// Part number of a part's row key.
pub fn parse_part(row_key: &[u8]) -> Result<u32> {
    let number = row_key.get(17..).and_then(|bytes| bytes.try_into().ok());
    number.map(u32::from_be_bytes).ok_or_else(|| Error::corrupt("not a part's key"))
}

/// Key of a part.
pub fn part(upload: Id, number: u32) -> Vec<u8> {
    [b"V", upload.as_bytes().as_slice(), number.to_be_bytes().as_slice()].concat()
}

/// Prefix of what a bucket keeps of replaced and deleted objects, in the order of keys.
pub fn versions(bucket: Id) -> Vec<u8> {
    [b"W", bucket.as_bytes().as_slice()].concat()
}

/// Prefix of what a bucket keeps of one key, the newest first.
pub fn versions_of(bucket: Id, key: &[u8]) -> Vec<u8> {
    [b"W", bucket.as_bytes().as_slice(), key, b"\0"].concat()
}

/// Key of a version that is not the current one, or of a delete marker. The greater `order`, the newer.
pub fn version(bucket: Id, key: &[u8], order: u64) -> Vec<u8> {
    let mut row_key = versions_of(bucket, key);
    row_key.extend_from_slice(&(!order).to_be_bytes());
    row_key
}

/// The object's key in a version's row key.
pub fn parse_version(row_key: &[u8]) -> Result<&[u8]> {
    // `W`, bucket (16), key, NUL, order (8)
    let end = row_key.len().checked_sub(9).filter(|end| *end >= 17);
    end.map(|end| &row_key[17..end]).ok_or_else(|| Error::corrupt("not a version's key"))
}

/// Prefix of the locks of a bucket's keys that begin with `prefix`.
pub fn locks(bucket: Id, prefix: &[u8]) -> Vec<u8> {
    [b"O", bucket.as_bytes().as_slice(), prefix].concat()
}

/// Key of a version's retention and legal hold.
pub fn lock(bucket: Id, key: &[u8], version: Id) -> Vec<u8> {
    [b"O", bucket.as_bytes().as_slice(), key, b"\0", version.as_bytes()].concat()
}

/// Key of an account.
pub fn account(access_key: &str) -> Vec<u8> {
    [b"K", access_key.as_bytes()].concat()
}

/// Key of a policy, group or role, or of what an account has, by its kind's byte.
pub fn iam(kind: u8, name: &str) -> Vec<u8> {
    [&[b'J', kind], name.as_bytes()].concat()
}

/// Key of a setting of the namespace.
pub fn setting(name: &str) -> Vec<u8> {
    [b"S", name.as_bytes()].concat()
}

/// Key of the last sequence number of a bucket's stream.
pub fn stream_position(stream: Id) -> Vec<u8> {
    setting(&format!("stream/{stream}"))
}

/// Prefix of the ids of uploads that ended and still have parts.
pub fn ended_uploads() -> Vec<u8> {
    setting("ended/")
}

/// Key of an upload that ended and still has parts.
pub fn ended_upload(upload: Id) -> Vec<u8> {
    [ended_uploads().as_slice(), upload.as_bytes()].concat()
}

/// Key of the row that says that a bucket has, or once had, FIFOs, sockets or device nodes, which S3 does not list: only
/// there can a directory be without a key.
pub fn unlisted(bucket: Id) -> Vec<u8> {
    setting(&format!("unlisted/{bucket}"))
}

/// Key of what a bucket with a quota uses.
pub fn usage(bucket: Id) -> Vec<u8> {
    setting(&format!("usage/{bucket}"))
}

/// Prefix of the notices that wait for a target.
pub fn notices(mailbox: [u8; 8]) -> Vec<u8> {
    [setting("notice/").as_slice(), &mailbox].concat()
}

/// Key of a notice: its target, its bucket, the record in the bucket's stream, and which of that record's.
pub fn notice(mailbox: [u8; 8], bucket: Id, seq: u64, n: u8) -> Vec<u8> {
    [notices(mailbox).as_slice(), bucket.as_bytes(), &seq.to_be_bytes(), &[n]].concat()
}

/// Prefix of all holders of contents.
pub const HELD: u8 = b'I';

/// Splits the key of a holder's row into the digest and the key of the row that holds it.
pub fn parse_held(row_key: &[u8]) -> Result<([u8; 32], &[u8])> {
    let split = row_key.strip_prefix(&[HELD]).and_then(|rest| rest.split_first_chunk());
    split.map(|(digest, holder)| (*digest, holder)).ok_or_else(|| Error::corrupt("not a holder's key"))
}

/// Key of what is known of a pin.
pub fn pin(digest: &[u8; 32]) -> Vec<u8> {
    [b"P", digest.as_slice()].concat()
}

/// The digest of a pin's row key, or of an asked one's.
pub fn parse_pin(row_key: &[u8]) -> Result<[u8; 32]> {
    let digest = row_key.get(1..).and_then(|digest| digest.try_into().ok());
    digest.ok_or_else(|| Error::corrupt("not a pin's key"))
}

/// Key of a pin that somebody asked for.
pub fn asked_pin(digest: &[u8; 32]) -> Vec<u8> {
    [b"Y", digest.as_slice()].concat()
}

/// Prefix of a class's intents, in the order in which they are due.
pub fn intents(class: u8) -> Vec<u8> {
    vec![b'Q', class]
}

/// Key of an intent, due so many milliseconds after 1970; stream and sequence are those of the record that made it, so that
/// no key is ever used again.
pub fn intent(class: u8, due: u64, stream: Id, seq: u64, digest: &[u8; 32]) -> Vec<u8> {
    [&[b'Q', class], due.to_be_bytes().as_slice(), stream.as_bytes(), &seq.to_be_bytes(), digest].concat()
}

/// When an intent is due, and whose it is.
pub fn parse_intent(row_key: &[u8]) -> Result<(u64, [u8; 32])> {
    let bad = || Error::corrupt("not an intent's key");
    let due = row_key.get(2..10).and_then(|due| due.try_into().ok()).map(u64::from_be_bytes).ok_or_else(bad)?;
    let digest = row_key.get(34..).and_then(|digest| digest.try_into().ok()).ok_or_else(bad)?;
    Ok((due, digest))
}

/// The smallest key that is greater than every key with this prefix (prefixes here never end in 0xff throughout).
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0xff; 64]
}
