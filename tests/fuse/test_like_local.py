"""Random system calls, each on the mount and on the local disk: the same answers, and the same trees after them.

Left out is what the kernel keeps from every FUSE file system (RENAME_WHITEOUT, collapsing and inserting ranges), device
nodes (mounts are nodev), and seeking in directories, where each file system has positions of its own.
"""

import errno
import hashlib
import os
import shutil
import stat

import pytest

from harness.syscalls import (
    FALLOC_KEEP_SIZE,
    FALLOC_PUNCH_HOLE,
    FALLOC_ZERO_RANGE,
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    fallocate,
    rename2,
)

pytestmark = [pytest.mark.pinfold, pytest.mark.root]

STEPS = 2500
SLOTS = 4
OFFSETS = (0, 0, 1, 7, 4096, 5000, 100_000)
SIZES = (0, 1, 5000, 100_000)


def seen(found):
    """What of a stat must agree: not inode numbers, times, and directories' sizes."""
    size = None if stat.S_ISDIR(found.st_mode) else found.st_size
    return oct(found.st_mode), found.st_nlink, size, found.st_uid, found.st_gid


class Side:
    """One of the two trees, with the descriptors that are open in it."""

    def __init__(self, root):
        self.root, self.fds = str(root), {}
        os.mkdir(root)

    def at(self, path):
        return f"{self.root}/{path}"

    def answer(self, call):
        """What a call returns, or the name of its errno; no descriptor in a slot is an answer too."""
        try:
            return call(self)
        except OSError as error:
            return errno.errorcode[error.errno]
        except KeyError:
            return "no descriptor"

    def open(self, slot, path, flags, mode):
        if slot in self.fds:
            os.close(self.fds.pop(slot))
        self.fds[slot] = os.open(self.at(path), flags | os.O_NONBLOCK, mode)

    def read(self, path):
        fd = os.open(self.at(path), os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(fd, 1 << 20)
        finally:
            os.close(fd)

    def times(self, path, atime, mtime, follow):
        os.utime(self.at(path), ns=(atime, mtime), follow_symlinks=follow)
        return os.stat(self.at(path), follow_symlinks=follow).st_mtime_ns

    def position(self, slot, offset, whence):
        if stat.S_ISDIR(os.fstat(self.fds[slot]).st_mode):
            return None
        return os.lseek(self.fds[slot], offset, whence)

    def hole_or_data(self, slot, offset, whence):
        """Whether there is any: where it begins depends on the disk's blocks."""
        if not stat.S_ISDIR(os.fstat(self.fds[slot]).st_mode):
            os.lseek(self.fds[slot], offset, whence)
            os.lseek(self.fds[slot], 0, os.SEEK_SET)

    def tree(self):
        found = {}
        for folder, dirs, files in os.walk(self.root):
            for name in dirs + files:
                path = os.path.join(folder, name)
                entry = seen(os.lstat(path))
                if os.path.islink(path):
                    entry += (os.readlink(path),)
                elif os.path.isfile(path):
                    with open(path, "rb") as file:
                        entry += (hashlib.sha256(file.read()).hexdigest(),)
                found[path.removeprefix(self.root)] = entry
        return found

    def close(self):
        for fd in self.fds.values():
            os.close(fd)
        shutil.rmtree(self.root)


def operations(rng):
    """(weight, name, function that draws arguments and returns the call)."""

    def path():
        name = "/".join(rng.choice("abcd") for _ in range(rng.choice([1, 1, 2, 2, 3])))
        return name + rng.choice(["", "/", "/.", "/.."]) if rng.random() < 0.15 else name

    def flags():
        chosen = rng.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
        for flag, chance in (
            (os.O_CREAT, 0.6), (os.O_EXCL, 0.15), (os.O_TRUNC, 0.25), (os.O_APPEND, 0.2), (os.O_DIRECTORY, 0.1),
            (os.O_NOFOLLOW, 0.1), (os.O_SYNC, 0.05), (os.O_PATH, 0.03),
        ):
            chosen |= flag if rng.random() < chance else 0
        return chosen

    def drawn(call, *draws):
        def draw():
            arguments = [draw() for draw in draws]
            return arguments, lambda side: call(side, *arguments)
        return draw

    one = lambda *choices: lambda: rng.choice(choices)  # noqa: E731
    slot, yes = one(*range(SLOTS)), one(True, False)
    size, offset, mode = one(*SIZES, -1), one(*OFFSETS), lambda: rng.randrange(0o10000)
    data = lambda: bytes([rng.randrange(256)]) * rng.choice([0, 1, 10, 5000, 70_000])  # noqa: E731
    time = lambda: rng.randrange(-(10**18), 4 * 10**18)  # noqa: E731
    attribute = one("user.t1", "user.t2", "trusted.t", "user.", "bogus.x")
    target = one("a", "b", "a/b", "../c", ".", "c/d/", "x", "x" * 255, "x" * 4095)
    kinds = one(stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR, 0)
    ways = one(0, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, FALLOC_ZERO_RANGE, 0x40)
    return [
        (6, "open", drawn(Side.open, slot, path, flags, one(0o644, 0o600, 0o4755))),
        (4, "mkdir", drawn(lambda s, p, m: os.mkdir(s.at(p), m), path, one(0o755, 0o700, 0o2755, 0o1777))),
        (2, "rmdir", drawn(lambda s, p: os.rmdir(s.at(p)), path)),
        (3, "unlink", drawn(lambda s, p: os.unlink(s.at(p)), path)),
        (3, "link", drawn(lambda s, p, q, f: os.link(s.at(p), s.at(q), follow_symlinks=f), path, path, yes)),
        (2, "symlink", drawn(lambda s, t, p: os.symlink(t, s.at(p)), target, path)),
        (6, "rename", drawn(
            lambda s, p, q, f: rename2(s.at(p), s.at(q), f), path, path, one(0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, 3, 8),
        )),
        (1, "truncate", drawn(lambda s, p, n: os.truncate(s.at(p), n), path, size)),
        (1, "chmod", drawn(lambda s, p, m: os.chmod(s.at(p), m), path, mode)),
        (1, "chown", drawn(lambda s, p, u, g: os.lchown(s.at(p), u, g), path, one(-1, 0, 1000), one(-1, 0, 1000))),
        (1, "utimens", drawn(Side.times, path, time, time, yes)),
        (1, "mknod", drawn(lambda s, p, k: os.mknod(s.at(p), k | 0o600), path, kinds)),
        (1, "readlink", drawn(lambda s, p: os.readlink(s.at(p)), path)),
        (3, "stat", drawn(lambda s, p, f: seen(os.stat(s.at(p), follow_symlinks=f)), path, yes)),
        (2, "list", drawn(lambda s, p: sorted(os.listdir(s.at(p))), path)),
        (1, "access", drawn(lambda s, p, m: os.access(s.at(p), m), path, lambda: rng.randrange(8))),
        (2, "read", drawn(Side.read, path)),
        (1, "setxattr", drawn(
            lambda s, p, n, v, f, y: os.setxattr(s.at(p), n, v[:100], f, follow_symlinks=y),
            path, attribute, data, one(0, os.XATTR_CREATE, os.XATTR_REPLACE), yes,
        )),
        (1, "getxattr", drawn(lambda s, p, n, f: os.getxattr(s.at(p), n, follow_symlinks=f), path, attribute, yes)),
        (1, "removexattr", drawn(lambda s, p, n, f: os.removexattr(s.at(p), n, follow_symlinks=f), path, attribute, yes)),
        (1, "close", drawn(lambda s, n: os.close(s.fds.pop(n)), slot)),
        (2, "pwrite", drawn(lambda s, n, d, o: os.pwrite(s.fds[n], d, o), slot, data, offset)),
        (2, "write", drawn(lambda s, n, d: os.write(s.fds[n], d), slot, data)),
        (1, "pread", drawn(lambda s, n, k, o: os.pread(s.fds[n], k, o), slot, one(0, 1, 100, 200_000), offset)),
        (1, "read on", drawn(lambda s, n, k: os.read(s.fds[n], k), slot, one(0, 1, 100, 200_000))),
        (1, "seek", drawn(Side.position, slot, one(*OFFSETS, -1), one(os.SEEK_SET, os.SEEK_CUR, os.SEEK_END))),
        (1, "seek hole", drawn(Side.hole_or_data, slot, offset, one(os.SEEK_DATA, os.SEEK_HOLE))),
        (1, "ftruncate", drawn(lambda s, n, k: os.ftruncate(s.fds[n], k), slot, size)),
        (2, "fstat", drawn(lambda s, n: seen(os.fstat(s.fds[n])), slot)),
        (1, "fsync", drawn(lambda s, n: os.fsync(s.fds[n]), slot)),
        (1, "fdatasync", drawn(lambda s, n: os.fdatasync(s.fds[n]), slot)),
        (1, "fchmod", drawn(lambda s, n, m: os.fchmod(s.fds[n], m), slot, mode)),
        (1, "flist", drawn(lambda s, n: sorted(os.listdir(s.fds[n])), slot)),
        (1, "fallocate", drawn(
            lambda s, n, m, o, k: fallocate(s.fds[n], m, o, k), slot, ways, offset, one(0, 1, 4096, 70_000),
        )),
        (1, "copy", drawn(
            lambda s, n, m, k, a, b: os.copy_file_range(s.fds[n], s.fds[m], k, a, b),
            slot, slot, one(0, 10, 70_000), offset, offset,
        )),
    ]


def compare(place, fs, rng, steps):
    weights, names, draws = zip(*operations(rng), strict=True)
    # One level down: a link to `../c` leads out of the tree, to a folder that must look the same on both sides.
    local = place.node.base / f"local-{fs.name}"
    local.mkdir()
    local.chmod(stat.S_IMODE(os.stat(fs).st_mode))
    sides = Side(local / "tree"), Side(fs / "tree")
    log = []
    try:
        for step in range(steps):
            name, draw = rng.choices(list(zip(names, draws, strict=True)), weights)[0]
            arguments, call = draw()
            ours, theirs = sides[1].answer(call), sides[0].answer(call)
            log.append(f"{name} {arguments!r:.150} → {ours!r:.60}")
            assert ours == theirs, f"step {step}, the last: " + "\n".join(log[-20:])
            if step % 100 == 99:
                assert sides[1].tree() == sides[0].tree(), f"step {step}, the last: " + "\n".join(log[-110:])
    finally:
        for side in sides:
            side.close()
        shutil.rmtree(local)


@pytest.mark.parametrize("turn", range(2))
def test_answers_are_those_of_the_local_disk(place, fs, rng, turn):
    compare(place, fs, rng, STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(5))
def test_answers_are_those_of_the_local_disk_long(place, fs, rng, turn):
    compare(place, fs, rng, 20_000)
