"""Histories of keys that many threads write and read at both doors at once: each key must behave as one register.

Every write is atomic (PUT; write aside and rename; DELETE; unlink) and every value says who wrote it, so that a read
is wrong if its value was written only after the read ended, or was overwritten by a write that began after that
value's write ended and was itself done before the read began.
"""

import bisect
import collections
import itertools
import math
import os
import time
from dataclasses import dataclass

from botocore.exceptions import ClientError

from . import cid
from . import s3 as s3c
from .data import md5, stamp_of, stamped
from .syscalls import read_file, write_file

_numbers = itertools.count()


@dataclass(frozen=True)
class Event:
    """One operation: what it wrote or read (a tag; None is nothing there), at which door, from when to when."""

    kind: str
    door: str
    value: str | None
    start: float
    end: float


class Register:
    """One key."""

    def __init__(self, s3, bucket, mount, key):
        self.s3, self.bucket, self.key = s3, bucket, key
        self.path = mount / bucket / key
        self.events = [Event("write", "start", None, 0.0, 0.0)]

    def _note(self, kind, door, value, start):
        self.events.append(Event(kind, door, value, start, time.monotonic()))

    def put(self, rng):
        tag, size = f"s3-{next(_numbers)}", rng.choice([60, 5000, 90_000, 1_200_000])
        start = time.monotonic()
        self.s3.put_object(Bucket=self.bucket, Key=self.key, Body=stamped(tag, size))
        self._note("write", "s3", tag, start)

    def replace(self, rng):
        tag, size = f"mount-{next(_numbers)}", rng.choice([60, 5000, 90_000, 1_200_000])
        aside = self.path.with_name(f".{self.path.name}.{tag}")
        write_file(aside, stamped(tag, size))
        start = time.monotonic()
        os.rename(aside, self.path)
        self._note("write", "mount", tag, start)

    def delete(self, rng):
        start = time.monotonic()
        self.s3.delete_object(Bucket=self.bucket, Key=self.key)
        self._note("write", "s3", None, start)

    def unlink(self, rng):
        start = time.monotonic()
        try:
            os.unlink(self.path)
            self._note("write", "mount", None, start)
        except FileNotFoundError:
            self._note("read", "mount", None, start)

    def get(self, rng):
        start = time.monotonic()
        try:
            got = self.s3.get_object(Bucket=self.bucket, Key=self.key)
            data = got["Body"].read()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchKey", error
            self._note("read", "s3", None, start)
            return
        tag = stamp_of(data)
        right = md5(data) if tag.startswith("s3") else cid.mount_etag(data)
        assert s3c.etag(got) == right, f"{self.key}: the ETag is not that of the bytes that came with it ({tag})"
        self._note("read", "s3", tag, start)

    def read(self, rng):
        start = time.monotonic()
        try:
            tag = stamp_of(read_file(self.path))
        except FileNotFoundError:
            tag = None
        self._note("read", "mount", tag, start)

    def step(self, rng):
        """One random operation."""
        calls = [self.put, self.replace, self.delete, self.unlink, self.get, self.read]
        rng.choices(calls, [4, 3, 1, 1, 6, 6])[0](rng)

    def check(self):
        """Every read against all writes; returns what is wrong."""
        writes = sorted((e for e in self.events if e.kind == "write"), key=lambda e: e.start)
        starts = [write.start for write in writes]
        # Of the writes from each one on, when the first of them was done.
        done = list(itertools.accumulate((write.end for write in reversed(writes)), min))[::-1] + [math.inf]
        by_value = collections.defaultdict(list)
        for write in writes:
            by_value[write.value].append(write)

        def may_be_seen(write, read):
            """No other write began after it had ended and was done before the read began."""
            return write.start <= read.end and done[bisect.bisect_right(starts, write.end)] >= read.start

        wrong = []
        for read in (e for e in self.events if e.kind == "read"):
            # The latest first: one of them it is, if any.
            if not any(may_be_seen(write, read) for write in reversed(by_value[read.value])):
                wrong.append(f"{self.key}: {read} sees what is not there any more, or never was")
        return wrong
