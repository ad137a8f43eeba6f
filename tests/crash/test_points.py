"""S14: the daemon dies at named points of the write order, by `kill -9` and by a power cut: exactly before or after the system
call that the point names (`harness/points.py`). `--long`: before each call, one by one, that an operation makes."""

import contextlib
import os
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from harness import disk, mounts, points, seccomp, settings
from harness import s3 as s3c
from harness.data import noise
from harness.node import Node
from harness.points import Call
from harness.space import files_below, unfinished
from harness.syscalls import drop, opened, read_file, write_file
from harness.wait import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(seccomp.missing()), reason=f"needs {seccomp.missing()}"),
    pytest.mark.timeout(600),
]

MIB = settings.MIB
BUCKET, NAME = "bucket", "target"
GONE = None
#: Long enough for what the daemon does by itself after an operation, with the settings below.
QUIET = 2.0


class Rig:
    """A node, below a supervisor for one start; `power` puts it on a disk of its own."""

    def __init__(self, engine, power):
        env = {settings.ENV_RESERVE: "16MiB", settings.ENV_PUBLISH_AFTER: "100ms"}
        self.node = Node("points", engine=engine, env=env)
        self.disk = None
        if power:
            self.disk = disk.Disk(self.node.base, settings.GIB)
            self.node.data = self.disk.path / "data"
        self.fds = []

    def start(self):
        self.supervisor = points.Supervisor(self.node, self.disk.cut if self.disk else None)
        self.node.around = self.supervisor
        self.node.start()
        self.s3 = s3c.client(self.node.endpoint)
        self.s3.create_bucket(Bucket=BUCKET)
        self.dir = self.node.mnt / BUCKET
        self.s3.put_object(Bucket=BUCKET, Key="bystander", Body=noise(100_000, "bystander"))

    def act(self, work):
        """Runs the operation, which may die with the daemon."""
        with contextlib.suppress(OSError, BotoCoreError, ClientError):
            work.act(self)

    def died(self):
        """After the strike: everything of the daemon goes; then it starts without a supervisor."""
        self.node.kill()
        drop(self.fds)
        self.node.around = None
        if self.disk:
            mounts.clear(self.node.mnt)
            self.disk.power_on()
        self.node.start()

    def value(self, name=NAME):
        """What is at both doors."""
        path = self.dir / name
        if not os.path.exists(path):
            assert s3c.absent(self.s3, BUCKET, name), f"{name} is at one door only"
            return GONE
        data = read_file(path)
        assert s3c.body(self.s3, BUCKET, name) == data, f"the doors differ on {name}"
        return data

    def put(self, data, name=NAME):
        self.s3.put_object(Bucket=BUCKET, Key=name, Body=data)

    def sync_names(self):
        with opened(self.dir, os.O_RDONLY | os.O_DIRECTORY) as fd:
            os.fsync(fd)

    def close(self, keep):
        if self.node.process is not None:
            self.node.kill()
        drop(self.fds)
        mounts.clear(self.node.mnt)
        if self.disk and not keep:
            self.disk.close()
        self.node.close(keep)


class Put:
    """An object over an older one of the same size."""

    def __init__(self, size):
        self.old, self.new = noise(size, "old"), noise(size, "new")

    def prepare(self, rig):
        rig.put(self.old)

    def act(self, rig):
        rig.put(self.new)


class Delete:
    old, new = noise(300_000, "old"), GONE

    def prepare(self, rig):
        rig.put(self.old)

    def act(self, rig):
        rig.s3.delete_object(Bucket=BUCKET, Key=NAME)


class Unlink(Delete):
    def act(self, rig):
        os.unlink(rig.dir / NAME)
        rig.sync_names()


class Rename(Delete):
    """`new` is at the other name then."""

    def act(self, rig):
        os.rename(rig.dir / NAME, rig.dir / "moved")
        rig.sync_names()

    def check(self, rig, now):
        assert rig.value("moved") == (self.old if now is GONE else GONE), "at one of the two names"


class Write(Put):
    """A file written anew and closed; publishing follows by itself."""

    def prepare(self, rig):
        write_file(rig.dir / NAME, self.old)
        rig.sync_names()
        assert rig.value() == self.old

    def act(self, rig):
        write_file(rig.dir / NAME, self.new)
        rig.sync_names()


class WriteSync(Write):
    """A file written anew, and fsync."""

    def act(self, rig):
        with opened(rig.dir / NAME, os.O_WRONLY | os.O_TRUNC) as fd:
            os.write(fd, self.new)
            os.fsync(fd)


