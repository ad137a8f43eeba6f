"""Both doors busy until the daemon is killed: writers that note in a ledger what was acknowledged."""

import contextlib
import os
import shutil
import threading

from botocore.exceptions import BotoCoreError, ClientError

from . import s3 as s3c
from .data import noise
from .ledger import GONE, Ledger, Moment
from .settings import MIN_PART
from .syscalls import opened, read_file, write_file

SIZES = [64, 3000, 20_000, 200_000, 1_500_000]
BLOCK = 4096


class Dead(Exception):
    """The daemon is gone: the writer ends."""


@contextlib.contextmanager
def until_dead():
    """Failures of a door that died under a request are expected; whatever else happens is not."""
    try:
        yield
    except BotoCoreError as error:
        raise Dead from error
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (500, 503):
            raise Dead from error
        raise
    except OSError as error:
        raise Dead from error


class Writer:
    """A thread that writes until the daemon is gone; `check` compares what is there afterwards."""

    def __init__(self, name, node, bucket, rng):
        self.name, self.node, self.bucket, self.rng = name, node, bucket, rng
        self.ledger = Ledger(name)
        self.problem = None

    @property
    def dir(self):
        return self.node.mnt / self.bucket / self.name

    def key(self, name):
        return f"{self.name}/{name}"

    def start(self, stop, moment=None):
        """Writes until `stop` or until the daemon is gone; `moment` is that of a coming power cut."""
        self.ledger.moment = moment or Moment()
        self.s3 = s3c.client(self.node.endpoint)
        self.thread = threading.Thread(target=self._run, args=(stop,), daemon=True)
        self.thread.start()

    def _run(self, stop):
        try:
            with until_dead():
                os.makedirs(self.dir, exist_ok=True)
            while not stop.is_set():
                with until_dead():
                    self.step()
        except Dead:
            pass
        except BaseException as error:
            self.problem = error

    @property
    def moment(self):
        return self.ledger.moment

    def read(self, name):
        """Bytes at both doors, which must agree; None where nothing is."""
        path = self.dir / name
        on_mount = read_file(path) if os.path.exists(path) else None
        if on_mount is None:
            assert s3c.absent(self.s3, self.bucket, self.key(name)), f"{self.key(name)} is at one door only"
        else:
            assert s3c.body(self.s3, self.bucket, self.key(name)) == on_mount, f"the doors differ on {self.key(name)}"
        return on_mount

    def check(self):
        """After the restart."""
        self.s3 = s3c.client(self.node.endpoint)
        if self.problem:
            raise self.problem
        for name in list(self.ledger.entries):
            self.ledger.settle(name, self.read(name))


class Puts(Writer):
    """PUT, DELETE and small multipart uploads: 200 means it survives."""

    def step(self):
        name, size = f"k{self.rng.randrange(12)}", self.rng.choice(SIZES)
        at = {"Bucket": self.bucket, "Key": self.key(name)}
        what = self.rng.random()
        if what < 0.15:
            self.ledger.trying(name, GONE)
            self.s3.delete_object(**at)
            self.ledger.acknowledged(name, GONE)
            return
        tag, data = self.ledger.value(name, size)
        if what < 0.3:
            upload = self.s3.create_multipart_upload(**at)["UploadId"]
            etag = self.s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=data)["ETag"]
            self.ledger.trying(name, tag)
            parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
            self.s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload=parts)
        else:
            self.ledger.trying(name, tag)
            self.s3.put_object(**at, Body=data)
        self.ledger.acknowledged(name, tag)


class BigUploads(Writer):
    """Multipart uploads of which only some are completed: the parts of the others are rubbish after a while."""

    def step(self):
        name = f"m{self.rng.randrange(2)}"
        at = {"Bucket": self.bucket, "Key": self.key(name)}
        tag, data = self.ledger.value(name, MIN_PART + 100_000)
        upload = self.s3.create_multipart_upload(**at)["UploadId"]
        parts = []
        for number, piece in enumerate((data[:MIN_PART], data[MIN_PART:]), 1):
            etag = self.s3.upload_part(**at, UploadId=upload, PartNumber=number, Body=piece)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        if self.rng.random() < 0.3:
            self.s3.abort_multipart_upload(**at, UploadId=upload)
            return
        self.ledger.trying(name, tag)
        self.s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": parts})
        self.ledger.acknowledged(name, tag)

    def check(self):
        super().check()
        pages = self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket)
        for upload in [u for page in pages for u in page.get("Uploads", [])]:
            at = {k: upload[k] for k in ("Key", "UploadId")}
            self.s3.list_parts(Bucket=self.bucket, **at)
            self.s3.abort_multipart_upload(Bucket=self.bucket, **at)


