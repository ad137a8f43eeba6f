"""That the two modes are what they say: passthrough reads and writes without the daemon, the other through it."""

import errno
import fcntl
import os

import pytest

from harness.data import noise
from harness.syscalls import fails, opened

pytestmark = pytest.mark.pinfold


def io_of(node):
    """Bytes that the daemon itself has read and written by system calls."""
    fields = dict(line.split(": ") for line in open(f"/proc/{node.process.pid}/io").read().splitlines())
    return int(fields["rchar"]) + int(fields["wchar"])


@pytest.mark.root
def test_who_does_the_io(place, fs):
    """8 MiB written and read ten times through one descriptor, without closing it (so nothing is published meanwhile)."""
    size, turns = 8 << 20, 10
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.pwrite(fd, noise(4096), 0)
        before = io_of(place.node)
        for turn in range(turns):
            os.pwrite(fd, bytes([turn]) * size, 0)
        moved = io_of(place.node) - before
    if place.mode == "passthrough":
        assert moved < size * turns // 10, f"{moved} bytes went through the daemon although the kernel could have done it"
    else:
        assert moved >= size * turns, "passthrough is off: the daemon must have seen every byte"


def test_the_mount_table_names_it(place):
    line = next(line for line in open("/proc/self/mounts") if line.split()[1] == str(place.node.mnt))
    source, _, kind, options = line.split()[:4]
    assert source == "pinfold" and kind.startswith("fuse")
    assert {"rw", "default_permissions", "allow_other"} <= set(options.split(",")) or os.geteuid() != 0


def test_what_is_not_there_makes_no_noise(place, fs):
    """`isatty`, which many programs ask of each file that they open, is an ioctl."""
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        for _ in range(50):
            assert not os.isatty(fd)
        with fails(errno.ENOTTY, errno.EINVAL):
            fcntl.ioctl(fd, 0x5413, b"0" * 8)  # TIOCGWINSZ
        with fails(errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY):
            fcntl.ioctl(fd, 0x40049409, fd)  # FICLONE
        fcntl.lockf(fd, fcntl.LOCK_EX)
    assert "Not Implemented" not in place.node.log_text()
