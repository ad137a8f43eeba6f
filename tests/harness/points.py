"""Named points of the write order: the daemon dies exactly before or after one of its system calls.

What a dead process leaves behind is what its calls did, so between two calls that change files lies every place where a crash
can make a difference; a hook in the product would name some of them, and test a program that does not ship. A point is a
list of `Call`s that must come in this order (other calls may come between them); it strikes at the last one.
"""

import contextlib
import ctypes
import fcntl
import os
import re
import select
import signal
import socket
import struct
import sys
import threading
from dataclasses import dataclass

from . import seccomp

_RECV, _SEND = 0xC0502100, 0xC0182101
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_CONTINUE = 1
_AT_FDCWD = 0xFFFFFF9C
#: First argument that is a path (with the descriptor of its folder before it, for the calls ending in `at`).
_PATHS = {
    "rename": (None, 0, None, 1), "renameat": (0, 1, 2, 3), "renameat2": (0, 1, 2, 3), "link": (None, 0, None, 1),
    "linkat": (0, 1, 2, 3), "unlink": (None, 0), "unlinkat": (0, 1), "mkdir": (None, 0), "mkdirat": (0, 1), "rmdir": (None, 0),
}
_WRITES = ("write", "pwrite64", "pwritev", "pwritev2")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Call:
    """One system call of the daemon: `name` and `path` (relative to the data directory; of two paths `old new`) are regular
    expressions, `data` must occur in what is written."""

    name: str
    path: str
    data: bytes = b""


