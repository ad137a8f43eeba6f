"""Requests that nobody signed: let in where a bucket says so, and nowhere else."""

import hashlib
import json

import pytest

from harness import accounts
from harness import s3 as s3c
from harness.accounts import unsigned
from harness.s3 import refused

pytestmark = pytest.mark.pinfold
SHA = "x-amz-content-sha256"


@pytest.fixture(scope="module")
def nobody(server):
    return accounts.anonymous(server)


def let_in(s3, bucket, action, keys="/*"):
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{bucket}{keys}"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [statement]}))


def test_a_bucket_is_private_at_first(s3, raw, nobody, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for denied in (
        lambda: nobody.get_object(Bucket=bucket, Key="k"),
        lambda: nobody.put_object(Bucket=bucket, Key="k", Body=b"y"),
        lambda: nobody.delete_object(Bucket=bucket, Key="k"),
        lambda: nobody.list_objects_v2(Bucket=bucket),
        lambda: nobody.list_buckets(),
        lambda: nobody.create_bucket(Bucket=s3c.fresh_name()),
        lambda: nobody.delete_bucket(Bucket=bucket),
        lambda: nobody.put_bucket_policy(Bucket=bucket, Policy="{}"),
    ):
        with refused("AccessDenied", status=403):
            denied()
    for target in (f"/{bucket}?acl", f"/{bucket}/k?restore", f"/{bucket}/k?select&select-type=2", f"/{bucket}?replication"):
        for method in ("GET", "PUT", "POST"):
            answer = unsigned(raw, method, target)
            assert answer.status in (403, 405, 501) and answer.status != 200, (method, target)
    assert unsigned(raw, "GET", f"/{bucket}?replication").code == "AccessDenied", "not even what is not served is said"
    assert unsigned(raw, "PATCH", "/list-users").code == "AccessDenied"
    assert unsigned(raw, "GET", f"/{bucket}/{'k' * 1500}").code == "AccessDenied", "long keys go another way"
    assert unsigned(raw, "GET", f"/{bucket}/k", {"range": "lines=1"}).code == "AccessDenied", "odd headers, too"
    assert s3c.body(s3, bucket, "k") == b"x"


def test_a_public_object_is_read_by_everybody(s3, raw, nobody, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    let_in(s3, bucket, "s3:GetObject")
    assert s3c.body(nobody, bucket, "k") == b"hello"
    answer = unsigned(raw, "GET", f"/{bucket}/k", {"range": "bytes=1-2"})
    assert (answer.status, answer.body) == (206, b"el")
    assert unsigned(raw, "GET", f"/{bucket}/k", {"if-modified-since": "yesterday"}).body == b"hello"
    assert unsigned(raw, "GET", f"/{bucket}/{'k' * 1500}").code == "NoSuchKey"
    assert unsigned(raw, "GET", f"/{bucket}/k?response-content-type=text/html").code == "InvalidRequest"
    with refused("AccessDenied"):
        nobody.list_objects_v2(Bucket=bucket)
    with refused("AccessDenied"):
        nobody.put_object(Bucket=bucket, Key="k", Body=b"y")


def test_everybody_may_put_where_it_is_allowed(s3, raw, nobody, bucket):
    let_in(s3, bucket, ["s3:PutObject", "s3:DeleteObject"])
    nobody.put_object(Bucket=bucket, Key="k", Body=b"hello")
    assert s3c.body(s3, bucket, "k") == b"hello"
    with refused("AccessDenied"):
        nobody.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})
    with refused("AccessDenied"):
        nobody.create_multipart_upload(Bucket=bucket, Key="m")
    with refused("AccessDenied"):
        nobody.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    nobody.delete_object(Bucket=bucket, Key="k")
    assert s3c.keys(s3, bucket) == []


def test_a_body_nobody_signed_must_still_have_its_digest(s3, raw, bucket):
    let_in(s3, bucket, "s3:PutObject")
    right = hashlib.sha256(b"body").hexdigest()
    for value in (right, "UNSIGNED-PAYLOAD"):
        assert unsigned(raw, "PUT", f"/{bucket}/k", {SHA: value}, b"body").status == 200
    wrong = hashlib.sha256(b"other").hexdigest()
    for value, body in ((wrong, b"body"), (wrong, b""), ("nonsense", b"body"), ("nonsense", b"")):
        answer = unsigned(raw, "PUT", f"/{bucket}/spoilt", {SHA: value}, body)
        assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch"), (value, body)
    answer = unsigned(raw, "PUT", f"/{bucket}/spoilt", {SHA: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, b"5\r\nhello\r\n0\r\n\r\n")
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    frames = b"5\r\nhello\r\n0\r\n\r\n"
    headers = {SHA: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": "5"}
    assert unsigned(raw, "PUT", f"/{bucket}/spoilt", headers, frames).status == 501, "frames are not stored as bytes"
    assert s3c.keys(s3, bucket) == ["k"]


def test_policies_are_for_accounts(s3, raw, bucket):
    let_in(s3, bucket, "s3:*", "")
    for method, body in (("GET", b""), ("PUT", b"{}"), ("DELETE", b"")):
        answer = unsigned(raw, method, f"/{bucket}?policy", body=body)
        assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    s3.get_bucket_policy(Bucket=bucket)


def test_a_spoilt_signature_is_no_missing_one(s3, raw, bucket):
    """Who signs wrongly is refused also where nobody needs to sign."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    let_in(s3, bucket, "s3:GetObject")
    headers = raw.signer(secret="wrong").headers("GET", raw.authority, f"/{bucket}/k")
    assert raw.send("GET", f"/{bucket}/k", headers).code == "SignatureDoesNotMatch"
    assert unsigned(raw, "GET", f"/{bucket}/k?X-Amz-Signature=00").status in (400, 403)
    assert unsigned(raw, "GET", f"/{bucket}/k", {"authorization": "Basic abc"}).status == 400
    query = raw.signer(secret="wrong").presign("GET", raw.authority, f"/{bucket}/k")
    assert raw.send("GET", f"/{bucket}/k?{query}", {"host": raw.authority}).code == "SignatureDoesNotMatch"
