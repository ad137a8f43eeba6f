"""A disk that is full: refused with the right code at both doors, nothing acknowledged is lost, nothing half-written stays,
and the node goes on by itself when there is room."""

import contextlib
import errno
import os
import socket

import pytest

from harness import s3 as s3c
from harness import settings
from harness.data import noise
from harness.disks import Ballast, free, small_disk
from harness.errors import refusal
from harness.node import Node
from harness.rawhttp import Raw, Response
from harness.syscalls import fails, opened, read_file, write_file
from harness.wait import until

pytestmark = pytest.mark.root
MIB = settings.MIB
#: Room for two log segments and what the replica keeps aside is taken at the start.
DISK = 420 * MIB
NO_SPACE = (507, "InsufficientStorage")


@contextlib.contextmanager
def node_on(disk, engine="sled", passthrough=True, reserve="0"):
    node = Node("full", passthrough=passthrough, env={"PINFOLD_RESERVE": reserve, "PINFOLD_ENGINE": engine})
    node.data = disk / "data"
    with node:
        node.s3, node.raw = s3c.client(node.endpoint), Raw("127.0.0.1", node.s3_port)
        node.s3.create_bucket(Bucket="full")
        yield node


def contents(node):
    """Objects and files of every size; the acknowledged truth."""
    there = {}
    for n, size in enumerate([0, 100, 4096, 30_000, 300_000, 3 * MIB] * 4):
        there[f"k{n}"] = noise(size, n)
        node.s3.put_object(Bucket="full", Key=f"k{n}", Body=there[f"k{n}"])
    write_file(node.mnt / "full" / "file", noise(MIB, "file"))
    os.getxattr(node.mnt / "full" / "file", settings.XATTR_CID)
    return there | {"file": noise(MIB, "file")}


def check(node, there):
    """Exactly this is there, at both doors."""
    assert sorted(s3c.keys(node.s3, "full")) == sorted(there)
    for key, data in there.items():
        assert s3c.body(node.s3, "full", key) == data, key
        assert read_file(node.mnt / "full" / key) == data, key


def refused_everywhere(node, upload):
    """What would take room, at S3; each time with a document that says so."""
    raw = node.raw
    for size in (100, 4096, 30_000, 3 * MIB):
        refusal(raw.request("PUT", "/full/new", body=noise(size)), *NO_SPACE, Message="No space left")
    params = [("partNumber", "2"), ("uploadId", upload)]
    refusal(raw.request("PUT", "/full/parts", params, body=noise(MIB)), *NO_SPACE)


