"""Buckets: create, list, head, delete, names, location, tags."""

import pytest

from harness import s3 as s3c
from harness.rawhttp import encode
from harness.s3 import refused


def test_s1_bucket_create_head_list_delete(s3):
    name = s3c.fresh_name()
    answer = s3.create_bucket(Bucket=name)
    assert answer["Location"] == f"/{name}"
    assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    listed = {b["Name"]: b for b in s3.list_buckets()["Buckets"]}
    assert name in listed
    assert listed[name]["CreationDate"].tzinfo is not None
    assert s3.delete_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("404", status=404):
        s3.head_bucket(Bucket=name)
    assert name not in {b["Name"] for b in s3.list_buckets()["Buckets"]}


def test_buckets_are_listed_in_order(s3):
    names = sorted(s3c.fresh_name("order") for _ in range(5))
    for name in reversed(names):
        s3.create_bucket(Bucket=name)
    listed = [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert listed == sorted(listed)
    assert set(names) <= set(listed)


def test_create_twice_is_refused(s3, bucket):
    with refused("BucketAlreadyOwnedByYou", status=409):
        s3.create_bucket(Bucket=bucket)


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "UPPER-case", "under_score", "-begins", "ends-", "two..dots", "192.168.1.1", "sp ace", "caf\u00e9-name"],
)
def test_bad_bucket_names(raw, name):
    answer = raw.request("PUT", "/" + encode(name))
    assert (answer.status, answer.code) == (400, "InvalidBucketName"), answer.body


def test_a_bucket_that_is_not_there(s3):
    missing = s3c.fresh_name("missing")
    with refused("NoSuchBucket", status=404):
        s3.list_objects_v2(Bucket=missing)
    with refused("NoSuchBucket", status=404):
        s3.put_object(Bucket=missing, Key="k", Body=b"x")
    with refused("NoSuchBucket", status=404):
        s3.get_object(Bucket=missing, Key="k")
    with refused("NoSuchBucket", status=404):
        s3.delete_object(Bucket=missing, Key="k")
    with refused("NoSuchBucket", status=404):
        s3.delete_bucket(Bucket=missing)
    with refused("NoSuchBucket", status=404):
        s3.create_multipart_upload(Bucket=missing, Key="k")
    with refused("404", status=404):
        s3.head_object(Bucket=missing, Key="k")


def test_a_bucket_with_objects_is_not_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="deep/er/key", Body=b"x")
    with refused("BucketNotEmpty", status=409):
        s3.delete_bucket(Bucket=bucket)
    assert s3c.body(s3, bucket, "deep/er/key") == b"x"
    s3.delete_object(Bucket=bucket, Key="deep/er/key")
    s3.delete_bucket(Bucket=bucket)


def test_a_new_bucket_of_the_same_name_is_empty(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="a/b")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert s3c.keys(s3, bucket) == []


def test_buckets_in_pages(s3):
    prefix = s3c.fresh_name("page")
    names = [f"{prefix}-{i}" for i in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    seen, token = [], {}
    while True:
        page = s3.list_buckets(Prefix=prefix, MaxBuckets=2, **token)
        assert len(page["Buckets"]) <= 2 and page["Owner"]["ID"]
        seen += [b["Name"] for b in page["Buckets"]]
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert seen == names
    assert s3.list_buckets(Prefix=prefix, BucketRegion="us-east-1")["Buckets"][0]["BucketRegion"] == "us-east-1"
    assert s3.list_buckets(Prefix=prefix, BucketRegion="eu-west-1")["Buckets"] == []


@pytest.mark.pinfold
def test_expected_owners(s3, bucket):
    """A guard against somebody else's bucket: the owner is the access key."""
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner=owner)
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="l", CopySource=source, ExpectedSourceBucketOwner=owner)
    for call in (
        lambda: s3.put_object(Bucket=bucket, Key="m", Body=b"x", ExpectedBucketOwner="somebody"),
        lambda: s3.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner="somebody"),
        lambda: s3.copy_object(Bucket=bucket, Key="m", CopySource=source, ExpectedSourceBucketOwner="somebody"),
    ):
        with refused("AccessDenied", status=403):
            call()
    assert s3c.keys(s3, bucket) == ["k", "l"]


def test_bucket_location(s3, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] in (None, "us-east-1")


def test_bucket_tags(s3, bucket):
    with refused("NoSuchTagSet", status=404):
        s3.get_bucket_tagging(Bucket=bucket)
    tags = [{"Key": "team", "Value": "storage"}, {"Key": "stage", "Value": ""}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    got = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert sorted(got, key=str) == sorted(tags, key=str)
    s3.delete_bucket_tagging(Bucket=bucket)
    with refused("NoSuchTagSet", status=404):
        s3.get_bucket_tagging(Bucket=bucket)


def test_what_is_not_offered_says_so(s3, bucket):
    """No operation may pretend: what this node does not do is 501, never an empty 200."""
    with refused("NotImplemented", status=501):
        s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
