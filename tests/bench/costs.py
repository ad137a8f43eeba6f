"""What one operation costs the node: system calls, syncs, log, requests of the kernel, processor time; from counters."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.node import Node
from harness.settings import ROOT_ACCESS, ROOT_SECRET

from .system import TICKS, example, say, settle

KIB, MIB = 1 << 10, 1 << 20
BUCKET = "costs"
#: What waits for the disk.
SYNCS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "msync")


@dataclass
class Cost:
    """Of one operation, means of many."""

    what: str
    user_us: float = 0.0
    system_us: float = 0.0
    requests: float = 0.0
    records: float = 0.0
    groups: float = 0.0
    log_bytes: float = 0.0
    syncs: float = 0.0
    calls: float = 0.0
    by_call: dict = field(default_factory=dict)


#: Longer than the node's commit interval: until then a mount's records wait for their sync.
COMMITTED = 1.5


def counters(node):
    """What the node counts: requests of the kernel, records, groups of records, bytes of the log."""
    time.sleep(COMMITTED)
    settle(node.process.pid)
    found = {"requests": 0.0, "records": 0.0, "groups": 0.0, "log_bytes": 0.0}
    names = {
        "pinfold_fuse_operations_total": "requests", "pinfold_store_log_head": "records",
        "pinfold_store_log_groups_total": "groups", "pinfold_store_log_bytes": "log_bytes",
    }
    for line in node.admin("/metrics")[1].splitlines():
        name = re.match(r"\w*", line).group()
        if name in names:
            found[names[name]] += float(line.split()[-1])
    return found


def processor(pid):
    """Seconds outside the kernel and in it."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


@dataclass
class Operation:
    """`act` is what is measured; `prepare` makes what it needs, for so many, beforehand."""

    what: str
    count: int
    act: Callable
    prepare: Callable = lambda count: count


