"""A flipped byte in each kind of file: found, named with its place, mended where that can be, and never served as data.
(Of content in content files and slabs: cross/test_corruption.py.)"""

import json
import os
import re
import shutil
import subprocess

import pytest
from botocore.exceptions import ClientError

from harness import s3 as s3c
from harness import settings
from harness.data import noise
from harness.node import Node
from harness.rawhttp import Raw
from harness.wait import until

MIB = settings.MIB
BUCKET = "hurt"
SIZES = [0, 100, 4000, 30_000, 300_000, 3 * MIB]
FAILED = 1


class Hurt:
    """A node with objects of every size, some deleted and overwritten, stopped."""

    def __init__(self, engine="sled"):
        self.node = Node("hurt", mount=False, env={"PINFOLD_ENGINE": engine})
        self.data = self.node.data
        self.there = {}

    def fill(self, count=60):
        self.node.start()
        s3 = s3c.client(self.node.endpoint)
        s3.create_bucket(Bucket=BUCKET)
        self.put(s3, count)
        return self

    def put(self, s3, count, tag="k"):
        for n in range(count):
            key, data = f"{tag}{n:03}", noise(SIZES[n % len(SIZES)], f"{tag}{n}")
            s3.put_object(Bucket=BUCKET, Key=key, Body=data, Metadata={"n": str(n)})
            self.there[key] = data
        for n in range(0, count, 7):
            s3.delete_object(Bucket=BUCKET, Key=f"{tag}{n:03}")
            del self.there[f"{tag}{n:03}"]

    def check(self):
        """Everything is there and right."""
        s3 = s3c.client(self.node.endpoint)
        assert s3c.keys(s3, BUCKET) == sorted(self.there)
        for key, data in self.there.items():
            assert s3c.body(s3, BUCKET, key) == data, key

    def check_or_error(self):
        """What is answered is right; the number of honest errors."""
        s3, errors = s3c.client(self.node.endpoint), 0
        try:
            assert s3c.keys(s3, BUCKET) == sorted(self.there)
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500, error
            errors += 1
        for key, data in self.there.items():
            got = self.node_raw().request("GET", f"/{BUCKET}/{key}")
            assert got.status in (200, 500), (key, got.status, got.body[:300])
            assert got.status == 500 or got.body == data, key
            errors += got.status == 500
        return errors

    def node_raw(self):
        return Raw("127.0.0.1", self.node.s3_port)

    def refused(self):
        """A start that ends by itself: what it says."""
        done = subprocess.run(
            self.node.command(), env=self.node.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60,
        )
        said = done.stdout + done.stderr
        assert done.returncode == FAILED and "panicked" not in said, (done.returncode, said)
        return said

    def fsck(self, *how, code):
        done = self.node.cli("fsck", *how, "--data", self.data, check=False)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def segments(self):
        return sorted((self.data / settings.LOG_FOLDER).glob("*.seg"))


@pytest.fixture
def hurt(request):
    made = Hurt(getattr(request, "param", "sled"))
    yield made
    made.node.close()


def flip(path, at):
    mode = path.stat().st_mode
    path.chmod(0o600)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))
    path.chmod(mode & 0o777)


def groups(segment):
    """Offsets of the groups of a log segment (docs/FORMAT.md)."""
    content, at, found = segment.read_bytes(), 64, []
    while content[at : at + 4] == b"PGRP":
        found.append(at)
        at += 40 + int.from_bytes(content[at + 8 : at + 12], "little")
    return found


