"""One run: load, pauses, the stop, fsck; everything that it saw."""

import shutil
import time
from collections import defaultdict

from harness import s3 as s3c
from harness.node import Node
from harness.settings import ENV_PUBLISH_AFTER
from harness.space import unfinished

from .fleet import Fleet, LoadFailed
from .options import CHECKPOINTS, OWN, SCRUB_RATE, SHARED, say
from .sample import LOG_LEVEL, Sampler
from .verdict import Pause, growth, judged
from .views import Views, settle

SETTINGS = {
    ENV_PUBLISH_AFTER: "1s", "PINFOLD_PUBLISH_AT_MOST": "10s", "PINFOLD_SCRUB_RATE": str(SCRUB_RATE),
    "PINFOLD_LOG_LEVEL": LOG_LEVEL,
}


class Soak:
    """A run and what it saw."""

    def __init__(self, options):
        self.options = options
        self.pauses, self.periods, self.problems, self.samples = [], [], [], []
        self.steps, self.fsck, self.growth, self.left = 0, None, [], None

    def run(self):
        """All of it; what is wrong is in `problems`."""
        options = self.options
        options.out.mkdir(parents=True, exist_ok=True)
        node = Node("soak", engine=options.engine, passthrough=options.passthrough, env=SETTINGS)
        self.fleet = self.sampler = None
        try:
            node.start()
            try:
                self._load(node)
                self._stop(node)
            except (AssertionError, LoadFailed, OSError) as error:
                self.problems.append(f"{type(error).__name__}: {error}")
            self._judge()
        finally:
            if self.fleet:
                self.fleet.end()
            if self.sampler:
                self.sampler.end()
                self.samples = self.sampler.rows
            shutil.copy(node.log, options.out / "node.log")
            node.close(keep=bool(self.problems))
            self.left = node.base if self.problems else None

    def _load(self, node):
        s3 = s3c.client(node.endpoint)
        for bucket in (OWN, SHARED):
            s3.create_bucket(Bucket=bucket)
        self.fleet = Fleet(node, self.options.seed)
        self.sampler = Sampler(node, self.options.out / "samples.csv", self.options.every)
        count, seconds = self.options.periods
        for turn in range(count):
            self._period(node, seconds)
            self._pause(node)
            say(f"period {turn + 1} of {count}: {self.steps} operations so far; {self.pauses[-1].keys} keys compared")
            if self.problems:
                return

    def _period(self, node, seconds):
        due = [time.monotonic() + seconds * (i + 1) / (CHECKPOINTS + 1) for i in range(CHECKPOINTS)]

        def meanwhile():
            if self.sampler.problem:
                raise LoadFailed(f"no more samples: {self.sampler.problem!r}")
            if due and time.monotonic() > due[0]:
                due.pop(0)
                node.cli("meta", "checkpoint", "--data", node.data)

        self.sampler.phase = "load"
        self.fleet.run(seconds, meanwhile)

    def _pause(self, node):
        answers = self.fleet.pause()
        self.sampler.phase = "pause"
        merged, expected = defaultdict(list), {}
        for answer in answers:
            self.steps += answer["steps"]
            expected.update(answer["expected"] or {})
            for what, times in answer["latencies"].items():
                merged[what] += times
        self.periods.append({what: figures(times) for what, times in merged.items()})
        begin = time.monotonic()
        settle(node)
        settled, sample = time.monotonic() - begin, self.sampler.take()
        views = Views(node, expected)
        pause = Pause(sample, views.keys, views.bytes, sum(views.contents.values()), settled, views.wrong)
        self.pauses.append(pause)
        self.problems += pause.problems()

    def _stop(self, node):
        self.sampler.end()
        node.stop()
        files = unfinished(node)
        if files:
            self.problems.append(f"the stopped node left {len(files)} unfinished files: {files[:5]}")
        done = node.cli("fsck", "--verify", "--data", node.data, check=False, timeout=1800)
        self.fsck = done.returncode == 0
        if not self.fsck:
            self.problems.append(f"fsck --verify: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")

    def _judge(self):
        if not self.pauses:
            return
        self.growth = growth(self.pauses)
        if judged(self.options.minutes):
            self.problems += [
                f"{each.name} grew: {each.last:.0f} {each.unit} at the last pause, {each.warm:.0f} while it warmed up, "
                f"at most {each.most:.0f} is right"
                for each in self.growth if not each.fine
            ]


def figures(times):
    """Count, median, 99th percentile, maximum of milliseconds."""
    times = sorted(times)
    return {"n": len(times), "p50": times[len(times) // 2], "p99": times[min(len(times) - 1, len(times) * 99 // 100)],
            "max": times[-1]}
