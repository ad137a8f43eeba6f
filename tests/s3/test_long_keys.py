"""S10: paths over 1,024 bytes exist on the mount; S3 lists, reads and deletes them and refuses to create them."""

import json
import os

import pytest

from harness import s3 as s3c
from harness.data import md5
from harness.node import Node
from harness.rawhttp import Raw, encode
from harness.s3 import refused
from harness.syscalls import write_file

pytestmark = [pytest.mark.pinfold, pytest.mark.root]
DATA = b"deep down"
DOMAIN = "s3.pinfold.test"


@pytest.fixture(scope="module")
def node():
    with Node("long", env={"PINFOLD_S3_DOMAIN": DOMAIN}) as node:
        node.s3 = s3c.client(node.endpoint)
        node.raw = Raw("127.0.0.1", node.s3_port)
        yield node


@pytest.fixture
def deep(node):
    """A bucket with one file whose key has more than 1,024 bytes: (bucket, key, directory)."""
    bucket = s3c.fresh_name("long")
    node.s3.create_bucket(Bucket=bucket)
    path, key = node.mnt / bucket, ""
    for i in range(12):
        name = f"{i:02} +\u00e9" + "d" * 98
        path, key = path / name, f"{key}{name}/"
    os.makedirs(path)
    write_file(path / "f", DATA)
    return bucket, key + "f", path


def test_s10_long_keys_are_read(node, deep):
    s3, (bucket, key, _) = node.s3, deep
    assert key in s3c.keys(s3, bucket)
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == DATA
    head = s3.head_object(Bucket=bucket, Key=key)
    assert head["ContentLength"] == len(DATA) and head["ETag"] == got["ETag"]
    ranged = s3.get_object(Bucket=bucket, Key=key, Range="bytes=5-8")
    assert ranged["Body"].read() == b"down" and ranged["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3c.body(s3, bucket, key, Range="bytes=0-1,3-4") == DATA, "what s3s does not read is mended here, too"
    with refused("304", status=304):
        s3.get_object(Bucket=bucket, Key=key, IfNoneMatch=head["ETag"])
    with refused("PreconditionFailed", status=412):
        s3.get_object(Bucket=bucket, Key=key, IfMatch='"else"')
    attributes = s3.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=["ObjectSize"])
    assert attributes["ObjectSize"] == len(DATA)
    assert s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == []
    assert s3.get_object_acl(Bucket=bucket, Key=key)["Grants"]
    with refused("NoSuchKey", status=404):
        s3.get_object(Bucket=bucket, Key=key + "x")


def test_s10_long_keys_in_presigned_urls_and_virtual_hosts(node, deep):
    raw, (bucket, key, _) = node.raw, deep
    path = f"/{bucket}/{encode(key)}"
    assert raw.presigned("GET", path).body == DATA
    over = raw.presigned("GET", path, [("response-content-type", "text/x")])
    assert (over.body, over.headers["content-type"]) == (DATA, "text/x")
    by_host = raw.request("GET", f"/{encode(key)}", host=f"{bucket}.{DOMAIN}")
    assert by_host.body == DATA
    url = node.s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    assert raw.send("GET", url[url.index("/", 8) :], {"host": raw.authority}).body == DATA


def test_s10_long_keys_need_a_signature(node, deep):
    raw, (bucket, key, _) = node.raw, deep
    path = f"/{bucket}/{encode(key)}"
    for method in ("GET", "HEAD", "DELETE"):
        assert raw.send(method, path, {"host": raw.authority}).status == 403
        assert raw.request(method, path, signer=raw.signer(secret="wrong")).status == 403
        assert raw.request(method, path, signer=raw.signer(access="nobody")).status == 403
        signed = raw.signer().headers(method, raw.authority, path[:-1] + "g")
        assert raw.send(method, path, signed).status == 403, "signed for another key"
        query = raw.signer().presign(method, raw.authority, path)
        other = {"GET": "DELETE", "HEAD": "GET", "DELETE": "GET"}[method]
        assert raw.send(other, f"{path}?{query}", {"host": raw.authority}).status == 403, "signed for another method"
    assert raw.send("GET", path, {"host": raw.authority}).code == "AccessDenied"
    assert raw.request("GET", path, signer=raw.signer(secret="wrong")).code == "SignatureDoesNotMatch"
    assert raw.request("GET", path, signer=raw.signer(region="eu-west-1")).code == "AuthorizationHeaderMalformed"
    assert raw.request("GET", path).body == DATA


def test_s10_long_keys_are_nobody_elses(node, deep):
    """An account without rights on the bucket gets nothing, a long key or not."""
    bucket, key, _ = deep
    made = json.loads(node.cli("user", "create", "--access", f"{bucket}-user", "--json", "--data", node.data).stdout)
    other = s3c.client(node.endpoint, access=f"{bucket}-user", secret=made["secret"])
    with refused("AccessDenied", status=403):
        other.get_object(Bucket=bucket, Key=key)


def test_s10_long_keys_are_copied_from(node, deep):
    s3, (bucket, key, _) = node.s3, deep
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3c.body(s3, bucket, "copy") == DATA
    up = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    at = {"Bucket": bucket, "Key": "parts", "UploadId": up}
    source = {"Bucket": bucket, "Key": key}
    part = s3.upload_part_copy(**at, PartNumber=1, CopySource=source, CopySourceRange="bytes=0-3")["CopyPartResult"]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert s3c.body(s3, bucket, "parts") == DATA[:4]
    with refused("NoSuchKey", status=404):
        s3.copy_object(Bucket=bucket, Key="none", CopySource={"Bucket": bucket, "Key": key + "x"})


def test_s10_long_keys_are_not_created(node, deep):
    s3, (bucket, key, path) = node.s3, deep
    s3.put_object(Bucket=bucket, Key="short", Body=b"x")
    for call in (
        lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"new"),
        lambda: s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "short"}),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key=key),
    ):
        with refused("KeyTooLongError", status=400):
            call()
    assert (path / "f").read_bytes() == DATA


def test_s10_long_keys_are_deleted(node, deep):
    s3, (bucket, key, path) = node.s3, deep
    write_file(path / "g", b"second")
    s3.delete_object(Bucket=bucket, Key=key)
    assert os.listdir(path) == ["g"]
    s3.delete_object(Bucket=bucket, Key=key)
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key[:-1] + "g"}]})
    assert "Errors" not in answer and os.listdir(path) == []


def test_s10_long_keys_page_a_listing(node, deep):
    s3, (bucket, key, path) = node.s3, deep
    for i in range(5):
        write_file(path / f"g{i}", b"x")
    below = [k for k in s3c.keys(s3, bucket, PaginationConfig={"PageSize": 2}) if not k.endswith("/")]
    assert below == [key, *(f"{key[:-1]}g{i}" for i in range(5))]
    assert s3c.keys(s3, bucket, StartAfter=below[3]) == below[4:]
    assert s3c.keys(s3, bucket, Prefix=key) == [key]
    page = s3.list_objects(Bucket=bucket, Marker=below[0], MaxKeys=1)
    assert [r["Key"] for r in page["Contents"]] == below[1:2]
    assert page["Contents"][0]["ETag"] != md5(b"")
