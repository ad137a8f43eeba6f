"""create, mknod, mkdir, unlink, rmdir, link, symlink: names and what they name."""

import errno
import os
import stat

import pytest

from harness.syscalls import fails, names, opened, read_file, write_file

ODD_NAMES = [
    "a", "with space", "\u65e5\u672c", "\U0001f980", "-", "--help", "a-b", "a.b", "a0", "back\\slash", "new\nline",
    "tab\t", "*?[", "%", "%x", "...", ".hidden", "x" * 255, "'\"`$", "\x01", "\x7f", "e\u0301", "CON", "~",
]


def test_create_and_read_back(fs):
    write_file(fs / "f", b"bytes")
    assert read_file(fs / "f") == b"bytes"
    at = os.stat(fs / "f")
    assert stat.S_ISREG(at.st_mode) and at.st_size == 5 and at.st_nlink == 1


def test_creation_modes_and_umask(fs):
    old = os.umask(0o027)
    try:
        write_file(fs / "f", b"", mode=0o666)
        os.mkdir(fs / "d", 0o777)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(fs / "f").st_mode) == 0o640
    assert stat.S_IMODE(os.stat(fs / "d").st_mode) == 0o750


def test_exclusive_creation(fs):
    write_file(fs / "f", b"1")
    with fails(errno.EEXIST):
        os.open(fs / "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.mkdir(fs / "d")
    with fails(errno.EEXIST):
        os.open(fs / "d", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    with fails(errno.EEXIST):
        os.mkdir(fs / "f")
    with fails(errno.EEXIST):
        os.mkdir(fs / "d")
    with fails(errno.EEXIST):
        os.symlink("x", fs / "f")
    with fails(errno.EEXIST):
        os.link(fs / "f", fs / "d")


def test_what_is_not_there(fs):
    for call in (os.stat, os.unlink, os.rmdir, os.readlink, os.listdir, read_file):
        with fails(errno.ENOENT):
            call(fs / "none")
        with fails(errno.ENOENT):
            call(fs / "none" / "below")
    with fails(errno.ENOENT):
        write_file(fs / "none" / "f", b"")
    with fails(errno.ENOENT):
        os.mkdir(fs / "none" / "d")


def test_a_file_is_no_directory(fs):
    write_file(fs / "f", b"")
    for call in (os.listdir, os.rmdir):
        with fails(errno.ENOTDIR):
            call(fs / "f")
    with fails(errno.ENOTDIR):
        os.stat(fs / "f" / "x")
    with fails(errno.ENOTDIR):
        write_file(fs / "f" / "x", b"")
    with fails(errno.ENOTDIR):
        os.stat(str(fs / "f") + "/")


def test_a_directory_is_no_file(fs):
    os.mkdir(fs / "d")
    with fails(errno.EISDIR):
        os.unlink(fs / "d")
    with fails(errno.EISDIR):
        os.open(fs / "d", os.O_WRONLY)
    with fails(errno.EISDIR):
        os.truncate(fs / "d", 0)
    with fails(errno.EPERM):
        os.link(fs / "d", fs / "e")


def test_rmdir(fs):
    os.makedirs(fs / "d" / "e")
    with fails(errno.ENOTEMPTY):
        os.rmdir(fs / "d")
    os.rmdir(fs / "d" / "e")
    write_file(fs / "d" / "f", b"")
    with fails(errno.ENOTEMPTY):
        os.rmdir(fs / "d")
    os.unlink(fs / "d" / "f")
    os.rmdir(fs / "d")
    assert names(fs) == []
    with fails(errno.EINVAL):
        os.rmdir(str(fs) + "/.")


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name)[:30])
def test_s2_odd_names(fs, name):
    write_file(fs / name, b"x")
    assert os.listdir(fs) == [name]
    assert read_file(fs / name) == b"x"
    os.rename(fs / name, fs / (name[:200] + "2"))
    os.unlink(fs / (name[:200] + "2"))
    os.mkdir(fs / name)
    write_file(fs / name / name, b"y")
    assert os.listdir(fs / name) == [name]
    os.unlink(fs / name / name)
    os.rmdir(fs / name)


