"""Ruling 22: whose an object is that came over S3, and what of its POSIX attributes is obeyed and returned."""

import json
import os
import stat

import pytest

from harness import s3 as s3c
from harness.node import Node
from harness.syscalls import write_file

pytestmark = [pytest.mark.pinfold, pytest.mark.root]
UID, GID = 4321, 8765


@pytest.fixture(scope="module")
def node():
    """A node with a mount, an administrator (`s3`) and an account that owns buckets of its own (`user`)."""
    with Node("owners") as node:
        node.s3 = s3c.client(node.endpoint)
        create = ["user", "create", "--access", "plain-user", "--role", "userplus", "--uid", UID, "--gid", GID]
        made = json.loads(node.cli(*create, "--json", "--data", node.data).stdout)
        node.user = s3c.client(node.endpoint, access="plain-user", secret=made["secret"])
        yield node


@pytest.fixture
def place(node):
    """A bucket of the plain account: (bucket, its directory)."""
    bucket = s3c.fresh_name("own")
    node.user.create_bucket(Bucket=bucket)
    return bucket, node.mnt / bucket


def owner(path):
    at = os.stat(path)
    return at.st_uid, at.st_gid


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def returned(s3, bucket, key="f"):
    metas = [s3.head_object(Bucket=bucket, Key=key)["Metadata"], s3.get_object(Bucket=bucket, Key=key)["Metadata"]]
    assert metas[0] == metas[1], "HEAD and GET say the same"
    return metas[0]


def test_ruling22_a_new_object_belongs_to_its_account(node, place):
    bucket, folder = place
    node.user.put_object(Bucket=bucket, Key="f", Body=b"x")
    assert owner(folder / "f") == (UID, GID)
    node.s3.put_object(Bucket=bucket, Key="of-root", Body=b"x")
    assert owner(folder / "of-root") == (0, 0)


def test_ruling22_a_new_object_of_parts_or_copied_belongs_to_its_account(node, place):
    bucket, folder = place
    up = node.user.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    at = {"Bucket": bucket, "Key": "parts", "UploadId": up}
    etag = node.user.upload_part(**at, PartNumber=1, Body=b"x")["ETag"]
    node.user.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert owner(folder / "parts") == (UID, GID)
    node.s3.put_object(Bucket=bucket, Key="of-root", Body=b"x")
    node.user.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "of-root"})
    assert owner(folder / "copy") == (UID, GID)


def test_ruling22_a_replaced_name_keeps_its_owner(node, place):
    bucket, folder = place
    write_file(folder / "f", b"old")
    os.chown(folder / "f", 11, 22)
    node.user.put_object(Bucket=bucket, Key="f", Body=b"new")
    assert owner(folder / "f") == (11, 22)
    node.s3.put_object(Bucket=bucket, Key="f", Body=b"newer")
    assert owner(folder / "f") == (11, 22)


def test_ruling22_ids_are_obeyed_from_administrators_only(node, place):
    bucket, folder = place
    ids = {"uid": "77", "gid": "88"}
    node.user.put_object(Bucket=bucket, Key="f", Body=b"x", Metadata=ids)
    assert owner(folder / "f") == (UID, GID)
    assert (returned(node.user, bucket)["uid"], returned(node.user, bucket)["gid"]) == (str(UID), str(GID)), "the truth"
    node.s3.put_object(Bucket=bucket, Key="f", Body=b"x", Metadata=ids)
    assert owner(folder / "f") == (77, 88)
    node.user.put_object(Bucket=bucket, Key="f", Body=b"x", Metadata={"uid": str(UID)})
    assert owner(folder / "f") == (77, 88), "an account takes nothing over"


def test_ruling22_ids_of_a_copy_and_of_parts(node, place):
    bucket, folder = place
    node.s3.put_object(Bucket=bucket, Key="f", Body=b"x", Metadata={"uid": "0", "gid": "0", "mode": "0104755"})
    node.user.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "f"})
    assert owner(folder / "copy") == (UID, GID) and mode(folder / "copy") == 0o755
    node.user.copy_object(
        Bucket=bucket, Key="sum", CopySource={"Bucket": bucket, "Key": "f"}, ChecksumAlgorithm="SHA256"
    )
    assert owner(folder / "sum") == (UID, GID) and mode(folder / "sum") == 0o755
    meta = {"uid": "0", "gid": "0", "mode": "0104755"}
    up = node.user.create_multipart_upload(Bucket=bucket, Key="parts", Metadata=meta)["UploadId"]
    at = {"Bucket": bucket, "Key": "parts", "UploadId": up}
    etag = node.user.upload_part(**at, PartNumber=1, Body=b"x")["ETag"]
    node.user.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert owner(folder / "parts") == (UID, GID) and mode(folder / "parts") == 0o755


