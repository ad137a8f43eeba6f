"""Bytes that the data directory takes on the disk for a byte stored, and the node's memory meanwhile."""

from . import servers
from .system import Scratch, disk_use, resident_bytes, say, settle

KIB, MIB = 1 << 10, 1 << 20


def measure(options):
    """(Ratios by (what, engine),): while it runs and rests, and after a clean stop and start."""
    small = 5_000 if options.quick else 1_000_000 if options.long else 100_000
    large = 2 if options.quick else 16
    ratios = {}
    for kind in (servers.Pinfold, servers.PinfoldFjall):
        for what, size, count in ((f"{large} × 64 MiB", 64 * MIB, large), (f"{small:,} × 4 KiB", 4 * KIB, small)):
            say(f"space: {what} on {kind.engine}")
            with Scratch(options, "space") as base:
                server = kind(base)
                try:
                    server.start()
                    empty = disk_use(server.data)
                    server.ask("put", size=size, connections=16, requests=count, seed=3)
                    settle(server.pid)
                    resting = disk_use(server.data)
                    resident, peak = resident_bytes(server.pid)
                    server.node.restart()
                    settle(server.pid)
                    again = disk_use(server.data)
                finally:
                    server.stop()
            stored = size * count
            ratios[what, kind.engine] = {
                "at rest": (resting - empty) / stored, "after a restart": (again - empty) / stored, "empty": empty,
                "resident": resident, "peak": peak,
            }
    return (ratios,)
