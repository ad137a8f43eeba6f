"""Bucket policies: accepted or refused in S3's words, and obeyed by every kind of request."""

import json
import re

import pytest

from harness import accounts
from harness import s3 as s3c
from harness.s3 import refused

pytestmark = pytest.mark.pinfold


@pytest.fixture(scope="module")
def ann(server, raw):
    return accounts.make(server, raw)


@pytest.fixture(scope="module")
def bob(server, raw):
    return accounts.make(server, raw)


def statement(bucket, action, who="*", effect="Allow", keys="/*", **more):
    return {"Effect": effect, "Principal": who, "Action": action, "Resource": f"arn:aws:s3:::{bucket}{keys}"} | more


def put(s3, bucket, *statements, **more):
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": statements} | more))


def test_a_policy_is_kept_as_it_was_sent(s3, bucket):
    with refused("NoSuchBucketPolicy", status=404):
        s3.get_bucket_policy(Bucket=bucket)
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement(bucket, "s3:GetObject")]}, indent=3)
    answer = s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    for _ in range(2):
        s3.delete_bucket_policy(Bucket=bucket)
        with refused("NoSuchBucketPolicy"):
            s3.get_bucket_policy(Bucket=bucket)


def test_what_is_wrong_with_a_policy_is_said(s3, bucket):
    good = statement(bucket, "s3:GetObject")
    for text, message in [
        ("nothing", "Policies must be valid JSON and the first byte must be '{'"),
        ('{"Statement": 1', "This policy contains invalid Json"),
        ("{}", "Missing required field Statement"),
        (json.dumps({"Statement": [good | {"Effect": "Maybe"}]}), "Invalid effect: Maybe"),
        (json.dumps({"Statement": [good | {"Principal": "nobody-here"}]}), "Invalid principal in policy"),
        (json.dumps({"Statement": [good | {"Action": "s3:Nothing"}]}), "Policy has invalid action"),
        (json.dumps({"Statement": [good | {"Resource": "arn:aws:s3:::other/*"}]}), "Policy has invalid resource"),
        (
            json.dumps({"Statement": [good | {"Action": "s3:ListBucket"}]}),
            "Action does not apply to any resource(s) in statement",
        ),
        (
            json.dumps({"Statement": [good | {"Condition": {"StringIs": {"aws:UserAgent": "x"}}}]}),
            "Invalid Condition type : StringIs",
        ),
    ]:
        with refused("MalformedPolicy", status=400) as caught:
            s3.put_bucket_policy(Bucket=bucket, Policy=text)
        assert caught.value.response["Error"]["Message"] == message
    with refused("NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=bucket)


def test_an_account_may_what_the_policy_says_and_no_more(s3, bucket, ann, bob):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=b")
    with refused("AccessDenied"):
        ann.s3.get_object(Bucket=bucket, Key="k")
    put(s3, bucket, statement(bucket, ["s3:GetObject", "s3:PutObject"], {"AWS": ann.name}, keys="/k*"))
    assert s3c.body(ann.s3, bucket, "k") == b"x"
    ann.s3.head_object(Bucket=bucket, Key="k")
    ann.s3.put_object(Bucket=bucket, Key="k2", Body=b"y")
    for denied in (
        lambda: bob.s3.get_object(Bucket=bucket, Key="k"),
        lambda: ann.s3.put_object(Bucket=bucket, Key="other", Body=b""),
        lambda: ann.s3.put_object(Bucket=bucket, Key="k3", Body=b"", Tagging="a=b"),
        lambda: ann.s3.get_object_tagging(Bucket=bucket, Key="k"),
        lambda: ann.s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag"]),
        lambda: ann.s3.delete_object(Bucket=bucket, Key="k"),
        lambda: ann.s3.list_objects_v2(Bucket=bucket),
        lambda: ann.s3.get_bucket_policy(Bucket=bucket),
        lambda: ann.s3.get_bucket_location(Bucket=bucket),
        lambda: ann.s3.create_multipart_upload(Bucket=bucket, Key="else"),
    ):
        with refused("AccessDenied", status=403):
            denied()
    assert s3c.keys(s3, bucket) == ["k", "k2"]
    s3.delete_bucket_policy(Bucket=bucket)
    with refused("AccessDenied"):
        ann.s3.get_object(Bucket=bucket, Key="k")


def test_a_deny_binds_the_owner_and_names_itself(s3, server, raw, ann, bob):
    bucket = s3c.fresh_name("owned")
    answer = raw.request("PATCH", f"/{bucket}/create", headers={"x-vgw-owner": ann.name})
    assert answer.status == 201, answer.body
    ann.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    put(
        ann.s3, bucket,
        statement(bucket, "s3:*", {"AWS": [ann.name, bob.name]}),
        statement(bucket, "s3:GetObject", {"AWS": "*"}, "Deny"),
    )
    for account in (ann, bob):
        with refused("AccessDenied") as caught:
            account.s3.get_object(Bucket=bucket, Key="k")
        assert caught.value.response["Error"]["Message"] == (
            f"User: {account.name} is not authorized to perform: s3:GetObject on resource: "
            f'"arn:aws:s3:::{bucket}/k" with an explicit deny in a resource-based policy'
        )
    bob.s3.put_object(Bucket=bucket, Key="k2", Body=b"y")
    assert s3c.body(s3, bucket, "k") == b"x", "an administrator may"
    ann.s3.delete_bucket_policy(Bucket=bucket)
    assert s3c.body(ann.s3, bucket, "k") == b"x"


def test_copies_need_the_source_and_deletes_are_asked_for_one_by_one(s3, bucket, ann):
    other = s3c.fresh_name("src")
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=other, Key="in", Body=b"x")
    put(s3, bucket, statement(bucket, ["s3:PutObject", "s3:DeleteObject"], ann.name, keys="/mine/*"))
    source = {"Bucket": other, "Key": "in"}
    with refused("AccessDenied"):
        ann.s3.copy_object(Bucket=bucket, Key="mine/k", CopySource=source)
    upload = ann.s3.create_multipart_upload(Bucket=bucket, Key="mine/p")["UploadId"]
    with refused("AccessDenied"):
        ann.s3.upload_part_copy(Bucket=bucket, Key="mine/p", UploadId=upload, PartNumber=1, CopySource=source)
    put(s3, other, statement(other, "s3:GetObject", ann.name, keys="/in"))
    ann.s3.copy_object(Bucket=bucket, Key="mine/k", CopySource=source)
    ann.s3.upload_part_copy(Bucket=bucket, Key="mine/p", UploadId=upload, PartNumber=1, CopySource=source)
    s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    answer = ann.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "mine/k"}, {"Key": "k"}]})
    assert [d["Key"] for d in answer["Deleted"]] == ["mine/k"]
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("k", "AccessDenied")]
    assert s3c.keys(s3, bucket) == ["k"]


