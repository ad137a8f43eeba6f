//! Multipart uploads: parts written to their places in one file.

use std::os::unix::fs::{FileExt, MetadataExt};

use super::{Rig, cid_of, disk_use, files, noise};
use crate::chunk::WriteOptions;
use crate::error::ErrorKind;
use crate::types::{Cid, Id, Ino};
use crate::unixfs::Profile;

const MIB: usize = 1 << 20;

impl Rig {
    pub(in crate::chunk) fn part(&self, upload: Id, number: u32, bytes: &[u8], profile: Profile) -> (Cid, u64) {
        let options = WriteOptions { md5: true, size_hint: Some(bytes.len() as u64) };
        let mut writer = self.store.writer(profile, options).unwrap();
        writer.as_part(upload, number);
        bytes.chunks(300_000).for_each(|piece| writer.write(piece).unwrap());
        (self.commit(writer.finish().unwrap()), bytes.len() as u64)
    }

    fn inode_of_upload(&self) -> u64 {
        let all = files(&self.dir.join("uploads"));
        assert_eq!(all.len(), 1, "{all:?}");
        std::fs::metadata(&all[0]).unwrap().ino()
    }

    fn complete(&self, parts: &[(Cid, u64)], whole: &[u8]) -> Cid {
        let stored = self.store.concat(parts, Profile::V1_2025).unwrap();
        assert_eq!(stored.root, cid_of(whole, Profile::V1_2025));
        assert_eq!(stored.size, whole.len() as u64);
        let root = self.commit(stored);
        parts.iter().for_each(|(part, _)| self.release(part));
        assert!(self.read(&root, whole.len() as u64) == whole, "while the parts are there");
        self.collect();
        assert!(self.read(&root, whole.len() as u64) == whole, "when they are gone");
        assert_eq!(files(&self.dir.join("uploads")), Vec::<std::path::PathBuf>::new());
        let sealed = self.store.sealed_file(&root).unwrap().unwrap();
        assert_eq!(sealed.file.metadata().unwrap().len(), whole.len() as u64);
        assert_eq!(self.store.verify_all(&|_| {}).unwrap().damaged, 0);
        root
    }

    fn nothing_left(&self) {
        self.collect();
        assert!(disk_use(&self.dir) < 100_000, "{:?}", files(&self.dir));
        for prefix in [&b"b"[..], b"c", b"r", b"fc", b"fd", b"fp", b"fu", b"fj"] {
            assert_eq!(self.rows_with(prefix), []);
        }
    }
}

pub(super) fn ruling15_an_upload_becomes_an_object_without_a_copy(rig: Rig) {
    for (case, tail) in [3 * MIB + 5, 40_000, 100, 2 * MIB].into_iter().enumerate() {
        let mut whole = noise(case as u64 + 1, 16 * MIB + tail);
        whole[6 * MIB..9 * MIB].fill(0);
        let upload = Id::random();
        let mut parts = vec![Default::default(); 5];
        // They come in any order, at the same time.
        parts[2] = rig.part(upload, 3, &whole[8 * MIB..12 * MIB], Profile::V1_2025);
        std::thread::scope(|scope| {
            for (k, part) in parts.iter_mut().enumerate().filter(|(k, _)| *k != 2) {
                let bytes = &whole[k * 4 * MIB..((k + 1) * 4 * MIB).min(whole.len())];
                let rig = &rig;
                scope.spawn(move || *part = rig.part(upload, k as u32 + 1, bytes, Profile::V1_2025));
            }
        });
        for (k, (root, size)) in parts.iter().enumerate() {
            assert!(rig.read(root, *size) == whole[k * 4 * MIB..][..*size as usize], "a part can be read by itself");
        }
        let (inode, before) = (rig.inode_of_upload(), disk_use(&rig.dir));
        assert!(before < 14 * MIB as u64 + tail as u64 + 200_000, "holes are kept: {before}");
        let root = rig.complete(&parts, &whole);
        let sealed = rig.store.sealed_file(&root).unwrap().unwrap();
        assert_eq!(sealed.file.metadata().unwrap().ino(), inode, "the file itself");
        drop(sealed);
        let live = rig.store.unseal(&root, Ino(case as u64 + 1)).unwrap();
        assert_eq!(live.metadata().unwrap().ino(), inode);
        drop(live);
        rig.store.discard_live(Ino(case as u64 + 1)).unwrap();
        rig.release(&root);
        rig.nothing_left();
    }
}

