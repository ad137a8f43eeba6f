"""System calls that Python has no word for, errno expectations, and running a piece of a test as another user."""

import contextlib
import ctypes
import errno
import os
import pickle

import pytest

_libc = ctypes.CDLL(None, use_errno=True)

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

FALLOC_KEEP_SIZE = 0x01
FALLOC_PUNCH_HOLE = 0x02
FALLOC_COLLAPSE_RANGE = 0x08
FALLOC_ZERO_RANGE = 0x10


def _check(result, *names):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), *names)
    return result


def rename2(old, new, flags):
    """`renameat2`."""
    _check(_libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags), str(old))


def fallocate(fd, mode, offset, length):
    """`fallocate` with mode bits."""
    _check(_libc.fallocate(fd, mode, ctypes.c_longlong(offset), ctypes.c_longlong(length)))


def syncfs(fd):
    """`syncfs`."""
    _check(_libc.syncfs(fd))


@contextlib.contextmanager
def fails(*numbers):
    """The block must fail with one of these errnos."""
    with pytest.raises(OSError) as caught:
        yield caught
    got, want = caught.value.errno, " or ".join(errno.errorcode[n] for n in numbers)
    assert got in numbers, f"expected {want}, got {errno.errorcode.get(got, got)}: {caught.value}"


def as_user(uid, gid, work, groups=()):
    """Runs `work()` in a child process as that user and hands back what it returns or raises."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            os.setgroups(list(groups))
            os.setgid(gid)
            os.setuid(uid)
            answer = (True, work())
        except BaseException as error:
            answer = (False, error)
        try:
            os.write(writing, pickle.dumps(answer))
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    assert data, "the child died without an answer"
    fine, answer = pickle.loads(data)
    if fine:
        return answer
    raise answer


def write_file(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o644):
    """Writes and closes, without fsync."""
    fd = os.open(path, flags, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def read_file(path):
    """All bytes."""
    with open(path, "rb") as file:
        return file.read()


@contextlib.contextmanager
def opened(path, flags, mode=0o644):
    """A descriptor for the block."""
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def held(path, flags):
    """A descriptor that outlives the daemon: closing it then is an error that says nothing."""
    fd = os.open(path, flags, 0o644)
    try:
        yield fd
    finally:
        drop([fd])


def drop(fds):
    """Closes descriptors of files of a daemon that may be gone."""
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


def names(path):
    """Names in a directory, as bytes, sorted."""
    return sorted(os.listdir(os.fsencode(path)))