class SyncedFiles(Writer):
    """Write aside, fsync, rename, fsync of the directory: what editors and databases rely on."""

    def step(self):
        name = f"f{self.rng.randrange(8)}"
        tag, data = self.ledger.value(name, self.rng.choice(SIZES))
        aside = self.dir / f".{name}.new"
        with opened(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        self.ledger.trying(name, tag)
        os.rename(aside, self.dir / name)
        with opened(self.dir, os.O_RDONLY | os.O_DIRECTORY) as fd:
            os.fsync(fd)
        self.ledger.acknowledged(name, tag)


class ClosedFiles(Writer):
    """Written and closed without fsync: old or new, whole. A new file may be there and empty, since what is durable may end
    between making it and closing it."""

    def step(self):
        name = f"c{self.rng.randrange(8)}"
        there = os.path.exists(self.dir / name)
        if there and self.rng.random() < 0.15:
            self.ledger.trying(name, GONE)
            os.unlink(self.dir / name)
            return
        tag, data = self.ledger.value(name, self.rng.choice(SIZES))
        if not there:
            self.ledger.trying(name, "")
        self.ledger.trying(name, tag)
        write_file(self.dir / name, data)


class Log(Writer):
    """Appends with fsync: every acknowledged line is there, in order, whole."""

    def __init__(self, *args):
        super().__init__(*args)
        self.lines = self.synced = self.racing = 0

    @property
    def path(self):
        return self.dir / "log"

    def step(self):
        with opened(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as fd:
            for _ in range(5):
                os.write(fd, b"line %08d %s\n" % (self.lines, b"." * (self.lines % 200)))
                os.fdatasync(fd)
                self.lines += 1
                if self.moment.racing:
                    self.racing = self.lines
                else:
                    self.synced = self.lines

    def check(self):
        self.s3 = s3c.client(self.node.endpoint)
        if self.problem:
            raise self.problem
        data = self.read("log") or b""
        lines = data.split(b"\n")[:-1]
        assert len(lines) >= self.synced, f"{self.name}: {self.synced} lines were synced, {len(lines)} are there"
        for number, line in enumerate(lines):
            assert line == b"line %08d %s" % (number, b"." * (number % 200)), f"{self.name}: line {number} is {line!r}"
        # A last line without its end is one that was being written.
        os.truncate(self.path, len(data) - len(data.split(b"\n")[-1])) if data else None
        self.moment.raced += max(0, self.racing - len(lines))
        self.lines = self.synced = len(lines)
        self.racing = 0


class Blocks(Writer):
    """In-place writes of blocks of a file that stays open: an fsynced block never goes back."""

    COUNT = 64

    def __init__(self, *args):
        super().__init__(*args)
        self.synced, self.racing, self.tried = [0] * self.COUNT, [0] * self.COUNT, [0] * self.COUNT

    @staticmethod
    def block(number, turn):
        return b"block %4d turn %12d " % (number, turn) + noise(BLOCK - 29, (number, turn))

    def step(self):
        with opened(self.dir / "blocks", os.O_RDWR | os.O_CREAT) as fd:
            for _ in range(self.rng.randrange(1, 20)):
                numbers = self.rng.sample(range(self.COUNT), 4)
                for number in numbers:
                    self.tried[number] += 1
                    os.pwrite(fd, self.block(number, self.tried[number]), number * BLOCK)
                os.fsync(fd)
                for number in numbers:
                    (self.racing if self.moment.racing else self.synced)[number] = self.tried[number]

    def check(self):
        self.s3 = s3c.client(self.node.endpoint)
        if self.problem:
            raise self.problem
        data = (self.read("blocks") or b"").ljust(self.COUNT * BLOCK, b"\0")
        for number in range(self.COUNT):
            found = data[number * BLOCK : (number + 1) * BLOCK]
            right = [bytes(BLOCK)] if self.synced[number] == 0 else []
            right += [self.block(number, t) for t in range(max(1, self.synced[number]), self.tried[number] + 1)]
            assert found in right, f"{self.name}: block {number} is {found[:29]!r}, synced is turn {self.synced[number]}"
            turn = next((t for t in range(self.tried[number] + 1) if t and found == self.block(number, t)), 0)
            self.moment.raced += turn < self.racing[number]
            self.synced[number] = self.tried[number] = turn
            self.racing[number] = 0


class Directories(Writer):
    """mkdir, rename and rmdir of directories, made durable by fsync of their parent: one transaction each (S5)."""

    def __init__(self, *args):
        super().__init__(*args)
        self.at, self.before, self.racing = None, None, None

    def acknowledged(self, at):
        if self.moment.racing:
            self.racing = at
        else:
            self.before = at

    def step(self):
        following = 0 if self.at is None else self.at + 1
        old = self.dir / f"d{self.at}"
        if self.at is None:
            os.makedirs(self.dir / f"d{following}" / "sub", exist_ok=True)
            for i in range(20):
                write_file(self.dir / f"d{following}" / "sub" / str(i), b"%d" % i)
            with opened(self.dir / f"d{following}" / "sub" / "0", os.O_RDONLY) as fd:
                os.fsync(fd)
            with opened(self.dir, os.O_RDONLY | os.O_DIRECTORY) as fd:
                os.fsync(fd)
            self.at = following
            self.acknowledged(following)
            return
        os.rename(old, self.dir / f"d{following}")
        self.at = following
        with opened(self.dir, os.O_RDONLY | os.O_DIRECTORY) as fd:
            os.fsync(fd)
        self.acknowledged(following)

    def check(self):
        self.s3 = s3c.client(self.node.endpoint)
        if self.problem:
            raise self.problem
        found = [name for name in os.listdir(self.dir) if name.startswith("d")] if self.dir.exists() else []
        if self.before is None:
            # Nothing counts yet: the first one is made anew.
            for name in found:
                shutil.rmtree(self.dir / name)
            self.at = self.racing = None
            return
        # The rename that was under way when the crash came may have come through without its answer.
        right = {f"d{n}" for n in range(self.before, self.at + 2)}
        assert len(found) == 1 and found[0] in right, f"{self.name}: {found} are there, right is one of {sorted(right)}"
        self.at = self.before = int(found[0][1:])
        self.moment.raced += self.racing is not None and self.at < self.racing
        self.racing = None
        listed = s3c.keys(self.s3, self.bucket, Prefix=self.key(found[0]) + "/")
        expected = sorted(self.key(f"{found[0]}/sub/{i}") for i in range(20))
        assert [k for k in listed if not k.endswith("/")] == expected


KINDS = [Puts, Puts, BigUploads, SyncedFiles, SyncedFiles, ClosedFiles, Log, Blocks, Directories]