@pytest.mark.pinfold
@pytest.mark.parametrize("length", [255, 256, 257, 1000, 1023, 1024])
def test_s2_long_names(fs, length):
    """Components up to 1,024 bytes are names as they are."""
    for name in ("n" * length, "\u00e9" * (length // 2)):
        write_file(fs / name, b"long")
        assert names(fs) == [name.encode()]
        assert read_file(fs / name) == b"long"
        os.rename(fs / name, fs / "short")
        os.rename(fs / "short", fs / name)
        os.unlink(fs / name)
        os.mkdir(fs / name)
        os.rmdir(fs / name)


def test_ruling26_a_name_too_long_and_statfs(fs):
    """statfs' name length is what is accepted, to the byte."""
    longest = os.statvfs(fs).f_namemax
    write_file(fs / ("n" * longest), b"")
    for call in (lambda p: write_file(p, b""), os.mkdir, os.stat, os.unlink, lambda p: os.symlink("x", p)):
        with fails(errno.ENAMETOOLONG):
            call(fs / ("n" * (longest + 1)))
    with fails(errno.ENAMETOOLONG):
        os.rename(fs / ("n" * longest), fs / ("m" * (longest + 1)))


@pytest.mark.pinfold
def test_s10_names_that_are_not_utf8(fs):
    bad = os.fsencode(fs) + b"/bad\xff\xfe"
    for call in (lambda p: write_file(p, b""), os.mkdir, lambda p: os.symlink("x", p), os.mkfifo):
        with fails(errno.EILSEQ):
            call(bad)
    write_file(fs / "good", b"")
    with fails(errno.EILSEQ):
        os.rename(os.fsencode(fs / "good"), bad)
    with fails(errno.EILSEQ):
        os.link(os.fsencode(fs / "good"), bad)
    with fails(errno.ENOENT, errno.EILSEQ):
        os.stat(bad)
    assert names(fs) == [b"good"]


@pytest.mark.pinfold
def test_s10_paths_beyond_1024_bytes(fs):
    """They exist on the mount: 20 components of 100 bytes."""
    here = os.open(fs, os.O_PATH)
    path = fs
    for i in range(20):
        os.mkdir(f"{i:02}" + "d" * 98, dir_fd=here)
        path = path / (f"{i:02}" + "d" * 98)
        following = os.open(f"{i:02}" + "d" * 98, os.O_PATH, dir_fd=here)
        os.close(here)
        here = following
    os.close(here)
    write_file(path / "f", b"deep")
    assert read_file(path / "f") == b"deep"


def test_hard_links(fs):
    write_file(fs / "a", b"one")
    os.mkdir(fs / "d")
    os.link(fs / "a", fs / "d" / "b")
    first, second = os.stat(fs / "a"), os.stat(fs / "d" / "b")
    assert first.st_ino == second.st_ino and first.st_nlink == second.st_nlink == 2
    write_file(fs / "d" / "b", b"through b")
    assert read_file(fs / "a") == b"through b"
    os.chmod(fs / "a", 0o600)
    assert stat.S_IMODE(os.stat(fs / "d" / "b").st_mode) == 0o600
    os.unlink(fs / "a")
    assert os.stat(fs / "d" / "b").st_nlink == 1
    assert read_file(fs / "d" / "b") == b"through b"
    os.link(fs / "d" / "b", fs / "a")
    assert os.stat(fs / "a").st_ino == first.st_ino


def test_many_hard_links(fs):
    write_file(fs / "0", b"x")
    for i in range(1, 100):
        os.link(fs / "0", fs / str(i))
    assert os.stat(fs / "50").st_nlink == 100
    for i in range(99):
        os.unlink(fs / str(i))
    assert os.stat(fs / "99").st_nlink == 1
    assert read_file(fs / "99") == b"x"


@pytest.mark.slow
@pytest.mark.pinfold
def test_as_many_hard_links_as_ext4_has(fs):
    write_file(fs / "0", b"x")
    for i in range(1, 65_000):
        os.link(fs / "0", fs / str(i))
    assert os.stat(fs / "0").st_nlink == 65_000
    with fails(errno.EMLINK):
        os.link(fs / "0", fs / "more")


def test_symlinks(fs):
    os.symlink("target/with space", fs / "l")
    assert os.readlink(fs / "l") == "target/with space"
    at = os.lstat(fs / "l")
    assert stat.S_ISLNK(at.st_mode) and at.st_size == len("target/with space")
    with fails(errno.ENOENT):
        os.stat(fs / "l")
    write_file(fs / "f", b"followed")
    os.symlink("f", fs / "to-f")
    assert read_file(fs / "to-f") == b"followed"
    os.unlink(fs / "to-f")
    assert read_file(fs / "f") == b"followed"
    with fails(errno.EINVAL):
        os.readlink(fs / "f")
    os.symlink("loop", fs / "loop")
    with fails(errno.ELOOP):
        os.stat(fs / "loop")
    long = "x/" * 2000
    os.symlink(long, fs / "long")
    assert os.readlink(fs / "long") == long
    os.symlink(b"\xff\xfe", os.fsencode(fs) + b"/raw")
    assert os.readlink(os.fsencode(fs) + b"/raw") == b"\xff\xfe", "a target is bytes, not a name"
    os.link(fs / "l", fs / "l2", follow_symlinks=False)
    assert os.readlink(fs / "l2") == "target/with space"


def test_directory_links_count(fs):
    assert os.stat(fs).st_nlink == 2
    os.mkdir(fs / "a")
    os.mkdir(fs / "b")
    write_file(fs / "f", b"")
    assert os.stat(fs).st_nlink == 4
    os.rename(fs / "a", fs / "b" / "a")
    assert os.stat(fs).st_nlink == 3 and os.stat(fs / "b").st_nlink == 3
    os.rmdir(fs / "b" / "a")
    os.rmdir(fs / "b")
    assert os.stat(fs).st_nlink == 2


def test_inode_numbers_are_unique_and_stay(fs):
    for i in range(200):
        write_file(fs / str(i), b"")
    numbers = {entry.name: entry.inode() for entry in os.scandir(fs)}
    assert len(set(numbers.values())) == 200
    for name, number in numbers.items():
        assert os.stat(fs / name).st_ino == number
    os.rename(fs / "0", fs / "moved")
    assert os.stat(fs / "moved").st_ino == numbers["0"]
    write_file(fs / "1", b"rewritten")
    assert os.stat(fs / "1").st_ino == numbers["1"]


@pytest.mark.root
def test_special_files(fs):
    os.mkfifo(fs / "fifo", 0o600)
    assert stat.S_ISFIFO(os.stat(fs / "fifo").st_mode)
    os.mknod(fs / "char", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(fs / "block", 0o600 | stat.S_IFBLK, os.makedev(7, 200))
    os.mknod(fs / "sock", 0o600 | stat.S_IFSOCK)
    os.mknod(fs / "file", 0o600 | stat.S_IFREG)
    at = os.stat(fs / "char")
    assert stat.S_ISCHR(at.st_mode) and (os.major(at.st_rdev), os.minor(at.st_rdev)) == (1, 3)
    at = os.stat(fs / "block")
    assert stat.S_ISBLK(at.st_mode) and (os.major(at.st_rdev), os.minor(at.st_rdev)) == (7, 200)
    assert stat.S_ISSOCK(os.stat(fs / "sock").st_mode)
    assert os.stat(fs / "file").st_size == 0
    kinds = {e.name: stat.S_IFMT(e.stat(follow_symlinks=False).st_mode) for e in os.scandir(fs)}
    assert len(kinds) == 5
    reader = os.open(fs / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fs / "fifo", os.O_WRONLY)
    os.write(writer, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    os.close(writer)
    for name in kinds:
        os.unlink(fs / name)


def test_unlink_while_open(fs):
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"still here")
        os.unlink(fs / "f")
        assert names(fs) == []
        assert os.fstat(fd).st_nlink == 0
        assert os.pread(fd, 100, 0) == b"still here"
        os.pwrite(fd, b"and written", 0)
        os.ftruncate(fd, 3)
        assert os.pread(fd, 100, 0) == b"and"
        write_file(fs / "f", b"another")
        assert os.pread(fd, 100, 0) == b"and"
    assert read_file(fs / "f") == b"another"


def test_rmdir_of_the_working_directory(fs):
    os.mkdir(fs / "d")
    with opened(fs / "d", os.O_RDONLY | os.O_DIRECTORY) as fd:
        os.rmdir(fs / "d")
        assert os.listdir(fd) == []
        with fails(errno.ENOENT):
            os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        with fails(errno.ENOENT):
            os.mkdir("new", dir_fd=fd)
