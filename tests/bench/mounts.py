"""The file systems, each a folder on the same disk, or a mount of one."""

import os
import subprocess
from pathlib import Path

from harness import mounts as kernel
from harness.node import Node
from harness.settings import ROOT_ACCESS, ROOT_SECRET
from harness.wait import until

from .system import EXAMPLES, example


class Plain:
    """ext4 itself, or whatever the test disk has."""

    name = "raw"
    what = "the disk's own file system"
    #: Whether it is measured with the big file too.
    big_file = True

    def __init__(self, base, program=None):
        self.base, self.program = base / self.name.replace(" ", "-"), program
        self.source, self.mountpoint = self.base / "source", self.base / "mount"
        self.source.mkdir(parents=True)
        self.mountpoint.mkdir()
        self.process = None

    @property
    def dir(self):
        """Where to work."""
        return self.source

    @property
    def pid(self):
        """The daemon, None where there is none."""
        return self.process.pid if self.process else None

    def start(self):
        return self

    def stop(self):
        pass


class Mounted(Plain):
    """A program in the foreground that mounts."""

    @property
    def dir(self):
        return self.mountpoint

    def command(self):
        raise NotImplementedError

    def start(self):
        log = (self.base / "log").open("ab")
        self.process = subprocess.Popen(
            [str(word) for word in self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.base,
        )
        until(self.is_there, lambda: f"{self.name} mounts\n{(self.base / 'log').read_text()[-2000:]}", 60)
        return self

    def is_there(self):
        assert self.process.poll() is None, f"{self.name} ended: {(self.base / 'log').read_text()[-2000:]}"
        return kernel.is_mounted(self.mountpoint)

    def stop(self):
        if self.process is None:
            return
        subprocess.run(["umount", self.mountpoint], capture_output=True, check=False)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        kernel.clear(self.base)


class Loopback(Mounted):
    """The project's bare loopback."""

    name = "loopback"
    what = "fuser with passthrough and nothing behind it (fuse/examples/loopback.rs)"

    def command(self):
        return [EXAMPLES / "loopback", self.source, self.mountpoint]


class Bindfs(Mounted):
    """bindfs with several threads."""

    name = "bindfs"
    what = "bindfs --multithreaded"

    def command(self):
        return ["bindfs", "-f", "--multithreaded", self.source, self.mountpoint]


class Rclone(Mounted):
    """rclone mount of a folder, with the cache that random writes need."""

    name = "rclone"
    what = "rclone mount --vfs-cache-mode full of a folder"

    def command(self):
        return [
            "rclone", "mount", self.source, self.mountpoint, "--config", "/dev/null", "--vfs-cache-mode", "full",
            "--cache-dir", self.base / "cache", "--allow-other",
        ]


class Juicefs(Mounted):
    """JuiceFS with its metadata in badger and its blocks in a folder."""

    name = "JuiceFS"
    what = "JuiceFS, metadata in badger, blocks in a folder"
    big_file = False  # its blocks go through a cache of its own: minutes a round

    def meta(self):
        return f"badger://{self.base}/meta"

    def command(self):
        return [
            self.program, "mount", self.meta(), self.mountpoint, "--no-usage-report", "--backup-meta", "0",
            "--cache-dir", self.base / "cache",
        ]

    def start(self):
        store = ["--storage", "file", "--bucket", f"{self.source}/", "--trash-days", "0"]
        subprocess.run([self.program, "format", *store, self.meta(), "bench"], capture_output=True, check=True)
        return super().start()


class PinfoldMount:
    """A mount of Pinfold, with a bucket to work in."""

    name = "Pinfold"
    what = "Pinfold, whole local files by passthrough"
    big_file = True
    passthrough = True

    def __init__(self, base, program=None):
        self.node = Node("bench-mount", mount=True, passthrough=self.passthrough)
        self.dir = self.node.mnt / "bench"

    @property
    def pid(self):
        return self.node.process.pid

    def start(self):
        self.node.start()
        example(
            "s3_load", "run", "--server", self.node.s3_addr, "--op", "make-bucket", "--requests", 1, "--bucket", "bench",
            "--access", ROOT_ACCESS, "--secret", ROOT_SECRET,
        )
        return self

    def stop(self):
        if self.node.process:
            self.node.stop()
        self.node.close()


class PinfoldDaemon(PinfoldMount):
    """The same with everything through the daemon."""

    name = "Pinfold daemon"
    what = "Pinfold with mount_passthrough off"
    passthrough = False


def forget_names():
    """Drops what the kernel knows of names and attributes, its pages stay. False where that is not allowed."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("2")
    except OSError:
        return False
    return True