def test_conditions_are_about_the_request(s3, bucket, ann):
    def allowed(condition, **more):
        put(s3, bucket, statement(bucket, "s3:ListBucket", ann.name, keys="", Condition=condition), **more)

    def may(**how):
        try:
            ann.s3.list_objects_v2(Bucket=bucket, **how)
        except ann.s3.exceptions.ClientError as e:
            assert e.response["Error"]["Code"] == "AccessDenied"
            return False
        return True

    allowed({"StringLike": {"s3:prefix": ["a/*", "b/*"]}})
    assert may(Prefix="a/x") and not may(Prefix="c") and not may()
    allowed({"NumericLessThanEquals": {"s3:max-keys": "10"}})
    assert may(MaxKeys=10) and not may(MaxKeys=11)
    allowed({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})
    assert may()
    allowed({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})
    assert not may()
    allowed({"Bool": {"aws:SecureTransport": "true"}})
    assert not may()
    allowed({"DateGreaterThan": {"aws:CurrentTime": "2100-01-01T00:00:00Z"}})
    assert not may()
    allowed({"Null": {"s3:prefix": "true"}})
    assert may() and not may(Prefix="a")
    allowed({"StringEquals": {"s3:prefix": "home/${aws:username}"}}, Version="2012-10-17")
    assert may(Prefix=f"home/{ann.name}") and not may(Prefix="home/bob")
    allowed({"StringEquals": {"aws:username": ann.name}, "StringLike": {"aws:UserAgent": "*otocore*"}})
    assert may()


