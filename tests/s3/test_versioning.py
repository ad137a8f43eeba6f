"""Versions: kept at PUT and DELETE, listed, read, restored, deleted; what the client sees of them."""

import pytest

from harness import s3 as s3c
from harness.s3 import refused


def denied(call, code, status):
    """The error of a call that must be refused so."""
    with refused(code, status=status) as caught:
        call()
    return caught.value


def enable(s3, bucket, status="Enabled"):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put(s3, bucket, body, key="k"):
    return s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId")


def listed(s3, bucket, **arguments):
    """(key, version, latest, whether a marker) of all, page by page."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **arguments):
        found += [(v["Key"], v["VersionId"], v["IsLatest"], False) for v in page.get("Versions", [])]
        found += [(m["Key"], m["VersionId"], m["IsLatest"], True) for m in page.get("DeleteMarkers", [])]
    return sorted(found)


def test_the_state_of_a_bucket(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended", "Enabled"):
        enable(s3, bucket, status)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status
    denied(lambda: enable(s3, bucket, "Off"), "MalformedXML", 400)


def test_versions_are_kept_read_and_deleted(s3, bucket):
    assert put(s3, bucket, b"null") is None
    enable(s3, bucket)
    one, two = put(s3, bucket, b"one"), put(s3, bucket, b"two")
    assert len({one, two, "null"}) == 3
    for version, body in [("null", b"null"), (one, b"one"), (two, b"two")]:
        answer = s3.get_object(Bucket=bucket, Key="k", VersionId=version)
        assert (answer["Body"].read(), answer["VersionId"]) == (body, version)
        assert s3.head_object(Bucket=bucket, Key="k", VersionId=version)["ContentLength"] == len(body)
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == two
    deleted = s3.delete_object(Bucket=bucket, Key="k")
    marker = deleted["VersionId"]
    assert deleted["DeleteMarker"] and marker not in (one, two)
    assert s3c.keys(s3, bucket) == []
    error = denied(lambda: s3.get_object(Bucket=bucket, Key="k"), "NoSuchKey", 404)
    headers = error.response["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == ("true", marker)
    denied(lambda: s3.get_object(Bucket=bucket, Key="k", VersionId=marker), "MethodNotAllowed", 405)
    expected = [("k", one, False, False), ("k", two, False, False), ("k", "null", False, False), ("k", marker, True, True)]
    assert listed(s3, bucket) == sorted(expected)
    # Deleting the marker brings the newest back; deleting that, the one before.
    assert s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)["DeleteMarker"]
    assert s3c.body(s3, bucket, "k") == b"two"
    assert "DeleteMarker" not in s3.delete_object(Bucket=bucket, Key="k", VersionId=two)
    assert s3c.body(s3, bucket, "k") == b"one"
    # Restored by copying a version over the current one.
    copied = s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": "null"})
    assert (copied["CopySourceVersionId"], s3c.body(s3, bucket, "k")) == ("null", b"null")
    assert copied["VersionId"] != "null"


def test_a_suspended_bucket_has_one_null_version(s3, bucket):
    enable(s3, bucket)
    one = put(s3, bucket, b"one")
    enable(s3, bucket, "Suspended")
    assert put(s3, bucket, b"null 1") is None
    assert put(s3, bucket, b"null 2") is None
    assert listed(s3, bucket) == sorted([("k", one, False, False), ("k", "null", True, False)])
    assert s3c.body(s3, bucket, "k") == b"null 2"
    assert s3.delete_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    assert listed(s3, bucket) == sorted([("k", one, False, False), ("k", "null", True, True)])


def test_ids_that_name_nothing(s3, bucket):
    enable(s3, bucket)
    put(s3, bucket, b"x")
    unknown = "01BX5ZZKBKACTAV9WEVGEMMVRZ"
    denied(lambda: s3.get_object(Bucket=bucket, Key="k", VersionId=unknown), "NoSuchVersion", 404)
    denied(lambda: s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=unknown), "NoSuchVersion", 404)
    for bad in ("nonsense", "../../etc/passwd"):
        for call in (s3.get_object, s3.delete_object, s3.get_object_tagging):
            denied(lambda call=call, bad=bad: call(Bucket=bucket, Key="k", VersionId=bad), "InvalidArgument", 400)
    # Deleting what is not there is no error, as on AWS.
    s3.delete_object(Bucket=bucket, Key="k", VersionId=unknown)
    assert s3c.body(s3, bucket, "k") == b"x"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_versions_in_pages(s3, bucket, size):
    enable(s3, bucket)
    for n in range(4):
        for key in ("a", "a/b", "a/c", "b"):
            put(s3, bucket, str(n).encode(), key)
    s3.delete_object(Bucket=bucket, Key="a/b")
    everything = listed(s3, bucket)
    assert len(everything) == 17
    paged = listed(s3, bucket, PaginationConfig={"PageSize": size})
    assert paged == everything
    assert listed(s3, bucket, Prefix="a/", PaginationConfig={"PageSize": size}) == [v for v in everything if v[0] > "a/"
                                                                                 and v[0] < "a0"]
    page = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a/"]
    assert {v["Key"] for v in page["Versions"]} == {"a", "b"}


def test_tags_and_attributes_of_a_version(s3, bucket):
    enable(s3, bucket)
    old = put(s3, bucket, b"old")
    put(s3, bucket, b"newer")
    tags = {"TagSet": [{"Key": "a", "Value": "1"}]}
    s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=old, Tagging=tags)
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=old)["TagSet"] == tags["TagSet"]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    sizes = s3.get_object_attributes(Bucket=bucket, Key="k", VersionId=old, ObjectAttributes=["ObjectSize"])
    assert (sizes["ObjectSize"], sizes["VersionId"]) == (3, old)


def test_deletes_of_many_versions(s3, bucket):
    enable(s3, bucket)
    old, new = put(s3, bucket, b"old"), put(s3, bucket, b"new")
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": old}, {"Key": "k"}, {"Key": "none"}]}
    )
    assert len(answer["Deleted"]) == 3 and "Errors" not in answer
    made = [d for d in answer["Deleted"] if d["DeleteMarker"]]
    assert {d["Key"] for d in made} == {"k", "none"} and all(d["DeleteMarkerVersionId"] for d in made)
    assert ("k", new, False, False) in listed(s3, bucket) and old not in {v[1] for v in listed(s3, bucket)}


def test_a_bucket_with_versions_is_not_empty(s3, bucket):
    enable(s3, bucket)
    version = put(s3, bucket, b"x")
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    error = denied(lambda: s3.delete_bucket(Bucket=bucket), "BucketNotEmpty", 409)
    assert "all versions" in error.response["Error"]["Message"]
    for known in (version, marker):
        s3.delete_object(Bucket=bucket, Key="k", VersionId=known)
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
