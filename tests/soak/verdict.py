"""What must hold at a pause, and what may not have grown over the pauses."""

import statistics
from dataclasses import dataclass

from harness.settings import MIB

from .options import JUDGED_FROM

#: Of what is held at a pause: a name, the field, what it may be above a share of the warm-up's median, unit.
SHARE = 1.15
MEASURES = [
    ("resident memory", "rss", 32 * MIB, MIB, "MiB"),
    ("descriptors", "own_descriptors", 32, 1, ""),
    ("threads", "threads", 4, 1, ""),
    ("replica's files", "replica_bytes", 64 * MIB, MIB, "MiB"),
    ("kept log", "log_bytes", 128 * MIB, MIB, "MiB"),
]
#: Chunks on the disk: the bytes of different contents, a tenth more, and this.
CHUNKS_BESIDE = 48 * MIB
#: Contents and slabs that the store keeps open without a reader (`open_files` of store/src/chunk/config.rs, for each kind).
KEPT_OPEN = 2 * 512


@dataclass
class Pause:
    """A moment of rest."""

    sample: dict
    keys: int
    bytes: int
    different: int
    settled: float
    wrong: list

    def problems(self):
        """What is wrong with it."""
        found = list(self.wrong[:20])
        if len(self.wrong) > 20:
            found.append(f"… and {len(self.wrong) - 20} more differences")
        most = self.different * 11 // 10 + CHUNKS_BESIDE
        if self.sample["chunk_bytes"] > most:
            found.append(
                f"chunks take {self.sample['chunk_bytes'] / MIB:.0f} MiB on the disk for {self.different / MIB:.0f} MiB of "
                f"different contents: more than a tenth and {CHUNKS_BESIDE // MIB} MiB beside"
            )
        if self.sample["kept_open"] > KEPT_OPEN:
            found.append(f"{self.sample['kept_open']} contents are kept open, {KEPT_OPEN} is the most")
        for what in ("deleted_open", "worker_failures", "s3_panics", "log_errors"):
            if self.sample[what]:
                found.append(f"{what.replace('_', ' ')}: {self.sample[what]} (look at node.log)")
        return found


@dataclass
class Growth:
    """One measure over the pauses: the warm-up's median, the last pause's figure, the most it may be."""

    name: str
    warm: float
    last: float
    most: float
    an_hour: float
    unit: str

    @property
    def fine(self):
        return self.last <= self.most


def growth(pauses):
    """Each measure's. The warm-up is the first third of the pauses."""
    found = []
    for name, field, slack, divisor, unit in MEASURES:
        values = [pause.sample[field] / divisor for pause in pauses]
        warm = statistics.median(values[: max(1, len(values) // 3)])
        most = warm * SHARE + slack / divisor
        found.append(Growth(name, warm, values[-1], most, slope(pauses, values), unit))
    return found


def slope(pauses, values):
    """Growth an hour by least squares, after the warm-up."""
    after = max(1, len(pauses) // 3)
    if len(pauses) - after < 2:
        return 0.0
    hours = [pause.sample["seconds"] / 3600 for pause in pauses[after:]]
    return statistics.linear_regression(hours, values[after:]).slope


def judged(minutes):
    """Whether growth means something in a run so long."""
    return minutes >= JUDGED_FROM


def criterion():
    """In words, for the page."""
    slacks = ", ".join(f"{name} {slack // divisor} {unit}".strip() for name, _, slack, divisor, unit in MEASURES)
    return (
        f"At the last pause each may be at most {SHARE:.2f} times the median of the pauses of the first third (while caches "
        f"fill), and a fixed amount more: {slacks}. Contents that the store keeps open for later are not counted among the "
        f"descriptors: they are {KEPT_OPEN} at most, and none of them is a deleted one. "
        f"Runs of less than {JUDGED_FROM:g} minutes do not judge growth."
    )
