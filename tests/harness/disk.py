"""A disk whose power can be cut: ext4 in a file, on a loop device, shut down by an ioctl.

`FS_IOC_SHUTDOWN` without a flush of the journal is what ext4 has for testing crashes: from then on nothing reaches the device,
neither data that waits in memory nor the journal's running transaction, and every call fails. What was on the device is
what the next mount finds, after it has replayed the journal.
"""

import fcntl
import os
import shutil
import struct
import subprocess

from .syscalls import syncfs
from .wait import until

_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN: _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2


def missing():
    """What stands in the way of such disks here, or None."""
    if os.geteuid() != 0:
        return "root"
    if not os.path.exists("/dev/loop-control"):
        return "loop devices"
    for tool in ("mkfs.ext4", "mount"):
        if not shutil.which(tool):
            return tool
    with open("/proc/filesystems") as file:
        return None if "\text4\n" in file.read() else "ext4 in the kernel"


def _run(*line):
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    return done.returncode == 0, f"{' '.join(line)}: {done.stdout}{done.stderr}"


class Disk:
    """The file `base/disk.img` (sparse), mounted at `base/disk`."""

    def __init__(self, base, size):
        self.image, self.path = base / "disk.img", base / "disk"
        self.path.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(size)
        fine, said = _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))
        assert fine, said
        self.mount()

    def mount(self):
        """Mounts it; after a cut this replays the journal."""
        # Without ext4's help for programs that replace a file and do not sync: other file systems have none.
        fine, said = _run("mount", "-o", "loop,noauto_da_alloc", str(self.image), str(self.path))
        assert fine, said
        self.root = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)

    def sync(self):
        """All that was written so far is on the device."""
        syncfs(self.root)

    def cut(self):
        """The power goes."""
        fcntl.ioctl(self.root, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))

    def unmount(self):
        """Takes it down once nobody has a file of it open any more."""
        os.close(self.root)
        said = ""

        def gone():
            nonlocal said
            fine, said = _run("umount", str(self.path))
            return fine

        until(gone, lambda: said, 20)

    def power_on(self):
        """After a cut: as the machine finds it when the power is back."""
        self.unmount()
        self.mount()

    def close(self):
        """Whatever state it is in."""
        if os.path.ismount(self.path):
            self.unmount()
