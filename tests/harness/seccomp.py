"""Filters on a daemon's system calls, put in place before it starts: the program under test is the one that ships.

`python3 seccomp.py nosync -- COMMAND…` runs a command for which syncs succeed and do nothing: a disk that is never told
to keep anything. `python3 seccomp.py notify FD -- COMMAND…` has each call that changes files wait for an answer from whoever
has the other end of the socket FD (`points.py`).
"""

import array
import ctypes
import os
import platform
import socket
import struct
import sys

_libc = ctypes.CDLL(None, use_errno=True)

#: Numbers of the calls that change files, by machine; None where the machine has no such call.
_NUMBERS = {
    "x86_64": {
        "write": 1, "pwrite64": 18, "pwritev": 296, "pwritev2": 328, "fsync": 74, "fdatasync": 75, "syncfs": 306,
        "sync": 162, "sync_file_range": 277, "msync": 26, "ftruncate": 77, "fallocate": 285, "rename": 82, "renameat": 264,
        "renameat2": 316, "link": 86, "linkat": 265, "unlink": 87, "unlinkat": 263, "mkdir": 83, "mkdirat": 258, "rmdir": 84,
        "copy_file_range": 326, "fchmod": 91,
    },
    "aarch64": {
        "write": 64, "pwrite64": 68, "pwritev": 70, "pwritev2": 287, "fsync": 82, "fdatasync": 83, "syncfs": 267, "sync": 81,
        "sync_file_range": 84, "msync": 227, "ftruncate": 46, "fallocate": 47, "renameat": 38, "renameat2": 276, "linkat": 37,
        "unlinkat": 35, "mkdirat": 34, "copy_file_range": 285, "fchmod": 52,
    },
}
_ARCH = {"x86_64": (0xC000003E, 317, 438), "aarch64": (0xC00000B7, 277, 438)}

SYNCS = ("fsync", "fdatasync", "syncfs", "sync", "sync_file_range", "msync")
#: What `notify` waits at. Of the syncs those that promise something.
CHANGES = (
    "write", "pwrite64", "pwritev", "pwritev2", "fsync", "fdatasync", "syncfs", "ftruncate", "fallocate", "rename", "renameat",
    "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "copy_file_range", "fchmod",
)

_RET_ERRNO, _RET_USER_NOTIF, _RET_ALLOW = 0x00050000, 0x7FC00000, 0x7FFF0000
_NEW_LISTENER, _WAIT_KILLABLE = 1 << 3, 1 << 5
_PR_SET_NO_NEW_PRIVS = 38


def missing():
    """What stands in the way of filters here, or None."""
    if platform.system() != "Linux" or platform.machine() not in _NUMBERS:
        return "Linux on x86_64 or aarch64"
    try:
        with open("/proc/sys/kernel/seccomp/actions_avail") as file:
            return None if "user_notif" in file.read() else "a kernel with seccomp's user_notif"
    except OSError:
        return "a kernel with seccomp"


def names():
    """Call numbers to names, on this machine."""
    return {number: name for name, number in _NUMBERS[platform.machine()].items()}


def getfd(pid, fd):
    """A descriptor of our own for another process's."""
    pidfd = os.pidfd_open(pid)
    try:
        mine = _libc.syscall(_ARCH[platform.machine()][2], pidfd, fd, 0)
        if mine < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return mine
    finally:
        os.close(pidfd)


def _filter(calls, action, flags=0):
    """Has these calls of this process and all that it becomes end in `action`; the listener's descriptor or 0."""
    arch, seccomp, _ = _ARCH[platform.machine()]
    numbers = [n for name in calls if (n := _NUMBERS[platform.machine()].get(name)) is not None]
    code = [(0x20, 0, 0, 4), (0x15, 0, len(numbers) + 1, arch), (0x20, 0, 0, 0)]
    code += [(0x15, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    code += [(0x06, 0, 0, _RET_ALLOW), (0x06, 0, 0, action)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(program)))
    if os.geteuid() != 0:
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    answer = _libc.syscall(seccomp, 1, flags, head)
    if answer < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return answer


class NoSyncs:
    """For `Node.around`: a daemon whose syncs do nothing."""

    def prefix(self):
        return [sys.executable, __file__, "nosync", "--"]

    def pass_fds(self):
        return ()

    def started(self, process):
        pass


def main():
    how, rest = sys.argv[1], sys.argv[2:]
    if how == "nosync":
        _filter(SYNCS, _RET_ERRNO)  # errno 0: the call returns 0 without running
    else:
        with socket.socket(fileno=int(rest.pop(0))) as to:
            listener = _filter(CHANGES, _RET_USER_NOTIF, _NEW_LISTENER | _WAIT_KILLABLE)
            to.sendmsg([b"L"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
            os.close(listener)
    command = rest[rest.index("--") + 1 :]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