# ---- the log
@pytest.mark.parametrize("where", ["header of a group", "record", "segment header", "synced", "first group"])
def test_ruling3_a_flipped_byte_in_the_log(hurt, where):
    """Without a replica: refused with segment and position, nothing is changed; the repair says what it would cost."""
    hurt.fill().node.kill()
    segment = hurt.segments()[0]
    found = groups(segment)
    middle = found[len(found) // 2]
    at = {"header of a group": middle + 9, "record": middle + 60, "segment header": 20, "synced": middle + 24,
          "first group": found[0] + 45}[where]
    flip(segment, at)
    shutil.rmtree(hurt.data / settings.REPLICA_FOLDER)
    before = segment.read_bytes()
    said = hurt.refused()
    assert "log segment is damaged" in said and segment.name in said and "pinfold fsck" in said, said
    position = int(re.search(r"position (\d+)", said).group(1))
    assert position <= at < position + 100_000, (position, at)
    told = hurt.fsck(code=1)
    assert segment.name in told and str(position) in told and "--repair" in told, told
    assert segment.read_bytes() == before, "looking changes nothing"
    hurt.fsck("--repair", code=1)
    assert segment.read_bytes() == before, "a repair that loses something is not made unasked"
    if where in ("header of a group", "record", "synced"):
        hurt.fsck("--repair", "--accept-loss", code=0)
        assert list((hurt.data / settings.LOG_FOLDER).glob("cut-*")), "what is cut off is kept"
        hurt.node.start()
        keys = s3c.keys(s3c.client(hurt.node.endpoint), BUCKET)
        assert 0 < len(keys) < 60
        hurt.node.stop()
        hurt.node.fsck()


def test_a_flipped_byte_in_the_log_with_a_whole_replica(hurt):
    """The replica has all of it: the repair loses nothing."""
    hurt.fill().node.stop()
    segment = hurt.segments()[0]
    flip(segment, groups(segment)[3] + 60)
    said = hurt.refused()
    assert segment.name in said and "position" in said, said
    told = json.loads(hurt.node.cli("fsck", "--json", "--data", hurt.data, check=False).stdout)
    assert segment.name in json.dumps(told)
    hurt.fsck("--repair", code=0)
    hurt.node.start()
    hurt.check()
    hurt.node.stop()
    hurt.node.fsck()


def test_a_segment_that_is_gone(hurt):
    hurt.fill().node.stop()
    for segment in hurt.segments():
        segment.rename(segment.with_suffix(".away"))
    said = hurt.refused()
    assert "log is gone" in said and "fsck --repair" in said, said
    for segment in (hurt.data / settings.LOG_FOLDER).glob("*.away"):
        segment.rename(segment.with_suffix(".seg"))
    hurt.node.start()
    hurt.check()


# ---- the replica
@pytest.mark.parametrize("hurt", ["sled", "fjall"], indirect=True)
def test_flipped_bytes_in_the_replica(hurt, rng):
    """One byte a turn, anywhere in any of its files: right answers or honest errors, and after one restart all is right."""
    hurt.fill().node.stop()
    rebuilt = 0
    for _ in range(8):
        files = [
            f for f in (hurt.data / settings.REPLICA_FOLDER).rglob("*") if f.is_file() and f.stat().st_size and f.name != "lock"
        ]
        file = rng.choice(files) if rng.random() < 0.5 else max(files, key=lambda f: f.stat().st_size)
        # What lies behind the rows means nothing to anybody.
        used = file.read_bytes().rstrip(b"\0")
        at = rng.randrange(max(1, len(used)))
        flip(file, at)
        hurt.node.start()
        errors = hurt.check_or_error()
        if errors:
            assert "damaged" in hurt.node.log_text(), f"{file} at {at}: {hurt.node.log_tail()}"
            hurt.node.kill()
            hurt.node.start()
            hurt.check()
        hurt.node.stop()
        aside = sorted(hurt.data.glob("replica.damaged-*"))
        rebuilt += len(aside)
        for folder in aside:
            shutil.rmtree(folder)
    hurt.node.fsck()


def test_a_replica_of_another_engine(hurt):
    hurt.fill(6).node.stop()
    hurt.node.env["PINFOLD_ENGINE"] = "fjall"
    done = subprocess.run(
        hurt.node.command(), env=hurt.node.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 78 and "pinfold meta convert" in done.stderr, done.stderr
    hurt.node.env["PINFOLD_ENGINE"] = "sled"
    hurt.node.start()
    hurt.check()


# ---- the checkpoint
@pytest.mark.parametrize("at", [20, 200, -100, -10])
def test_a_flipped_byte_in_a_checkpoint(hurt, at):
    """With a whole replica it is no reason not to start; without one it is named, and so is what helps."""
    hurt.fill(24)

    def checkpoint():
        # What is applied is in it: the log's begin goes when that is everything.
        hurt.node.cli("meta", "checkpoint", "--data", hurt.data)
        return hurt.segments()[0].stem != f"{1:020}"

    until(checkpoint, "the checkpoint takes the place of the log's begin", interval=0.2)
    hurt.put(s3c.client(hurt.node.endpoint), 10, "after")
    hurt.node.stop()
    (checkpoint,) = (hurt.data / "checkpoint").glob("*.pck")
    flip(checkpoint, at % checkpoint.stat().st_size)
    told = hurt.fsck(code=1)
    assert checkpoint.name in told and "--repair" in told, told
    hurt.node.start()
    hurt.check()
    hurt.node.stop()
    kept = shutil.copytree(hurt.data / settings.REPLICA_FOLDER, hurt.node.base / "kept")
    shutil.rmtree(hurt.data / settings.REPLICA_FOLDER)
    said = hurt.refused()
    assert "checkpoint" in said and checkpoint.name in said and "fsck" in said, said
    hurt.fsck(code=1)
    shutil.rmtree(hurt.data / settings.REPLICA_FOLDER, ignore_errors=True)
    shutil.copytree(kept, hurt.data / settings.REPLICA_FOLDER)
    hurt.fsck("--repair", code=0)
    hurt.node.start()
    hurt.check()
    hurt.node.stop()
    hurt.node.fsck()


# ---- sidecars
@pytest.mark.parametrize("at", [3, 18, 60, -70, -12])
def test_a_flipped_byte_in_a_sidecar(hurt, at):
    """The leaf index of a content file: right bytes or an honest error, also when the replica is made anew from it."""
    hurt.fill(24).node.stop()
    sidecars = sorted((hurt.data / "chunks/content").rglob("*.idx"))
    assert len(sidecars) >= 2
    flip(sidecars[0], at % sidecars[0].stat().st_size)
    hurt.node.start()
    assert hurt.check_or_error() <= 1
    hurt.node.stop()
    shutil.rmtree(hurt.data / settings.REPLICA_FOLDER)
    hurt.node.start()
    errors = hurt.check_or_error()
    assert errors <= 1
    digest = sidecars[0].stem.split("-")[1]
    log = hurt.node.log_text()
    assert errors == 0 or digest in log or sidecars[0].stem.split("-")[0] in log or "bafy" in log, hurt.node.log_tail()
    s3 = s3c.client(hurt.node.endpoint)
    key = max(hurt.there)
    s3.put_object(Bucket=BUCKET, Key=key, Body=hurt.there[key])
    assert s3c.body(s3, BUCKET, key) == hurt.there[key], "writing goes on"
    hurt.node.stop()


def test_foreign_files_are_left_alone(hurt):
    """What an operator or a file system leaves in the folders is no damage."""
    hurt.fill(12).node.stop()
    folders = ("", "log", "checkpoint", "chunks", "chunks/content", "chunks/slabs")
    strange = [hurt.data / folder / "lost+found" for folder in folders]
    for path in strange:
        path.parent.mkdir(exist_ok=True)
        path.write_text("theirs")
    hurt.node.start()
    hurt.check()
    hurt.node.stop()
    hurt.node.fsck()
    assert all(path.read_text() == "theirs" for path in strange)
    for path in strange:
        os.unlink(path)
