"""Small disks: a file system of a few hundred MiB for a node's data, to be filled to the last byte."""

import contextlib
import os
import subprocess

import pytest

from . import mounts
from .node import new_base

MIB = 1 << 20


def free(path):
    """Bytes that a program may still write there."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


@contextlib.contextmanager
def small_disk(kind, size):
    """A folder on a file system of its own: `ext4` (an image on a loop device) or `tmpfs`, of `size` bytes."""
    base = new_base("disk")
    image = base.with_name(base.name + ".img")
    try:
        if kind == "ext4":
            with image.open("wb") as file:
                file.truncate(size)
            subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
            done = subprocess.run(["mount", "-o", "loop", image, base], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no loop device here: {done.stderr.strip()}")
        else:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", base], check=True)
        yield base
    finally:
        mounts.clear(base)
        os.rmdir(base)
        image.unlink(missing_ok=True)


class Ballast:
    """A file that takes what is free."""

    def __init__(self, disk):
        self.path = disk / "ballast"

    def fill(self, leave=0):
        """Takes all but `leave` bytes; without `leave` really all."""
        with self.path.open("ab") as file:
            while (room := free(self.path.parent) - leave) > 0:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, max(4096, room // 2))
                except OSError:
                    if room < 65536:
                        return self
        return self

    def drop(self):
        """Gives it all back."""
        self.path.unlink()