def traced(node, operation, count):
    """System calls of the node for each of `count` operations, by name."""
    prepared = operation.prepare(count)
    settle(node.process.pid)
    with tempfile.NamedTemporaryFile("r", prefix="costs-") as out:
        trace = subprocess.Popen(
            ["strace", "-f", "-c", "-U", "name,calls", "-o", out.name, "-p", str(node.process.pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        time.sleep(0.5)  # until it is attached to every thread
        try:
            operation.act(prepared)
            settle(node.process.pid)
        finally:
            trace.terminate()
            trace.wait(30)
        lines = [line.split() for line in out.read().splitlines()]
    counts = [words for words in lines if len(words) == 2 and words[1].isdigit() and words[0] != "total"]
    return {name: int(number) / count for name, number in counts}


def cost(node, operation, few):
    """Measures one operation."""
    count = max(1, operation.count // few)
    say(f"costs: {operation.what}, {count} times")
    operation.act(operation.prepare(max(1, count // 20)))  # connections, caches, first pages
    prepared = operation.prepare(count)
    before, cpu = counters(node), processor(node.process.pid)
    operation.act(prepared)
    after, cpu_after = counters(node), processor(node.process.pid)
    found = Cost(operation.what, *((b - a) * 1e6 / count for a, b in zip(cpu, cpu_after, strict=True)))
    for name, value in before.items():
        setattr(found, name, max(0.0, after[name] - value) / count)
    found.by_call = traced(node, operation, max(1, count // 10))
    found.calls = sum(found.by_call.values())
    found.syncs = sum(found.by_call.get(name, 0) for name in SYNCS)
    return found


def touch(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))


def write(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, bytes(4 * KIB))
    os.close(fd)


def move(path):
    os.rename(path, path.with_suffix(".new"))


class Doing:
    """Makes the operations on one node."""

    def __init__(self, node):
        self.node, self.turn, self.dir = node, 0, node.mnt / BUCKET
        self.one = self.dir / "one"

    def fresh(self):
        """A name that was not used before."""
        self.turn += 1
        return f"t{self.turn}"

    def request(self, op, **options):
        """The load generator's requests."""
        given = {
            "server": self.node.s3_addr, "bucket": BUCKET, "op": op, "access": ROOT_ACCESS, "secret": ROOT_SECRET, **options,
        }
        return example("s3_load", "run", *(word for name, value in given.items() for word in (f"--{name}", value)))

    def puts(self, what, count, **options):
        return Operation(
            what, count, lambda count: self.request("put", requests=count, prefix=self.fresh() + "/", **options))

    def reads(self, what, count, op, **options):
        """Of the objects below `kept/`."""
        return Operation(what, count, lambda count: self.request(op, requests=count, size=4 * KIB, **options))

    def deletes(self, what, count):
        def prepare(count):
            prefix = self.fresh() + "/"
            self.request("put", requests=count, prefix=prefix, size=4 * KIB, connections=16)
            return prefix, count

        def act(prepared):
            prefix, count = prepared
            self.request("delete", keys=count, prefix=prefix, size=4 * KIB)

        return Operation(what, count, act, prepare)

    def files(self, what, count, act, make=None):
        """`act(path)` for paths in a new folder, where `make(path)` was called before."""

        def prepare(count):
            folder = self.dir / self.fresh()
            folder.mkdir()
            paths = [folder / f"f{n}" for n in range(count)]
            for path in paths if make else []:
                make(path)
            return paths

        def act_on_all(paths):
            for path in paths:
                act(path)

        return Operation(what, count, act_on_all, prepare)

    def one_file(self, what, count, flags, act):
        """`act(descriptor, n)` on one open file of 16 MiB."""

        def act_on_it(count):
            fd = os.open(self.one, flags)
            for n in range(count):
                act(fd, n)
            os.close(fd)

        return Operation(what, count, act_on_it)

    def opens(self, what, count):
        def act(count):
            for _ in range(count):
                os.close(os.open(self.one, os.O_RDONLY))

        return Operation(what, count, act)


def append_and_sync(fd, _):
    os.write(fd, bytes(4 * KIB))
    os.fsync(fd)


def measure(options):
    """Costs of the operations of both doors."""
    few = 10 if options.quick else 1
    with Node("costs") as node:
        doing = Doing(node)
        doing.dir.mkdir()
        doing.one.write_bytes(os.urandom(16 * MIB))
        doing.request("put", requests=2000, prefix="kept/", size=4 * KIB, connections=16)
        data = bytes(MIB)
        plan = [
            doing.puts("PUT 4 KiB, 1 connection", 4000, size=4 * KIB, connections=1),
            doing.puts("PUT 4 KiB, 16 connections", 20000, size=4 * KIB, connections=16),
            doing.puts("PUT 64 KiB, 1 connection", 2000, size=64 * KIB, connections=1),
            doing.puts("PUT 64 MiB, 1 connection", 20, size=64 * MIB, connections=1),
            doing.reads("GET 4 KiB", 10000, "get", keys=2000, prefix="kept/"),
            doing.reads("HEAD", 10000, "head", keys=2000, prefix="kept/"),
            doing.reads("LIST, a page of 1,000", 500, "list", **{"start-after": "kept/"}),
            doing.deletes("DELETE", 4000),
            doing.files("create + close, empty", 10000, touch),
            doing.files("create + write 4 KiB + close", 5000, write),
            doing.opens("open + close for reading", 10000),
            doing.one_file("read 1 MiB of an open file", 4000, os.O_RDONLY, lambda fd, n: os.pread(fd, MIB, n % 16 * MIB)),
            doing.one_file("write 1 MiB into an open file", 4000, os.O_WRONLY, lambda fd, n: os.pwrite(fd, data, n % 16 * MIB)),
            doing.one_file("append 4 KiB + fsync", 2000, os.O_WRONLY | os.O_APPEND, append_and_sync),
            doing.files("rename", 5000, move, touch),
            doing.files("unlink", 5000, os.unlink, touch),
        ]
        return ([cost(node, operation, few) for operation in plan],)
