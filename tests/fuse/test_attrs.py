"""stat, chmod, chown, utimensat and the times that operations leave."""

import errno
import os
import stat
import threading

import pytest

from harness.data import noise
from harness.syscalls import fails, opened, write_file
from harness.wait import until

OLD = 1_000_000_000 * 10**9


def test_chmod(fs):
    write_file(fs / "f", b"x")
    os.mkdir(fs / "d")
    for mode in (0o000, 0o777, 0o640, 0o4755, 0o2755, 0o1644, 0o7777):
        for name in ("f", "d"):
            os.chmod(fs / name, mode)
            assert stat.S_IMODE(os.stat(fs / name).st_mode) == mode


@pytest.mark.root
def test_chown(fs):
    write_file(fs / "f", b"x")
    os.symlink("f", fs / "l")
    os.chown(fs / "f", 1234, 5678)
    at = os.stat(fs / "f")
    assert (at.st_uid, at.st_gid) == (1234, 5678)
    os.chown(fs / "f", -1, 99)
    assert (os.stat(fs / "f").st_uid, os.stat(fs / "f").st_gid) == (1234, 99)
    os.lchown(fs / "l", 7, 8)
    assert (os.lstat(fs / "l").st_uid, os.lstat(fs / "l").st_gid) == (7, 8)
    assert os.stat(fs / "f").st_uid == 1234


def test_utimens(fs):
    write_file(fs / "f", b"x")
    os.mkdir(fs / "d")
    os.symlink("none", fs / "l")
    for name in ("f", "d", "l"):
        for atime, mtime in ((OLD + 1, OLD + 2), (0, 1), (-1_500_000_000, -2_500_000_001), (4 * 10**18, 4 * 10**18 + 7)):
            os.utime(fs / name, ns=(atime, mtime), follow_symlinks=False)
            at = os.lstat(fs / name)
            assert (at.st_atime_ns, at.st_mtime_ns) == (atime, mtime), name
    os.utime(fs / "f")
    assert os.stat(fs / "f").st_mtime_ns > OLD


def set_old(*paths):
    for path in paths:
        os.utime(path, ns=(OLD, OLD))


def test_writing_moves_mtime_and_ctime(fs):
    write_file(fs / "f", b"x")
    for change in (
        lambda: write_file(fs / "f", b"y", os.O_WRONLY),
        lambda: write_file(fs / "f", b"y", os.O_WRONLY | os.O_APPEND),
        lambda: os.truncate(fs / "f", 1),
        lambda: os.truncate(fs / "f", 100),
        lambda: write_file(fs / "f", b"", os.O_WRONLY | os.O_TRUNC),
    ):
        set_old(fs / "f")
        before = os.stat(fs / "f").st_ctime_ns
        change()
        at = os.stat(fs / "f")
        assert at.st_mtime_ns > OLD
        assert at.st_ctime_ns >= before


def test_what_only_moves_ctime(fs):
    write_file(fs / "f", b"x")
    for change in (
        lambda: os.chmod(fs / "f", 0o600),
        lambda: os.link(fs / "f", fs / "g"),
        lambda: os.unlink(fs / "g"),
        lambda: (os.rename(fs / "f", fs / "h"), os.rename(fs / "h", fs / "f")),
        lambda: os.setxattr(fs / "f", "user.a", b"1"),
    ):
        set_old(fs / "f")
        change()
        at = os.stat(fs / "f")
        assert at.st_mtime_ns == OLD
        assert at.st_ctime_ns > OLD


def test_reading_does_not_touch_mtime(fs):
    write_file(fs / "f", b"x")
    set_old(fs / "f")
    with opened(fs / "f", os.O_RDWR) as fd:
        os.read(fd, 10)
    assert os.stat(fs / "f").st_mtime_ns == OLD


def test_a_time_set_while_open_stays_after_close(fs):
    """cp -p and tar: write, futimens, close."""
    fd = os.open(fs / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, noise(300_000))
    os.utime(fd, ns=(OLD, OLD))
    os.close(fd)
    assert os.stat(fs / "f").st_mtime_ns == OLD
    until(lambda: os.stat(fs / "f").st_size == 300_000, "its size")
    assert os.stat(fs / "f").st_mtime_ns == OLD


