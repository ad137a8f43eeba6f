"""Encrypted buckets: both doors read and write in clear, and nothing of that lies on the disk."""

import base64
import contextlib
import hashlib
import os
import random
import re

import pytest

from harness import s3 as s3c
from harness.node import Node
from harness.syscalls import read_file
from harness.wait import until

MIB = 1 << 20
#: Stands in every test's bytes, and nowhere else.
MARKER = b"A-marker-that-no-disk-may-show-"


def text(size, seed=1):
    """Bytes full of the marker, all chunks different."""
    rng = random.Random(seed)
    out = bytearray()
    while len(out) < size:
        out += MARKER + rng.randbytes(9).hex().encode()
    return bytes(out[:size])


def command(node, *args, **how):
    """A command to the node of these tests, or on its data."""
    return node.cli(*args, "--data", node.data, **how)


def seen(node):
    """Files of the data directory that show the marker, at the start of a block or anywhere in it."""
    found = []
    for path in node.data.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with contextlib.suppress(FileNotFoundError):
                if MARKER in path.read_bytes():
                    found.append(str(path.relative_to(node.data)))
    return found


def killed_while_open(sealed, name, data):
    """A file that is written and synced, and open when the node is killed."""
    file = os.open(sealed.dir / name, os.O_CREAT | os.O_WRONLY)
    os.write(file, data)
    os.fsync(file)
    sealed.node.kill()
    with contextlib.suppress(OSError):
        os.close(file)


@pytest.fixture
def sealed(lone):
    command(lone.node, "key", "encrypt", lone.bucket)
    return lone


@pytest.mark.parametrize("mode", ["bucket", "object"])
def test_nothing_plain_lies_on_the_disk(lone, mode):
    """Records, slabs, content files, parts, live files, the checkpoint, the replica."""
    command(lone.node, "key", "encrypt", lone.bucket, "--mode", mode)
    bodies = {f"s3-{size}": text(size, size) for size in (40, 4096, 5000, 70_000, 3 * MIB + 99)}
    for key, data in bodies.items():
        lone.s3.put_object(Bucket=lone.bucket, Key=key, Body=data)
    for size in (50, 4000, 30_000, 2 * MIB + 7):
        bodies[f"mnt-{size}"] = data = text(size, -size)
        (lone.dir / f"mnt-{size}").write_bytes(data)
    upload = lone.s3.create_multipart_upload(Bucket=lone.bucket, Key="parts")["UploadId"]
    part = text(6 * MIB, "part")
    for number in (1, 2):
        lone.s3.upload_part(Bucket=lone.bucket, Key="parts", UploadId=upload, PartNumber=number, Body=part)
    with open(lone.dir / "open", "wb") as file:
        file.write(text(MIB, "open"))
        file.flush()
        os.fsync(file.fileno())
        assert seen(lone.node) == [], "while a file is open for writing"
        assert list((lone.node.data / "chunks/live").glob("*.sealed"))
    command(lone.node, "meta", "checkpoint")
    assert seen(lone.node) == []
    bodies["open"] = text(MIB, "open")
    for key, data in bodies.items():
        assert s3c.body(lone.s3, lone.bucket, key) == data, key
        assert read_file(lone.dir / key) == data, key
    lone.node.restart()
    for key, data in bodies.items():
        assert s3c.body(lone.s3, lone.bucket, key) == data, key
    assert seen(lone.node) == []
    # That the test would see it.
    command(lone.node, "key", "encrypt", lone.bucket, "--mode", "none")
    lone.s3.put_object(Bucket=lone.bucket, Key="plain", Body=text(100))
    assert seen(lone.node) != []


