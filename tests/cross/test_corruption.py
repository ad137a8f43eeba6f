"""S17: a byte that changed on the disk is an error, never wrong bytes."""

import errno
import os

import pytest

from harness import cid, settings
from harness import s3 as s3c
from harness.data import noise
from harness.node import Node
from harness.syscalls import read_file, write_file

MIB = settings.MIB


def places_of(data_dir, piece):
    """(file, offset) of every place below the data directory where these bytes lie."""
    found = []
    for folder, _, files in os.walk(data_dir):
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                content = file.read()
            at = content.find(piece)
            while at >= 0:
                found.append((path, at))
                at = content.find(piece, at + 1)
    return found


def flip(path, at):
    """One bit of one byte."""
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.fixture(params=[True, False], ids=["passthrough", "daemon"])
def node(request):
    with Node("rot", passthrough=request.param) as node:
        yield node


@pytest.mark.parametrize("size", [30_000, 6 * MIB + 77], ids=["slab", "content file"])
@pytest.mark.parametrize("door", ["s3", "mount"])
def test_s17_a_flipped_byte_is_an_error_at_both_doors(node, size, door):
    s3, data = s3c.client(node.endpoint), noise(size, "rot")
    s3.create_bucket(Bucket="rot")
    path = node.mnt / "rot" / "f"
    if door == "s3":
        s3.put_object(Bucket="rot", Key="f", Body=data)
    else:
        write_file(path, data)
    s3.put_object(Bucket="rot", Key="healthy", Body=noise(size, "healthy"))
    node.stop()
    middle = size * 2 // 3
    places = places_of(node.data, data[middle : middle + 32])
    assert places, "the bytes lie somewhere below the data directory"
    for file, at in places:
        flip(file, at + 5)
    node.start()
    # Over S3: an error status, or an answer that breaks off; the bytes before it are right.
    got = b""
    try:
        body = s3.get_object(Bucket="rot", Key="f")["Body"]
        for chunk in body.iter_chunks(4096):
            got += chunk
        pytest.fail("GET gave the whole object although a byte of it is not what was put")
    except s3.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    except Exception as broken:
        assert not isinstance(broken, AssertionError), broken
    assert data.startswith(got), "wrong bytes before the error"
    # On the mount: EIO.
    try:
        read = read_file(path)
    except OSError as error:
        assert error.errno == errno.EIO
    else:
        pytest.fail(f"reading gave {'the flipped byte' if read != data else 'right bytes from nowhere'}")
    cids = [cid.text(leaf) for leaf in cid.leaves_of([data])]
    assert any(c in node.log_text() for c in cids), f"the log says which CID:\n{node.log_tail()}"
    # What lies beside it is not touched.
    assert s3c.body(s3, "rot", "healthy") == noise(size, "healthy")
    assert read_file(node.mnt / "rot" / "healthy") == noise(size, "healthy")


def test_s17_the_chunks_before_a_bad_one_are_served(node):
    s3, data = s3c.client(node.endpoint), noise(4 * MIB, "rot")
    s3.create_bucket(Bucket="rot")
    s3.put_object(Bucket="rot", Key="f", Body=data)
    node.stop()
    for file, at in places_of(node.data, data[3 * MIB + 1000 : 3 * MIB + 1032]):
        flip(file, at)
    node.start()
    assert s3c.body(s3, "rot", "f", Range=f"bytes=0-{2 * MIB - 1}") == data[: 2 * MIB]
    with pytest.raises(Exception) as caught:
        s3c.body(s3, "rot", "f", Range=f"bytes={3 * MIB}-{3 * MIB + 5000}")
    assert not isinstance(caught.value, AssertionError)


def test_s17_a_file_cut_short_is_an_error(node):
    s3, data = s3c.client(node.endpoint), noise(4 * MIB, "cut")
    s3.create_bucket(Bucket="rot")
    s3.put_object(Bucket="rot", Key="f", Body=data)
    node.stop()
    for file, at in places_of(node.data, data[3 * MIB : 3 * MIB + 32]):
        os.truncate(file, at)
    node.start()
    with pytest.raises(Exception) as caught:
        s3c.body(s3, "rot", "f")
    assert not isinstance(caught.value, AssertionError)
    with pytest.raises(OSError, match="Input/output"):
        read_file(node.mnt / "rot" / "f")


def test_s17_fsck_finds_it(node):
    s3, data = s3c.client(node.endpoint), noise(2 * MIB, "fsck")
    s3.create_bucket(Bucket="rot")
    s3.put_object(Bucket="rot", Key="f", Body=data)
    node.stop()
    assert node.cli("fsck", "--verify", "--data", node.data).returncode == 0
    for file, at in places_of(node.data, data[MIB : MIB + 32]):
        flip(file, at)
    bad = node.cli("fsck", "--verify", "--data", node.data, check=False)
    assert bad.returncode != 0
    assert "lone" in bad.stdout + bad.stderr or "rot" in bad.stdout + bad.stderr or "bafk" in bad.stdout + bad.stderr
