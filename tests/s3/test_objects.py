"""Objects: put, get, head, delete; keys as S3 has them; headers and user metadata; DeleteObjects."""

import datetime
from email.header import decode_header, make_header

import pytest

from harness import cid, settings
from harness import s3 as s3c
from harness.data import md5, noise
from harness.rawhttp import encode
from harness.s3 import refused

KIB, MIB = settings.KIB, settings.MIB
SIZES = [0, 1, 2, 4095, 4096, 4097, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 3]

KEYS = [
    "plain.txt", "a/b/c/d/e/f/g", "with space", "plus+sign", "per%cent", "per%2Fcent", "amp&er=sand?x#y", "semi;colon",
    "quote'\"", "<xml>&amp;", "tab\tkey", "new\nline", "ctrl\x01key", "back\\slash", "tilde~", "star*", "colon:", "at@",
    "caf\u00e9", "\u65e5\u672c\u8a9e/\u30ad\u30fc", "\U0001f980", "e\u0301", ".hidden", "...", "-", "%@empty", "%@", "CON",
    "x" * 255, "y" * 256, "z" * 1024, "d/" * 500 + "f",
]
#: Keys with components that POSIX cannot hold; S3 has no trouble with them.
ODD_KEYS = ["//", "/", "/a", "a//b", "a///b", "./x", "../x", "a/./b", "a/../b", ".", "..", "a/.", "a/..", "//x//"]


@pytest.mark.parametrize("size", SIZES)
def test_put_get_head(s3, bucket, size):
    data = noise(size, size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data)
    assert s3c.etag(put) == md5(data)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == data
    head = s3.head_object(Bucket=bucket, Key="k")
    for answer in (got, head):
        assert answer["ContentLength"] == size
        assert s3c.etag(answer) == md5(data)
        assert answer["ContentType"] == "binary/octet-stream"
        assert answer["AcceptRanges"] == "bytes"
        assert answer["Metadata"] == {}
        age = datetime.datetime.now(datetime.UTC) - answer["LastModified"]
        assert abs(age) < datetime.timedelta(minutes=5)
    assert got["LastModified"] == head["LastModified"]


@pytest.mark.pinfold
@pytest.mark.parametrize("size", SIZES)
def test_s18_cid_header_of_put_sizes(s3, bucket, size):
    data = noise(size, size)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    assert s3c.cid(s3.head_object(Bucket=bucket, Key="k")) == cid.of_bytes(data)
    assert s3c.cid(s3.get_object(Bucket=bucket, Key="k")) == cid.of_bytes(data)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key)[:40])
def test_s2_every_key_is_kept_as_it_is(s3, bucket, key):
    data = key.encode()
    s3.put_object(Bucket=bucket, Key=key, Body=data)
    assert s3c.body(s3, bucket, key) == data
    assert s3c.keys(s3, bucket) == [key]
    s3.delete_object(Bucket=bucket, Key=key)
    assert s3c.absent(s3, bucket, key)
    assert s3c.keys(s3, bucket) == []


@pytest.mark.parametrize("key", ODD_KEYS)
def test_s2_keys_with_odd_components(raw, s3, bucket, key):
    """By hand, for SDKs tidy such paths up before they sign them."""
    path = f"/{bucket}/{encode(key)}"
    assert raw.request("PUT", path, body=b"odd").status == 200
    got = raw.request("GET", path)
    assert (got.status, got.body) == (200, b"odd")
    assert s3c.keys(s3, bucket) == [key]
    assert raw.request("DELETE", path).status == 204
    assert raw.request("GET", path).code == "NoSuchKey"
    assert s3c.keys(s3, bucket) == []