def test_a_file_of_an_encrypted_bucket_is_a_file(sealed, rng):
    """Written in place, cut, extended, appended to, read in pieces, at both doors."""
    path, model = sealed.dir / "f", bytearray()
    for _ in range(6):
        with open(path, "r+b" if path.exists() else "w+b") as file:
            for _ in range(15):
                at, data = rng.randrange(3 * MIB), rng.randbytes(rng.randrange(1, 50_000))
                what = rng.randrange(4)
                if what == 0:
                    file.truncate(at)
                    model = model[:at] + bytes(max(0, at - len(model)))
                else:
                    file.seek(at)
                    file.write(data)
                    model += bytes(max(0, at + len(data) - len(model)))
                    model[at : at + len(data)] = data
                file.flush()
                start = rng.randrange(len(model) + 1)
                file.seek(start)
                assert file.read(100_000) == model[start : start + 100_000]
        assert s3c.body(sealed.s3, sealed.bucket, "f") == bytes(model)
        assert read_file(path) == bytes(model)
    with open(path, "ab") as file:
        file.write(b"at the end")
    assert s3c.body(sealed.s3, sealed.bucket, "f") == bytes(model) + b"at the end"
    os.rename(path, sealed.dir / "g")
    head = sealed.s3.head_object(Bucket=sealed.bucket, Key="g")
    assert (head["ServerSideEncryption"], head["ContentLength"]) == ("AES256", len(model) + 10)


def test_s14_a_written_file_survives_a_kill(sealed):
    """What was synced is there after kill -9, published under its key."""
    data = text(MIB + 5)
    killed_while_open(sealed, "f", data)
    sealed.node.start()
    assert s3c.body(sealed.s3, sealed.bucket, "f") == data
    assert seen(sealed.node) == []


def test_a_customers_object_is_shut_on_the_mount(sealed):
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
    sealed.s3.put_object(Bucket=sealed.bucket, Key="theirs", Body=text(9000), **key)
    assert (sealed.dir / "theirs").stat().st_size == 9000
    with pytest.raises(PermissionError):
        (sealed.dir / "theirs").read_bytes()
    with pytest.raises(PermissionError):
        open(sealed.dir / "theirs", "r+b").close()
    assert seen(sealed.node) == []
    (sealed.dir / "theirs").unlink()
    assert s3c.keys(sealed.s3, sealed.bucket) == []


def test_equal_chunks_are_stored_once_in_a_bucket_and_not_across(sealed):
    def cid(bucket, key):
        head = sealed.s3.head_object(Bucket=bucket, Key=key)
        return head["ResponseMetadata"]["HTTPHeaders"]["x-pinfold-cid"]

    sealed.s3.create_bucket(Bucket="second")
    command(sealed.node, "key", "encrypt", "second")
    for bucket, key in ((sealed.bucket, "a"), (sealed.bucket, "b"), ("second", "a")):
        sealed.s3.put_object(Bucket=bucket, Key=key, Body=text(2 * MIB))
    assert cid(sealed.bucket, "a") == cid(sealed.bucket, "b") != cid("second", "a")
    command(sealed.node, "key", "encrypt", sealed.bucket, "--mode", "object")
    sealed.s3.put_object(Bucket=sealed.bucket, Key="own", Body=text(2 * MIB))
    assert cid(sealed.bucket, "own") not in (cid(sealed.bucket, "a"), cid("second", "a"))
    assert s3c.body(sealed.s3, sealed.bucket, "own") == text(2 * MIB)
    assert "ServerSideEncryption" in sealed.s3.head_object(Bucket=sealed.bucket, Key="own")


def test_a_long_objects_manifest_is_content_of_its_own_and_is_collected(sealed):
    data = text(110 * MIB, "long")
    sealed.s3.put_object(Bucket=sealed.bucket, Key="long", Body=data)
    got = s3c.body(sealed.s3, sealed.bucket, "long")
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    sealed.node.restart()
    got = sealed.s3.get_object(Bucket=sealed.bucket, Key="long", Range=f"bytes={77 * MIB - 5}-{77 * MIB + 5}")
    assert got["Body"].read() == data[77 * MIB - 5 : 77 * MIB + 6]
    sealed.s3.delete_object(Bucket=sealed.bucket, Key="long")
    until(lambda: not list((sealed.node.data / "chunks/content").rglob("*-*")), "the content is collected", 60)