def test_s8_mtime_does_not_move_after_close(place, fs):
    """Publishing is not a write: editors say "file has changed" where mtime moves later."""
    write_file(fs / "f", noise(300_000))
    mtime = os.stat(fs / "f").st_mtime_ns
    if place.s3:
        place.s3.head_object(Bucket=place.bucket, Key=f"{fs.name}/f")
    assert os.stat(fs / "f").st_mtime_ns == mtime


@pytest.mark.pinfold
def test_s8_times_set_while_a_file_is_published_hold(place, fs, prefix, rng):
    """Setting times, looking, and publishing (which S3 asks for) at once: the time that was set is what both doors show."""
    for turn in range(150):
        name = f"f{turn % 3}"
        data = rng.randbytes(rng.choice([10, 5000, 70_000, 300_000]))
        wanted = rng.randrange(10**9, 2 * 10**18)
        write_file(fs / name, data)
        head = threading.Thread(target=place.s3.head_object, kwargs={"Bucket": place.bucket, "Key": prefix + name})
        head.start()
        try:
            os.utime(fs / name, ns=(wanted, wanted))
            for _ in range(3):
                found = os.stat(fs / name)
                assert (found.st_mtime_ns, found.st_size) == (wanted, len(data))
        finally:
            head.join()
        seconds, _, fraction = place.s3.head_object(Bucket=place.bucket, Key=prefix + name)["Metadata"]["mtime"].partition(".")
        assert int(seconds) * 10**9 + int(fraction.ljust(9, "0")) == wanted
        assert os.stat(fs / name).st_mtime_ns == wanted


def test_changing_a_directory_moves_its_times(fs):
    os.mkdir(fs / "d")
    for change in (
        lambda: write_file(fs / "d" / "f", b""),
        lambda: os.mkdir(fs / "d" / "s"),
        lambda: os.symlink("x", fs / "d" / "l"),
        lambda: os.link(fs / "d" / "f", fs / "d" / "g"),
        lambda: os.rename(fs / "d" / "g", fs / "d" / "h"),
        lambda: os.unlink(fs / "d" / "f"),
        lambda: os.rmdir(fs / "d" / "s"),
    ):
        set_old(fs / "d")
        change()
        at = os.stat(fs / "d")
        assert at.st_mtime_ns > OLD and at.st_ctime_ns > OLD
    set_old(fs / "d")
    write_file(fs / "d" / "h", b"content")
    assert os.stat(fs / "d").st_mtime_ns == OLD, "writing to a file does not change its directory"


def test_size_and_blocks(fs):
    write_file(fs / "f", noise(1_000_000))
    at = os.stat(fs / "f")
    assert at.st_size == 1_000_000
    assert at.st_blocks * 512 >= 1_000_000 * 9 // 10
    assert at.st_blksize >= 512


def test_statfs(fs):
    at = os.statvfs(fs)
    assert at.f_blocks > 0 and 0 < at.f_bavail <= at.f_bfree <= at.f_blocks
    assert at.f_frsize >= 512 and at.f_files > 0


def test_access(fs):
    write_file(fs / "f", b"", mode=0o755)
    assert os.access(fs / "f", os.R_OK | os.W_OK | os.X_OK)
    assert not os.access(fs / "none", os.F_OK)
    os.chmod(fs / "f", 0o644)
    assert not os.access(fs / "f", os.X_OK), "even root needs one x bit"


def test_open_flags(fs):
    write_file(fs / "f", b"x")
    os.symlink("f", fs / "l")
    with fails(errno.ELOOP):
        os.open(fs / "l", os.O_RDONLY | os.O_NOFOLLOW)
    with fails(errno.ENOTDIR):
        os.open(fs / "f", os.O_RDONLY | os.O_DIRECTORY)
    with opened(fs / "f", os.O_PATH) as fd:
        assert os.fstat(fd).st_size == 1
        with fails(errno.EBADF):
            os.read(fd, 1)
    with opened(fs / "f", os.O_RDONLY | os.O_NOATIME) as fd:
        assert os.read(fd, 9) == b"x"