def hanging_put(node, size):
    """A PUT whose first half has arrived."""
    path = "/full/half"
    headers = node.raw.signer().headers("PUT", node.raw.authority, path, payload="UNSIGNED-PAYLOAD")
    headers |= {"content-length": str(size), "connection": "close"}
    connection = node.raw.connect()
    connection.sendall(node.raw.head_bytes("PUT", path, headers) + noise(size)[: size // 2])
    return connection


def answer_of(connection):
    """The answer on a bare connection that ends with it."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    return Response(int(lines[0].split()[1]), {k.lower(): v for k, v in (x.split(": ", 1) for x in lines[1:])}, body)


@pytest.mark.parametrize(("kind", "passthrough"), [("ext4", True), ("tmpfs", False)], ids=["ext4", "tmpfs, daemon"])
def test_a_disk_that_others_fill_to_the_last_byte(kind, passthrough):
    """Without a reserve, in the middle of a PUT, of a part and of write(2)."""
    with small_disk(kind, DISK) as disk, node_on(disk, passthrough=passthrough) as node:
        there, top = contents(node), node.mnt / "full"
        upload = node.s3.create_multipart_upload(Bucket="full", Key="parts")["UploadId"]
        at = {"Bucket": "full", "Key": "parts", "UploadId": upload}
        part = node.s3.upload_part(**at, PartNumber=1, Body=noise(5 * MIB, "part"))["ETag"]
        size = 40 * MIB
        put = hanging_put(node, size)
        tmp = node.data / "chunks/tmp"
        until(lambda: sum(f.stat().st_size for f in tmp.iterdir()) > size // 2 - 4 * MIB, "the half arrives")
        with opened(top / "written", os.O_RDWR | os.O_CREAT) as fd:
            os.pwrite(fd, noise(MIB, "written"), 0)
            ballast = Ballast(disk).fill()
            assert free(disk) == 0
            with fails(errno.ENOSPC):
                for n in range(64):
                    os.pwrite(fd, noise(MIB, n), (1 + n) * MIB)
            os.ftruncate(fd, MIB)
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                put.sendall(noise(size)[size // 2 :])
                put.shutdown(socket.SHUT_WR)
            refusal(answer_of(put), *NO_SPACE, Message="No space left")
            ballast.fill()
            refused_everywhere(node, upload)
            for call in (
                lambda: write_file(top / "new", b"x"), lambda: os.truncate(top / "file", 5),
                lambda: os.close(os.open(top / "file", os.O_RDWR)),
            ):
                with fails(errno.ENOSPC):
                    call()
            assert os.pread(fd, 2 * MIB, 0) == noise(MIB, "written")
        there["written"] = noise(MIB, "written")
        for key in ("k5", "k11", "file", "k1"):
            assert s3c.body(node.s3, "full", key) == there[key], "reads go on"
        assert node.admin_status(settings.READY) == 200
        # A full disk is emptied by deletes, at both doors.
        node.s3.delete_object(Bucket="full", Key="k5")
        os.unlink(top / "k11")
        node.s3.delete_object(Bucket="full", Key="k17")
        for key in ("k5", "k11", "k17"):
            del there[key]
        until(lambda: free(disk) >= 6 * MIB, lambda: f"deletes give space back: {free(disk)} bytes are free")
        ballast.drop()
        until(lambda: node.raw.request("PUT", "/full/after", body=noise(3 * MIB)).status == 200, "PUT goes on")
        write_file(top / "after too", noise(100_000))
        there |= {"after": noise(3 * MIB), "after too": noise(100_000)}
        node.s3.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
        there["parts"] = noise(5 * MIB, "part")
        check(node, there)
        assert list((node.data / "chunks/tmp").iterdir()) == [], "nothing half-written remains"
        node.restart()
        check(node, there)
        node.stop()
        node.fsck()
        node.start()


@pytest.mark.parametrize(("kind", "engine"), [("ext4", "fjall"), ("tmpfs", "sled")])
def test_a_disk_that_clients_fill(kind, engine):
    """PUTs of all sizes until each is refused, then smaller ones; then deletes make room."""
    with small_disk(kind, DISK) as disk, node_on(disk, engine) as node:
        there = contents(node)
        ballast = Ballast(disk).fill(leave=110 * MIB)
        for size in (8 * MIB, 300_000, 30_000, 3000):
            for n in range(200):
                key = f"{size}-{n}"
                answer = node.raw.request("PUT", f"/full/{key}", body=noise(size, key))
                if answer.status != 200:
                    refusal(answer, *NO_SPACE)
                    break
                there[key] = noise(size, key)
            else:
                raise AssertionError(f"200 objects of {size} bytes and the disk is not full: {free(disk)}")
        with fails(errno.ENOSPC):
            write_file(node.mnt / "full" / "new", b"x")
        check(node, there)
        for key in [key for key in there if key.startswith(f"{8 * MIB}-")]:
            node.s3.delete_object(Bucket="full", Key=key)
            del there[key]
        until(lambda: node.raw.request("PUT", "/full/after", body=noise(MIB)).status == 200, "PUT goes on", interval=0.2)
        write_file(node.mnt / "full" / "after too", b"x")
        there |= {"after": noise(MIB), "after too": b"x"}
        check(node, there)
        ballast.drop()
        node.restart()
        check(node, there)
        node.stop()
        node.fsck()
        node.start()


def test_the_reserve_refuses_first():
    with small_disk("tmpfs", DISK) as disk, node_on(disk, reserve="40MiB") as node:
        there = contents(node)
        upload = node.s3.create_multipart_upload(Bucket="full", Key="parts")["UploadId"]
        ballast = Ballast(disk).fill(leave=40 * MIB - 4096)
        refused_everywhere(node, upload)
        with fails(errno.ENOSPC):
            write_file(node.mnt / "full" / "new", b"x")
        assert free(disk) > 39 * MIB, "what is refused takes nothing"
        # Metadata may use the reserve.
        node.s3.put_object_tagging(Bucket="full", Key="k1", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        os.chmod(node.mnt / "full" / "file", 0o600)
        ballast.drop()
        node.s3.put_object(Bucket="full", Key="new", Body=b"x")
        check(node, there | {"new": b"x"})


@pytest.mark.parametrize("engine", ["sled", "fjall"])
def test_a_start_on_a_full_disk(engine):
    """What is there is served and can be deleted, so that room can be made through the node itself."""
    with small_disk("ext4", DISK) as disk, node_on(disk, engine) as node:
        there = contents(node)
        node.stop()
        ballast = Ballast(disk).fill()
        # Space that somebody takes while the node is down: only what the node had set aside for itself is left.
        node.start()
        check(node, there)
        refusal(node.raw.request("PUT", "/full/new", body=noise(MIB)), *NO_SPACE)
        for key in ("k5", "k11", "k17", "k23"):
            node.s3.delete_object(Bucket="full", Key=key)
            del there[key]
        ballast.drop()
        until(lambda: node.raw.request("PUT", "/full/new", body=b"x").status == 200, "PUT goes on")
        check(node, there | {"new": b"x"})