class PublishCopy(Write):
    """A file that stays open is published by copy, for the other door."""

    def act(self, rig):
        rig.fds.append(os.open(rig.dir / NAME, os.O_WRONLY | os.O_TRUNC))
        os.write(rig.fds[-1], self.new)
        os.fsync(rig.fds[-1])
        s3c.body(rig.s3, BUCKET, NAME)


class InPlace(Write):
    """A few bytes of a sealed file, and fsync."""

    def __init__(self, beside=False):
        self.old, self.beside = noise(3 * MIB, "old"), beside
        self.new = self.old[:MIB] + b"y" * 4096 + self.old[MIB + 4096 :]

    def act(self, rig):
        if self.beside:
            rig.fds.append(os.open(rig.dir / NAME, os.O_RDONLY))
        rig.fds.append(os.open(rig.dir / NAME, os.O_RDWR))
        os.pwrite(rig.fds[-1], b"y" * 4096, MIB)
        os.fsync(rig.fds[-1])


class Complete(Put):
    def __init__(self):
        super().__init__(5 * MIB + 100_000)

    def prepare(self, rig):
        super().prepare(rig)
        self.at = {"Bucket": BUCKET, "Key": NAME}
        self.at["UploadId"] = rig.s3.create_multipart_upload(**self.at)["UploadId"]
        self.parts = []
        for number, piece in enumerate((self.new[: 5 * MIB], self.new[5 * MIB :]), 1):
            etag = rig.s3.upload_part(**self.at, PartNumber=number, Body=piece)["ETag"]
            self.parts.append({"PartNumber": number, "ETag": etag})

    def act(self, rig):
        rig.s3.complete_multipart_upload(**self.at, MultipartUpload={"Parts": self.parts})

    def check(self, rig, now):
        if now == self.old:
            self.act(rig)
            assert rig.value() == self.new


class Collect(Delete):
    """What an old object had is given back."""

    old = noise(3 * MIB, "old")


class Compact:
    """Most of a slab is deleted: holes, then what is left moves to another slab."""

    old, new = noise(30_000, "kept"), noise(30_000, "kept")

    def prepare(self, rig):
        for i in range(20):
            rig.put(noise(30_000, i), f"s{i}")
        rig.put(self.old)

    def act(self, rig):
        keys = [{"Key": f"s{i}"} for i in range(20)]
        rig.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})


class Checkpoint(Put):
    def __init__(self):
        self.old = self.new = noise(3000, "old")

    def act(self, rig):
        # A segment goes when the checkpoint covers it: when everything is applied.
        while not rig.supervisor.hit.is_set():
            rig.node.cli("meta", "checkpoint", "--data", rig.node.data, check=False)
            if "00000000000000000001.seg" not in os.listdir(rig.node.data / settings.LOG_FOLDER):
                return


WRITES = "write|pwrite64|pwritev"
LOG = r"log/\d+\.seg"
RECORD, LOG_SYNC = Call("pwrite64", LOG, NAME.encode()), Call("fdatasync", LOG)
REPLICA = r"replica/data/.*"
CONTENT = r"chunks/content/\w+/[0-9a-f-]+"
SLAB, LIVE, TMP, UPLOAD = r"chunks/slabs/\w+\.slab", r"chunks/live/\w+", r"chunks/tmp/\w+", r"chunks/uploads/\w+\.parts"
PCK = r"checkpoint/checkpoint-\d+\.pck"
OLD, NEW, EITHER = "old", "new", "either"

