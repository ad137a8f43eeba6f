"""What all measures share: options, folders, programs, processor time, medians."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.node import new_base
from harness.settings import BIN

#: Example programs of the project, built beside its binary.
EXAMPLES = Path(os.environ.get("PINFOLD_BENCH_EXAMPLES") or BIN.parent / "examples")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Options:
    """How a run was asked for."""

    quick: bool = False
    long: bool = False
    pairs: int = 5
    seconds: float = 2.0  # of one measure of requests
    busy: bool = False
    dry: bool = False
    only: tuple = ("s3", "files", "space")
    peers: dict = field(default_factory=dict)  # name → path of the program
    left: list = field(default_factory=list)  # folders to remove


class Scratch:
    """A folder on the test disk; it goes when the part's page is written, since that may take minutes."""

    def __init__(self, options, name):
        self.path, self.left = new_base(f"bench-{name}"), options.left

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.left.append(self.path)


def clear(options):
    """Removes what the measures left."""
    while options.left:
        shutil.rmtree(options.left.pop(), ignore_errors=True)


def say(*words):
    """Progress, for who waits."""
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


def example(name, *args, timeout=600):
    """Runs one of the project's programs and reads its line of JSON."""
    done = subprocess.run([EXAMPLES / name, *map(str, args)], capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{name} {' '.join(map(str, args))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def descendants(pid):
    """A process and all below it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def processor_seconds(pid):
    """Processor time of a process and those below it, in the kernel and outside; 0 for none."""
    total = 0
    for each in descendants(pid) if pid else []:
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def settle(pid, within=60.0):
    """Waits until a process has nothing left to do (publishing, committing, applying)."""
    end = time.monotonic() + within
    quiet = 0
    while pid and quiet < 3 and time.monotonic() < end:
        before = processor_seconds(pid)
        time.sleep(0.1)
        quiet = quiet + 1 if processor_seconds(pid) - before <= 0.01 else 0


def resident_bytes(pid):
    """A process's memory in the RAM: now, and the most that it was."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return tuple(int(fields[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))


def touch_memory(folder, size):
    """Uses and frees memory for that much of a file: what a virtual machine has free may be its host's for now, and the
    first to use it pays for each page (measured: 3.4 s instead of 0.4 s for 2 GiB)."""
    path, piece = folder / "touch", bytes(1 << 20)
    with open(path, "wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(piece)
    path.unlink()


def file_system(folder):
    """Type of the file system that a folder is on, and whether an ext4 has a journal (without, it is slow to create files
    for minutes after others were deleted)."""
    below = os.path.realpath(folder)
    mounts = [(line.split()[4], *line.split(" - ")[1].split()[:2]) for line in Path("/proc/self/mountinfo").open()]
    # The last one of a mount point is on top of the others.
    depth = max(len(at) for at, _, _ in mounts if os.path.commonpath([at, below]) == at)
    kind, device = [(kind, device) for at, kind, device in mounts if len(at) == depth and below.startswith(at)][-1]
    if kind != "ext4":
        return kind
    journals = Path("/proc/fs/jbd2")
    name = os.path.basename(os.path.realpath(device))
    with_journal = journals.is_dir() and any(entry.startswith(f"{name}-") for entry in os.listdir(journals))
    return f"ext4 {'with' if with_journal else 'without'} a journal{' on a loop device' if name.startswith('loop') else ''}"


def median(values):
    """The median of what there is."""
    return statistics.median(values) if values else None


def ratio(ours, theirs):
    """The median of the ratios of pairs that were measured one after the other."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=True) if b]
    return median(pairs)


def disk_use(folder):
    """Bytes that a folder takes on the disk."""
    return int(subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=True).stdout.split()[0])
