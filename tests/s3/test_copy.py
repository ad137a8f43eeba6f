"""CopyObject."""

import pytest

from harness import s3 as s3c
from harness import settings, sums
from harness.data import composite_etag, md5, noise
from harness.s3 import refused

DATA = noise(3 * settings.MIB + 5, "copy")


@pytest.fixture
def source(s3, bucket):
    s3.put_object(
        Bucket=bucket, Key="from", Body=DATA, ContentType="text/plain", CacheControl="no-cache", Metadata={"a": "1"},
        Tagging="t=1",
    )
    return {"Bucket": bucket, "Key": "from"}


def tags(s3, bucket, key):
    return {t["Key"]: t["Value"] for t in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


def test_copies_everything(s3, bucket, source):
    answer = s3.copy_object(Bucket=bucket, Key="to/copy", CopySource=source)["CopyObjectResult"]
    got = s3.get_object(Bucket=bucket, Key="to/copy")
    assert got["Body"].read() == DATA
    assert s3c.etag(answer) == s3c.etag(got) == md5(DATA)
    assert got["ContentType"] == "text/plain" and got["CacheControl"] == "no-cache" and got["Metadata"] == {"a": "1"}
    assert tags(s3, bucket, "to/copy") == {"t": "1"}
    assert answer["LastModified"].replace(microsecond=0) == got["LastModified"]


def test_replaces_metadata(s3, bucket, source):
    s3.copy_object(
        Bucket=bucket, Key="to", CopySource=source, MetadataDirective="REPLACE", ContentType="image/png", Metadata={"b": "2"},
    )
    head = s3.head_object(Bucket=bucket, Key="to")
    assert head["ContentType"] == "image/png" and head["Metadata"] == {"b": "2"}
    assert "CacheControl" not in head
    assert tags(s3, bucket, "to") == {"t": "1"}


def test_replaces_tags(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, TaggingDirective="REPLACE", Tagging="u=2&v=3")
    assert tags(s3, bucket, "to") == {"u": "2", "v": "3"}
    assert s3.head_object(Bucket=bucket, Key="to")["Metadata"] == {"a": "1"}


def test_onto_itself(s3, bucket, source):
    with refused("InvalidRequest", status=400):
        s3.copy_object(Bucket=bucket, Key="from", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="from", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "1"})
    got = s3.get_object(Bucket=bucket, Key="from")
    assert got["Body"].read() == DATA and got["Metadata"] == {"new": "1"}


def test_between_buckets(s3, bucket, source):
    other = s3c.fresh_name()
    s3.create_bucket(Bucket=other)
    s3.copy_object(Bucket=other, Key="to", CopySource=source)
    s3.delete_object(**source)
    assert s3c.body(s3, other, "to") == DATA


def test_source_as_a_header(raw, s3, bucket):
    """With and without the leading slash, encoded as clients encode it."""
    s3.put_object(Bucket=bucket, Key="d/caf\u00e9 +%", Body=b"x")
    for said in (f"/{bucket}/d/caf%C3%A9%20%2B%25", f"{bucket}/d/caf%C3%A9%20%2B%25", f"{bucket}/d%2Fcaf%C3%A9%20%2B%25"):
        answer = raw.request("PUT", f"/{bucket}/to", headers={"x-amz-copy-source": said})
        assert answer.status == 200, (said, answer.body)
        assert s3c.body(s3, bucket, "to") == b"x"
        s3.delete_object(Bucket=bucket, Key="to")


def test_a_plus_in_the_source_is_a_space(raw, s3, bucket):
    """As in a form: s5cmd encodes spaces so. A plus comes as `%2B`."""
    for key in ("a b", "a+b"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for source, key in (("a+b", "a b"), ("a%20b", "a b"), ("a%2Bb", "a+b")):
        answer = raw.request("PUT", f"/{bucket}/copied", headers={"x-amz-copy-source": f"{bucket}/{source}"})
        assert answer.status == 200, answer.body
        assert s3c.body(s3, bucket, "copied") == key.encode()


def test_a_source_that_is_not_there(s3, bucket):
    with refused("NoSuchKey", status=404):
        s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "none"})
    with refused("NoSuchBucket", status=404):
        s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": s3c.fresh_name("none"), "Key": "k"})
    assert s3c.absent(s3, bucket, "to")


def test_a_bad_source(raw, bucket):
    for said in ("nobucketkey", "/"):
        answer = raw.request("PUT", f"/{bucket}/to", headers={"x-amz-copy-source": said})
        assert answer.status in (400, 404), (said, answer.status)
        assert answer.code, answer.body


def test_conditional_writes_on_copies(s3, bucket, source):
    s3.put_object(Bucket=bucket, Key="to", Body=b"old")
    with refused("PreconditionFailed", status=412):
        s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfNoneMatch="*")
    assert s3c.body(s3, bucket, "to") == b"old"


@pytest.mark.parametrize("algorithm", sorted(sums.RAW))
def test_a_copy_with_another_checksum(s3, bucket, source, upload, algorithm):
    """Of a plain object and of one made of parts with composite checksums: value, type and ETag are of the bytes."""
    parts = [noise(settings.MIN_PART, 1), noise(5, 2)]
    other = "SHA1" if algorithm != "SHA1" else "CRC32"
    up = upload("parts", ChecksumAlgorithm=other)
    for number, part in enumerate(parts, 1):
        up.part(number, part, ChecksumAlgorithm=other)
    up.complete(up.listed(with_sums=True))
    for key, data in (("from", DATA), ("parts", b"".join(parts))):
        at = {"Bucket": bucket, "Key": key}
        expected = {sums.parameter(algorithm): sums.value(algorithm, data), "ChecksumType": "FULL_OBJECT"}
        answer = s3.copy_object(Bucket=bucket, Key="to", CopySource=at, ChecksumAlgorithm=algorithm)["CopyObjectResult"]
        assert s3c.etag(answer) == md5(data)
        assert {k: v for k, v in answer.items() if k.startswith("Checksum")} == expected
        got = s3.get_object(Bucket=bucket, Key="to", ChecksumMode="ENABLED")
        assert {k: v for k, v in got.items() if k.startswith("Checksum")} == expected
        assert got["Body"].read() == data and got.get("ContentType") and s3c.etag(got) == md5(data)
    assert tags(s3, bucket, "to") == {} and tags(s3, bucket, "from") == {"t": "1"}


def test_a_copy_with_another_checksum_keeps_the_rest(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket=bucket, Key="to")
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == ("text/plain", "no-cache", {"a": "1"})
    assert tags(s3, bucket, "to") == {"t": "1"}
    for condition, value in (("CopySourceIfMatch", '"else"'), ("CopySourceIfNoneMatch", head["ETag"]), ("IfNoneMatch", "*")):
        with refused("PreconditionFailed", "304"):
            s3.copy_object(Bucket=bucket, Key="to", CopySource=source, ChecksumAlgorithm="SHA1", **{condition: value})


def test_a_copy_of_a_multipart_object(s3, bucket, upload):
    parts = [noise(settings.MIN_PART, 1), noise(5, 2)]
    up = upload("from")
    for number, part in enumerate(parts, 1):
        up.part(number, part)
    up.complete()
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from"})
    got = s3.get_object(Bucket=bucket, Key="to")
    whole = b"".join(parts)
    assert got["Body"].read() == whole
    assert s3c.etag(got) in (md5(whole), composite_etag(parts)), "the MD5 as AWS gives it, or the multipart ETag kept"