#: name, operation, calls, before or after the last of them, what is there after kill -9, what after a power cut.
POINTS = [
    # Bytes, record, sync, acknowledgment.
    ("bytes written, not synced", Put(300_000), [Call("fdatasync", TMP)], "before", OLD, OLD),
    ("bytes synced, not named", Put(300_000), [Call("rename", f"{TMP} {CONTENT}")], "before", OLD, OLD),
    ("content named, not recorded", Put(300_000), [RECORD], "before", OLD, OLD),
    ("slab written, not synced", Put(30_000), [Call("fdatasync", SLAB)], "before", OLD, OLD),
    ("slab synced, not recorded", Put(30_000), [RECORD], "before", OLD, OLD),
    ("sidecar named, content not", Put(3 * MIB), [Call("rename", f"{TMP} {CONTENT}")], "before", OLD, OLD),
    ("record written, not synced", Put(3000), [RECORD, LOG_SYNC], "before", NEW, EITHER),
    ("record synced, not acknowledged", Put(3000), [RECORD, LOG_SYNC], "after", NEW, NEW),
    # The replica.
    ("record durable, not applied", Put(300_000), [RECORD, LOG_SYNC, Call(WRITES, REPLICA)], "before", NEW, NEW),
    ("record half applied", Put(300_000), [RECORD, LOG_SYNC, Call(WRITES, REPLICA)], "after", NEW, NEW),
    ("record applied, not synced", Put(300_000), [RECORD, LOG_SYNC, Call("fdatasync", REPLICA)], "before", NEW, NEW),
    # The checkpoint and the log's end.
    ("checkpoint written, not named", Checkpoint(), [Call("rename", rf"\S+ {PCK}")], "before", OLD, OLD),
    ("checkpoint named", Checkpoint(), [Call("rename", rf"\S+ {PCK}")], "after", OLD, OLD),
    ("segment sealed, not cut", Checkpoint(), [Call("rename", rf"\S+ {PCK}"), Call("ftruncate", LOG)], "before", OLD, OLD),
    ("segment cut, next one not named", Checkpoint(), [Call("rename", rf"\S+ {LOG}")], "before", OLD, OLD),
    ("next segment named", Checkpoint(), [Call("rename", rf"\S+ {LOG}")], "after", OLD, OLD),
    ("old segment not removed", Checkpoint(), [Call("unlink", LOG)], "before", OLD, OLD),
    ("old segment removed", Checkpoint(), [Call("unlink", LOG)], "after", OLD, OLD),
    # Live files: publishing and sealing.
    ("live file marked, not named in the log", Write(MIB * 3), [RECORD], "before", OLD, OLD),
    ("live file written out, not marked", WriteSync(MIB * 3), [Call("fchmod", LIVE)], "before", OLD, OLD),
    ("live file marked, mark not synced", WriteSync(MIB * 3), [Call("fsync", LIVE)], "before", EITHER, OLD),
    ("live file synced, its name not", WriteSync(MIB * 3), [Call("fsync", "chunks/live")], "before", EITHER, EITHER),
    ("small content published, not recorded", Write(20_000), [Call("fdatasync", SLAB), RECORD], "before", EITHER, EITHER),
    ("publish recorded, live file not let go", Write(20_000), [Call("rename", rf"{LIVE} \S+")], "before", NEW, NEW),
    ("not sealed yet", Write(MIB * 3), [Call("linkat?", f"{LIVE} {CONTENT}")], "before", EITHER, EITHER),
    ("sealed, not recorded", Write(MIB * 3), [Call("linkat?", f"{LIVE} {CONTENT}")], "after", EITHER, EITHER),
    ("seal recorded, live name not removed", Write(MIB * 3), [Call("unlink", LIVE)], "before", NEW, NEW),
    ("published by copy, not recorded", PublishCopy(MIB * 3), [Call("fdatasync", SLAB), RECORD], "before", NEW, NEW),
    ("copy for writing, not named", InPlace(), [Call("renameat2", f"{TMP} {LIVE}")], "before", OLD, OLD),
    ("copy for writing named, not logged", InPlace(), [Call("renameat2", f"{TMP} {LIVE}")], "after", OLD, OLD),
    ("written in place, not synced", InPlace(), [Call("fsync", LIVE)], "before", EITHER, EITHER),
    ("content file given away, not replaced", InPlace(True), [Call("linkat?", f"{CONTENT} {TMP}")], "after", OLD, OLD),
    ("content file replaced", InPlace(True), [Call("rename", f"{TMP} {CONTENT}")], "after", OLD, OLD),
    ("old content file is the live file", InPlace(True), [Call("rename", f"{TMP} {LIVE}")], "after", OLD, OLD),
    # Complete.
    ("parts joined, not synced", Complete(), [Call("fdatasync", UPLOAD)], "before", OLD, OLD),
    ("parts joined, not named", Complete(), [Call("linkat?", f"{UPLOAD} {CONTENT}")], "before", OLD, OLD),
    ("upload named as content, not recorded", Complete(), [RECORD], "before", OLD, OLD),
    ("Complete recorded, not acknowledged", Complete(), [RECORD, LOG_SYNC], "after", NEW, NEW),
    # Names.
    ("rename not recorded", Rename(), [RECORD], "before", OLD, OLD),
    ("rename recorded, not synced", Rename(), [RECORD, LOG_SYNC], "before", NEW, EITHER),
    ("rename synced", Rename(), [RECORD, LOG_SYNC], "after", NEW, NEW),
    ("delete not recorded", Delete(), [RECORD], "before", OLD, OLD),
    ("delete synced", Delete(), [RECORD, LOG_SYNC], "after", NEW, NEW),
    ("unlink synced", Unlink(), [RECORD, LOG_SYNC], "after", NEW, NEW),
    # Giving back.
    ("content forgotten, not removed", Collect(), [Call("unlink", CONTENT)], "before", NEW, NEW),
    ("content removed, its sidecar not", Collect(), [Call("unlink", CONTENT)], "after", NEW, NEW),
    ("frames forgotten, no holes yet", Compact(), [Call("fallocate", SLAB)], "before", OLD, OLD),
    ("some holes made", Compact(), [Call("fallocate", SLAB)] * 3, "after", OLD, OLD),
    ("copied to another slab, not indexed", Compact(), [Call("fallocate", SLAB), Call("pwritev", SLAB)], "after", OLD, OLD),
    ("indexed there, old slab not removed", Compact(), [Call("fallocate", SLAB), Call("unlink", SLAB)], "before", OLD, OLD),
    ("old slab removed", Compact(), [Call("fallocate", SLAB), Call("unlink", SLAB)], "after", OLD, OLD),
]
OPERATIONS = [
    Put(3000), Put(30_000), Put(3 * MIB), Delete(), Unlink(), Rename(), Write(20_000), Write(3 * MIB), WriteSync(3 * MIB),
    PublishCopy(3 * MIB), InPlace(), InPlace(True), Complete(), Compact(), Checkpoint(),
]
NEEDS_DISK = pytest.mark.skipif(bool(disk.missing()), reason=f"needs {disk.missing()}")
HOWS = ["kill", pytest.param("power", marks=NEEDS_DISK)]
#: Each way on one engine by default, so that every point is met twice; the other two by `--long`.
PAIRS = [
    pytest.param("sled", "power", marks=NEEDS_DISK), ("fjall", "kill"),
    pytest.param("sled", "kill", marks=pytest.mark.slow), pytest.param("fjall", "power", marks=[NEEDS_DISK, pytest.mark.slow]),
]


