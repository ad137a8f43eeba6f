"""What this node does not serve is refused before anything happens: ruling 28's open ends, and S3's other actions."""

import gzip
import json
from pathlib import Path

import botocore
import pytest

from harness import s3 as s3c
from harness import sums
from harness.data import md5
from harness.s3 import refused

#: Actions of S3 that are served (or, of ACLs, answered in AWS's words for a bucket without any).
SERVED = {
    "AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateBucket", "CreateMultipartUpload",
    "DeleteBucket", "DeleteBucketCors", "DeleteBucketEncryption", "DeleteBucketLifecycle", "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy", "DeleteBucketTagging", "DeleteBucketWebsite", "DeleteObject", "DeleteObjectTagging",
    "DeleteObjects", "DeletePublicAccessBlock", "GetBucketAcl", "GetBucketCors", "GetBucketEncryption",
    "GetBucketLifecycleConfiguration", "GetBucketLocation", "GetBucketLogging", "GetBucketNotificationConfiguration",
    "GetBucketOwnershipControls", "GetBucketPolicy", "GetBucketPolicyStatus", "GetBucketTagging", "GetBucketVersioning",
    "GetBucketWebsite", "GetObject", "GetObjectAcl", "GetObjectAttributes", "GetObjectLegalHold",
    "GetObjectLockConfiguration", "GetObjectRetention", "GetObjectTagging", "GetPublicAccessBlock", "HeadBucket",
    "HeadObject", "ListBuckets", "ListMultipartUploads", "ListObjectVersions", "ListObjects", "ListObjectsV2", "ListParts",
    "PutBucketAcl", "PutBucketCors", "PutBucketEncryption", "PutBucketLifecycleConfiguration", "PutBucketLogging",
    "PutBucketNotificationConfiguration", "PutBucketOwnershipControls", "PutBucketPolicy", "PutBucketTagging",
    "PutBucketVersioning", "PutBucketWebsite", "PutObject", "PutObjectAcl", "PutObjectLegalHold",
    "PutObjectLockConfiguration", "PutObjectRetention", "PutObjectTagging", "PutPublicAccessBlock", "RenameObject",
    "UploadPart", "UploadPartCopy",
}
#: Actions that are the same request as a served one, or of another endpoint.
SAME_AS = {
    "GetBucketLifecycle", "GetBucketNotification", "ListDirectoryBuckets", "PutBucketLifecycle", "PutBucketNotification",
    "WriteGetObjectResponse",
}


def actions():
    """Every action that the SDK knows: (name, method, path and query)."""
    folder = Path(botocore.__file__).parent / "data/s3/2006-03-01"
    model = json.loads(gzip.decompress((folder / "service-2.json.gz").read_bytes()))
    return [(n, o["http"]["method"], o["http"]["requestUri"]) for n, o in sorted(model["operations"].items())]


OTHERS = [action for action in actions() if action[0] not in SERVED | SAME_AS]


def test_the_sdk_knows_the_served_actions():
    assert {name for name, _, _ in actions()} >= SERVED


