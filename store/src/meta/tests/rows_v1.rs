//! Rows of version 1 as they lie in logs and replicas: whatever the program learns, it reads them.

use std::sync::Arc;

use crate::ErrorKind;
use crate::meta::rows::{
    BucketEncryption, BucketRow, DirRow, EncryptionMode, EntryRow, NodeKind, NodeRow, PosixHints, PosixShown, RowValue,
    UploadRow,
};
use crate::types::Timestamp;
use crate::unixfs::Profile;

/// Made by a node that wrote version 1; never to be made anew. A line a row: its name and its bytes.
const FIXTURE: &str = include_str!("rows_v1.hex");

fn stored(name: &str) -> Vec<u8> {
    let line = FIXTURE.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    hex::decode(line).unwrap()
}

fn entry(name: &str) -> NodeRow {
    match EntryRow::decode(&stored(name)).unwrap() {
        EntryRow::Node(node) => *node,
        other => panic!("{name}: {other:?}"),
    }
}

fn shown(node: &NodeRow) -> PosixShown {
    node.file().unwrap().meta.posix_shown
}

#[test]
fn version_1_is_read() {
    let silent = entry("entry-silent");
    let meta = &silent.file().unwrap().meta;
    assert_eq!((silent.attr.ino.0, silent.attr.mode, silent.file().unwrap().content.size), (3, 0o644, 1));
    assert_eq!(meta.headers.content_type.as_deref(), Some("text/plain"));
    assert_eq!(meta.headers.user, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(meta.tags, [("t".to_owned(), "1".to_owned())]);
    assert_eq!(shown(&silent), PosixShown::default());

    // Only mtime was sent, but version 1 knew all or none.
    let sent = entry("entry-sent");
    assert_eq!(sent.attr.mtime, Timestamp { secs: 1_600_000_000, nanos: 250_000_000 });
    assert_eq!(shown(&sent), PosixShown::ALL);

    let link = entry("entry-link");
    assert!(matches!(&link.kind, NodeKind::Symlink(_, target) if target == b"sent"));
    assert_eq!(shown(&link), PosixShown::ALL);

    let two = NodeRow::decode(&stored("node-two")).unwrap();
    assert_eq!((two.nlink, two.attr.uid, shown(&two)), (2, 7, PosixShown::ALL));

    let dir = DirRow::decode(&stored("dir-dir")).unwrap();
    assert_eq!((dir.name.as_slice(), dir.attr.mode), (b"dir".as_slice(), 0o750));
    assert_eq!(shown(&dir.marker.unwrap()), PosixShown::ALL);
    let root = DirRow::decode(&stored("dir-pics")).unwrap();
    assert_eq!((root.name.as_slice(), root.subdirs, root.marker), (b"pics".as_slice(), 1, None));
}

#[test]
fn what_is_written_is_the_newest_version() {
    for name in ["entry-silent", "entry-sent", "entry-link"] {
        let row = EntryRow::decode(&stored(name)).unwrap();
        let bytes = row.encode().unwrap();
        assert_eq!(bytes[0], 2);
        assert_eq!(EntryRow::decode(&bytes).unwrap(), row, "{name}");
    }
    let mut node = NodeRow::decode(&stored("node-two")).unwrap();
    for n in 0..16u8 {
        let shown = PosixShown::try_from(n).unwrap();
        node.file_mut().unwrap().meta.posix_shown = shown;
        let bytes = node.encode().unwrap();
        assert_eq!(NodeRow::decode(&bytes).unwrap(), node, "each by itself");
    }
    let mtime = PosixHints { mtime: Some(Timestamp { secs: 1, nanos: 0 }), ..PosixHints::default() };
    assert_eq!(u8::from(PosixShown::sent(&mtime)), 8);
    let tags = vec![("a".to_owned(), "b".to_owned())];
    let bucket = BucketRow {
        id: crate::types::Id([1; 16]),
        created: Timestamp { secs: 1, nanos: 2 },
        owner: "o".into(),
        profile: Profile::V1_2025,
        region: None,
        tags,
        settings: Arc::default(),
    };
    let bytes = bucket.encode().unwrap();
    assert_eq!((bytes[0], &BucketRow::decode(&bytes).unwrap()), (3, &bucket));
    // Version 1 ended with the tags; the settings of this one are four zeros, of version 2 three.
    let (old, settings) = bytes.split_at(bytes.len() - 4);
    assert_eq!(settings, [0; 4]);
    assert_eq!(BucketRow::decode(&[&[1], &old[1..]].concat()).unwrap(), bucket);
    assert_eq!(BucketRow::decode(&[&[2], &old[1..], &[0; 3]].concat()).unwrap(), bucket);
    let mut encrypted = bucket.clone();
    let encryption = BucketEncryption { mode: EncryptionMode::Object, key: Some(crate::types::Id([9; 16])) };
    Arc::make_mut(&mut encrypted.settings).encryption = Some(encryption);
    assert_eq!(BucketRow::decode(&encrypted.encode().unwrap()).unwrap(), encrypted);
}

#[test]
fn uploads_of_before_have_no_seal() {
    let mut upload = UploadRow {
        created: Timestamp { secs: 1, nanos: 2 },
        initiator: "i".into(),
        headers: Default::default(),
        tags: Vec::new(),
        checksum: None,
        posix: PosixHints::default(),
        profile: Profile::V1_2025,
        lock: Some(Default::default()),
        seal: None,
    };
    let bytes = upload.encode().unwrap();
    assert_eq!((bytes[0], UploadRow::decode(&bytes).unwrap()), (3, upload.clone()));
    // Version 2 ended with the lock (three bytes here), version 1 before it.
    let version_2 = [&[2], &bytes[1..bytes.len() - 1]].concat();
    assert_eq!(UploadRow::decode(&version_2).unwrap(), upload);
    upload.lock = None;
    assert_eq!(UploadRow::decode(&[&[1], &bytes[1..bytes.len() - 4]].concat()).unwrap(), upload);
}

#[test]
fn versions_to_come_are_refused_by_name() {
    for version in [0, 3, 255] {
        let mut bytes = stored("node-two");
        bytes[0] = version;
        let error = NodeRow::decode(&bytes).unwrap_err();
        assert_eq!((error.kind(), error.context("version")), (ErrorKind::Corrupt, Some(version.to_string().as_str())));
    }
    assert_eq!(NodeRow::decode(&[]).unwrap_err().kind(), ErrorKind::Corrupt);
    let whole = stored("dir-dir");
    for length in 1..whole.len() {
        assert_eq!(DirRow::decode(&whole[..length]).unwrap_err().kind(), ErrorKind::Corrupt, "length {length}");
    }
}
