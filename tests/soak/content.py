"""What a file must hold, without keeping its bytes: pieces of one pool of noise."""

import random

from harness.settings import MIB

POOL = 32 * MIB
LARGEST = 8 * MIB
SIZES = [0, 100, 3000, 4096, 4097, 20_000, 70_000, 300_000, 1_200_000, 3 * MIB + 1, LARGEST]
WEIGHTS = [4, 16, 16, 8, 8, 20, 12, 8, 5, 2, 1]


class Content:
    """Pieces (offset in the pool, or None for zeros; length), in order."""

    def __init__(self, pieces=()):
        self.pieces = [piece for piece in pieces if piece[1]]

    @property
    def size(self):
        return sum(length for _, length in self.pieces)

    def cut(self, start, end):
        """The pieces of a range."""
        at = 0
        for offset, length in self.pieces:
            low, high = max(start, at), min(end, at + length)
            if low < high:
                yield (None if offset is None else offset + low - at), high - low
            at += length

    def written(self, at, more):
        """With another content's bytes written at an offset; what is between is zeros."""
        gap = [(None, max(0, at - self.size))]
        return Content([*self.cut(0, at), *gap, *more.pieces, *self.cut(at + more.size, self.size)])

    def truncated(self, size):
        """Cut, or made longer by zeros."""
        return Content([*self.cut(0, size), (None, max(0, size - self.size))])


class Pool:
    """The noise, and new contents from it. Offsets are random: that two contents begin alike is next to impossible."""

    def __init__(self):
        self.noise = memoryview(random.Random("soak").randbytes(POOL))

    def fresh(self, rng, size=None):
        """A content of a random size, or of this one."""
        size = rng.choices(SIZES, WEIGHTS)[0] if size is None else size
        return Content([(rng.randrange(POOL - size), size)])

    def data(self, content):
        """Its bytes."""
        return b"".join(bytes(length) if at is None else self.noise[at : at + length] for at, length in content.pieces)
