"""The keys of one writer and what is in them; how long its operations took."""

import contextlib
import time
from array import array
from collections import defaultdict

from harness.data import md5

from .options import DIRECTORIES, MOST_LIVE, NAMES, WRITERS

#: From here on an operation on bytes counts as a large one.
LARGE = 65_536


class Keys:
    """Names below one directory, which nobody else changes."""

    def __init__(self, top, pool, rng):
        self.top, self.pool, self.rng = top, pool, rng
        self.directories = [f"{top}/d{i}" for i in range(DIRECTORIES)]
        self.contents, self.bytes = {}, 0
        self.latencies, self.steps = defaultdict(lambda: array("f")), 0

    # ---- which
    def any_name(self):
        """One of the names, whether something is there or not."""
        return f"{self.rng.choice(self.directories)}/f{self.rng.randrange(NAMES):02}"

    def some(self):
        """One that is there, or None."""
        return self.rng.choice(list(self.contents)) if self.contents else None

    def within(self, directory):
        """Names in a directory: their last components and sizes."""
        start = directory + "/"
        return {n.removeprefix(start): c.size for n, c in self.contents.items() if n.startswith(start)}

    def listed(self):
        """(key, size) of all that S3 must list, directories included, in order."""
        markers = [(f"{name}/", 0) for name in [self.top, *self.directories]]
        return sorted([*markers, *((name, c.size) for name, c in self.contents.items())], key=lambda row: row[0].encode())

    @property
    def full(self):
        """Whether something must go before anything comes."""
        return self.bytes > MOST_LIVE // WRITERS

    # ---- what is in them
    def is_now(self, name, content):
        """A name's content from now on; None for none."""
        before = self.contents.pop(name, None)
        self.bytes += (content.size if content else 0) - (before.size if before else 0)
        if content is not None:
            self.contents[name] = content

    def data(self, name):
        return self.pool.data(self.contents[name])

    def same(self, name, got, what):
        """The bytes must be those that were written."""
        want = self.data(name)
        assert got == want, f"{what} of {name}: {len(got)} bytes, {md5(got)}; right are {len(want)}, {md5(want)}"

    def expected(self):
        """Key → (size, MD5) of all."""
        return {name: (content.size, md5(self.pool.data(content))) for name, content in self.contents.items()}

    # ---- how long
    @contextlib.contextmanager
    def timed(self, what, size=0):
        """Notes the time of the block, apart for large ones."""
        begin = time.perf_counter()
        yield
        self.latencies[what + (" large" if size > LARGE else "")].append((time.perf_counter() - begin) * 1000)

    def taken(self):
        """Operation → milliseconds since the last call."""
        taken, self.latencies = dict(self.latencies), defaultdict(lambda: array("f"))
        return taken
