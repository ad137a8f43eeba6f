"""The S3 servers, each with a data folder of its own on the same disk."""

import os
import socket
import subprocess

from harness.node import Node, free_port
from harness.settings import ROOT_ACCESS, ROOT_SECRET
from harness.wait import until

from .system import EXAMPLES, example

BUCKET = "bench"


class Server:
    """A program that serves S3 on a port of the loopback."""

    name = ""
    #: What a 200 to a PUT means, for the page.
    durable = ""
    peer = True

    def __init__(self, base, program=None):
        self.base, self.program = base / self.name.replace(" ", "-"), program
        self.base.mkdir()
        self.data = self.base / "data"
        self.data.mkdir()
        self.address = f"127.0.0.1:{free_port()}"
        self.process = None

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        log = (self.base / "log").open("ab")
        self.process = subprocess.Popen(
            [str(word) for word in self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.base,
            env={**os.environ, **self.environment()},
        )
        until(self.answers, lambda: f"{self.name} answers\n{(self.base / 'log').read_text()[-2000:]}", 60)
        self.ask("make-bucket", requests=1)
        return self

    def answers(self):
        assert self.process.poll() is None, f"{self.name} ended: {(self.base / 'log').read_text()[-2000:]}"
        host, port = self.address.split(":")
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def ask(self, op, **options):
        """Makes requests; options as of `s3_load run`."""
        given = {
            "server": self.address, "bucket": BUCKET, "op": op, "access": ROOT_ACCESS, "secret": ROOT_SECRET, "pid": self.pid,
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        return example("s3_load", "run", *(word for name, value in given.items() for word in (f"--{name}", value)))


class Ceiling(Server):
    """Answers 200 and does nothing."""

    name = "ceiling"
    durable = "nothing is kept"
    peer = False

    def command(self):
        return [EXAMPLES / "s3_load", "ceiling", self.address]


class Versity(Server):
    """VersityGW on a folder."""

    name = "VersityGW"
    durable = "posix backend: in the page cache, nothing is ever synced (there is no switch)"

    def command(self):
        return [self.program, "--port", self.address, "--keep-alive", "--quiet", "posix", self.data]

    def environment(self):
        return {"ROOT_ACCESS_KEY": ROOT_ACCESS, "ROOT_SECRET_KEY": ROOT_SECRET}


class Minio(Server):
    """MinIO with one drive."""

    name = "MinIO"
    durable = "the files are synced (O_DIRECT, fdatasync), their names and folders are not"

    def command(self):
        return [self.program, "server", "--quiet", "--anonymous", "--address", self.address, self.data]

    def environment(self):
        return {
            "MINIO_ROOT_USER": ROOT_ACCESS, "MINIO_ROOT_PASSWORD": ROOT_SECRET, "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off", "MINIO_CALLHOME_ENABLE": "off",
        }

    def answers(self):
        """It listens before it serves: until then it refuses what is asked."""
        if not super().answers():
            return False
        try:
            self.ask("make-bucket", requests=1)
        except RuntimeError as refused:
            return "BucketAlready" in str(refused)
        return True

    def start(self):
        try:
            return super().start()
        except RuntimeError as refused:
            if "BucketAlready" not in str(refused):
                raise
            return self


class SyncedMinio(Minio):
    """MinIO that syncs names too: by sync(2) of the whole machine after each PUT."""

    name = "MinIO OSYNC"
    durable = "all of it: MINIO_FS_OSYNC=on calls sync(2) after each PUT"

    def environment(self):
        return {**super().environment(), "MINIO_FS_OSYNC": "on"}


class Pinfold(Server):
    """Pinfold as it comes."""

    name = "Pinfold"
    durable = "all of it: bytes and record are synced before the 200"
    peer = False
    engine = "sled"

    def __init__(self, base, program=None):
        super().__init__(base, program)
        self.node = Node("bench-node", mount=False, env={"PINFOLD_ENGINE": self.engine})
        self.address, self.data = self.node.s3_addr, self.node.data

    @property
    def pid(self):
        return self.node.process.pid

    def start(self):
        self.node.start()
        self.ask("make-bucket", requests=1)
        return self

    def stop(self):
        if self.node.process:
            self.node.stop()
        self.node.close()


class PinfoldFjall(Pinfold):
    """Pinfold on its second engine."""

    name = "Pinfold fjall"
    engine = "fjall"