pub(super) fn ruling15_parts_that_do_not_fit_their_places_are_copied(rig: Rig) {
    let whole = noise(1, 9 * MIB);
    let part =
        |upload, number, range: std::ops::Range<usize>| rig.part(upload, number, &whole[range], Profile::V1_2025);
    // One comes again, with other bytes.
    let upload = Id::random();
    let mut parts = vec![part(upload, 1, 0..3 * MIB), rig.part(upload, 2, &noise(9, 3 * MIB), Profile::V1_2025)];
    let stale = parts.pop().unwrap();
    parts.extend([part(upload, 2, 3 * MIB..6 * MIB), part(upload, 3, 6 * MIB..9 * MIB)]);
    assert!(rig.read(&stale.0, stale.1) == noise(9, 3 * MIB), "it is not overwritten");
    rig.release(&stale.0);
    let root = rig.complete(&parts, &whole);
    rig.release(&root);
    rig.nothing_left();

    // One is left out, one is larger than the first, one is an odd number of bytes.
    let upload = Id::random();
    let one = part(upload, 1, 0..2 * MIB);
    let left_out = rig.part(upload, 2, &noise(8, 2 * MIB), Profile::V1_2025);
    let parts = [one, part(upload, 3, 2 * MIB..5 * MIB), part(upload, 4, 5 * MIB..9 * MIB)];
    rig.release(&left_out.0);
    let root = rig.complete(&parts, &whole);
    rig.release(&root);
    rig.nothing_left();
    let upload = Id::random();
    let parts =
        [part(upload, 1, 0..2 * MIB), part(upload, 2, 2 * MIB..4 * MIB - 1), part(upload, 3, 4 * MIB - 1..9 * MIB)];
    let root = rig.complete(&parts, &whole);
    rig.release(&root);
    rig.nothing_left();

    // Equal parts are one object, an upload of one part is that part, and another object may share one.
    let upload = Id::random();
    let equal = noise(2, 2 * MIB);
    let parts = [1, 2, 3].map(|number| rig.part(upload, number, &equal, Profile::V1_2025));
    let three = rig.complete(&parts, &equal.repeat(3));
    let upload = Id::random();
    let parts = [part(upload, 1, 0..9 * MIB)];
    let shared = rig.complete(&parts, &whole);
    let upload = Id::random();
    let other = noise(3, 6 * MIB);
    let parts = [
        rig.part(upload, 1, &other[..2 * MIB], Profile::V1_2025),
        rig.part(upload, 2, &other[2 * MIB..4 * MIB], Profile::V1_2025),
        rig.part(upload, 3, &other[4 * MIB..], Profile::V1_2025),
    ];
    let same = rig.commit(rig.put(&other[2 * MIB..4 * MIB]));
    let both = rig.complete(&parts, &other);
    assert!(rig.read(&same, 2 << 20) == other[2 * MIB..4 * MIB]);
    [three, shared, same, both].iter().for_each(|root| rig.release(root));
    rig.nothing_left();
}

pub(super) fn ruling15_an_aborted_upload_leaves_nothing(rig: Rig) {
    let upload = Id::random();
    let bytes = noise(1, 6 * MIB);
    let options = WriteOptions { md5: false, size_hint: Some(2 << 20) };
    let mut gone = rig.store.writer(Profile::V1_2025, options).unwrap();
    gone.as_part(upload, 2);
    gone.write(&noise(7, 2 * MIB)).unwrap();
    assert_eq!(gone.write(&[1; 2 * MIB]).unwrap_err().kind(), ErrorKind::InvalidArgument, "longer than announced");
    drop(gone);
    let parts: Vec<_> =
        (0..3).map(|k| rig.part(upload, k as u32 + 1, &bytes[k * 2 * MIB..][..2 * MIB], Profile::V1_2025)).collect();
    rig.inode_of_upload();
    // The second goes before the others: its space comes back at once.
    rig.release(&parts[1].0);
    rig.collect();
    assert!(disk_use(&rig.dir) < 4 * MIB as u64 + 100_000);
    assert!(rig.read(&parts[2].0, 2 << 20) == bytes[4 * MIB..]);
    rig.release(&parts[0].0);
    rig.release(&parts[2].0);
    rig.nothing_left();
    assert_eq!(files(&rig.dir.join("uploads")), Vec::<std::path::PathBuf>::new());
}

pub(super) fn ruling15_an_upload_goes_on_after_a_restart(mut rig: Rig) {
    for rebuild in [false, true] {
        let whole = noise(u64::from(rebuild) + 1, 8 * MIB);
        let upload = Id::random();
        let part =
            |rig: &Rig, k: usize| rig.part(upload, k as u32 + 1, &whole[k * 2 * MIB..][..2 * MIB], Profile::V1_2025);
        let mut parts = vec![part(&rig, 0), part(&rig, 1)];
        rig = rig.reopen(rebuild);
        parts.extend([part(&rig, 2), part(&rig, 3)]);
        let root = rig.complete(&parts, &whole);
        rig = rig.reopen(rebuild);
        assert!(rig.read(&root, 8 << 20) == whole);
        rig.release(&root);
        rig.nothing_left();
    }
}

