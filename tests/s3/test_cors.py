"""CORS: the rules of a bucket, preflight requests, and what other requests are told."""

import pytest

from harness import s3 as s3c
from harness.s3 import refused

RULES = [
    {
        "ID": "one", "AllowedOrigins": ["http://a.test", "http://*.b.test"], "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["x-amz-*"], "ExposeHeaders": ["x-amz-request-id"], "MaxAgeSeconds": 100,
    },
    {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]},
]


@pytest.fixture
def rules(s3, bucket):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})


def preflight(raw, path, origin, method, headers=None):
    """An OPTIONS request as a browser sends it: without a signature."""
    sent = {"host": raw.authority, "access-control-request-method": method}
    sent |= {"origin": origin} if origin else {}
    sent |= {"access-control-request-headers": headers} if headers else {}
    return raw.send("OPTIONS", path, sent)


def test_rules_are_kept(s3, bucket, rules):
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES
    s3.delete_bucket_cors(Bucket=bucket)
    with refused("NoSuchCORSConfiguration", status=404):
        s3.get_bucket_cors(Bucket=bucket)
    s3.delete_bucket_cors(Bucket=bucket)
    with refused("NoSuchBucket", status=404):
        s3.put_bucket_cors(Bucket=s3c.fresh_name("none"), CORSConfiguration={"CORSRules": RULES})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"AllowedOrigins": []}, "MalformedXML"), ({"AllowedOrigins": ["*a*"]}, "InvalidRequest"),
        ({"AllowedMethods": ["PATCH"]}, "InvalidRequest"), ({"AllowedMethods": ["get"]}, "InvalidRequest"),
        ({"AllowedHeaders": ["a b"]}, "InvalidRequest"), ({"ExposeHeaders": ["a:b"]}, "InvalidRequest"),
    ],
)
def test_what_is_no_rule(s3, bucket, rules, change, code):
    with refused(code, status=400):
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [RULES[0] | change]})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES


def test_preflight(raw, bucket, rules):
    path = f"/{bucket}/k"
    answer = preflight(raw, path, "http://x.b.test", "PUT", "X-Amz-Date, x-amz-meta-a")
    assert answer.status == 200, answer.body
    shown = {k: v for k, v in answer.headers.items() if k.startswith("access-control-")}
    assert shown == {
        "access-control-allow-origin": "http://x.b.test", "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT", "access-control-allow-headers": "x-amz-date, x-amz-meta-a",
        "access-control-expose-headers": "x-amz-request-id, ETag", "access-control-max-age": "100",
    }
    assert "Origin" in answer.headers["vary"]
    assert preflight(raw, path, "http://any.test", "HEAD").headers["access-control-allow-origin"] == "*"
    for origin, method, headers in [
        ("http://c.test", "GET", None), ("http://a.test", "DELETE", None), ("http://a.test", "GET", "date"),
    ]:
        answer = preflight(raw, path, origin, method, headers)
        assert (answer.status, answer.code) == (403, "AccessForbidden"), answer.body
        assert "access-control-allow-origin" not in answer.headers
    for origin, method in ((None, "GET"), ("http://a.test", "get")):
        assert preflight(raw, path, origin, method).code == "BadRequest"


def test_preflight_without_rules(raw, bucket):
    answer = preflight(raw, f"/{bucket}", "http://a.test", "GET")
    assert (answer.status, answer.code) == (403, "AccessForbidden") and b"not enabled" in answer.body
    assert preflight(raw, f"/{s3c.fresh_name('none')}/k", "http://a.test", "GET").code == "NoSuchBucket"


def test_answers_to_other_origins(raw, s3, bucket, rules):
    """An answer, and an error too, says what the page may read; nothing without an origin or a rule."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for key, status in (("k", 200), ("none", 404)):
        answer = raw.request("GET", f"/{bucket}/{key}", headers={"origin": "http://a.test"})
        assert answer.status == status and answer.headers["access-control-allow-origin"] == "http://a.test"
        assert answer.headers["access-control-expose-headers"] == "x-amz-request-id, ETag, x-amz-storage-class"
    denied = raw.send("GET", f"/{bucket}/k", {"host": raw.authority, "origin": "http://a.test"})
    assert denied.status == 403 and denied.headers["access-control-allow-origin"] == "http://a.test"
    for headers in ({}, {"origin": "http://c.test"}):
        assert "access-control-allow-origin" not in raw.request("GET", f"/{bucket}/k", headers=headers).headers
    assert "access-control-allow-origin" not in raw.request("DELETE", f"/{bucket}/k", headers={"origin": "http://a.test"}).headers
