"""What the daemon holds, every few seconds, as a CSV file: memory, descriptors, files, disk, work done."""

import contextlib
import csv
import os
import re
import threading
import time
from pathlib import Path

from harness.settings import METRICS
from harness.space import files_below, folder_size

#: Figures of /metrics that are kept under these names; those with several labels are summed.
METRIC = {
    "log_bytes": "pinfold_store_log_bytes",
    "replica_bytes": "pinfold_store_replica_disk_bytes",
    "overlay_bytes": "pinfold_store_overlay_bytes",
    "records": "pinfold_store_log_records_total",
    "objects": "pinfold_store_objects",
    "object_bytes": "pinfold_store_object_bytes",
    "slab_live_bytes": "pinfold_store_slab_live_bytes",
    "slab_disk_bytes": "pinfold_store_slab_disk_bytes",
    "collect_waiting": "pinfold_store_collect_waiting",
    "collect_rounds": 'pinfold_store_worker_rounds_total{worker="collect"}',
    "scrubs": 'pinfold_store_worker_rounds_total{worker="scrub"}',
    "worker_failures": "pinfold_store_worker_failures_total",
    "s3_requests": "pinfold_s3_requests_total",
    "s3_panics": "pinfold_s3_panics_total",
    "mount_requests": "pinfold_fuse_operations_total",
    "late_invalidations": "pinfold_fuse_late_invalidations_total",
}
#: Work that only the node's log tells of: what is counted, and how.
LOGGED = {
    "checkpoints": (r"made a checkpoint of the metadata", None),
    "collections": (r"unreachable content collected", None),
    "slabs_emptied": (r"slabs_removed: (\d+)", 1),
    "bytes_compacted": (r"bytes_moved: (\d+)", 1),
    "log_warnings": (r"\bWARN\b", None),
    "log_errors": (r"\bERROR\b", None),
}
#: Collections are told of at this level only.
LOG_LEVEL = "info,pinfold_store::namespace::open=debug"
FIELDS = ["seconds", "phase", "rss", "rss_anon", "descriptors", "own_descriptors", "kept_open",
          "deleted_open", "threads", "tmp_files", "live_files", "upload_files",
          "disk_bytes", "chunk_bytes", *METRIC, *LOGGED]


def metrics(node):
    """Name, and name with labels → value; the plain name has the sum."""
    status, text = node.admin(METRICS)
    assert status == 200, f"/metrics answers {status}"
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
            bare = name.split("{")[0]
            if bare != name:
                found[bare] = found.get(bare, 0.0) + float(value)
    return found


def descriptors(node):
    """How many there are, and of these: all but contents that the store keeps open; those contents; files that were deleted."""
    folder, targets = Path(f"/proc/{node.process.pid}/fd"), []
    for fd in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(fd))
    roots = tuple(f"{node.data}/chunks/{name}/" for name in ("content", "slabs"))
    kept = [target for target in targets if target.startswith(roots)]
    deleted = [target for target in targets if target.startswith(str(node.data)) and target.endswith(" (deleted)")]
    return {"descriptors": len(targets), "own_descriptors": len(targets) - len(kept), "kept_open": len(kept),
            "deleted_open": len(deleted)}


class Logged:
    """Counts in a log that grows."""

    def __init__(self, path):
        self.path, self.at, self.counts = path, 0, dict.fromkeys(LOGGED, 0)

    def read(self):
        """The counts so far; a line that is not whole yet counts the next time."""
        with self.path.open("rb") as file:
            file.seek(self.at)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self.at += len(data)
        text = re.sub(r"\x1b\[[0-9;]*m", "", data.decode(errors="replace"))
        for name, (pattern, group) in LOGGED.items():
            found = list(re.finditer(pattern, text))
            self.counts[name] += sum(int(each.group(group)) for each in found) if group else len(found)
        return dict(self.counts)


class Sampler:
    """Takes samples in a thread of its own, and one now when asked."""

    def __init__(self, node, path, every):
        self.node, self.every, self.phase, self.rows = node, every, "load", []
        self.logged, self.lock, self.problem = Logged(node.log), threading.Lock(), None
        self.began, self.over = time.monotonic(), threading.Event()
        self.file = path.open("w", newline="")
        self.csv = csv.DictWriter(self.file, FIELDS)
        self.csv.writeheader()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over.wait(self.every):
            try:
                self.take()
            except BaseException as error:
                self.problem = error
                return

    def seconds(self):
        return time.monotonic() - self.began

    def take(self):
        """A sample."""
        with self.lock:
            row = self._now()
            self.rows.append(row)
            self.csv.writerow(row)
            self.file.flush()
            return row

    def _now(self):
        status = Path(f"/proc/{self.node.process.pid}/status").read_text()
        fields = dict(re.findall(r"^(VmRSS|RssAnon|Threads):\s+(\d+)", status, flags=re.M))
        found = metrics(self.node)
        files = {f"{name}_files": len(files_below(self.node, folder))
                 for name, folder in (("tmp", "tmp"), ("live", "live"), ("upload", "uploads"))}
        return {
            "seconds": round(self.seconds(), 1), "phase": self.phase, "rss": int(fields["VmRSS"]) * 1024,
            "rss_anon": int(fields["RssAnon"]) * 1024, "threads": int(fields["Threads"]), **descriptors(self.node), **files,
            "disk_bytes": self.node.disk_use(), "chunk_bytes": folder_size(self.node.data / "chunks"),
            **{name: int(found.get(metric, 0)) for name, metric in METRIC.items()}, **self.logged.read(),
        }

    def end(self):
        """No more samples."""
        self.over.set()
        self.thread.join(30)
        self.file.close()