pub(super) fn ruling15_a_completion_in_vain_spoils_no_part(rig: Rig) {
    let whole = noise(1, 10 * MIB);
    let upload = Id::random();
    let slice = |k: usize| &whole[k * 2 * MIB..(k + 1) * 2 * MIB];
    let mut parts: Vec<_> = (0..4).map(|k| rig.part(upload, k as u32 + 1, slice(k), Profile::V1_2025)).collect();
    // Some parts, all parts, a gap before the last: none of it is committed.
    for chosen in [&[0, 2][..], &[0, 3], &[0, 1], &[1, 2, 3], &[0], &[0, 1, 2, 3], &[0, 1, 3]] {
        let list: Vec<_> = chosen.iter().map(|k| parts[*k]).collect();
        let expected: Vec<u8> = chosen.iter().flat_map(|k| slice(*k)).copied().collect();
        let stored = rig.store.concat(&list, Profile::V1_2025).unwrap();
        assert_eq!(stored.root, cid_of(&expected, Profile::V1_2025), "{chosen:?}");
        assert!(rig.read(&stored.root, stored.size) == expected, "{chosen:?}");
        drop(stored);
        rig.collect();
        for (k, (root, size)) in parts.iter().enumerate() {
            assert!(rig.read(root, *size) == slice(k), "part {k} after {chosen:?}");
        }
        assert_eq!(rig.store.verify_all(&|_| {}).unwrap().damaged, 0, "{chosen:?}");
    }
    // It goes on, after a restart as well.
    let rig = rig.reopen(false);
    parts.push(rig.part(upload, 5, slice(4), Profile::V1_2025));
    let root = rig.complete(&parts, &whole);
    rig.release(&root);
    rig.nothing_left();
}

pub(super) fn ruling15_a_part_keeps_its_bytes_while_it_is_read(rig: Rig) {
    let whole = noise(1, 6 * MIB);
    let upload = Id::random();
    let slice = |k: usize| &whole[k * 2 * MIB..(k + 1) * 2 * MIB];
    let parts: Vec<_> = (0..3).map(|k| rig.part(upload, k as u32 + 1, slice(k), Profile::V1_2025)).collect();
    let reader = rig.store.reader(&parts[1].0, 2 << 20).unwrap();
    assert!(reader.read_at(0, 2 * MIB).unwrap() == slice(1));
    // An equal object with a file of its own takes the part's place in the index.
    let same = rig.commit(rig.put(slice(1)));
    rig.collect();
    assert!(rig.store.sealed_file(&same).unwrap().is_some());
    assert!(reader.read_at(0, 2 * MIB).unwrap() == slice(1), "while it is read");
    drop(reader);
    let before = disk_use(&rig.dir.join("uploads"));
    rig.collect();
    assert!(disk_use(&rig.dir.join("uploads")) < before - 2 * MIB as u64 + 10_000, "given back afterwards");
    let root = rig.complete(&parts, &whole);
    assert!(rig.read(&same, 2 << 20) == slice(1));
    [same, root].iter().for_each(|root| rig.release(root));
    rig.nothing_left();
}

pub(super) fn ruling15_damage_in_a_part_is_not_made_an_object_unseen(rig: Rig) {
    let whole = noise(1, 6 * MIB);
    let upload = Id::random();
    let parts: Vec<_> = (0..3)
        .map(|k| rig.part(upload, k as u32 + 1, &whole[k * 2 * MIB..(k + 1) * 2 * MIB], Profile::V1_2025))
        .collect();
    let rig = rig.reopen(false);
    let file = std::fs::File::options().write(true).open(&files(&rig.dir.join("uploads"))[0]).unwrap();
    file.write_all_at(b"rot", 3 << 20).unwrap();
    drop(file);
    let scrub = rig.store.verify_all(&|_| {}).unwrap();
    let bad = crate::unixfs::raw_cid(&whole[3 * MIB..4 * MIB]);
    assert_eq!(scrub.damage.iter().map(|d| d.cid).collect::<Vec<_>>(), [bad]);
    assert_eq!(
        rig.store.reader(&parts[1].0, 2 << 20).unwrap().read_at(MIB as u64, 9).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    let stored = rig.store.concat(&parts, Profile::V1_2025).unwrap();
    let reader = rig.store.reader(&stored.root, stored.size).unwrap();
    assert!(reader.read_at(0, 3 * MIB).unwrap() == whole[..3 * MIB]);
    assert_eq!(reader.read_at(3 << 20, MIB).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(reader.read_at(4 << 20, 2 * MIB).unwrap() == whole[4 * MIB..]);
}