@contextlib.contextmanager
def prepared(engine, how, work):
    """A rig in which the operation is about to happen and nothing else is going on."""
    rig = Rig(engine, how == "power")
    fine = False
    try:
        rig.start()
        work.prepare(rig)
        until(lambda: not files_below(rig.node, "live"), "nothing is left to publish")
        rig.sync_names()
        if rig.disk:
            rig.disk.sync()
        yield rig
        fine = True
    finally:
        rig.close(keep=not fine)


def check(rig, work, allowed):
    """After the restart: the value is one of these, nothing else was hurt, and the next operations go through."""
    now = rig.value()
    words = {False: "something else", True: "nothing"}
    said = "old" if now == work.old else "new" if now == work.new else words[now is GONE]
    assert now in allowed, f"{said} is there"
    if hasattr(work, "check"):
        work.check(rig, now)
    assert rig.value("bystander") == noise(100_000, "bystander")
    rig.put(noise(40_000, "after"))
    write_file(rig.dir / NAME, noise(70_000, "after that"))
    assert rig.value() == noise(70_000, "after that")
    rig.node.stop()
    rig.node.cli("fsck", "--verify", "--data", rig.node.data)
    assert unfinished(rig.node) == []


@pytest.mark.parametrize(("engine", "how"), PAIRS)
@pytest.mark.parametrize(("work", "calls", "when", "killed", "cut"), [p[1:] for p in POINTS], ids=[p[0] for p in POINTS])
def test_s14_named_points(engine, how, work, calls, when, killed, cut):
    with prepared(engine, how, work) as rig:
        rig.supervisor.arm(*calls, when=when)
        acting = threading.Thread(target=rig.act, args=(work,), daemon=True)
        acting.start()
        reached = rig.supervisor.hit.wait(60)
        assert reached, f"the point was not reached; {rig.supervisor.trouble or rig.supervisor.steps}\n{rig.node.log_tail()}"
        rig.node.process.wait(60)
        acting.join(60)
        rig.died()
        expected = cut if how == "power" else killed
        check(rig, work, {OLD: [work.old], NEW: [work.new], EITHER: [work.old, work.new]}[expected])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("engine", settings.DISK_ENGINES)
@pytest.mark.parametrize("work", OPERATIONS, ids=lambda w: f"{type(w).__name__}-{len(w.old)}")
def test_s14_every_point(engine, how, work):
    """Before the first call that changes anything, before the second, … until the operation has none left."""
    number, hit = 0, True
    while hit:
        number += 1
        with prepared(engine, how, work) as rig:
            rig.supervisor.arm_nth(number)
            acting = threading.Thread(target=rig.act, args=(work,), daemon=True)
            acting.start()
            acting.join(60)
            hit = rig.supervisor.hit.wait(QUIET)
            assert rig.supervisor.trouble is None, rig.supervisor.trouble
            if not hit:
                # Whatever was acknowledged is there.
                rig.supervisor.disarm()
                assert rig.value() == work.new
                break
            rig.node.process.wait(60)
            last = rig.supervisor.seen[-1]
            rig.died()
            try:
                check(rig, work, [work.old, work.new])
            except BaseException as error:
                error.add_note(f"call {number}, {last}")
                raise
    print(f"{engine}, {how}, {type(work).__name__}: {number - 1} points")
