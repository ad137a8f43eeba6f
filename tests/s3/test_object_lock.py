"""Object lock: what is locked stays, whoever asks; a bucket's default; what is refused in AWS's words."""

from datetime import UTC, datetime, timedelta

import pytest

from harness import s3 as s3c
from harness.s3 import refused

DAY = timedelta(days=1)


def denied(call, code, status):
    """The error of a call that must be refused so."""
    with refused(code, status=status) as caught:
        call()
    return caught.value


def soon(after=DAY):
    return (datetime.now(UTC) + after).replace(microsecond=0)


@pytest.fixture
def locked(s3):
    """A bucket with object lock, emptied at the end."""
    name = s3c.fresh_name("locked")
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    yield name
    page = s3.list_object_versions(Bucket=name)
    for version in page.get("Versions", []) + page.get("DeleteMarkers", []):
        known = {"Bucket": name, "Key": version["Key"], "VersionId": version["VersionId"]}
        if "ETag" in version:
            s3.put_object_legal_hold(**known, LegalHold={"Status": "OFF"})
        s3.delete_object(**known, BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=name)


def test_a_bucket_with_object_lock_keeps_versions(s3, locked):
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    suspend = {"Status": "Suspended"}
    denied(lambda: s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration=suspend), "InvalidBucketState", 409)
    configuration = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert configuration == {"ObjectLockEnabled": "Enabled"}


def test_governance_is_lifted_by_who_may(s3, locked):
    until = soon()
    version = s3.put_object(
        Bucket=locked, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until
    )["VersionId"]
    head = s3.head_object(Bucket=locked, Key="k")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    # A delete marker hides it; the version stays.
    marker = s3.delete_object(Bucket=locked, Key="k")["VersionId"]
    known = {"Bucket": locked, "Key": "k", "VersionId": version}
    error = denied(lambda: s3.delete_object(**known), "AccessDenied", 403)
    assert "object lock" in error.response["Error"]["Message"]
    assert s3.get_object(**known)["Body"].read() == b"x"
    s3.delete_object(Bucket=locked, Key="k", VersionId=marker)
    s3.delete_object(**known, BypassGovernanceRetention=True)
    assert s3c.keys(s3, locked) == []


def test_retention_grows_and_does_not_shrink(s3, locked):
    known = {"Bucket": locked, "Key": "k", "VersionId": s3.put_object(Bucket=locked, Key="k", Body=b"x")["VersionId"]}
    denied(lambda: s3.get_object_retention(**known), "NoSuchObjectLockConfiguration", 400)

    def retain(mode, until, **more):
        return s3.put_object_retention(**known, Retention={"Mode": mode, "RetainUntilDate": until}, **more)

    retain("GOVERNANCE", soon(2 * DAY))
    retain("GOVERNANCE", soon(3 * DAY))
    denied(lambda: retain("GOVERNANCE", soon(DAY)), "AccessDenied", 403)
    retain("GOVERNANCE", soon(DAY), BypassGovernanceRetention=True)
    assert s3.get_object_retention(**known)["Retention"]["RetainUntilDate"] <= soon(DAY)
    denied(lambda: retain("GOVERNANCE", soon(-DAY)), "InvalidArgument", 400)


def test_a_legal_hold_holds_against_everybody(s3, locked):
    known = {"Bucket": locked, "Key": "k", "VersionId": s3.put_object(Bucket=locked, Key="k", Body=b"x")["VersionId"]}
    s3.put_object_legal_hold(**known, LegalHold={"Status": "ON"})
    assert s3.head_object(Bucket=locked, Key="k")["ObjectLockLegalHoldStatus"] == "ON"
    denied(lambda: s3.delete_object(**known, BypassGovernanceRetention=True), "AccessDenied", 403)
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": [{"Key": "k", "VersionId": known["VersionId"]}]})
    assert [e["Code"] for e in answer["Errors"]] == ["AccessDenied"]
    s3.put_object_legal_hold(**known, LegalHold={"Status": "OFF"})
    assert s3.get_object_legal_hold(**known)["LegalHold"]["Status"] == "OFF"
    s3.delete_object(**known)


def test_a_default_retention_is_given_to_new_versions(s3, locked):
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}
    s3.put_object_lock_configuration(
        Bucket=locked, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]["Rule"] == rule
    s3.put_object(Bucket=locked, Key="k", Body=b"x")
    upload = s3.create_multipart_upload(Bucket=locked, Key="parts", ObjectLockLegalHoldStatus="ON")["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    s3.complete_multipart_upload(Bucket=locked, Key="parts", UploadId=upload, MultipartUpload=parts)
    for key in ("k", "parts"):
        retention = s3.get_object_retention(Bucket=locked, Key=key)["Retention"]
        assert retention["Mode"] == "GOVERNANCE"
        assert timedelta(hours=47) < retention["RetainUntilDate"] - datetime.now(UTC) <= timedelta(hours=48)
    assert s3.get_object_legal_hold(Bucket=locked, Key="parts")["LegalHold"]["Status"] == "ON"


def test_what_is_refused(s3, bucket, locked):
    def put(where, **more):
        return lambda: s3.put_object(Bucket=where, Key="k", Body=b"x", **more)

    denied(put(bucket, ObjectLockLegalHoldStatus="ON"), "InvalidRequest", 400)
    denied(put(locked, ObjectLockMode="GOVERNANCE"), "InvalidArgument", 400)
    denied(put(locked, ObjectLockMode="FOREVER", ObjectLockRetainUntilDate=soon()), "InvalidArgument", 400)
    denied(put(locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon(-DAY)), "InvalidArgument", 400)
    denied(put(locked, ObjectLockLegalHoldStatus="MAYBE"), "InvalidArgument", 400)
    configuration = {"ObjectLockEnabled": "Enabled"}
    denied(
        lambda: s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration),
        "InvalidBucketState", 409,
    )
    denied(
        lambda: s3.get_object_lock_configuration(Bucket=bucket), "ObjectLockConfigurationNotFoundError", 404
    )
    assert s3c.keys(s3, bucket) == [] == s3c.keys(s3, locked)
