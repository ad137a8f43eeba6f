"""The pictures of a run: latencies of each operation by period, and what the daemon held over time."""

from harness.settings import MIB

from .svg import Line, Panel, figure

COLUMNS = 4
FIGURES = ["p50", "p99", "max"]
#: Title, unit, divisor, lines: name in the legend and field of a sample.
HELD = [
    ("Memory", "MiB", MIB, [("resident", "rss"), ("anonymous", "rss_anon")]),
    ("Descriptors and threads", "", 1, [
        ("descriptors", "descriptors"), ("kept contents", "kept_open"), ("threads", "threads")]),
    ("Files that pass", "", 1, [("temporary", "tmp_files"), ("live", "live_files"), ("uploads", "upload_files")]),
    ("Disk", "MiB", MIB, [("all", "disk_bytes"), ("chunks", "chunk_bytes")]),
    ("Log and replica", "MiB", MIB, [("kept log", "log_bytes"), ("replica", "replica_bytes")]),
    ("Contents to collect", "", 1, [("waiting", "collect_waiting")]),
]


def operations(soak):
    """Names of all timed operations."""
    return sorted({what for period in soak.periods for what in period}, key=str.lower)


def over_s3(what):
    """Whether an operation went over S3."""
    return what[:2].isupper() or "upload" in what


def ends(soak):
    """Minutes at which the periods' pauses were."""
    return [pause.sample["seconds"] / 60 for pause in soak.pauses]


def latencies(soak, door, chosen):
    """One panel an operation of that door."""
    panels = []
    for what in operations(soak):
        if chosen(what):
            found = [(at, period[what]) for at, period in zip(ends(soak), soak.periods, strict=False) if what in period]
            lines = [Line(name, i, [(at, row[name]) for at, row in found]) for i, name in enumerate(FIGURES)]
            panels.append(Panel(what, "ms", lines, log=True, dots=True))
    return figure(f"Latencies over {door}, each point one period", panels, COLUMNS, "minutes")


def held(soak):
    """What the daemon held, with the pauses shaded."""
    rows, bands, begin = soak.samples, [], None
    for row in rows:
        at = row["seconds"] / 60
        if row["phase"] == "pause":
            begin = at if begin is None else begin
        elif begin is not None:
            bands.append((begin, at))
            begin = None

    def line(number, name, field, divisor):
        return Line(name, number, [(row["seconds"] / 60, row[field] / divisor) for row in rows])

    panels = [
        Panel(title, unit, [line(i, name, field, divisor) for i, (name, field) in enumerate(lines)], bands=bands)
        for title, unit, divisor, lines in HELD
    ]
    return figure("What the daemon held; pauses are shaded", panels, 3, "minutes")


def all_of(soak):
    """File name's end → SVG."""
    return {
        "s3": latencies(soak, "S3", over_s3),
        "mount": latencies(soak, "the mount", lambda what: not over_s3(what)),
        "held": held(soak),
    }
