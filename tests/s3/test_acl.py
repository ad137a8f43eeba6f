"""Access control lists of buckets, ownership controls and the public access block."""

import json

import pytest

from harness import accounts
from harness import s3 as s3c
from harness.s3 import refused

pytestmark = pytest.mark.pinfold
ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
EVERYBODY = {"Type": "Group", "URI": ALL}


@pytest.fixture(scope="module")
def ann(server, raw):
    return accounts.make(server, raw)


@pytest.fixture(scope="module")
def nobody(server):
    return accounts.anonymous(server)


@pytest.fixture
def listed(s3):
    """A bucket whose lists count."""
    bucket = s3c.fresh_name("acl")
    s3.create_bucket(Bucket=bucket, ObjectOwnership="BucketOwnerPreferred")
    return bucket


def grants(s3, bucket):
    """(who, what) of each grant but the owner's."""
    answer = s3.get_bucket_acl(Bucket=bucket)
    found = [(g["Grantee"].get("URI") or g["Grantee"]["ID"], g["Permission"]) for g in answer["Grants"]]
    assert found[0] == (answer["Owner"]["ID"], "FULL_CONTROL")
    return found[1:]


def test_lists_are_off_at_first(s3, bucket, ann, nobody):
    ownership = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert ownership == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    with refused("AccessControlListNotSupported", status=400):
        s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    with refused("InvalidBucketAclWithObjectOwnership", status=400):
        s3.create_bucket(Bucket=s3c.fresh_name(), ACL="public-read")
    assert grants(s3, bucket) == []
    with refused("AccessDenied"):
        nobody.list_objects_v2(Bucket=bucket)


def test_ownership_controls(s3, bucket):
    rule = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rule)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == rule
    for wrong in ([], [{"ObjectOwnership": "Mine"}], rule["Rules"] * 2):
        with refused("MalformedXML", status=400):
            s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": wrong})
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    with refused("InvalidBucketAclWithObjectOwnership"):
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=enforced)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=enforced)
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    with refused("OwnershipControlsNotFoundError", status=404):
        s3.get_bucket_ownership_controls(Bucket=bucket)


def test_a_ready_made_list(s3, listed, ann, nobody):
    s3.put_object(Bucket=listed, Key="k", Body=b"x")
    s3.put_bucket_acl(Bucket=listed, ACL="public-read")
    assert grants(s3, listed) == [(ALL, "READ")]
    for client in (ann.s3, nobody):
        assert s3c.keys(client, listed) == ["k"] and s3c.body(client, listed, "k") == b"x"
        with refused("AccessDenied"):
            client.put_object(Bucket=listed, Key="new", Body=b"")
        with refused("AccessDenied"):
            client.get_bucket_acl(Bucket=listed)
    s3.put_bucket_acl(Bucket=listed, ACL="public-read-write")
    assert grants(s3, listed) == [(ALL, "READ"), (ALL, "WRITE")]
    nobody.put_object(Bucket=listed, Key="new", Body=b"")
    for denied in (
        lambda: ann.s3.put_bucket_policy(Bucket=listed, Policy="{}"),
        lambda: ann.s3.delete_bucket(Bucket=listed),
        lambda: ann.s3.put_bucket_acl(Bucket=listed, ACL="private"),
        lambda: ann.s3.put_object(Bucket=listed, Key="t", Body=b"", Tagging="a=b"),
    ):
        with refused("AccessDenied"):
            denied()
    s3.put_bucket_acl(Bucket=listed, ACL="authenticated-read")
    assert s3c.keys(ann.s3, listed) == ["k", "new"]
    with refused("AccessDenied"):
        nobody.list_objects_v2(Bucket=listed)
    s3.put_bucket_acl(Bucket=listed, ACL="private")
    assert grants(s3, listed) == []
    with refused("AccessDenied"):
        ann.s3.list_objects_v2(Bucket=listed)


def test_grants_to_accounts(s3, listed, ann):
    s3.put_bucket_acl(Bucket=listed, GrantRead=f'id="{ann.name}", uri="{ALL}"', GrantWriteACP=ann.name)
    assert grants(s3, listed) == [(ann.name, "READ"), (ALL, "READ"), (ann.name, "WRITE_ACP")]
    got = s3.get_bucket_acl(Bucket=listed)
    policy = {"Owner": got["Owner"], "Grants": [*got["Grants"], {"Grantee": EVERYBODY, "Permission": "READ_ACP"}]}
    ann.s3.put_bucket_acl(Bucket=listed, AccessControlPolicy=policy)
    assert grants(s3, listed)[-1] == (ALL, "READ_ACP")
    s3.put_bucket_acl(Bucket=listed, GrantFullControl=ann.name)
    ann.s3.put_object(Bucket=listed, Key="k", Body=b"x")
    ann.s3.get_bucket_acl(Bucket=listed)


