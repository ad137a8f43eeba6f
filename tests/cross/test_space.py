"""Space on the disk: given back (S16), shared (S19), not taken by holes (S20)."""

import os

from harness import s3 as s3c
from harness import settings
from harness.data import noise
from harness.syscalls import opened, read_file, write_file
from harness.wait import until

MIB = settings.MIB
BIG = 48 * MIB
#: Logs, indexes and the replica's own files grow a little with every operation.
SLACK = 12 * MIB


def put(lone, key, data):
    lone.s3.put_object(Bucket=lone.bucket, Key=key, Body=data)


def delete(lone, key):
    lone.s3.delete_object(Bucket=lone.bucket, Key=key)


def settle(lone, at_most, what):
    """Waits until the data directory takes no more than that."""
    until(
        lambda: lone.node.disk_use() <= at_most,
        lambda: f"{what}: {lone.node.disk_use() >> 20} MiB are taken, {at_most >> 20} MiB expected",
        120, 0.2,
    )


def test_s16_a_deleted_object_gives_its_space_back(lone):
    before = lone.node.disk_use()
    put(lone, "f", noise(BIG))
    assert lone.node.disk_use() >= before + BIG * 9 // 10
    delete(lone, "f")
    settle(lone, before + SLACK, "DELETE")
    put(lone, "f", noise(BIG, 1))
    put(lone, "f", b"overwritten")
    settle(lone, before + SLACK, "PUT over it")


def test_s16_an_unlinked_file_gives_its_space_back(lone):
    before = lone.node.disk_use()
    write_file(lone.dir / "f", noise(BIG))
    assert len(s3c.body(lone.s3, lone.bucket, "f")) == BIG
    os.unlink(lone.dir / "f")
    settle(lone, before + SLACK, "unlink")
    write_file(lone.dir / "g", noise(BIG, 2))
    os.truncate(lone.dir / "g", 0)
    settle(lone, before + SLACK, "truncate")


def test_s16_what_still_needs_the_bytes(lone):
    """A hard link, an open handle, another object with the same chunks: each keeps them, and only as long as it is."""
    data = noise(BIG)
    before = lone.node.disk_use()
    put(lone, "f", data)
    os.link(lone.dir / "f", lone.dir / "link")
    put(lone, "twin", data)
    with opened(lone.dir / "f", os.O_RDONLY) as held:
        delete(lone, "f")
        os.unlink(lone.dir / "link")
        assert s3c.body(lone.s3, lone.bucket, "twin") == data
        delete(lone, "twin")
        for _ in range(5):
            put(lone, "other", noise(MIB, 1))
            delete(lone, "other")
        assert os.pread(held, BIG, 0) == data
    settle(lone, before + SLACK, "the last of them gone")


