"""Random operations on one file against a byte array: what fsx does, with reopening, mappings and holes."""

import mmap
import os

import pytest

from harness import settings
from harness.syscalls import FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE, fallocate

#: Around page and chunk bounds.
LIMIT = 2 * settings.MIB + 50_000
STEPS = 600


class Exerciser:
    """A file, its model, and one method an operation; each logs itself so that a failure can be followed."""

    def __init__(self, path, rng):
        self.path, self.rng = path, rng
        self.model, self.log = bytearray(), []
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT)

    def offset(self, limit=LIMIT):
        """Often near a bound, else anywhere."""
        if self.rng.random() < 0.4:
            near = self.rng.choice([0, 4096, 65536, settings.MIB, 2 * settings.MIB, len(self.model)])
            return min(max(0, near + self.rng.randrange(-5000, 5000)), limit - 1)
        return self.rng.randrange(limit)

    def put(self, at, piece):
        if at > len(self.model):
            self.model += bytes(at - len(self.model))
        self.model[at : at + len(piece)] = piece

    def write(self):
        at = self.offset()
        piece = self.rng.randbytes(min(self.rng.randrange(1, 100_000), LIMIT - at))
        self.log.append(f"write {at}+{len(piece)}")
        os.pwrite(self.fd, piece, at)
        self.put(at, piece)

    def append(self):
        piece = self.rng.randbytes(self.rng.randrange(1, 5000))
        if len(self.model) + len(piece) > LIMIT:
            return
        self.log.append(f"append {len(piece)}")
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, piece)
        os.close(fd)
        self.model += piece

    def read(self):
        at, n = self.offset(), self.rng.randrange(1, 200_000)
        self.log.append(f"read {at}+{n}")
        assert os.pread(self.fd, n, at) == self.model[at : at + n]

    def truncate(self):
        size = self.offset()
        how = self.rng.choice(["path", "fd"])
        self.log.append(f"truncate {size} by {how}")
        os.truncate(self.path if how == "path" else self.fd, size)
        del self.model[size:]
        self.model += bytes(size - len(self.model))

    def hole(self):
        if not self.model:
            return
        at = self.offset(len(self.model))
        n = self.rng.randrange(1, 300_000)
        mode = self.rng.choice([FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE]) | FALLOC_KEEP_SIZE
        self.log.append(f"hole {mode} {at}+{n}")
        fallocate(self.fd, mode, at, n)
        n = min(n, len(self.model) - at)
        self.model[at : at + n] = bytes(n)

    def mapped_write(self):
        if not self.model:
            return
        at = self.offset(len(self.model))
        piece = self.rng.randbytes(min(self.rng.randrange(1, 20_000), len(self.model) - at))
        self.log.append(f"mmap write {at}+{len(piece)}")
        with mmap.mmap(self.fd, len(self.model)) as mapped:
            mapped[at : at + len(piece)] = piece
            if self.rng.random() < 0.5:
                mapped.flush()
        self.put(at, piece)

    def mapped_read(self):
        if not self.model:
            return
        self.log.append("mmap read")
        with mmap.mmap(self.fd, len(self.model), prot=mmap.PROT_READ) as mapped:
            assert mapped[:] == self.model

    def copy(self):
        if not self.model:
            return
        source, target = self.offset(len(self.model)), self.offset()
        n = min(self.rng.randrange(1, 100_000), len(self.model) - source, LIMIT - target)
        if abs(source - target) < n:
            return
        self.log.append(f"copy {source}+{n} to {target}")
        piece, done = bytes(self.model[source : source + n]), 0
        while done < n:
            done += os.copy_file_range(self.fd, self.fd, n - done, source + done, target + done)
        self.put(target, piece)

    def reopen(self):
        self.log.append("reopen")
        os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR)
        assert os.fstat(self.fd).st_size == len(self.model)

    def sync(self):
        self.log.append("fsync")
        os.fsync(self.fd)

    def rename(self):
        self.log.append("rename")
        other = self.path.with_name("other" if self.path.name != "other" else "f")
        os.rename(self.path, other)
        self.path = other

    def run(self, steps):
        weighted = [
            (self.write, 6), (self.read, 6), (self.append, 2), (self.truncate, 2), (self.hole, 2), (self.mapped_write, 3),
            (self.mapped_read, 1), (self.copy, 2), (self.reopen, 2), (self.sync, 1), (self.rename, 1),
        ]
        calls, weights = zip(*weighted, strict=True)
        for step in range(steps):
            try:
                self.rng.choices(calls, weights)[0]()
                assert os.fstat(self.fd).st_size == len(self.model)
                if step % 50 == 49:
                    assert os.pread(self.fd, LIMIT + 1, 0) == self.model
            except BaseException as error:
                error.add_note(f"after {step} steps, the last: " + "; ".join(self.log[-25:]))
                raise
        os.close(self.fd)
        assert self.path.read_bytes() == self.model


@pytest.mark.parametrize("turn", range(3))
def test_fsx(fs, rng, turn):
    Exerciser(fs / "f", rng).run(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(10))
def test_fsx_long(fs, rng, turn):
    Exerciser(fs / "f", rng).run(6000)
