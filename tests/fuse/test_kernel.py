"""What the design relies on in the kernel, each by a small proof of its own, and what happens where it is missing."""

import ctypes
import errno
import mmap
import os
import subprocess
import threading

import pytest

from harness import mounts, settings
from harness import s3 as s3c
from harness.data import noise
from harness.node import Node, new_base
from harness.syscalls import fails, names, opened, read_file, write_file
from harness.wait import until

pytestmark = [pytest.mark.pinfold, pytest.mark.root]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p


class Mapping:
    """A shared mapping and nothing else: Python's own keeps a descriptor as well."""

    def __init__(self, fd, size):
        self.size = size
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        self.at = _libc.mmap(None, ctypes.c_size_t(size), protection, mmap.MAP_SHARED, fd, ctypes.c_long(0))
        assert self.at != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())

    def store(self, offset, byte):
        ctypes.memset(self.at + offset, byte, 1)

    def sync(self):
        assert _libc.msync(ctypes.c_void_p(self.at), ctypes.c_size_t(self.size), 4) == 0  # MS_SYNC

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert _libc.munmap(ctypes.c_void_p(self.at), ctypes.c_size_t(self.size)) == 0


BOTH = pytest.mark.parametrize("passthrough", [True, False], ids=["passthrough", "daemon"])


def operations(node, operation):
    """How often an operation of the mount was answered."""
    for line in node.admin(settings.METRICS)[1].splitlines():
        if line.startswith(f'pinfold_fuse_operations_total{{operation="{operation}"}}'):
            return int(float(line.split()[-1]))
    return 0


@BOTH
def test_ruling10_a_mapping_and_release(passthrough):
    """In passthrough RELEASE comes although a mapping stores on; through the daemon the mapping holds the file."""
    with Node("mapping", passthrough=passthrough) as node:
        s3 = s3c.client(node.endpoint)
        bucket, data = node.mnt / "files", bytearray(noise(200_000))
        bucket.mkdir()
        write_file(bucket / "f", data)
        until(lambda: operations(node, "release") == 1, "the writer's RELEASE")
        fd = os.open(bucket / "f", os.O_RDWR)
        with Mapping(fd, len(data)) as mapping:
            os.close(fd)
            if passthrough:
                until(lambda: operations(node, "release") == 2, "RELEASE with the mapping still there")
            for turn in range(5):
                data[100_000 + turn] = turn
                mapping.store(100_000 + turn, turn)
                os.getxattr(bucket / "f", settings.XATTR_CID)  # publishes: that must not be the last word
            assert operations(node, "release") == (2 if passthrough else 1)
            mapping.sync()
        until(lambda: operations(node, "release") == 2, "RELEASE")
        until(lambda: s3c.body(s3, "files", "f") == data, "the last store at S3")
        assert read_file(bucket / "f") == data


@BOTH
def test_ruling10_descriptors_of_a_killed_daemon(passthrough):
    """In passthrough they go on writing: the next daemon publishes what they wrote, also after it has started."""
    with Node("killed", passthrough=passthrough) as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="files")
        fd = os.open(node.mnt / "files" / "f", os.O_RDWR | os.O_CREAT)
        os.write(fd, noise(300_000))
        os.fsync(fd)
        node.kill()
        expected = bytearray(noise(300_000))
        try:
            if passthrough:
                os.pwrite(fd, b"dead", 1000)
                expected[1000:1004] = b"dead"
            else:
                with fails(errno.ENOTCONN, errno.ECONNABORTED):
                    os.pwrite(fd, b"dead", 1000)
            node.start()
            assert s3c.body(s3, "files", "f") == expected
            if passthrough:
                os.pwrite(fd, b"still", 2000)
                expected[2000:2005] = b"still"
        finally:
            with fails(errno.ENOTCONN, errno.ECONNABORTED):
                os.close(fd)
        until(lambda: s3c.body(s3, "files", "f") == expected, "what the old descriptor wrote last")
        assert read_file(node.mnt / "files" / "f") == expected


def test_ruling17_a_write_asks_for_no_attribute(place, fs):
    """Without HANDLE_KILLPRIV_V2 the kernel asks for security.capability before each write."""
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"first")
        asked = {op: operations(place.node, op) for op in ("getxattr", "setattr")}
        for turn in range(500):
            os.pwrite(fd, b"more", turn * 10)
        assert {op: operations(place.node, op) for op in asked} == asked
    with fails(errno.EOPNOTSUPP):
        os.setxattr(fs / "f", "security.capability", bytes.fromhex("00000002" + "00" * 16))


