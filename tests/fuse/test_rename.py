"""rename, with NOREPLACE and EXCHANGE."""

import errno
import os

import pytest

from harness.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, fails, names, opened, read_file, rename2, write_file


def test_files(fs):
    write_file(fs / "a", b"a")
    number = os.stat(fs / "a").st_ino
    os.rename(fs / "a", fs / "b")
    assert names(fs) == [b"b"] and read_file(fs / "b") == b"a"
    assert os.stat(fs / "b").st_ino == number
    write_file(fs / "c", b"c")
    os.rename(fs / "b", fs / "c")
    assert names(fs) == [b"c"] and read_file(fs / "c") == b"a"
    with fails(errno.ENOENT):
        os.rename(fs / "none", fs / "x")
    os.rename(fs / "c", fs / "c")
    assert names(fs) == [b"c"]


def test_directories(fs):
    os.makedirs(fs / "a" / "b" / "c")
    write_file(fs / "a" / "b" / "c" / "f", b"deep")
    os.rename(fs / "a", fs / "x")
    assert read_file(fs / "x" / "b" / "c" / "f") == b"deep"
    os.mkdir(fs / "empty")
    os.rename(fs / "x", fs / "empty")
    assert names(fs) == [b"empty"]
    os.makedirs(fs / "full" / "y")
    with fails(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(fs / "empty", fs / "full")


def test_kinds_do_not_replace_each_other(fs):
    write_file(fs / "f", b"")
    os.mkdir(fs / "d")
    with fails(errno.EISDIR):
        os.rename(fs / "f", fs / "d")
    with fails(errno.ENOTDIR):
        os.rename(fs / "d", fs / "f")
    os.symlink("d", fs / "l")
    os.rename(fs / "f", fs / "l")
    assert names(fs) == [b"d", b"l"]


def test_into_itself(fs):
    os.makedirs(fs / "a" / "b" / "c")
    for target in ("a/x", "a/b/x", "a/b/c/x"):
        with fails(errno.EINVAL):
            os.rename(fs / "a", fs / target)
    with fails(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(fs / "a" / "b" / "c", fs / "a")


def test_two_names_of_one_inode(fs):
    write_file(fs / "a", b"x")
    os.link(fs / "a", fs / "b")
    os.rename(fs / "a", fs / "b")
    assert names(fs) == [b"a", b"b"], "POSIX: nothing happens"


def test_noreplace(fs):
    write_file(fs / "a", b"a")
    write_file(fs / "b", b"b")
    with fails(errno.EEXIST):
        rename2(fs / "a", fs / "b", RENAME_NOREPLACE)
    assert read_file(fs / "b") == b"b"
    rename2(fs / "a", fs / "c", RENAME_NOREPLACE)
    assert names(fs) == [b"b", b"c"]


def test_exchange(fs):
    write_file(fs / "f", b"file")
    os.makedirs(fs / "d" / "below")
    write_file(fs / "d" / "below" / "g", b"g")
    rename2(fs / "f", fs / "d", RENAME_EXCHANGE)
    assert read_file(fs / "d") == b"file" and read_file(fs / "f" / "below" / "g") == b"g"
    with fails(errno.ENOENT):
        rename2(fs / "d", fs / "none", RENAME_EXCHANGE)
    with fails(errno.EINVAL):
        rename2(fs / "f", fs / "f" / "below", RENAME_EXCHANGE)
    os.mkdir(fs / "e")
    rename2(fs / "d", fs / "e", RENAME_EXCHANGE)
    rename2(fs / "d", fs / "f" / "below" / "g", RENAME_EXCHANGE)
    assert read_file(fs / "d") == b"g" and os.path.isdir(fs / "f" / "below" / "g")


def test_open_files_come_along(fs):
    with opened(fs / "a", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"one")
        os.rename(fs / "a", fs / "b")
        os.write(fd, b"two")
    assert read_file(fs / "b") == b"onetwo"
    write_file(fs / "old", b"old")
    with opened(fs / "old", os.O_RDONLY) as fd:
        os.rename(fs / "b", fs / "old")
        assert os.pread(fd, 10, 0) == b"old"
        assert os.fstat(fd).st_nlink == 0
    assert read_file(fs / "old") == b"onetwo"


def test_the_working_directory_comes_along(fs):
    os.mkdir(fs / "d")
    with opened(fs / "d", os.O_RDONLY | os.O_DIRECTORY) as fd:
        os.rename(fs / "d", fs / "e")
        with os.fdopen(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd), "wb") as file:
            file.write(b"x")
    assert read_file(fs / "e" / "f") == b"x"


def test_a_large_directory(fs):
    os.mkdir(fs / "many")
    for i in range(500):
        write_file(fs / "many" / f"{i:03}", b"%d" % i)
    os.mkdir(fs / "to")
    os.rename(fs / "many", fs / "to" / "moved")
    assert names(fs / "to" / "moved") == [b"%03d" % i for i in range(500)]
    assert read_file(fs / "to" / "moved" / "499") == b"499"
    with fails(errno.ENOENT):
        os.stat(fs / "many" / "000")


def test_dotdot_follows(fs):
    os.makedirs(fs / "a" / "d")
    os.mkdir(fs / "b")
    os.rename(fs / "a" / "d", fs / "b" / "d")
    assert os.stat(fs / "b" / "d" / "..").st_ino == os.stat(fs / "b").st_ino


def test_times(fs):
    write_file(fs / "f", b"")
    os.mkdir(fs / "d")
    for path in (fs, fs / "d"):
        os.utime(path, ns=(10**18, 10**18))
    before = os.stat(fs / "f")
    os.rename(fs / "f", fs / "d" / "f")
    assert os.stat(fs).st_mtime_ns > 10**18 and os.stat(fs / "d").st_mtime_ns > 10**18
    assert os.stat(fs / "d" / "f").st_mtime_ns == before.st_mtime_ns


@pytest.mark.pinfold
def test_ruling5_between_buckets(place, fs):
    other = place.node.mnt / "other-bucket"
    if not other.exists():
        os.mkdir(other)
    write_file(fs / "f", b"x")
    os.mkdir(fs / "d")
    with fails(errno.EXDEV):
        os.rename(fs / "f", other / "f")
    with fails(errno.EXDEV):
        os.rename(fs / "d", other / "d")
    with fails(errno.EXDEV):
        os.link(fs / "f", other / "f")
    assert read_file(fs / "f") == b"x"


def test_a_rename_dance(fs, rng):
    """A thousand random renames, exchanges and removals against a dictionary."""
    model = {}
    for _ in range(1000):
        a, b = (str(rng.randrange(12)) for _ in range(2))
        what = rng.randrange(5)
        if what == 0:
            write_file(fs / a, a.encode())
            model[a] = a.encode()
        elif what in (1, 2):
            if a in model:
                os.rename(fs / a, fs / b)
                if a != b:
                    model[b] = model.pop(a)
            else:
                with fails(errno.ENOENT):
                    os.rename(fs / a, fs / b)
        elif what == 3 and a in model and b in model:
            rename2(fs / a, fs / b, RENAME_EXCHANGE)
            model[a], model[b] = model[b], model[a]
        elif what == 4 and a in model:
            os.unlink(fs / a)
            del model[a]
        assert os.path.exists(fs / a) == (a in model)
    assert {n.decode(): read_file(fs / n.decode()) for n in names(fs)} == model