def test_rotation_touches_keys_and_no_data(sealed):
    sealed.s3.put_object(Bucket=sealed.bucket, Key="k", Body=text(2 * MIB))
    (sealed.dir / "m").write_bytes(text(3000))
    until(lambda: not list((sealed.node.data / "chunks/live").iterdir()), "published", 30)
    content = {p: p.stat().st_mtime_ns for p in (sealed.node.data / "chunks/content").rglob("*") if p.is_file()}
    keys = {p: p.read_bytes() for p in (sealed.node.data / "keys").iterdir()}
    said = command(sealed.node, "key", "rotate").stdout
    assert re.search(r"wrapped anew\s+1", said), said
    assert {p: p.read_bytes() for p in (sealed.node.data / "keys").iterdir()} != keys
    assert {p: p.stat().st_mtime_ns for p in (sealed.node.data / "chunks/content").rglob("*") if p.is_file()} == content
    master = sealed.node.data / "master-key"
    lines = [line for line in master.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == 2
    master.write_text(lines[0] + "\n")  # the old one is not needed any more
    sealed.node.restart()
    assert s3c.body(sealed.s3, sealed.bucket, "k") == text(2 * MIB)
    master.write_text(lines[1] + "\n")
    sealed.node.restart()
    with s3c.refused("AccessDenied", status=403):
        sealed.s3.get_object(Bucket=sealed.bucket, Key="k")


def test_without_its_master_key_a_bucket_is_shut_and_says_so(sealed):
    sealed.s3.put_object(Bucket=sealed.bucket, Key="k", Body=text(100))
    sealed.s3.create_bucket(Bucket="open")
    sealed.s3.put_object(Bucket="open", Key="k", Body=b"plain")
    killed_while_open(sealed, "left-open", text(500))
    master = sealed.node.data / "master-key"
    kept = master.read_text()
    master.unlink()
    sealed.node.start()
    assert "master key's file is gone" in sealed.node.log_text()
    assert not master.exists(), "none is made where an older one is needed"
    for call in (
        lambda: sealed.s3.get_object(Bucket=sealed.bucket, Key="k"),
        lambda: sealed.s3.put_object(Bucket=sealed.bucket, Key="l", Body=b"x"),
    ):
        with s3c.refused("AccessDenied", status=403) as caught:
            call()
        assert "The key that encrypts this content is not available" in str(caught.value)
    with pytest.raises(OSError, match="Required key not available"):
        read_file(sealed.dir / "k")
    assert s3c.body(sealed.s3, "open", "k") == b"plain"
    sealed.node.stop()
    digits = kept.splitlines()[1]
    master.touch(0o600)
    master.write_text(("0" if digits[0] == "f" else "f") + digits[1:])
    sealed.node.start()
    with s3c.refused("AccessDenied", status=403):
        sealed.s3.get_object(Bucket=sealed.bucket, Key="k")
    sealed.node.stop()
    master.write_text(kept)
    sealed.node.start()
    assert s3c.body(sealed.s3, sealed.bucket, "k") == text(100)
    assert s3c.body(sealed.s3, sealed.bucket, "left-open") == text(500), "what was synced waited for its key"


def test_a_destroyed_key_takes_its_objects_with_it(sealed):
    sealed.s3.put_object(Bucket=sealed.bucket, Key="k", Body=text(2 * MIB))
    sealed.s3.put_object(Bucket=sealed.bucket, Key="theirs", Body=b"x", SSECustomerAlgorithm="AES256", SSECustomerKey=b"k" * 32)
    assert command(sealed.node, "key", "destroy", sealed.bucket, check=False).returncode != 0, "not without --yes"
    assert s3c.body(sealed.s3, sealed.bucket, "k") == text(2 * MIB)
    command(sealed.node, "key", "destroy", sealed.bucket, "--yes")
    for _ in range(2):
        with s3c.refused("AccessDenied", status=403):
            sealed.s3.get_object(Bucket=sealed.bucket, Key="k")
        with pytest.raises(OSError, match="Required key not available"):
            read_file(sealed.dir / "k")
        sealed.node.restart()
    assert [p.suffix for p in (sealed.node.data / "keys").iterdir()] == [".destroyed"]
    # It does not go on in clear.
    with s3c.refused("AccessDenied", status=403):
        sealed.s3.put_object(Bucket=sealed.bucket, Key="new", Body=b"x")
    with pytest.raises(OSError, match="Required key not available"):
        (sealed.dir / "new").write_bytes(b"x")
    # What is not the bucket key's is not lost; the bucket goes on with a new one.
    got = sealed.s3.get_object(Bucket=sealed.bucket, Key="theirs", SSECustomerAlgorithm="AES256", SSECustomerKey=b"k" * 32)
    assert got["Body"].read() == b"x"
    command(sealed.node, "key", "encrypt", sealed.bucket)
    sealed.s3.put_object(Bucket=sealed.bucket, Key="new", Body=text(5000))
    assert s3c.body(sealed.s3, sealed.bucket, "new") == text(5000)
    sealed.s3.delete_object(Bucket=sealed.bucket, Key="k")


def test_no_log_shows_a_key():
    """At the loudest level, through PUT, GET, SSE-C, rotation and a refusal."""
    env = {"PINFOLD_LOG_LEVEL": "trace"}
    with Node("loud", mount=False, env=env) as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="loud")
        command(node, "key", "encrypt", "loud")
        secret = b"customers-secret-" + b"x" * 15
        key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": secret}
        s3.put_object(Bucket="loud", Key="c", Body=b"x" * 9000, **key)
        s3.get_object(Bucket="loud", Key="c", **key)["Body"].read()
        s3.put_object(Bucket="loud", Key="k", Body=b"y" * 9000)
        with s3c.refused("AccessDenied", status=403):
            s3.get_object(Bucket="loud", Key="c", SSECustomerAlgorithm="AES256", SSECustomerKey=b"z" * 32)
        command(node, "key", "rotate")
        masters = [line for line in (node.data / "master-key").read_text().split() if re.fullmatch("[0-9a-f]{64}", line)]
        assert len(masters) == 2
        log = node.log_text()
        shown = [secret.decode(), base64.b64encode(secret).decode(), secret.hex(), *masters]
        shown += [base64.b64encode(bytes.fromhex(m)).decode() for m in masters]
        assert "loud" in log and not [s for s in shown if s in log]
        assert not [p for p in node.data.rglob("*") if p.is_file() and any(s.encode() in p.read_bytes() for s in shown[:3])]


def test_damage_of_sealed_content_is_found(sealed):
    sealed.s3.put_object(Bucket=sealed.bucket, Key="k", Body=text(2 * MIB))
    sealed.node.stop()
    assert sealed.node.fsck() is not False
    content = next(p for p in (sealed.node.data / "chunks/content").rglob("*") if p.is_file() and p.suffix != ".idx")
    content.chmod(0o600)
    with open(content, "r+b") as file:
        file.seek(1_500_000)
        byte = file.read(1)
        file.seek(1_500_000)
        file.write(bytes([byte[0] ^ 1]))
    verified = command(sealed.node, "fsck", "--verify", check=False)
    assert verified.returncode != 0 and "damaged" in verified.stdout + verified.stderr
    sealed.node.start()
    with s3c.refused("InternalError", status=500):
        sealed.s3.get_object(Bucket=sealed.bucket, Key="k", Range=f"bytes={3 * MIB // 2}-")["Body"].read()