def test_ruling18_a_disk_that_cannot_back_the_kernel():
    """On overlayfs `open_backing` fails: found out at the start, and the daemon serves all."""
    base = new_base("overlay")
    try:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", base], check=True)
        for name in ("lower", "upper", "work", "merged"):
            (base / name).mkdir()
        options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
        made = subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", base / "merged"], capture_output=True)
        if made.returncode:
            pytest.skip(f"no overlayfs here: {made.stderr.decode().strip()}")
        node = Node("overlay", env={settings.ENV_PASSTHROUGH: "auto", "PINFOLD_RESERVE": "1MiB"})
        node.data = base / "merged" / "data"
        with node:
            bucket = node.mnt / "files"
            bucket.mkdir()
            write_file(bucket / "f", noise(2_000_000))
            assert read_file(bucket / "f") == noise(2_000_000)
            assert s3c.body(s3c.client(node.endpoint), "files", "f") == noise(2_000_000)
            assert 'served_by="kernel"} 0' in node.admin(settings.METRICS)[1]
    finally:
        mounts.clear(base)
        os.rmdir(base)


@BOTH
def test_ruling18_before_the_disk_is_full_no_file_is_opened_for_writing(passthrough):
    """The kernel's own writes cannot be refused, so their opens are. What is written already is published."""
    base = new_base("full")
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", base], check=True)
        node = Node("full", passthrough=passthrough, env={"PINFOLD_RESERVE": "60MiB"})
        node.data = base / "data"
        with node:
            bucket = node.mnt / "files"
            bucket.mkdir()
            write_file(bucket / "sealed", noise(200_000, 1))
            os.getxattr(bucket / "sealed", settings.XATTR_CID)
            s3 = s3c.client(node.endpoint)
            with opened(bucket / "open", os.O_RDWR | os.O_CREAT) as fd:
                os.write(fd, noise(200_000, 2))
                free = os.statvfs(base).f_bavail * os.statvfs(base).f_frsize
                (base / "ballast").write_bytes(bytes(free - 40 * settings.MIB))
                for path, flags in (
                    (bucket / "new", os.O_WRONLY | os.O_CREAT), (bucket / "sealed", os.O_RDWR), (bucket / "open", os.O_RDWR),
                ):
                    with fails(errno.ENOSPC):
                        os.close(os.open(path, flags))
                assert read_file(bucket / "sealed") == noise(200_000, 1)
                os.fsync(fd)
            assert s3c.body(s3, "files", "open") == noise(200_000, 2)
            os.unlink(bucket / "sealed")
            os.unlink(base / "ballast")
            write_file(bucket / "new", b"room again")
    finally:
        mounts.clear(base)
        os.rmdir(base)


@BOTH
def test_ruling29_who_waits_for_a_sync_holds_nobody_up(passthrough):
    """More threads wait for a disk that answers nothing than read requests: names and attributes are answered on."""
    base = new_base("frozen")
    image = base / "image"
    disk = base / "disk"
    disk.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(400 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, disk], check=True)
        node = Node("frozen", passthrough=passthrough, env={"PINFOLD_RESERVE": "1MiB"})
        node.data = disk / "data"
        with node:
            bucket = node.mnt / "files"
            bucket.mkdir()
            for n in range(40):
                write_file(bucket / f"f{n}", b"%d" % n)
            open_files = [os.open(bucket / f"w{n}", os.O_WRONLY | os.O_CREAT) for n in range(4)]
            for fd in open_files:
                os.write(fd, b"x")
            syncing = [threading.Thread(target=os.fsync, args=(fd,)) for fd in open_files]
            seen = []

            def look():
                seen.append((len(names(bucket)), [os.stat(bucket / f"f{n}").st_size for n in range(40)]))

            looking = threading.Thread(target=look, daemon=True)
            subprocess.run(["fsfreeze", "--freeze", disk], check=True)
            try:
                for thread in syncing:
                    thread.start()
                until(lambda: all(thread.is_alive() for thread in syncing), "four threads in fsync")
                looking.start()
                looking.join(30)
            finally:
                subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
            assert seen == [(44, [len(b"%d" % n) for n in range(40)])]
            for thread in syncing:
                thread.join()
            for fd in open_files:
                os.close(fd)
    finally:
        mounts.clear(base)
        image.unlink()
        disk.rmdir()
        base.rmdir()