class Supervisor:
    """Answers the daemon's calls one by one until it has struck, or for as long as the daemon lives."""

    def __init__(self, node, strike=None):
        self.node, self.strike = node, strike or (lambda: None)
        self.steps, self.when, self.left = [], "before", None
        self.hit, self.seen, self.trouble = threading.Event(), [], None
        self.names = seccomp.names()
        self.lock = threading.Lock()

    # ---- how the node starts below it (see Node.launch)
    def prefix(self):
        self.ours, self.theirs = socket.socketpair()
        return [sys.executable, seccomp.__file__, "notify", str(self.theirs.fileno()), "--"]

    def pass_fds(self):
        return (self.theirs.fileno(),)

    def started(self, process):
        self.theirs.close()
        self.process = process
        self.ours.settimeout(60)
        _, ancillary, _, _ = self.ours.recvmsg(1, socket.CMSG_SPACE(4))
        self.ours.close()
        self.listener = struct.unpack("i", ancillary[0][2])[0]
        threading.Thread(target=self._serve, daemon=True).start()

    # ---- what the tests say
    def arm(self, *steps, when="before"):
        """Strike at the last of these calls, `before` it or `after` it has been done."""
        with self.lock:
            self.steps, self.when = list(steps), when

    def arm_nth(self, number):
        """Strike before the `number`-th call from now on that changes anything in the data directory."""
        with self.lock:
            self.left, self.seen = number, []

    def disarm(self):
        with self.lock:
            self.steps, self.left = [], None

    # ---- the thread
    def _serve(self):
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        try:
            while True:
                events = poll.poll()
                if events[0][1] & (select.POLLHUP | select.POLLERR):
                    return
                buffer = bytearray(_NOTIFICATION.size)
                try:
                    fcntl.ioctl(self.listener, _RECV, buffer)
                except FileNotFoundError:
                    continue  # its thread is gone already
                self._answer(buffer)
        except BaseException as error:
            self.trouble = error
            self.process.kill()
        finally:
            os.close(self.listener)

    def _answer(self, buffer):
        ticket, _, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        name = self.names[number]
        with self.lock:
            struck = (self.steps or self.left is not None) and not self.hit.is_set() and self._is_it(name, arguments)
        if struck:
            if self.when == "after" and self.left is None:
                self._do(name, arguments)
            self.strike()
            os.kill(self.process.pid, signal.SIGKILL)
            self.hit.set()
            return
        with contextlib.suppress(FileNotFoundError):
            fcntl.ioctl(self.listener, _SEND, struct.pack("=QqiI", ticket, 0, 0, _CONTINUE))

    def _is_it(self, name, arguments):
        where = self._where(name, arguments)
        if where is None:
            return False
        if self.left is not None:
            self.seen.append(f"{name} {where}")
            self.left -= 1
            return self.left == 0
        step = self.steps[0]
        if not re.fullmatch(step.name, name) or not re.fullmatch(step.path, where):
            return False
        if step.data and step.data not in self._written(name, arguments):
            return False
        if len(self.steps) > 1:
            self.steps.pop(0)
            return False
        return True

    def _where(self, name, arguments):
        """The path or paths that a call is about, relative to the data directory; None for what lies elsewhere."""
        paths = self._full_paths(name, arguments)
        base = str(self.node.data) + "/"
        if not all(path.startswith(base) for path in paths):
            return None
        return " ".join(path[len(base) :] for path in paths)

    def _full_paths(self, name, arguments):
        proc = f"/proc/{self.process.pid}"
        if name not in _PATHS:
            fd = arguments[2] if name == "copy_file_range" else arguments[0]
            try:
                return [os.readlink(f"{proc}/fd/{fd & 0xFFFFFFFF}").removesuffix(" (deleted)")]
            except FileNotFoundError:
                return ["?"]
        places, found = _PATHS[name], []
        for folder, path in zip(places[::2], places[1::2], strict=True):
            text = self._text(arguments[path])
            if not text.startswith("/"):
                at = _AT_FDCWD if folder is None else arguments[folder] & 0xFFFFFFFF
                text = os.path.join(os.readlink(f"{proc}/cwd" if at == _AT_FDCWD else f"{proc}/fd/{at}"), text)
            found.append(os.path.normpath(text))
        return found

    def _memory(self, address, length):
        with open(f"/proc/{self.process.pid}/mem", "rb", buffering=0) as memory:
            return os.pread(memory.fileno(), length, address)

    def _text(self, address):
        text = b""
        while b"\0" not in text:
            # Never over the end of a page: the next one may not be there.
            text += self._memory(address + len(text), 4096 - (address + len(text)) % 4096)
        return os.fsdecode(text.split(b"\0", 1)[0])

    def _written(self, name, arguments):
        if name in ("write", "pwrite64"):
            return self._memory(arguments[1], arguments[2])
        if name not in _WRITES:
            return b""
        parts = struct.iter_unpack("=QQ", self._memory(arguments[1], 16 * arguments[2]))
        return b"".join(self._memory(address, length) for address, length in parts)

    def _do(self, name, arguments):
        """Does the call in the daemon's stead."""
        if name in _PATHS:
            paths = self._full_paths(name, arguments)
            if name == "renameat2":
                result = _libc.renameat2(-100, os.fsencode(paths[0]), -100, os.fsencode(paths[1]), arguments[4])
                assert result == 0, os.strerror(ctypes.get_errno())
            elif name.startswith("unlink"):
                (os.rmdir if name == "unlinkat" and arguments[2] else os.unlink)(paths[0])
            else:
                {"rename": os.rename, "link": os.link, "mkdir": os.mkdir, "rmdir": os.rmdir}[name.removesuffix("at")](*paths)
            return
        fd = seccomp.getfd(self.process.pid, arguments[0])
        try:
            if name == "write":
                os.write(fd, self._written(name, arguments))
            elif name in _WRITES:
                os.pwrite(fd, self._written(name, arguments), arguments[3])
            elif name in ("fsync", "fdatasync", "syncfs", "ftruncate", "fallocate", "fchmod"):
                result = getattr(_libc, name)(fd, *(ctypes.c_long(a) for a in arguments[1:4]))
                assert result == 0, os.strerror(ctypes.get_errno())
            else:
                raise AssertionError(f"{name} cannot be done in the daemon's stead")
        finally:
            os.close(fd)