def test_s2_object_and_directory_of_one_name(s3, bucket):
    for key in ("a", "a/", "a/b", "a/b/", "a/b/c", "a//b"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3c.keys(s3, bucket) == ["a", "a/", "a//b", "a/b", "a/b/", "a/b/c"]
    s3.delete_object(Bucket=bucket, Key="a")
    assert s3c.absent(s3, bucket, "a")
    for key in ("a/", "a/b", "a/b/", "a/b/c", "a//b"):
        assert s3c.body(s3, bucket, key) == key.encode(), key
    s3.delete_object(Bucket=bucket, Key="a/b")
    assert s3c.keys(s3, bucket) == ["a/", "a//b", "a/b/", "a/b/c"]


def test_s3_marker_objects(s3, bucket):
    s3.put_object(Bucket=bucket, Key="dir/", Body=b"")
    head = s3.head_object(Bucket=bucket, Key="dir/")
    assert head["ContentLength"] == 0 and s3c.etag(head) == md5(b"")
    assert s3c.absent(s3, bucket, "dir"), "dir/ is not dir"
    s3.put_object(Bucket=bucket, Key="dir/", Body=b"content", ContentType="text/plain", Metadata={"a": "b"})
    got = s3.get_object(Bucket=bucket, Key="dir/")
    assert got["Body"].read() == b"content"
    assert got["ContentType"] == "text/plain" and got["Metadata"] == {"a": "b"}
    s3.put_object(Bucket=bucket, Key="dir/x", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="dir/")
    assert s3c.keys(s3, bucket) == ["dir/x"]
    assert s3c.absent(s3, bucket, "dir/")


def test_s3_last_key_takes_implicit_directories_along(s3, bucket):
    s3.put_object(Bucket=bucket, Key="i/m/p/licit", Body=b"x")
    s3.put_object(Bucket=bucket, Key="e/", Body=b"")
    s3.put_object(Bucket=bucket, Key="e/x", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="i/m/p/licit")
    s3.delete_object(Bucket=bucket, Key="e/x")
    assert s3c.keys(s3, bucket) == ["e/"]


def test_s7_put_replaces_everything(s3, bucket):
    s3.put_object(
        Bucket=bucket, Key="k", Body=b"old" * 1000, ContentType="text/plain", CacheControl="no-cache",
        Metadata={"old": "1"}, Tagging="old=1",
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"new", Metadata={"new": "2"})
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"new"
    assert got["Metadata"] == {"new": "2"}
    assert "CacheControl" not in got
    assert got["ContentType"] == "binary/octet-stream"
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert s3c.etag(got) == md5(b"new")


def test_headers_and_metadata_travel(s3, bucket):
    sent = {
        "ContentType": "text/html; charset=utf-8", "ContentEncoding": "gzip", "ContentLanguage": "de",
        "ContentDisposition": 'attachment; filename="x.html"', "CacheControl": "max-age=3600",
        "Metadata": {"one": "1", "two-words": "a b  c", "mixed": "Case Kept"},
    }
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires=expires, **sent)
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        for name in ("ContentType", "ContentEncoding", "ContentLanguage", "ContentDisposition", "CacheControl"):
            assert answer[name] == sent[name]
        assert answer["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"
        assert {k: " ".join(v.split()) for k, v in answer["Metadata"].items()} == {
            "one": "1", "two-words": "a b c", "mixed": "Case Kept",
        }


def test_metadata_that_is_not_ascii(raw, s3, bucket):
    """Bytes of UTF-8, or RFC 2047's two forms: all are the same text, and come back in the form that SDKs decode."""
    path, text = f"/{bucket}/k", "gr\u00fcn \u2603"
    encoded = "=?UTF-8?B?Z3LDvG4g4piD?="
    for value in (text, encoded, "=?UTF-8?Q?gr=C3=BCn_=E2=98=83?="):
        signed = raw.signer().headers("PUT", raw.authority, path, headers={"x-amz-meta-colour": value})
        answer = raw.send("PUT", path, {k: v.encode() for k, v in signed.items()})
        assert answer.status == 200, answer.body
        for call in (s3.head_object, s3.get_object):
            shown = call(Bucket=bucket, Key="k")["Metadata"]["colour"]
            assert str(make_header(decode_header(shown))) == text, (value, shown)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"]["colour"] == encoded


def test_aws_chunked_is_not_part_of_the_content_encoding(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100, ContentEncoding="gzip", ChecksumAlgorithm="CRC32")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"] == "gzip"
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100, ChecksumAlgorithm="CRC32")
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")


def test_get_overrides_headers(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    got = s3.get_object(
        Bucket=bucket, Key="k", ResponseContentType="image/png", ResponseContentDisposition="attachment",
        ResponseCacheControl="no-store", ResponseContentEncoding="br", ResponseContentLanguage="fr",
    )
    assert got["ContentType"] == "image/png"
    assert got["ContentDisposition"] == "attachment"
    assert got["CacheControl"] == "no-store"
    assert got["ContentEncoding"] == "br"
    assert got["ContentLanguage"] == "fr"
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/plain"


def test_a_key_that_is_not_there(s3, bucket):
    with refused("NoSuchKey", status=404):
        s3.get_object(Bucket=bucket, Key="none")
    with refused("404", status=404):
        s3.head_object(Bucket=bucket, Key="none")
    s3.put_object(Bucket=bucket, Key="d/x", Body=b"x")
    with refused("NoSuchKey", status=404):
        s3.get_object(Bucket=bucket, Key="d")
    with refused("NoSuchKey", status=404):
        s3.get_object(Bucket=bucket, Key="d/")
    with refused("NoSuchKey", status=404):
        s3.get_object(Bucket=bucket, Key="d/x/y")


def test_delete_is_idempotent(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(3):
        assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.delete_object(Bucket=bucket, Key="never/was")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_delete_objects(s3, bucket):
    keys = [f"d/{i:04}" for i in range(1000)]
    for key in keys[::10]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.put_object(Bucket=bucket, Key="stays", Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys]})
    assert sorted(d["Key"] for d in answer["Deleted"]) == keys
    assert "Errors" not in answer
    assert s3c.keys(s3, bucket) == ["stays"]


def test_delete_objects_quiet_and_odd_keys(s3, bucket):
    keys = ["a&b", "<x>", "caf\u00e9", "a//b", "a/", "a", "a/b"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys], "Quiet": True})
    assert "Deleted" not in answer and "Errors" not in answer
    assert s3c.keys(s3, bucket) == []


def test_delete_objects_takes_a_thousand_at_most(s3, bucket):
    with refused("MalformedXML", status=400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": str(i)} for i in range(1001)]})


def test_last_modified_moves_on(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1") and s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    assert s3.head_object(Bucket=bucket, Key="k")["LastModified"] >= first


def test_every_answer_has_a_request_id(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    second = s3.head_object(Bucket=bucket, Key="k")
    ids = [s3c.header(a, "x-amz-request-id") for a in (first, second)]
    assert all(ids), ids
    assert ids[0] != ids[1]
