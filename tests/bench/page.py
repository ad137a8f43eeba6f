"""The generated part of docs/BENCHMARKS.md."""

import os
import platform
import shlex
import time
from pathlib import Path

from harness.settings import REPO

from .s3 import CONNECTIONS, OPS, SIZES
from .system import file_system, median, ratio

PAGE = REPO / "docs/BENCHMARKS.md"
TEST_DIR = os.environ.get("PINFOLD_TEST_DIR", "/var/tmp")
COSTS_PAGE = REPO / "docs/PERFORMANCE.md"
MIB = 1 << 20


def markers(part):
    """What a part stands between."""
    return f"<!-- tests/bench: {part} -->", f"<!-- tests/bench: end of {part} -->"


def put(options, part, text, where=PAGE):
    """Replaces a part of a page, or adds it at the end."""
    if options.dry:
        print(text)
        return
    begin, end = markers(part)
    page = where.read_text()
    block = f"{begin}\n{text.strip()}\n{end}"
    if begin in page:
        before, rest = page.split(begin, 1)
        page = before + block + rest.split(end, 1)[1]
    else:
        page = page.rstrip("\n") + f"\n\n{block}\n"
    where.write_text(page)


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def number(value, digits=3):
    """Three digits that say something."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:.0f}"


def times(value):
    """A ratio."""
    return "–" if value is None else f"{value:.2f}"


def model():
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def note(options, words, rounds=True):
    """How and when a part was measured."""
    medians = f"; medians of {options.pairs} interleaved rounds, ratios are medians of the rounds' ratios" if rounds else ""
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    beside = " **Beside other work on the same cores: only ratios and processor time mean something.**" if options.busy else ""
    quick = " `--quick`: figures of a check that it runs, not a measurement." if options.quick else ""
    return (
        f"Made by `tests/bench/run {shlex.join(words)}` on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores ({model()}), "
        f"kernel {platform.release()}, data on {file_system(TEST_DIR)}, load average at the end "
        f"{loads}{medians}.{beside}{quick}\n"
    )


def s3(options, words, results, running, limits):
    """The part about S3."""
    names = [server.name for server in running]
    peers = [server.name for server in running if server.peer and server.name != "MinIO OSYNC"]
    absent = [peer for peer, key in (("VersityGW", "versitygw"), ("MinIO", "minio")) if key not in options.peers]
    text = "## S3, beside other servers\n\n" + note(options, words) + "\n"
    text += table(["server", "what a 200 to a PUT means"], [[s.name, s.durable] for s in running if s.name != "ceiling"])
    text += f"\nNot measured, since it could not be had here: {', '.join(absent)}.\n" if absent else ""
    text += (
        "\n*ceiling* is a server that answers 200 and does nothing, on the same HTTP library. The load generator "
        "shares the cores. The ratios are of Pinfold (sled) to the better peer and to the ceiling.\n\n"
        "### Requests a second (64 MiB: MiB/s)\n\n"
    )
    rows, costs, latencies = [], [], []
    measures = [(op, size, n) for size in SIZES for op in OPS for n in CONNECTIONS]
    measures += [key for key in results.all if key[0] == "list"]
    for measure in measures:
        op, label, connections = measure
        title = f"{op.upper()} {label}" + ("" if op == "list" else f", {connections} conn.")
        what = "bytes_rate" if label == "64 MiB" and op in ("put", "get") else "rate"
        unit = MIB if what == "bytes_rate" else 1
        best = results.better_peer(measure, peers)
        cell = {name: results.median(measure, name, what) for name in names}
        row = [title] + [number(cell[name] and cell[name] / unit) for name in names]
        row.append(times(results.ratio(measure, "Pinfold", best)) if best else "–")
        row.append(times(results.ratio(measure, "Pinfold", "ceiling")) if cell.get("ceiling") else "–")
        rows.append(row)
        cost = [number(results.median(measure, name, "server_us")) for name in names]
        of_best = results.ratio(measure, "Pinfold", best, "server_us") if best else None
        costs.append([title, *cost, times(of_best)])
        if label == "4 KiB":
            late = [
                "–" if cell[name] is None else "/".join(
                    number(results.median(measure, name, each) / 1000) for each in ("p50_us", "p99_us"))
                for name in names
            ]
            latencies.append([title, *late])
    text += table(["", *names, "÷ better peer", "÷ ceiling"], rows)
    text += "\n### Processor time of the server a request, µs (with what it does later)\n\n"
    text += table(["", *names, "÷ better peer"], costs)
    text += "\n### Latency in ms, median/99th percentile\n\n" + table(["", *names], latencies)
    text += physical(results, limits)
    put(options, "s3", text)


def physical(results, limits):
    """PUT of 64 MiB against disk and hashes."""
    disk, hashes = (64 / limits[each] for each in ("disk", "hashes"))
    ours = results.median(("put", "64 MiB", 1), "Pinfold", "bytes_rate")
    bound = min(disk, hashes)
    return (
        f"\n**The ceiling of PUT 64 MiB** in the same run: file write + fsync {number(disk)} MiB/s, MD5 beside SHA-256 on two "
        f"cores {number(hashes)} MiB/s. Pinfold on one connection: {number(ours / MIB)} MiB/s, {times(ours / MIB / bound)} of "
        "the slower.\n"
    )


#: File measures: unit, divisor, whether less is better.
FILES = {
    "sequential write, 1 MiB": ("MiB/s", MIB, False),
    "sequential read, 1 MiB": ("MiB/s", MIB, False),
    "random read, 4 KiB": ("k/s", 1000, False),
    "random write, 4 KiB": ("k/s", 1000, False),
    "create + close + unlink, empty": ("files/s", 1, False),
    "create + close + unlink, CPU": ("µs", 1, True),
    "create + 4 KiB + close": ("files/s", 1, False),
    "stat, names forgotten": ("files/s", 1, False),
    "stat again": ("k/s", 1000, False),
    "unlink": ("files/s", 1, False),
    "untar": ("s", 1, True),
    "ls -lR, names forgotten": ("s", 1, True),
}


def files(options, words, values, systems, tree_files):
    """The part about files."""
    names = [system.name for system in systems]
    text = "## Files, beside other file systems\n\n" + note(options, words) + "\n"
    text += table(["file system", "what it is"], [[system.name, system.what] for system in systems])
    text += (
        "\nThe big file lies in the page cache; nothing is synced while the clock runs. CPU is the daemon's and the client's "
        "together, with what the daemon does later. *Names forgotten*: the kernel's cache of names was dropped before. The "
        f"tree has {tree_files:,} files. Ratios above 1 are in Pinfold's favour.\n\n"
    )
    rows = []
    for measure, (unit, divisor, less) in FILES.items():
        found = values.get(measure, {})
        row = [f"{measure}, {unit}"]
        row += [number(median(found[name]) / divisor) if found.get(name) else "–" for name in names]
        for other in ("raw", "loopback"):
            ours, theirs = found.get("Pinfold"), found.get(other)
            row.append(times(ratio(theirs, ours) if less else ratio(ours, theirs)) if ours and theirs else "–")
        rows.append(row)
    text += table(["", *names, "Pinfold : raw", "Pinfold : loopback"], rows)
    put(options, "files", text)


def space(options, words, ratios):
    """The part about the disk."""
    text = "## Bytes on disk for a byte stored\n\n" + note(options, words, rounds=False) + "\n"
    rows = [
        [what, engine, f"{found['at rest']:.4f}", f"{found['after a restart']:.4f}", f"{found['empty'] / MIB:.1f} MiB",
         f"{found['resident'] / MIB:,.0f} MiB", f"{found['peak'] / MIB:,.0f} MiB"]
        for (what, engine), found in ratios.items()
    ]
    head = ["objects", "engine", "at rest", "after a restart", "an empty data directory (not counted)"]
    text += table([*head, "node's memory at rest", "at most"], rows)
    put(options, "space", text)


def costs(options, words, found):
    """What an operation costs the node."""
    text = "## What an operation costs\n\n" + note(options, words) + "\n"
    rows, calls = [], []
    for each in found:
        busiest = sorted(each.by_call.items(), key=lambda call: -call[1])
        rows.append([
            each.what, number(each.user_us), number(each.system_us), number(each.requests), number(each.records),
            number(each.groups), number(each.log_bytes), number(each.syncs), number(each.calls),
        ])
        calls.append([each.what, ", ".join(f"{name} {number(n)}" for name, n in busiest[:8] if n >= 0.01) or "–"])
    head = ["", "CPU µs", "in the kernel", "kernel requests", "records", "log groups", "log bytes", "syncs", "system calls"]
    text += table(head, rows)
    text += "\n### System calls of the node an operation, the most frequent\n\n" + table(["", "calls"], calls)
    put(options, "costs", text, COSTS_PAGE)