def test_lists_that_are_refused(s3, listed):
    owner = s3.get_bucket_acl(Bucket=listed)["Owner"]
    grant = {"Grantee": EVERYBODY, "Permission": "READ"}
    for code, how in [
        ("MissingSecurityHeader", {}),
        ("InvalidArgument", {"ACL": "everyone"}),
        ("InvalidRequest", {"ACL": "private", "GrantRead": "x"}),
        ("InvalidArgument", {"GrantRead": "id=nobody-here"}),
        ("InvalidArgument", {"GrantRead": "emailAddress=a@b.c"}),
        ("UnexpectedContent", {"ACL": "private", "AccessControlPolicy": {"Owner": owner, "Grants": [grant]}}),
        ("InvalidArgument", {"AccessControlPolicy": {"Owner": {"ID": "else"}, "Grants": [grant]}}),
        ("MalformedACLError", {"AccessControlPolicy": {"Grants": [grant]}}),
        ("MalformedACLError", {"AccessControlPolicy": {"Owner": owner, "Grants": [grant | {"Permission": "ALL"}]}}),
    ]:
        with refused(code):
            s3.put_bucket_acl(Bucket=listed, **how)
    assert grants(s3, listed) == []


def test_the_public_access_block(s3, listed, ann, nobody):
    off = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}

    def block(**on):
        s3.put_public_access_block(Bucket=listed, PublicAccessBlockConfiguration=on)
        assert s3.get_public_access_block(Bucket=listed)["PublicAccessBlockConfiguration"] == off | on

    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{listed}"}
    public = json.dumps({"Statement": [allow]})
    with refused("NoSuchPublicAccessBlockConfiguration", status=404):
        s3.get_public_access_block(Bucket=listed)
    block(BlockPublicAcls=True, BlockPublicPolicy=True)
    with refused("AccessDenied"):
        s3.put_bucket_acl(Bucket=listed, ACL="public-read")
    with refused("AccessDenied"):
        s3.put_bucket_policy(Bucket=listed, Policy=public)
    s3.put_bucket_policy(Bucket=listed, Policy=json.dumps({"Statement": [allow | {"Principal": ann.name}]}))
    s3.delete_bucket_policy(Bucket=listed)
    s3.delete_public_access_block(Bucket=listed)
    s3.put_bucket_acl(Bucket=listed, ACL="public-read")
    nobody.list_objects_v2(Bucket=listed)
    block(IgnorePublicAcls=True)
    with refused("AccessDenied"):
        nobody.list_objects_v2(Bucket=listed)
    s3.put_bucket_policy(Bucket=listed, Policy=public)
    nobody.list_objects_v2(Bucket=listed)
    block(IgnorePublicAcls=True, RestrictPublicBuckets=True)
    for client in (nobody, ann.s3):
        with refused("AccessDenied"):
            client.list_objects_v2(Bucket=listed)
    s3.list_objects_v2(Bucket=listed)


def test_a_bucket_with_list_ownership_and_tags_from_the_start(s3, raw, ann):
    bucket = s3c.fresh_name("new")
    tags = [{"Key": "a", "Value": "1"}]
    s3.create_bucket(
        Bucket=bucket, GrantRead=ann.name, ObjectOwnership="ObjectWriter", CreateBucketConfiguration={"Tags": tags}
    )
    assert grants(s3, bucket) == [(ann.name, "READ")]
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    for code, how in [
        ("InvalidTag", {"CreateBucketConfiguration": {"Tags": tags * 2}}),
        ("InvalidTag", {"CreateBucketConfiguration": {"Tags": [{"Key": "a!", "Value": ""}]}}),
        ("InvalidArgument", {"ObjectOwnership": "Mine"}),
        ("InvalidRequest", {"ACL": "private", "GrantRead": ann.name}),
    ]:
        name = s3c.fresh_name("not")
        with refused(code, status=400):
            s3.create_bucket(Bucket=name, **how)
        with refused("404"):
            s3.head_bucket(Bucket=name)
