"""Lifecycle rules: AWS's form and words, and a node whose days last a second."""

from datetime import UTC, datetime, timedelta

import pytest

from harness import s3 as s3c
from harness.node import Node
from harness.s3 import refused
from harness.wait import until

EXPIRE = {"Expiration": {"Days": 1}}


def rule(name="r", prefix="", **what):
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}} | what


def put(s3, bucket, *rules):
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def test_rules_come_back_as_they_were_sent(s3, bucket):
    with refused("NoSuchLifecycleConfiguration", status=404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    midnight = datetime(2040, 5, 1, tzinfo=UTC)
    both = {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": 5, "ObjectSizeLessThan": 9}
    rules = [
        rule("days", "logs/", **EXPIRE),
        rule("date", Expiration={"Date": midnight}),
        rule("many", **EXPIRE) | {"Filter": {"And": both}, "Status": "Disabled"},
        rule("tag", **EXPIRE) | {"Filter": {"Tag": {"Key": "k", "Value": "v"}}},
        rule("marker", Expiration={"ExpiredObjectDeleteMarker": True}),
        rule("old", NoncurrentVersionExpiration={"NoncurrentDays": 3, "NewerNoncurrentVersions": 2}),
        rule("up", "up/", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
        {"ID": "older form", "Status": "Enabled", "Prefix": "p"} | EXPIRE,
    ]
    put(s3, bucket, *rules)
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    put(s3, bucket, {k: v for k, v in rules[0].items() if k != "ID"})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"]
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with refused("NoSuchLifecycleConfiguration", status=404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    s3.delete_bucket_lifecycle(Bucket=bucket)


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ({}, "InvalidRequest", "At least one action needs to be specified in a rule"),
        ({"Expiration": {"Days": 0}}, "InvalidArgument", "'Days' for Expiration action must be a positive integer"),
        ({"Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}, "MalformedXML", "not well-formed"),
        ({"Expiration": {"Date": datetime(2040, 1, 1, 5, tzinfo=UTC)}}, "InvalidArgument", "'Date' must be at midnight GMT"),
        ({"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]} | EXPIRE, "NotImplemented", "one storage class"),
        ({"Status": "On"} | EXPIRE, "MalformedXML", "not well-formed"),
        ({"ID": "r" * 256} | EXPIRE, "InvalidArgument", "ID length should not exceed allowed limit of 255"),
    ],
)
def test_rules_that_are_none(s3, bucket, what, code, words):
    with refused(code) as caught:
        put(s3, bucket, rule() | what)
    assert words in caught.value.response["Error"]["Message"]
    with refused("InvalidArgument"):
        put(s3, bucket, rule(**EXPIRE), rule(**EXPIRE))


def test_when_an_object_goes_is_said(s3, bucket, upload):
    put(s3, bucket, rule("a b", "logs/", Expiration={"Days": 2}))
    then = (datetime.now(UTC) + timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    said = f"expiry-date=\"{then:%a, %d %b %Y} 00:00:00 GMT\", rule-id=\"a%20b\""
    assert s3.put_object(Bucket=bucket, Key="logs/x", Body=b"1")["Expiration"] == said
    assert s3.head_object(Bucket=bucket, Key="logs/x")["Expiration"] == said
    assert s3.get_object(Bucket=bucket, Key="logs/x")["Expiration"] == said
    copied = s3.copy_object(Bucket=bucket, Key="logs/y", CopySource=f"{bucket}/logs/x")
    assert copied["Expiration"] == said
    whole = upload("logs/z")
    whole.part(1, b"z")
    assert whole.complete()["Expiration"] == said
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="other", Body=b"1")


@pytest.fixture(scope="module")
def quick():
    """A node whose days last a second, and which looks every 200 ms."""
    env = {"PINFOLD_LIFECYCLE_DAY": "1s", "PINFOLD_LIFECYCLE_INTERVAL": "200ms"}
    with Node("lifecycle", mount=False, env=env) as node:
        yield node


def test_what_is_due_goes(quick):
    s3, bucket = s3c.client(quick.endpoint), s3c.fresh_name("cycle")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="keep/x", Body=b"1")
    s3.put_object(Bucket=bucket, Key="go/x", Body=b"1")
    s3.put_object(Bucket=bucket, Key="tagged", Body=b"1", Tagging="state=done")
    s3.create_multipart_upload(Bucket=bucket, Key="up/x")
    put(
        s3, bucket, rule("go", "go/", **EXPIRE), rule("tag", **EXPIRE) | {"Filter": {"Tag": {"Key": "state", "Value": "done"}}},
        rule("up", "up/", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    )
    until(lambda: s3c.keys(s3, bucket) == ["keep/x"], "two objects are gone")
    until(lambda: not s3.list_multipart_uploads(Bucket=bucket).get("Uploads"), "the upload is ended")
    assert quick.metric('pinfold_store_lifecycle_removed_total{what="object"}') == 2
    assert quick.metric('pinfold_store_lifecycle_removed_total{what="upload"}') == 1


def test_versions_markers_and_locks(quick):
    s3, bucket = s3c.client(quick.endpoint), s3c.fresh_name("cycle")
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    locked = s3.put_object(Bucket=bucket, Key="locked", Body=b"1", ObjectLockLegalHoldStatus="ON")["VersionId"]
    s3.put_object(Bucket=bucket, Key="free", Body=b"1")
    put(s3, bucket, rule("all", NoncurrentVersionExpiration={"NoncurrentDays": 1}, **EXPIRE))

    def left():
        page = s3.list_object_versions(Bucket=bucket)
        versions = [(v["Key"], v["VersionId"]) for v in page.get("Versions", [])]
        return versions, [m["Key"] for m in page.get("DeleteMarkers", [])]

    # A marker that hides nothing goes by the same rule.
    until(lambda: left() == ([("locked", locked)], ["locked"]), "only what is locked is left")
    s3.put_object_legal_hold(Bucket=bucket, Key="locked", VersionId=locked, LegalHold={"Status": "OFF"})
    until(lambda: left() == ([], []), "all is gone")