def test_a_forwarded_address_is_not_believed(s3, raw, bucket, ann):
    condition = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    put(s3, bucket, statement(bucket, "s3:ListBucket", ann.name, keys="", Condition=condition))
    for name in ("x-forwarded-for", "x-real-ip", "forwarded"):
        answer = ann.raw.request("GET", f"/{bucket}", headers={name: "192.0.2.1"})
        assert (answer.status, answer.code) == (403, "AccessDenied")


def test_policy_status_says_whether_everybody_is_let_in(s3, bucket, ann):
    def public():
        return s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]

    with refused("NoSuchBucketPolicy"):
        public()
    put(s3, bucket, statement(bucket, "s3:GetObject", ann.name))
    assert not public()
    put(s3, bucket, statement(bucket, "s3:GetObject"))
    assert public()
    put(s3, bucket, statement(bucket, "s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    assert not public()


def test_names_with_dots_gain_nothing(s3, bucket, ann):
    """Whoever takes keys for paths must not be led out of what a policy allows."""
    s3.put_object(Bucket=bucket, Key="private", Body=b"x")
    put(s3, bucket, statement(bucket, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], ann.name, keys="/public/*"))
    for method, body in (("GET", b""), ("PUT", b"new"), ("DELETE", b"")):
        answer = ann.raw.request(method, f"/{bucket}/public/../private", body=body)
        assert (answer.status, answer.code) == (403, "AccessDenied"), method
    assert s3c.body(s3, bucket, "private") == b"x"


def test_the_cid_is_shown_where_a_policy_allows_it(s3, bucket, ann):
    """pinfold:ReadCid: owner and administrators always, others by a statement that names it."""
    def shown(client):
        return {
            "x-pinfold-cid" in answer["ResponseMetadata"]["HTTPHeaders"]
            for answer in (client.head_object(Bucket=bucket, Key="k"), client.get_object(Bucket=bucket, Key="k"),
                           client.put_object(Bucket=bucket, Key="other", Body=b"2"))
        }

    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert shown(s3) == {True}
    put(s3, bucket, statement(bucket, "s3:*", {"AWS": ann.name}))
    assert shown(ann.s3) == {False}
    put(s3, bucket, statement(bucket, "s3:*", {"AWS": ann.name}), statement(bucket, "pinfold:ReadCid", {"AWS": ann.name}))
    assert shown(ann.s3) == {True}
    deny = statement(bucket, "pinfold:*", {"AWS": ann.name}, effect="Deny")
    put(s3, bucket, statement(bucket, ["s3:*", "pinfold:*"], {"AWS": ann.name}), deny)
    assert shown(ann.s3) == {False}


def test_a_policy_goes_with_its_owner(s3, raw, bucket, ann, bob):
    put(s3, bucket, statement(bucket, "s3:ListBucket", bob.name, keys=""))
    assert raw.request("PATCH", "/change-bucket-owner", [("bucket", bucket), ("owner", ann.name)]).status == 200
    ann.s3.list_objects_v2(Bucket=bucket)
    with refused("AccessDenied"):
        bob.s3.list_objects_v2(Bucket=bucket)
    with refused("NoSuchBucketPolicy"):
        ann.s3.get_bucket_policy(Bucket=bucket)


def test_the_policy_survives_a_restart(own_node):
    s3 = s3c.client(own_node.endpoint)
    s3.create_bucket(Bucket="kept")
    put(s3, "kept", statement("kept", "s3:*", "*", "Deny"))
    own_node.restart()
    s3 = s3c.client(own_node.endpoint)
    assert re.search("Deny", s3.get_bucket_policy(Bucket="kept")["Policy"])
