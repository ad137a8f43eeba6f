"""S3 measures: every server runs, and they are asked in turn, operation by operation, round by round."""

import os
from collections import defaultdict

from . import servers
from .system import Scratch, example, median, processor_seconds, ratio, say, settle, touch_memory

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SIZES = {"4 KiB": 4 * KIB, "1 MiB": MIB, "64 MiB": 64 * MIB}
#: About what a round of PUTs takes of the page cache.
NEW_MEMORY = {"4 KiB": GIB, "1 MiB": 2 * GIB, "64 MiB": 3 * GIB}
OPS = ["put", "get", "head", "delete"]
CONNECTIONS = [1, 16]


class Results:
    """Answers of `s3_load` by measure and server, a list of rounds each."""

    def __init__(self):
        self.all = defaultdict(lambda: defaultdict(list))

    def add(self, measure, server, result):
        self.all[measure][server].append(result)

    def values(self, measure, server, what):
        return [round_[what] for round_ in self.all[measure].get(server, [])]

    def median(self, measure, server, what):
        return median(self.values(measure, server, what))

    def better_peer(self, measure, peers):
        """The peer with the highest rate."""
        there = [peer for peer in peers if self.values(measure, peer, "rate")]
        return max(there, key=lambda peer: self.median(measure, peer, "rate"), default=None)

    def ratio(self, measure, ours, theirs, what="rate"):
        return ratio(self.values(measure, ours, what), self.values(measure, theirs, what))


def plan(options, size, connections):
    """How many requests of each operation: a time for small bodies, a number for large ones."""
    if size <= MIB:
        seconds = options.seconds
        return {
            "put": {"seconds": seconds},
            "get": {"seconds": seconds / 2},
            "head": {"seconds": seconds / 2},
            "delete": {},
        }
    many = connections if options.quick else max(6, connections)
    return {
        "put": {"requests": many},
        "get": {"requests": many},
        "head": {"seconds": options.seconds / 4},
        "delete": {},
    }


def objects(options, running, results):
    """put, get, head, delete of three sizes on one connection and on many."""
    turn = 0
    for label, size in SIZES.items():
        for connections in CONNECTIONS:
            for round_ in range(options.pairs):
                say(f"s3: {label}, {connections} connections, round {round_ + 1} of {options.pairs}")
                turn += 1
                one_round(options, running, results, (label, size, connections), turn)


def one_round(options, running, results, what, turn):
    label, size, connections = what
    how = plan(options, size, connections)
    written = {}
    for op in OPS:
        # The order turns round by round: nobody is always the first after the others' writes.
        for server in running[turn % len(running):] + running[: turn % len(running)]:
            if isinstance(server, servers.SyncedMinio) and (op != "put" or size > 4 * KIB):
                continue
            keys = {} if op == "put" else {"keys": written[server.name]}
            if op in ("put", "delete"):
                os.sync()  # what others left dirty is not this one's to write
            if op == "put":
                touch_memory(server.base, NEW_MEMORY[label] if not options.quick else MIB)
            asked = {"size": size, "connections": connections, "prefix": f"r{turn}/", "seed": turn, **keys}
            if op == "get" and not isinstance(server, servers.Ceiling):
                server.ask(op, **asked, requests=2)  # compares the bytes
            before = processor_seconds(server.pid)
            answer = server.ask(op, **asked, **how[op], compare="no")
            # What it does later (replica, publishing, collecting) belongs to the requests that caused it.
            settle(server.pid)
            answer["server_us"] = (processor_seconds(server.pid) - before) * 1e6 / answer["requests"]
            if op == "put":
                written[server.name] = int(answer["requests"])
            results.add((op, label, connections), server.name, answer)


def listing(options, running, results):
    """Pages of 1,000 keys: the first, and one far behind."""
    count, far = (5_000, 4_500) if options.quick else (100_000, 90_000)
    listed = [server for server in running if not isinstance(server, (servers.Ceiling, servers.SyncedMinio))]
    for server in listed:
        say(f"s3: {count} keys for listing into {server.name}")
        server.ask("put", size=64, connections=16, prefix="list-", requests=count, seed=9)
    for round_ in range(options.pairs):
        say(f"s3: listing, round {round_ + 1} of {options.pairs}")
        for label, after in (("first page", "list-"), (f"page at {far:,}", f"list-{far - 1:08}")):
            for server in listed:
                answer = server.ask("list", start_after=after, seconds=options.seconds / 2)
                assert answer["listed"] == min(1000, count - (0 if label == "first page" else far)), (server.name, answer)
                results.add(("list", label, 1), server.name, answer)


def measure(options):
    """All of it: (results, servers in the order of the page, limits of disk and hashes)."""
    results = Results()
    with Scratch(options, "s3") as base:
        running = []
        try:
            kinds = [(servers.Ceiling, None), (servers.Pinfold, None), (servers.PinfoldFjall, None)]
            kinds += [(servers.Versity, options.peers["versitygw"])] if "versitygw" in options.peers else []
            kinds += [(servers.Minio, options.peers["minio"])] if "minio" in options.peers else []
            if "minio" in options.peers and not options.quick:
                kinds += [(servers.SyncedMinio, options.peers["minio"])]
            for kind, program in kinds:
                server = kind(base, program)
                running.append(server)
                server.start()
            objects(options, running, results)
            limits = example("s3_load", "limits", base, 64 * MIB, 3 if options.quick else 9)
            listing(options, running, results)
        finally:
            for server in running:
                server.stop()
    return results, running, limits
