"""Quotas of buckets: what is too much is refused over S3, whatever way it comes; the command shows what is used."""

import json

import pytest

from harness import s3 as s3c
from harness.s3 import refused

KIB = 1024


def quota(node, bucket, *args):
    done = node.cli("bucket", "quota", bucket, *args, "--json", "--data", node.data)
    return json.loads(done.stdout)


@pytest.fixture
def at(own_node):
    s3, bucket = s3c.client(own_node.endpoint), s3c.fresh_name("quota")
    s3.create_bucket(Bucket=bucket)
    return own_node, s3, bucket


def test_what_is_too_much_is_refused(at):
    node, s3, bucket = at
    s3.put_object(Bucket=bucket, Key="there", Body=b"x" * 10 * KIB)
    shown = quota(node, bucket)
    assert shown == {"bytes": None, "objects": None, "used_bytes": None, "used_objects": None}
    assert quota(node, bucket, "--bytes", "64KiB", "--objects", "3") == {
        "bytes": 64 * KIB, "objects": 3, "used_bytes": 10 * KIB, "used_objects": 1,
    }
    with refused("QuotaExceeded", status=403):
        s3.put_object(Bucket=bucket, Key="big", Body=b"x" * 60 * KIB)
    s3.put_object(Bucket=bucket, Key="there", Body=b"x" * 40 * KIB)
    with refused("QuotaExceeded", status=403):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/there")
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"x" * 30 * KIB)["ETag"]
    with refused("QuotaExceeded", status=403):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    for key in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    with refused("QuotaExceeded", status=403):
        s3.put_object(Bucket=bucket, Key="c", Body=b"")
    s3.delete_object(Bucket=bucket, Key="a")
    s3.put_object(Bucket=bucket, Key="c", Body=b"")
    assert s3c.keys(s3, bucket) == ["b", "c", "there"]
    shown = quota(node, bucket, "--objects", "none")
    assert (shown["bytes"], shown["objects"], shown["used_objects"]) == (64 * KIB, None, 3)
    node.stop()
    node.start()
    assert quota(node, bucket)["used_bytes"] == 40 * KIB
    quota(node, bucket, "--bytes", "none")
    s3.put_object(Bucket=bucket, Key="big", Body=b"x" * 60 * KIB)
    bad = node.cli("bucket", "quota", bucket, "--bytes", "lots", "--data", node.data, check=False)
    assert bad.returncode != 0 and "is not a size" in bad.stderr


def test_versions_count(at):
    node, s3, bucket = at
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    quota(node, bucket, "--bytes", "25KiB")
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 10 * KIB)["VersionId"] for _ in range(2)]
    with refused("QuotaExceeded", status=403):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 10 * KIB)
    s3.delete_object(Bucket=bucket, Key="k")
    assert quota(node, bucket)["used_bytes"] == 20 * KIB
    s3.delete_object(Bucket=bucket, Key="k", VersionId=versions[0])
    assert quota(node, bucket)["used_bytes"] == 10 * KIB
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 10 * KIB)
