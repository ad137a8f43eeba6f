"""File measures: the same work in a folder of each file system, in turn, round by round."""

import json
import os
import shutil
import subprocess
import time
from collections import defaultdict

from . import mounts, tree
from .system import Scratch, example, processor_seconds, say, settle, touch_memory

MIB = 1 << 20


class Bench:
    """Values by measure and file system, a list of rounds each."""

    def __init__(self, options, base, systems):
        self.options, self.base, self.systems = options, base, systems
        self.values = defaultdict(lambda: defaultdict(list))
        self.size = (64 if options.quick else 256) * MIB
        self.files = 1_000 if options.quick else 10_000
        self.tar = base / "tree.tar"
        self.tree_files = tree.write(self.tar, (4 if options.quick else 40) * MIB)

    def add(self, measure, system, value):
        self.values[measure][system.name].append(value)

    # ---- one measure each, on one file system
    def fio(self, system, pattern, block, timed):
        """One job of fio on the big file: (bytes a second, operations a second)."""
        line = [
            "fio", "--name=b", f"--filename={system.dir}/big", f"--size={self.size}", f"--rw={pattern}", f"--bs={block}",
            "--ioengine=psync", "--invalidate=0", "--fallocate=none", "--output-format=json", "--randrepeat=1",
        ]
        if timed:
            line += ["--time_based", f"--runtime={self.options.seconds}"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"fio on {system.name}: {done.stderr}{done.stdout[-500:]}")
        job = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]
        side = job["write" if "write" in pattern else "read"]
        return side["bw_bytes"], side["iops"]

    def big_file(self, system):
        """Sequential and random, on a file that the page cache holds."""
        touch_memory(self.base, 1 << 30)  # not on the mount: the daemon would write it out meanwhile
        self.add("sequential write, 1 MiB", system, self.fio(system, "write", "1M", False)[0])
        settle(system.pid)
        self.add("sequential read, 1 MiB", system, self.fio(system, "read", "1M", False)[0])
        self.add("random read, 4 KiB", system, self.fio(system, "randread", "4k", True)[1])
        self.add("random write, 4 KiB", system, self.fio(system, "randwrite", "4k", True)[1])
        os.unlink(system.dir / "big")
        settle(system.pid)

    def small(self, system, what, count):
        """`file_load`, with the daemon's processor time until it rests."""
        folder = system.dir / "small"
        folder.mkdir(exist_ok=True)
        before = processor_seconds(system.pid)
        answer = example("file_load", folder, count, what)
        settle(system.pid)
        daemon = (processor_seconds(system.pid) - before) * 1e6 / count
        return count / answer["seconds"], answer["client_us"] + daemon

    def small_files(self, system):
        """Many of them, made, asked for, deleted."""
        rate, processor = self.small(system, "churn", self.files)
        self.add("create + close + unlink, empty", system, rate)
        self.add("create + close + unlink, CPU", system, processor)
        self.add("create + 4 KiB + close", system, self.small(system, "fill", self.files)[0])
        mounts.forget_names()
        self.add("stat, names forgotten", system, self.small(system, "stat", self.files)[0])
        self.add("stat again", system, self.small(system, "stat", self.files)[0])
        self.add("unlink", system, self.small(system, "unlink", self.files)[0])

    def source_tree(self, system):
        """Unpacking, and listing all of it."""
        folder = system.dir / "tree"
        folder.mkdir()
        started = time.monotonic()
        subprocess.run(["tar", "xf", self.tar, "-C", folder], check=True)
        self.add("untar", system, time.monotonic() - started)
        settle(system.pid)
        mounts.forget_names()
        started = time.monotonic()
        listing = subprocess.run(["ls", "-lR", folder], check=True, capture_output=True, text=True).stdout
        self.add("ls -lR, names forgotten", system, time.monotonic() - started)
        assert listing.count("file_") == self.tree_files, f"{system.name} lists {listing.count('file_')} files"
        shutil.rmtree(folder)
        settle(system.pid)

    def run(self):
        """All rounds."""
        for round_ in range(self.options.pairs):
            for work in (self.big_file, self.small_files, self.source_tree):
                at = round_ % len(self.systems)
                for system in self.systems[at:] + self.systems[:at]:
                    if work == self.big_file and not system.big_file:
                        continue
                    say(f"files: {work.__name__}, round {round_ + 1} of {self.options.pairs}, {system.name}")
                    os.sync()
                    work(system)


def measure(options):
    """All of it: (values, file systems in the order of the page, files in the tree)."""
    kinds = [mounts.Plain, mounts.Loopback, mounts.PinfoldMount, mounts.PinfoldDaemon]
    kinds += [kind for name, kind in (("bindfs", mounts.Bindfs), ("rclone", mounts.Rclone)) if name in options.peers]
    kinds += [mounts.Juicefs] if "juicefs" in options.peers else []
    with Scratch(options, "files") as base:
        systems = []
        try:
            for kind in kinds:
                system = kind(base, options.peers.get("juicefs"))
                systems.append(system)
                system.start()
            bench = Bench(options, base, systems)
            bench.run()
        finally:
            for system in systems:
                system.stop()
    return bench.values, systems, bench.tree_files