@pytest.mark.parametrize("bits", ["0104755", "0102755", "0101755", "35309"])
def test_ruling22_special_bits_are_stripped(node, place, bits):
    bucket, folder = place
    node.user.put_object(Bucket=bucket, Key="f", Body=b"x", Metadata={"mode": bits})
    assert mode(folder / "f") == 0o755
    node.s3.put_object(Bucket=bucket, Key="f", Body=b"x", Metadata={"mode": "0104755"})
    assert mode(folder / "f") == 0o4755, "from an administrator they are obeyed"


def test_ruling22_new_bytes_in_a_set_user_id_program(node, place):
    """Bits that the name had: as write(2) of somebody without the right, a PUT takes them off."""
    bucket, folder = place
    for key in ("put", "copy", "parts"):
        write_file(folder / key, b"old")
        os.chmod(folder / key, 0o6755)
    node.user.put_object(Bucket=bucket, Key="put", Body=b"new")
    node.user.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "put"})
    up = node.user.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    at = {"Bucket": bucket, "Key": "parts", "UploadId": up}
    etag = node.user.upload_part(**at, PartNumber=1, Body=b"x")["ETag"]
    node.user.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert [mode(folder / key) for key in ("put", "copy", "parts")] == [0o755] * 3
    os.chmod(folder / "put", 0o6755)
    node.s3.put_object(Bucket=bucket, Key="put", Body=b"newer")
    assert mode(folder / "put") == 0o6755, "an administrator's keeps what it does not say (S7)"


def test_ruling22_attributes_are_returned_where_sent_or_changed(node, place):
    bucket, folder = place
    node.user.put_object(Bucket=bucket, Key="f", Body=b"x", Metadata={"colour": "red"})
    assert returned(node.user, bucket) == {"colour": "red"}
    node.user.put_object(Bucket=bucket, Key="f", Body=b"x", Metadata={"mtime": "1600000000.5"})
    assert returned(node.user, bucket) == {"mtime": "1600000000.500000000"}
    node.user.put_object(Bucket=bucket, Key="g", Body=b"x")
    assert returned(node.user, bucket, "g") == {}
    os.chmod(folder / "g", 0o600)
    assert returned(node.user, bucket, "g") == {"mode": str(0o100600)}


def test_ruling22_each_attribute_is_returned_by_itself(node, place):
    """rclone sends an mtime and no more: it gets an mtime back and no more, until the mount changes something else."""
    bucket, folder = place
    all_four = {"mode": "33188", "uid": str(UID), "gid": str(GID), "mtime": "1600000000"}
    for name, value in all_four.items():
        node.user.put_object(Bucket=bucket, Key=name, Body=b"x", Metadata={name: value, "colour": "red"})
        assert returned(node.user, bucket, name) == {name: value, "colour": "red"}
        copy = {"Bucket": bucket, "Key": "copy-" + name, "CopySource": {"Bucket": bucket, "Key": name}}
        node.user.copy_object(**copy)
        assert returned(node.user, bucket, "copy-" + name) == {name: value, "colour": "red"}
        node.user.copy_object(**copy, ChecksumAlgorithm="SHA256")
        assert returned(node.user, bucket, "copy-" + name) == {name: value, "colour": "red"}
        node.user.copy_object(**copy, StorageClass="STANDARD_IA")
        assert returned(node.user, bucket, "copy-" + name) == {name: value, "colour": "red"}
    node.user.put_object(Bucket=bucket, Key="f", Body=b"x")
    changes = [
        (lambda path: os.utime(path, ns=(0, 5)), {"mtime": "0.000000005"}),
        (lambda path: os.chmod(path, 0o640), {"mode": str(0o100640)}),
        (lambda path: os.chown(path, 5, -1), {"uid": "5"}),
        (lambda path: os.chown(path, -1, 6), {"gid": "6"}),
    ]
    expected = {}
    for change, adds in changes:
        change(folder / "f")
        expected |= adds
        assert returned(node.user, bucket) == expected
    node.user.put_object(Bucket=bucket, Key="f", Body=b"x")
    assert returned(node.user, bucket) == {}, "another object, of which nothing was said"
    write_file(folder / "f", b"written here")
    assert set(returned(node.user, bucket)) == {"mtime"}, "its bytes are of now"
    node.restart()
    assert set(returned(node.user, bucket)) == {"mtime"}
    write_file(folder / "made", b"here")
    assert set(returned(node.user, bucket, "made")) == set(all_four), "the mount made it"
