"""Object tags, and GetObjectAttributes."""

import pytest

from harness import s3 as s3c
from harness import settings, sums
from harness.data import composite_etag, md5, noise
from harness.s3 import refused

PART = settings.MIN_PART


def tags(s3, bucket, key="k"):
    return {t["Key"]: t["Value"] for t in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


def put_tags(s3, bucket, pairs, key="k"):
    s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in pairs]})


def test_put_get_delete_tags(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert tags(s3, bucket) == {}
    put_tags(s3, bucket, [("a", "1"), ("b b", "caf\u00e9"), ("empty", "")])
    assert tags(s3, bucket) == {"a": "1", "b b": "caf\u00e9", "empty": ""}
    put_tags(s3, bucket, [("only", "one")])
    assert tags(s3, bucket) == {"only": "one"}
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert tags(s3, bucket) == {}
    assert s3c.body(s3, bucket, "k") == b"x"


def test_tags_do_not_change_the_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "b"})
    before = s3.head_object(Bucket=bucket, Key="k")
    put_tags(s3, bucket, [("a", "1")])
    after = s3.head_object(Bucket=bucket, Key="k")
    assert (after["ETag"], after["LastModified"], after["Metadata"]) == (before["ETag"], before["LastModified"], {"a": "b"})


def test_tagging_header(s3, raw, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b%20b=caf%C3%A9&c=")
    assert tags(s3, bucket) == {"a": "1", "b b": "caf\u00e9", "c": ""}
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["TagCount"] == 3
    bad = raw.request("PUT", f"/{bucket}/bad", headers={"x-amz-tagging": "a=1&a=2"}, body=b"x")
    assert bad.status == 400, bad.body
    assert s3c.absent(s3, bucket, "bad")


@pytest.mark.parametrize(
    "pairs",
    [[("k" * 129, "v")], [("k", "v" * 257)], [("a", "1"), ("a", "2")], [(str(i), "v") for i in range(11)]],
    ids=["long key", "long value", "twice", "eleven"],
)
def test_tags_that_are_refused(s3, bucket, pairs):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="before=1")
    with refused("InvalidTag", "BadRequest", "InvalidArgument", "MalformedXML", status=400):
        put_tags(s3, bucket, pairs)
    assert tags(s3, bucket) == {"before": "1"}


def test_tags_of_what_is_not_there(s3, bucket):
    with refused("NoSuchKey", status=404):
        tags(s3, bucket)
    with refused("NoSuchKey", status=404):
        put_tags(s3, bucket, [("a", "1")])


def attributes(s3, bucket, *names, **how):
    return s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=list(names), **how)


def test_attributes_of_a_plain_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"abc", ChecksumSHA256=sums.value("SHA256", b"abc"))
    got = attributes(s3, bucket, "ETag", "ObjectSize", "StorageClass", "Checksum")
    assert got["ETag"] == md5(b"abc"), "without quotes here"
    assert got["ObjectSize"] == 3 and got["StorageClass"] == "STANDARD"
    assert got["Checksum"]["ChecksumSHA256"] == sums.value("SHA256", b"abc")
    head = s3.head_object(Bucket=bucket, Key="k")
    assert got["LastModified"].replace(tzinfo=None) == head["LastModified"].replace(tzinfo=None)
    only = attributes(s3, bucket, "ObjectSize")
    assert "ETag" not in only and "Checksum" not in only


def test_attributes_of_parts(s3, bucket, upload):
    parts = [noise(PART, 1), noise(PART + 1, 2), noise(5, 3)]
    up = upload(ChecksumAlgorithm="SHA256")
    for number, part in enumerate(parts, 1):
        up.part(number, part, ChecksumSHA256=sums.value("SHA256", part))
    up.complete(up.listed(with_sums=True))
    got = attributes(s3, bucket, "ETag", "ObjectParts", "ObjectSize")
    assert got["ETag"] == composite_etag(parts)
    assert got["ObjectSize"] == sum(map(len, parts))
    assert got["ObjectParts"]["TotalPartsCount"] == 3
    assert [p["Size"] for p in got["ObjectParts"]["Parts"]] == [len(p) for p in parts]
    assert [p["ChecksumSHA256"] for p in got["ObjectParts"]["Parts"]] == [sums.value("SHA256", p) for p in parts]
    page = attributes(s3, bucket, "ObjectParts", MaxParts=1, PartNumberMarker=1)["ObjectParts"]
    assert [p["PartNumber"] for p in page["Parts"]] == [2]
    assert page["IsTruncated"] is True


def test_attributes_refused(s3, raw, bucket):
    with refused("NoSuchKey", status=404):
        attributes(s3, bucket, "ETag")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw.request("GET", f"/{bucket}/k", [("attributes", "")])
    assert answer.status == 400, answer.body
    answer = raw.request("GET", f"/{bucket}/k", [("attributes", "")], {"x-amz-object-attributes": "Nonsense"})
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer.body