def test_s16_small_objects_too(lone):
    """Disk use returns to within 10 % of the live bytes though every tenth small object stays."""
    size, count = 48 * 1024, 1000
    before = lone.node.disk_use()
    for i in range(count):
        put(lone, f"s/{i:04}", noise(size, i))
    assert lone.node.disk_use() >= before + size * count * 9 // 10
    for i in range(count):
        if i % 10:
            delete(lone, f"s/{i:04}")
    settle(lone, before + size * count // 10 * 11 // 10 + SLACK, "nine of ten small objects deleted")
    for i in range(0, count, 10):
        assert s3c.body(lone.s3, lone.bucket, f"s/{i:04}") == noise(size, i)


def test_s16_aborted_and_overwritten_uploads(lone):
    before = lone.node.disk_use()
    at = {"Bucket": lone.bucket, "Key": "f"}
    upload = lone.s3.create_multipart_upload(**at)["UploadId"]
    for turn in range(3):
        lone.s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=noise(BIG // 3, turn))
    lone.s3.abort_multipart_upload(**at, UploadId=upload)
    settle(lone, before + SLACK, "abort")


def test_s16_rewriting_one_file_does_not_pile_up(lone):
    before = lone.node.disk_use()
    for turn in range(8):
        write_file(lone.dir / "f", noise(16 * MIB, turn))
        assert len(s3c.body(lone.s3, lone.bucket, "f")) == 16 * MIB
    settle(lone, before + 16 * MIB * 11 // 10 + SLACK, "eight contents, one left")


def test_multipart_takes_no_second_copy(lone):
    """Complete links the parts: afterwards one copy is there."""
    before = lone.node.disk_use()
    at = {"Bucket": lone.bucket, "Key": "f"}
    upload = lone.s3.create_multipart_upload(**at)["UploadId"]
    parts = [noise(8 * MIB, i) for i in range(6)]
    etags = [
        {"PartNumber": n, "ETag": lone.s3.upload_part(**at, UploadId=upload, PartNumber=n, Body=part)["ETag"]}
        for n, part in enumerate(parts, 1)
    ]
    lone.s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": etags})
    assert s3c.body(lone.s3, lone.bucket, "f") == b"".join(parts)
    settle(lone, before + BIG * 11 // 10 + SLACK, "one copy")


def test_s19_equal_objects_share_one_copy(lone):
    data = noise(BIG)
    put(lone, "one", data)
    used = lone.node.disk_use()
    put(lone, "two", data)
    write_file(lone.dir / "three", data)
    assert s3c.body(lone.s3, lone.bucket, "three") == data
    lone.s3.copy_object(Bucket=lone.bucket, Key="four", CopySource={"Bucket": lone.bucket, "Key": "one"})
    settle(lone, used + SLACK, "four objects, one content")
    for key in ("one", "two", "four"):
        assert s3c.body(lone.s3, lone.bucket, key) == data
        assert read_file(lone.dir / key) == data
    for key in ("one", "two", "four"):
        delete(lone, key)
    assert read_file(lone.dir / "three") == data


def test_s19_objects_that_share_half_their_chunks(lone):
    """Half or more of the chunks are there: only the others are stored."""
    data = noise(BIG, 1)
    put(lone, "one", data)
    used = lone.node.disk_use()
    other = data[: BIG * 3 // 4] + noise(BIG // 4, 2)
    put(lone, "two", other)
    settle(lone, used + BIG // 4 + SLACK, "a quarter of it is new")
    assert s3c.body(lone.s3, lone.bucket, "two") == other
    delete(lone, "one")
    assert s3c.body(lone.s3, lone.bucket, "two") == other
    assert read_file(lone.dir / "two") == other
    write_file(lone.dir / "two", b"X", os.O_WRONLY)
    assert s3c.body(lone.s3, lone.bucket, "two") == b"X" + other[1:]


def test_s8_only_changed_chunks_are_stored_again(lone):
    """A file that stays open: each publish stores one chunk, not the file."""
    data = bytearray(noise(BIG))
    write_file(lone.dir / "f", data)
    with opened(lone.dir / "f", os.O_RDWR) as fd:
        os.pread(fd, 1, 0)
        used = lone.node.disk_use()
        for turn in range(6):
            os.pwrite(fd, b"changed %d" % turn, 20 * MIB)
            data[20 * MIB : 20 * MIB + 9] = b"changed %d" % turn
            os.fsync(fd)
            assert s3c.body(lone.s3, lone.bucket, "f") == data
        # Opening for writing may have cost the one copy that a disk without reflink needs (ruling 12).
        assert lone.node.disk_use() <= used + BIG + 6 * 2 * MIB + SLACK
    assert s3c.body(lone.s3, lone.bucket, "f") == data


def test_s20_holes_take_no_space(lone):
    before = lone.node.disk_use()
    with opened(lone.dir / "f", os.O_WRONLY | os.O_CREAT) as fd:
        os.ftruncate(fd, 3 * settings.GIB)
        os.pwrite(fd, noise(MIB), 2 * settings.GIB)
    head = lone.s3.head_object(Bucket=lone.bucket, Key="f")
    assert head["ContentLength"] == 3 * settings.GIB
    settle(lone, before + SLACK, "a sparse file that is published")
    got = s3c.body(lone.s3, lone.bucket, "f", Range=f"bytes={2 * settings.GIB - 100}-{2 * settings.GIB + 99}")
    assert got == bytes(100) + noise(MIB)[:100]
    lone.node.restart()
    with opened(lone.dir / "f", os.O_RDONLY) as fd:
        assert os.lseek(fd, 0, os.SEEK_DATA) == 2 * settings.GIB
        assert 2 * settings.GIB + MIB <= os.lseek(fd, 2 * settings.GIB, os.SEEK_HOLE) < 3 * settings.GIB
    settle(lone, before + SLACK, "and after a restart")


def test_s20_a_sparse_file_that_is_rewritten_stays_sparse(lone):
    before = lone.node.disk_use()
    with opened(lone.dir / "f", os.O_WRONLY | os.O_CREAT) as fd:
        os.ftruncate(fd, settings.GIB)
    lone.s3.head_object(Bucket=lone.bucket, Key="f")
    with opened(lone.dir / "f", os.O_RDWR) as fd:
        os.pwrite(fd, b"x", settings.GIB // 2)
    assert s3c.body(lone.s3, lone.bucket, "f", Range=f"bytes={settings.GIB // 2}-{settings.GIB // 2}") == b"x"
    settle(lone, before + SLACK, "opening for writing did not fill the holes")
