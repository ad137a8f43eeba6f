"""S14: power cuts with both doors busy. The data directory is on a disk of its own, what was acknowledged is kept elsewhere.

5 rounds over both engines; `--long`: 100 of each (`--rounds N`). Beside the daemon a plain program appends to a file and syncs:
what it loses is the method's own error.
"""

import os
import random
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from harness import disk, mounts, seccomp, settings
from harness import s3 as s3c
from harness.data import noise
from harness.ledger import Moment
from harness.node import Node
from harness.space import check_space, files_below, unfinished
from harness.syscalls import drop, opened, read_file, write_file
from harness.wait import until
from harness.workload import KINDS, Log

pytestmark = [
    pytest.mark.skipif(bool(disk.missing()), reason=f"needs {disk.missing()}"),
    pytest.mark.timeout(3 * 3600),
]

GIB = settings.GIB
#: Acknowledgments from so long before the cut, and until so long after it, race it (seconds).
BEFORE, AFTER = 0.005, 0.25
REBUILT = "rebuilding it from checkpoint and log"


class Bare(Log):
    """A plain program on the same disk: append, fdatasync."""

    @property
    def dir(self):
        return self.node.data.parent / "bare"

    def read(self, name):
        return read_file(self.dir / name) if (self.dir / name).exists() else None