@pytest.mark.parametrize(("name", "method", "target"), OTHERS, ids=[name for name, _, _ in OTHERS])
def test_ruling28_other_actions_do_nothing(raw, s3, bucket, name, method, target):
    """Each action that is not served is 501 whatever its body says, and never taken for one that is."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"mine")
    path, _, query = target.replace("{Bucket}", bucket).replace("{Key+}", "k").partition("?")
    params = [tuple((pair + "=").split("=")[:2]) for pair in query.split("&")]
    bodies = [b"", b"<x/>"] if method in ("PUT", "POST") else [b""]
    for body in bodies:
        answer = raw.request(method, path, params, body=body)
        assert (answer.status, answer.code) == (501, "NotImplemented"), (name, answer.body)
    assert s3c.keys(s3, bucket) == ["k"] and s3c.body(s3, bucket, "k") == b"mine"


@pytest.mark.parametrize("query", ["of-tomorrow", "acl", "uploads", "versioning"])
def test_ruling28_deletes_of_what_is_not_known(raw, s3, bucket, query):
    """`DELETE ?name` of an unknown subresource must not delete the thing itself."""
    assert raw.request("DELETE", f"/{bucket}", [(query, "")]).code == "NotImplemented"
    s3.put_object(Bucket=bucket, Key="k", Body=b"mine")
    assert raw.request("DELETE", f"/{bucket}/k", [(query, "")]).code == "NotImplemented"
    assert s3c.body(s3, bucket, "k") == b"mine"


def test_ruling28_rename_object(raw, s3, bucket):
    """A client that asks for a rename and is not understood would find an empty object."""
    s3.put_object(Bucket=bucket, Key="from", Body=b"mine")
    headers = {"x-amz-rename-source": f"/{bucket}/from"}
    assert raw.request("PUT", f"/{bucket}/to", [], headers).code == "NotImplemented"
    for other in ("tagging", "acl"):
        params = [("renameObject", ""), (other, "")]
        assert raw.request("PUT", f"/{bucket}/to", params, headers).code == "NotImplemented"
    copy = headers | {"x-amz-copy-source": f"/{bucket}/from"}
    assert raw.request("PUT", f"/{bucket}/to", [("renameObject", "")], copy).code == "InvalidArgument"
    assert raw.request("PUT", f"/{bucket}/to", [("renameObject", "")]).code == "InvalidArgument"
    assert s3c.keys(s3, bucket) == ["from"]


def test_half_a_part_is_no_object(raw, s3, bucket):
    for params, refusal in (
        ([("partNumber", "1")], (400, "InvalidArgument")),
        ([("uploadId", "x")], (405, "MethodNotAllowed")),
    ):
        answer = raw.request("PUT", f"/{bucket}/k", params, body=b"part")
        assert (answer.status, answer.code) == refusal, answer.body
    assert s3c.keys(s3, bucket) == []


def test_parameters_that_mean_nothing_are_ignored(raw, s3, bucket):
    assert raw.request("PUT", f"/{bucket}/k", [("x-mine", "1"), ("x-id", "PutObject")], body=b"x").status == 200
    assert raw.request("GET", f"/{bucket}/k", [("1700000000", "")]).body == b"x"


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "Multipart/Form-Data; boundary=x"])
def test_ruling28_forms_are_not_buffered(raw, s3, bucket, kind):
    """A form for anything but a bucket is refused by its head, however much of it there is, signed or not."""
    file = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--x\r\n'
    for path in (f"/{bucket}/k?uploads=", f"/{bucket}?delete="):
        answer = raw.send("POST", path, {"host": raw.authority, "content-type": kind}, file + bytes(6 << 20))
        assert (answer.status, answer.code) == (501, "NotImplemented"), answer.body
    answer = raw.request("POST", f"/{bucket}", [("delete", "")], {"content-type": kind}, file)
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer.body
    assert s3c.keys(s3, bucket) == []


@pytest.mark.parametrize("algorithm", ["CRC16", "SHA3", "XXHASH32"])
def test_ruling28_newer_checksums(raw, s3, bucket, algorithm):
    """A checksum that nobody verifies is never accepted, on any request that can bring one."""
    path, name = f"/{bucket}/k", f"x-amz-checksum-{algorithm.lower()}"
    s3.put_object(Bucket=bucket, Key="from", Body=b"x")
    up = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=up, PartNumber=1, Body=b"x")
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{md5(b'x')}</ETag></Part>".encode()
    assert part["ETag"] == f'"{md5(b"x")}"'
    keys = b"<Delete><Object><Key>from</Key></Object></Delete>"
    value = {name: "AAAAAAAAAAA="}
    for method, params, headers, body in [
        ("PUT", [], value, b"x"),
        ("PUT", [], {"x-amz-sdk-checksum-algorithm": algorithm}, b"x"),
        ("PUT", [("partNumber", "1"), ("uploadId", up)], value, b"x"),
        ("PUT", [("tagging", "")], value, b"<Tagging><TagSet></TagSet></Tagging>"),
        ("PUT", [], {"x-amz-copy-source": f"{bucket}/from", "x-amz-checksum-algorithm": algorithm}, b""),
        ("POST", [("uploads", "")], {"x-amz-checksum-algorithm": algorithm}, b""),
        ("POST", [("uploadId", up)], value, b"<CompleteMultipartUpload>" + listed + b"</CompleteMultipartUpload>"),
    ]:
        answer = raw.request(method, path, params, headers, body)
        assert (answer.status, answer.code) == (400, "InvalidRequest"), (method, params, headers, answer.body)
    answer = raw.request("POST", f"/{bucket}", [("delete", "")], value, keys)
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer.body
    assert s3c.keys(s3, bucket) == ["from"]


def test_checksums_of_xml_bodies(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    keys = b"<Delete><Object><Key>k</Key></Object></Delete>"
    delete = [("delete", "")]
    for headers, code in [
        ({}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": sums.value("CRC32", b"else")}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAA"}, "InvalidRequest"),
        ({sums.header(a): sums.value(a, keys) for a in ("CRC32", "SHA1")}, "InvalidRequest"),
    ]:
        answer = raw.request("POST", f"/{bucket}", delete, headers, keys)
        assert (answer.status, answer.code) == (400, code), (headers, answer.body)
    assert s3c.keys(s3, bucket) == ["k"]
    for algorithm in sums.RAW:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        answer = raw.request("POST", f"/{bucket}", delete, {sums.header(algorithm): sums.value(algorithm, keys)}, keys)
        assert answer.status == 200 and s3c.keys(s3, bucket) == [], answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-server-side-encryption": "aws:kms"}, {"x-amz-server-side-encryption-aws-kms-key-id": "k"},
        {"x-amz-write-offset-bytes": "1"},
    ],
)
def test_headers_that_promise_more_than_is_kept(raw, s3, bucket, headers):
    answer = raw.request("PUT", f"/{bucket}/k", headers=headers, body=b"x")
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer.body
    assert s3c.keys(s3, bucket) == []


def test_acls_are_off(raw, s3, bucket):
    """As in an AWS bucket whose owner owns everything in it: reads say so, writes are refused."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="bucket-owner-full-control")
    for answer in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        assert [g["Permission"] for g in answer["Grants"]] == ["FULL_CONTROL"]
    for call in (
        lambda: s3.put_bucket_acl(Bucket=bucket, ACL="public-read"),
        lambda: s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read"),
    ):
        with refused("AccessControlListNotSupported", status=400):
            call()
    assert raw.request("PUT", f"/{bucket}/l", headers={"x-amz-acl": "nobody-knows"}).code == "InvalidArgument"
    assert s3c.keys(s3, bucket) == ["k"]
    s3.put_object(Bucket=bucket, Key="l", Body=b"", ACL="public-read")
    assert [g["Permission"] for g in s3.get_object_acl(Bucket=bucket, Key="l")["Grants"]] == ["FULL_CONTROL"]
    assert raw.send("GET", f"/{bucket}/l", {"host": raw.authority}).status == 403, "the header gives nobody anything"
