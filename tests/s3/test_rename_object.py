"""RenameObject: one record, conditions on both keys, versions and locks."""

from datetime import UTC, datetime, timedelta

from harness import s3 as s3c
from harness.s3 import refused


def rename(s3, bucket, source, key, **how):
    s3.rename_object(Bucket=bucket, Key=key, RenameSource=source, **how)


def test_an_object_moves_whole(s3, bucket):
    how = {"Metadata": {"a": "b"}, "ContentType": "text/x-mine", "Tagging": "k=v"}
    s3.put_object(Bucket=bucket, Key="from/here", Body=b"mine", **how)
    before = s3.head_object(Bucket=bucket, Key="from/here")
    rename(s3, bucket, "from/here", "to/there/a b")
    assert s3c.keys(s3, bucket) == ["to/there/a b"]
    after = s3.head_object(Bucket=bucket, Key="to/there/a b")
    for name in ("ETag", "Metadata", "ContentType", "LastModified", "TagCount", "ContentLength"):
        assert after.get(name) == before.get(name), name
    rename(s3, bucket, f"/{bucket}/to/there/a%20b", "x")
    s3.put_object(Bucket=bucket, Key="y", Body=b"replaced")
    rename(s3, bucket, f"{bucket}/x", "y")
    assert s3c.keys(s3, bucket) == ["y"] and s3c.body(s3, bucket, "y") == b"mine"
    rename(s3, bucket, "y", "y")
    assert s3c.body(s3, bucket, "y") == b"mine"


def test_a_key_beside_a_directory_of_its_name(s3, bucket):
    for key in ("a", "a/b", "c/d"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    rename(s3, bucket, "a", "c")
    assert s3c.keys(s3, bucket) == ["a/b", "c", "c/d"]
    assert s3c.body(s3, bucket, "c") == b"a"
    rename(s3, bucket, "c", "a")
    assert s3c.keys(s3, bucket) == ["a", "a/b", "c/d"]


def test_conditions_on_both_keys(s3, bucket):
    tag = s3.put_object(Bucket=bucket, Key="from", Body=b"1")["ETag"]
    other = s3.put_object(Bucket=bucket, Key="to", Body=b"2")["ETag"]
    later = datetime.now(UTC) + timedelta(hours=1)
    for how in (
        {"DestinationIfNoneMatch": "*"}, {"DestinationIfMatch": tag}, {"SourceIfMatch": other}, {"SourceIfNoneMatch": tag},
        {"SourceIfNoneMatch": "*"}, {"SourceIfModifiedSince": later}, {"DestinationIfModifiedSince": later},
        {"SourceIfUnmodifiedSince": later - timedelta(hours=2)}, {"DestinationIfUnmodifiedSince": later - timedelta(hours=2)},
    ):
        with refused("PreconditionFailed", status=412):
            rename(s3, bucket, "from", "to", **how)
    assert s3c.keys(s3, bucket) == ["from", "to"]
    with refused("NoSuchKey", status=404):
        rename(s3, bucket, "nothing", "to")
    for source, key in (("from/", "x"), ("from", "x/")):
        with refused("InvalidRequest"):
            rename(s3, bucket, source, key)
    rename(s3, bucket, "from", "to", SourceIfMatch=tag, DestinationIfMatch=other, SourceIfUnmodifiedSince=later)
    assert s3c.keys(s3, bucket) == ["to"] and s3c.body(s3, bucket, "to") == b"1"


def test_a_rename_keeps_versions(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="from", Body=b"1")["VersionId"]
    rename(s3, bucket, "from", "to")
    assert s3.get_object(Bucket=bucket, Key="from", VersionId=version)["Body"].read() == b"1"
    page = s3.list_object_versions(Bucket=bucket)
    assert [(m["Key"], m["IsLatest"]) for m in page["DeleteMarkers"]] == [("from", True)]
    assert [(v["Key"], v["VersionId"] == version) for v in page["Versions"]] == [("from", True), ("to", False)]
