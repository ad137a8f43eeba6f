"""Mount points as the kernel lists them, and clearing what a killed daemon left."""

import ctypes
import os
from pathlib import Path

MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def mounted_below(base):
    """Mount points at or below `base`, deepest first."""
    base = str(base)
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point == base or point.startswith(base + "/"):
            found.append(point)
    return sorted(found, key=len, reverse=True)


def is_mounted(point):
    """Whether something is mounted exactly there."""
    return str(point) in mounted_below(point)


def detach(point):
    """`umount2(MNT_DETACH)`: works on a dead FUSE mount too."""
    if _libc.umount2(os.fsencode(point), MNT_DETACH) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(point))


def clear(base):
    """Unmounts whatever is still mounted at or below `base`."""
    for point in mounted_below(base):
        detach(point)