class Rig:
    """A node on a disk of its own, and its writers."""

    def __init__(self, engine, seed, size=3 * GIB // 2):
        self.node = Node(f"power-{engine}", engine=engine, env={settings.ENV_RESERVE: "64MiB"})
        try:
            self.disk = disk.Disk(self.node.base, size)
        except BaseException:
            self.node.close()
            raise
        self.node.data = self.disk.path / "data"
        self.writers = [
            kind(f"{kind.__name__.lower()}{i}", self.node, "crash", random.Random(f"{seed}/{i}"))
            for i, kind in enumerate(KINDS)
        ]
        self.bare = Bare("bare", self.node, "crash", random.Random(seed))
        self.raced, self.bare_raced = 0, 0

    def begin(self):
        self.node.start()
        s3c.client(self.node.endpoint).create_bucket(Bucket="crash")
        self.disk.sync()

    def cut(self, seconds, linger):
        """Writes for so long, cuts the power, lets the daemon see it for `linger`, and puts the power back on."""
        stop, moments = threading.Event(), (Moment(), Moment())
        for writer in self.writers:
            writer.start(stop, moments[0])
        self.bare.start(stop, moments[1])
        # None of these is a wait for something: the lengths are the random moment and the bounds of the race.
        stop.wait(seconds)
        for moment in moments:
            moment.state = "racing"
        time.sleep(BEFORE)
        self.disk.cut()
        stop.wait(AFTER)
        for moment in moments:
            moment.state = "dead"
        stop.wait(linger)
        self.node.kill()
        stop.set()
        for writer in [*self.writers, self.bare]:
            writer.thread.join(60)
            assert not writer.thread.is_alive(), f"{writer.name} hangs on a dead daemon"
        self.power_on()

    def power_on(self):
        """The machine comes back: nothing of the daemon is left but what is on the disk."""
        if self.node.process is not None:
            self.node.kill()
        mounts.clear(self.node.mnt)
        self.disk.power_on()

    def check(self):
        self.bare.check()
        for writer in self.writers:
            writer.check()
        self.raced += self.writers[0].moment.raced
        self.bare_raced += self.bare.moment.raced

    def close(self, keep=False):
        if self.node.process is not None:
            self.node.kill()
        mounts.clear(self.node.mnt)
        if not keep:
            self.disk.close()
        self.node.close(keep)


@pytest.fixture
def rig(request):
    callspec = getattr(request.node, "callspec", None)
    engine = callspec.params.get("engine") if callspec else None
    engine = engine or settings.DISK_ENGINES[0]
    rig = Rig(engine, f"{request.config.option.seed}/power/{engine}")
    yield rig
    # A failed test's data stays to be looked at, and its disk mounted.
    rig.close(keep=rig.node.process is None or getattr(rig, "failed", False))


@pytest.mark.parametrize(("engine", "rounds"), [("sled", 3), ("fjall", 2)])
def test_s14_power_cuts(request, rig, engine, rounds):
    option = request.config.option
    rounds = option.rounds or (100 if option.long else rounds)
    rng = random.Random(f"{option.seed}/power/{engine}")
    rig.failed, node = True, rig.node
    rig.begin()
    for turn in range(rounds):
        rig.cut(rng.uniform(0.05, 3.0), rng.choice([0.0, 0.3]))
        mode, node.passthrough = node.passthrough, turn % 2 == 1
        try:
            node.start()
            rig.check()
            if turn % 2 == 0:
                # Every other time: the next crash then meets what the last one left, not what a clean stop did.
                node.stop()
                node.fsck()
                assert unfinished(node) == []
                node.start()
        except BaseException as error:
            error.add_note(f"round {turn} of {rounds}, {'passthrough' if mode else 'daemon'} mode")
            raise
    check_space(node)
    node.stop()
    node.cli("fsck", "--verify", "--data", node.data)
    rebuilt = node.log_text().count(REBUILT)
    print(
        f"power cuts on {engine}: {rounds} rounds, nothing lost; acknowledged within the race and lost: {rig.raced} "
        f"operations, {rig.bare_raced} of the plain append; the replica was rebuilt {rebuilt} times"
    )
    rig.failed = False
    node.start()


@pytest.mark.skipif(bool(seccomp.missing()), reason=f"needs {seccomp.missing()}")
def test_s14_without_syncs_power_cuts_lose_what_was_acknowledged(rig):
    """The test can fail: syncs that succeed and do nothing are found out at once."""
    rig.node.around = seccomp.NoSyncs()
    rig.begin()
    rig.cut(2.0, 0.0)
    rig.node.around = None
    problems = []
    for look in [rig.node.start, *(writer.check for writer in rig.writers)]:
        try:
            look()
        except (AssertionError, BotoCoreError, ClientError, OSError) as problem:
            problems.append(problem)
    assert problems, "nothing was lost although nothing was ever synced"


OLD, NEW = noise(2_500_000, "old"), noise(2_400_000, "new")


def cut_now(rig, fds=()):
    """The power goes and comes back; `fds` are of files that were open."""
    rig.disk.cut()
    rig.node.kill()
    drop(fds)
    rig.power_on()
    rig.node.start()


def commit_journal(rig):
    """Names, modes and sizes are on the disk, bytes that nobody synced are not: a moment in which a file can be torn."""
    # Anybody's sync commits the file system's running transaction.
    with opened(rig.disk.path / "other", os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, b"x" * 5000)
        os.fsync(fd)


@pytest.fixture
def old_file(rig):
    """A file that was synced and published, at both doors: whatever happens, these bytes or newer ones, whole."""
    rig.failed = True
    rig.begin()
    path = rig.node.mnt / "crash" / "f"
    write_file(path, OLD)
    with opened(path, os.O_RDONLY) as fd:
        os.fsync(fd)
    assert s3c.body(s3c.client(rig.node.endpoint), "crash", "f") == OLD
    until(lambda: not files_below(rig.node, "live"), "its live file has become its content file")
    yield path
    if rig.node.process is not None:
        assert s3c.body(s3c.client(rig.node.endpoint), "crash", "f") == read_file(path)
        rig.failed = False


def sync_log(rig):
    """Everything sequenced is durable: the mount's records too."""
    with opened(rig.node.mnt / "crash", os.O_RDONLY | os.O_DIRECTORY) as fd:
        os.fsync(fd)


@pytest.mark.parametrize("size", [20_000, len(NEW)])
def test_s14_a_closed_file_is_never_torn_by_a_power_cut(rig, old_file, size):
    """Closed and not synced: the old content or the new."""
    write_file(old_file, NEW[:size])
    sync_log(rig)
    commit_journal(rig)
    cut_now(rig)
    assert read_file(old_file) in (OLD, NEW[:size])


def test_s14_a_new_file_is_never_torn_by_a_power_cut(rig, old_file):
    new = old_file.with_name("new")
    write_file(new, NEW)
    sync_log(rig)
    commit_journal(rig)
    cut_now(rig)
    assert read_file(new) in (b"", NEW)


def test_s14_a_closed_file_survives_a_power_cut_after_the_commit_interval(rig, old_file):
    new = [old_file.with_name(f"new{i}") for i in range(40)]
    write_file(old_file, NEW)
    for i, path in enumerate(new):
        write_file(path, NEW[i : i + 100_000])
    # The rule's own bound, and a margin for a busy machine.
    threading.Event().wait(settings.COMMIT_INTERVAL + 2)
    cut_now(rig)
    assert read_file(old_file) == NEW
    for i, path in enumerate(new):
        assert read_file(path) == NEW[i : i + 100_000], path


@pytest.mark.parametrize("how", ["open", "closed", "read beside"])
def test_s14_writing_in_place_loses_nothing_that_was_synced(rig, old_file, how):
    """What was not written to since is there as it was: opening a file for writing risks none of it."""
    fds = [os.open(old_file, os.O_RDONLY)] if how == "read beside" else []
    fds.append(os.open(old_file, os.O_RDWR))
    os.pwrite(fds[-1], b"y" * 4096, 1_000_000)
    if how == "closed":
        os.close(fds.pop())
    sync_log(rig)
    commit_journal(rig)
    cut_now(rig, fds)
    data = read_file(old_file)
    assert data[:1_000_000] == OLD[:1_000_000] and data[1_004_096:] == OLD[1_004_096:]
    assert set(data[1_000_000:1_004_096]) == {ord("y")} or data == OLD


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "read-beside"])
def test_s14_writing_in_place_and_fsync(rig, old_file, beside):
    fds = [os.open(old_file, os.O_RDONLY)] if beside else []
    fds.append(os.open(old_file, os.O_RDWR))
    os.pwrite(fds[-1], b"y" * 4096, 1_000_000)
    os.fsync(fds[-1])
    cut_now(rig, fds)
    assert read_file(old_file) == OLD[:1_000_000] + b"y" * 4096 + OLD[1_004_096:]


def test_s14_written_anew_and_fsync(rig, old_file):
    """Twice: what the first sync marked as worth keeping is not in the way of the second."""
    fd = os.open(old_file, os.O_WRONLY | os.O_TRUNC)
    for size in (1000, len(NEW)):
        os.pwrite(fd, NEW[:size], 0)
        os.fsync(fd)
    cut_now(rig, [fd])
    assert read_file(old_file) == NEW


def test_s14_replaced_by_rename_without_fsync(rig, old_file):
    """Write aside, close, rename over: no fsync, as many programs do it. The name has its old content or its new one."""
    aside = old_file.with_name("aside")
    write_file(aside, NEW)
    os.rename(aside, old_file)
    sync_log(rig)
    commit_journal(rig)
    cut_now(rig)
    assert read_file(old_file) in (OLD, NEW)
