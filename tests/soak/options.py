"""What a run was asked for, and the figures that all parts of it share."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from harness.settings import GIB, MIB

#: Bucket of the keys that have one writer each, and of those that many threads write at both doors.
OWN, SHARED = "own", "shared"
#: Processes with keys of their own; directories of each, names in each of these.
WRITERS, DIRECTORIES, NAMES = 6, 8, 60
#: All that the writers may keep, in bytes.
MOST_LIVE = 1 * GIB
#: Keys that many threads write, and these threads.
REGISTERS, HAMMERS = 20, 3
#: Mean pause of a writer between two operations, in seconds: latencies of a node with room to spare, not of a full queue.
THINK = 0.015
#: A scrub begins an hour after the start and reads at this rate: long enough to meet much other work.
SCRUB_RATE = 2 * MIB
#: Checkpoints are asked for beside the node's own this many times a period.
CHECKPOINTS = 5
PERIOD = 600.0
#: Seconds between two samples.
SAMPLE = 10.0
#: Growth means nothing while caches fill: shorter runs do not judge it.
JUDGED_FROM = 30.0


@dataclass
class Options:
    """The command line."""

    minutes: float
    engine: str
    passthrough: bool
    out: Path
    page: bool
    seed: str
    words: list

    @property
    def mode(self):
        return "passthrough" if self.passthrough else "daemon"

    @property
    def periods(self):
        """Number of periods, and seconds of load in each."""
        seconds = self.minutes * 60
        count = max(6, round(seconds / PERIOD))
        return count, seconds / count

    @property
    def every(self):
        """Seconds between two samples."""
        return min(SAMPLE, max(1.0, self.periods[1] / 10))


def say(*words):
    """Progress, for who waits."""
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)
