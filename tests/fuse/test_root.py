"""Ruling 25: the mount's root, whose directories are buckets; and mounts of a bucket, of a prefix, read-only."""

import errno
import os
import threading

import pytest

from harness import mounts
from harness import s3 as s3c
from harness.syscalls import fails, names, read_file, write_file
from harness.wait import until

pytestmark = pytest.mark.pinfold


@pytest.fixture
def top(place):
    return place.node.mnt


def bucket_names(place):
    return {b["Name"] for b in place.s3.list_buckets()["Buckets"]}


def test_s1_buckets_are_directories(place, top):
    name = s3c.fresh_name("dir")
    os.mkdir(top / name)
    assert name in bucket_names(place)
    place.s3.put_object(Bucket=name, Key="a/b/c.txt", Body=b"x")
    assert read_file(top / name / "a" / "b" / "c.txt") == b"x"
    write_file(top / name / "a" / "d.txt", b"y")
    assert s3c.body(place.s3, name, "a/d.txt") == b"y"
    with fails(errno.ENOTEMPTY):
        os.rmdir(top / name)
    place.s3.delete_object(Bucket=name, Key="a/b/c.txt")
    place.s3.delete_object(Bucket=name, Key="a/d.txt")
    for folder in ("a/b", "a"):
        if (top / name / folder).exists():
            os.rmdir(top / name / folder)
    os.rmdir(top / name)
    assert name not in bucket_names(place)


def test_s6_buckets_made_and_deleted_over_s3(place, top):
    name = s3c.fresh_name("seen")
    assert not os.path.exists(top / name)
    place.s3.create_bucket(Bucket=name)
    assert os.path.isdir(top / name) and name in os.listdir(top)
    place.s3.delete_bucket(Bucket=name)
    assert not os.path.exists(top / name) and name not in os.listdir(top)


def test_ruling25_bad_bucket_names(top):
    for name in ("ab", "UPPER", "under_score", "a" * 64, "-x-", "1.2.3.4", "two..dots", "%@empty"):
        with fails(errno.EINVAL):
            os.mkdir(top / name)


def test_ruling25_no_files_in_the_root(top):
    with fails(errno.EPERM):
        write_file(top / "file-in-root", b"")
    with fails(errno.EPERM):
        os.symlink("x", top / "link-in-root")
    with fails(errno.EPERM):
        os.mkfifo(top / "fifo-in-root")


def test_ruling25_buckets_are_not_renamed(place, top):
    name = s3c.fresh_name("fixed")
    os.mkdir(top / name)
    with fails(errno.EPERM):
        os.rename(top / name, top / (name + "-new"))
    os.mkdir(top / name / "d")
    with fails(errno.EPERM, errno.EXDEV):
        os.rename(top / name / "d", top / (name + "-new"))
    with fails(errno.EPERM, errno.EXDEV):
        os.rename(top / name, top / place.bucket / "into")
    assert (top / name).is_dir()


def test_a_bucket_that_is_there(place, top):
    with fails(errno.EEXIST):
        os.mkdir(top / place.bucket)
    with fails(errno.ENOENT):
        os.rmdir(top / "no-such-bucket")


@pytest.fixture
def extra(place):
    """Mounts more of the same daemon: `extra("--bucket", "b")` → path; unmounted at the end."""
    made = []

    def mount(*args):
        path = place.node.base / f"extra-{len(made)}"
        path.mkdir(exist_ok=True)
        place.node.cli("mount", path, "--data", place.node.data, *args)
        assert mounts.is_mounted(path)
        made.append(path)
        return path

    yield mount
    for path in made:
        place.node.cli("umount", path, "--data", place.node.data)
        assert not mounts.is_mounted(path)


def test_s1_a_mount_of_one_bucket(place, fs, extra):
    path = extra("--bucket", place.bucket)
    write_file(fs / "f", b"one")
    assert read_file(path / fs.name / "f") == b"one"
    write_file(path / fs.name / "g", b"two")
    assert s3c.body(place.s3, place.bucket, f"{fs.name}/g") == b"two"
    write_file(path / f"top-{fs.name}", b"in the bucket's root")
    assert read_file(place.root / f"top-{fs.name}") == b"in the bucket's root"
    os.unlink(path / f"top-{fs.name}")


def test_s1_a_mount_of_a_prefix(place, fs, extra):
    os.makedirs(fs / "deep" / "er")
    write_file(fs / "deep" / "er" / "f", b"x")
    write_file(fs / "outside", b"")
    path = extra("--bucket", place.bucket, "--prefix", f"{fs.name}/deep")
    assert names(path) == [b"er"]
    assert read_file(path / "er" / "f") == b"x"
    write_file(path / "new", b"y")
    assert read_file(fs / "deep" / "new") == b"y"
    assert os.stat(path / "..").st_ino != os.stat(fs).st_ino or os.stat(path / "..").st_dev != os.stat(fs).st_dev


def test_s13_a_read_only_mount(place, fs, extra):
    write_file(fs / "f", b"x")
    path = extra("--bucket", place.bucket, "--read-only") / fs.name
    assert read_file(path / "f") == b"x"
    for call in (
        lambda: write_file(path / "f", b"y"), lambda: write_file(path / "new", b""), lambda: os.unlink(path / "f"),
        lambda: os.mkdir(path / "d"), lambda: os.chmod(path / "f", 0o600), lambda: os.rename(path / "f", path / "g"),
        lambda: os.setxattr(path / "f", "user.a", b"1"), lambda: os.truncate(path / "f", 0), lambda: os.utime(path / "f"),
        lambda: os.link(path / "f", path / "h"), lambda: os.symlink("x", path / "l"),
    ):
        with fails(errno.EROFS):
            call()
    write_file(fs / "f", b"changed at the other mount")
    assert read_file(fs / "f") == b"changed at the other mount"


def test_ruling21_two_mounts_see_each_other(place, fs, extra):
    """Several mounts of one namespace: names at once (TTL 0), attributes within a stated bound."""
    other = extra("--bucket", place.bucket) / fs.name
    write_file(fs / "a", b"1")
    assert names(other) == [b"a"] and read_file(other / "a") == b"1"
    os.rename(other / "a", other / "b")
    assert names(fs) == [b"b"]
    with fails(errno.ENOENT):
        os.stat(fs / "a")
    write_file(other / "b", b"22")
    until(lambda: read_file(fs / "b") == b"22", "the other mount's bytes", 10)
    place.s3.put_object(Bucket=place.bucket, Key=f"{fs.name}/b", Body=b"333")
    for mount in (fs, other):
        until(lambda mount=mount: read_file(mount / "b") == b"333", "S3's bytes at both mounts", 10)
    os.unlink(fs / "b")
    assert names(other) == []


def test_s9_two_mounts_have_one_winner(fs, place, extra):
    """O_EXCL at two mounts and If-None-Match at S3: one of three wins."""
    other = extra("--bucket", place.bucket) / fs.name
    for turn in range(10):
        wins, start = [], threading.Barrier(3)

        def by_mount(path, turn=turn, wins=wins, start=start):
            start.wait()
            try:
                os.close(os.open(path / f"race{turn}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                wins.append(str(path))
            except FileExistsError:
                pass

        def by_s3(turn=turn, wins=wins, start=start):
            start.wait()
            try:
                place.s3.put_object(Bucket=place.bucket, Key=f"{fs.name}/race{turn}", Body=b"", IfNoneMatch="*")
                wins.append("s3")
            except place.s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")

        threads = [
            threading.Thread(target=by_mount, args=(fs,)), threading.Thread(target=by_mount, args=(other,)),
            threading.Thread(target=by_s3),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 1, wins
