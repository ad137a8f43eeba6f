"""The section that a run writes: into its folder, and into docs/SOAK.md if asked to."""

import csv
import os
import platform
import shlex
import time

from harness.settings import BIN, MIB, REPO

from . import pictures
from .options import MOST_LIVE, WRITERS
from .verdict import criterion, judged

PAGE, PICTURES = REPO / "docs/SOAK.md", REPO / "docs/soak"
WHAT = {
    "s3": "Latencies over S3, by period, on a logarithmic axis",
    "mount": "Latencies on the mount, by period, on a logarithmic axis",
    "held": "Memory, descriptors, files and disk over time",
}


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def said(options):
    """The words of the command line that shaped the run."""
    words = list(options.words)
    for word in ("--out", "--seed"):
        if word in words:
            del words[words.index(word) : words.index(word) + 2]
    return shlex.join([word for word in words if word != "--page" and not word.startswith(("--out=", "--seed="))])


def intro(soak):
    """How, when, and how it ended."""
    options = soak.options
    count, seconds = options.periods
    verdict = "**Passed.**" if not soak.problems else "**FAILED:** " + "; ".join(p.splitlines()[0] for p in soak.problems)
    growth = "" if judged(options.minutes) else " Too short a run to judge growth by."
    command = " ".join(word for word in ("tests/soak/run", said(options), "--seed", options.seed) if word)
    return (
        f"`{command}` on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores, kernel {platform.release()}, {version()}. "
        f"{count} periods of {seconds / 60:.3g} minutes of load, {soak.steps:,} operations of {WRITERS} writers with keys of "
        f"their own (at most {MOST_LIVE >> 20} MiB) and of threads that share keys.\n\n"
        f"{verdict}{growth}\n"
    )


def version():
    """What the binary says it is."""
    return os.popen(f"{shlex.quote(str(BIN))} --version").read().strip().split(" (")[0] or "pinfold"


def work(soak):
    """What the node did meanwhile."""
    last = soak.pauses[-1].sample if soak.pauses else None
    if last is None:
        return ""
    scrubs = str(last["scrubs"]) if last["scrubs"] else "none: the first begins an hour after a start"
    emptied = f"{last['slabs_emptied']:,} slabs, {last['bytes_compacted'] / MIB:,.0f} MiB moved"
    late = f"{last['late_invalidations']:,}"
    fsck = {True: "clean", False: "**found something**", None: "did not run"}[soak.fsck]
    rows = [
        ["S3 requests; requests of the kernel", f"{last['s3_requests']:,}; {last['mount_requests']:,}"],
        ["records in the log", f"{last['records']:,}"], ["checkpoints", f"{last['checkpoints']:,}"],
        ["rounds of the collector; sweeps that found something", f"{last['collect_rounds']:,}; {last['collections']:,}"],
        ["compacted", emptied], ["scrubs that went through all content", scrubs], ["eviction", "not built yet"],
        ["invalidations that came late", late], ["warnings in the log", f"{last['log_warnings']:,}"],
        ["`fsck --verify` after the stop", fsck],
    ]
    return "\n" + table(["what the node did", ""], rows)


def grown(soak):
    """The measures of growth."""
    rows = [
        [f"{each.name}{', ' + each.unit if each.unit else ''}", f"{each.warm:.0f}", f"{each.last:.0f}", f"{each.most:.0f}",
         f"{each.an_hour:+.1f}"]
        for each in soak.growth
    ]
    return "\n" + table(["at rest", "warm (median)", "last pause", "at most", "an hour, after the warm-up"], rows)


def pauses(soak):
    """What each pause found."""
    rows = []
    for pause in soak.pauses:
        row = pause.sample
        rows.append([
            f"{row['seconds'] / 60:.1f}", f"{pause.settled:.1f}", f"{pause.keys:,}", f"{pause.bytes / MIB:,.0f}",
            len(pause.wrong),
            "/".join(str(row[f"{name}_files"]) for name in ("tmp", "live", "upload")), f"{row['rss'] / MIB:.0f}",
            f"{row['descriptors']} ({row['kept_open']})", row["threads"], f"{row['chunk_bytes'] / MIB:,.0f}",
            f"{pause.different / MIB:,.0f}",
            f"{row['replica_bytes'] / MIB:.0f}", f"{row['log_bytes'] / MIB:.0f}",
        ])
    head = ["minute", "at rest after, s", "keys", "MiB", "differences", "tmp/live/uploads", "RSS, MiB",
            "descriptors (contents kept open)", "threads", "chunks, MiB", "different contents, MiB", "replica, MiB", "log, MiB"]
    return "\nEach pause: both views compared, every byte of every key.\n\n" + table(head, rows)


def slowest(soak):
    """Latencies of the whole run, in short."""
    rows = []
    for what in pictures.operations(soak):
        found = [period[what] for period in soak.periods if what in period]
        middle = sorted(row["p50"] for row in found)[len(found) // 2]
        late = sorted(row["p99"] for row in found)
        count, slow = sum(row["n"] for row in found), max(row["max"] for row in found)
        rows.append([what, f"{count:,}", f"{middle:.2f}", f"{late[len(late) // 2]:.1f}", f"{late[-1]:.1f}", f"{slow:.0f}"])
    head = ["ms", "operations", "p50 (median of the periods)", "p99 (median)", "p99 (worst period)", "max"]
    return "\n" + table(head, rows)


def section(soak, folder):
    """The whole of it; `folder` is where its pictures are."""
    name = f"{soak.options.engine}-{soak.options.mode}"
    text = f"## {soak.options.engine}, {soak.options.mode}\n\n" + intro(soak) + work(soak)
    if soak.pauses:
        text += grown(soak) + pauses(soak) + slowest(soak)
        text += "".join(f"\n![{what}]({folder}{name}-{end}.svg)\n" for end, what in WHAT.items())
    return text


def write(soak):
    """Writes what there is; the paths."""
    options = soak.options
    name, written = f"{options.engine}-{options.mode}", []
    folders = [(options.out, "")] + ([(PICTURES, "soak/")] if options.page else [])
    for folder, _ in folders if soak.pauses else []:
        folder.mkdir(parents=True, exist_ok=True)
        for end, svg in pictures.all_of(soak).items():
            written.append(folder / f"{name}-{end}.svg")
            written[-1].write_text(svg)
    written.append(options.out / "latencies.csv")
    with written[-1].open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["period", "operation", "n", "p50_ms", "p99_ms", "max_ms"])
        for number, period in enumerate(soak.periods, 1):
            rows.writerows([number, what, *period[what].values()] for what in sorted(period))
    written.append(options.out / "soak.md")
    written[-1].write_text(section(soak, "") + "\n" + criterion() + "\n")
    if options.page:
        put(f"{options.engine}, {options.mode}", section(soak, "soak/"))
        written.append(PAGE)
    return written


def put(part, text):
    """Replaces a part of the page, or adds it at the end."""
    begin, end = f"<!-- tests/soak: {part} -->", f"<!-- tests/soak: end of {part} -->"
    page, block = PAGE.read_text(), f"{begin}\n{text.strip()}\n{end}"
    if begin in page:
        before, rest = page.split(begin, 1)
        page = before + block + rest.split(end, 1)[1]
    else:
        page = page.rstrip("\n") + f"\n\n{block}\n"
    PAGE.write_text(page)
