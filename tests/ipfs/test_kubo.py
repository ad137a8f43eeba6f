"""A real Kubo pins what Pinfold has: it finds the node by delegated routing and pulls block by block."""

import json
import os

import pytest

from harness import cid
from harness import kubo as rig
from harness import s3 as s3c
from harness.provider import providing


def test_a_small_object(kubo, stored, rng):
    data = rng.randbytes(3000)
    name = stored("small", data)
    kubo.pin(name)
    assert kubo.cat(name) == data


def test_an_object_of_64_mib(kubo, stored, rng):
    data = rng.randbytes(64 << 20)
    name = stored("large", data)
    assert name == cid.of_bytes(data)
    kubo.pin(name)
    assert kubo.cat(name) == data


def test_a_directory_of_both_doors(needs_kubo, rng):
    """Objects, a file of the mount, a symbolic link, an empty directory, and a directory that is a HAMT."""
    with providing("ipfs-dir", mount=True) as node, rig.Kubo("dir", [f"http://127.0.0.1:{node.provider}"]) as kubo:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="b-dir")
        files = {"d/one": rng.randbytes(5), "d/e/large": rng.randbytes((3 << 20) + 7), "top": b""}
        for key, data in files.items():
            s3.put_object(Bucket="b-dir", Key=key, Body=data)
        files["written"] = rng.randbytes(2 << 20)
        at = node.mnt / "b-dir"
        (at / "written").write_bytes(files["written"])
        os.symlink("d/one", at / "link")
        (at / "empty").mkdir()
        (at / "many").mkdir()
        for n in range(2000):
            (at / "many" / f"{n} {'x' * 120}").write_bytes(b"%d" % n)
        root = json.loads(node.cli("bucket", "cid", "b-dir", "--json", "--data", node.data).stdout)["cid"]
        kubo.pin(root)
        assert set(kubo.listed(root)) == {"d", "top", "written", "link", "empty", "many"}
        for key, data in files.items():
            assert kubo.cat(f"{root}/{key}") == data, key
        assert kubo.cat(f"{root}/many/1999 {'x' * 120}") == b"1999"
        assert len(kubo.listed(f"{root}/many")) == 2000


def test_a_damaged_object_is_not_pinned(kubo, peer, stored, rng):
    data = rng.randbytes(3 << 20)
    name = stored("hurt", data)
    [path] = [p for p in (peer.node.data / "chunks/content").rglob("*") if p.name.endswith(cid.parse(name)[4:].hex())]
    path.chmod(0o600)
    with path.open("r+b") as content:
        content.seek((1 << 20) + 7)
        content.write(bytes(b ^ 1 for b in data[(1 << 20) + 7 :][:4]))
    with pytest.raises((TimeoutError, RuntimeError)):
        kubo.pin(name, timeout=20)
    peer.s3.delete_object(Bucket=stored.bucket, Key="hurt")


def test_content_that_is_put_again_is_found_again(kubo, peer, stored, rng):
    """What was deleted is not here; put again, it is."""
    data = rng.randbytes(2 << 20)
    name = stored("again", data)
    peer.s3.delete_object(Bucket=stored.bucket, Key="again")
    with pytest.raises((TimeoutError, RuntimeError)):
        kubo.pin(name, timeout=10)
    assert stored("again", data) == name
    kubo.pin(name)
    assert kubo.cat(name) == data
