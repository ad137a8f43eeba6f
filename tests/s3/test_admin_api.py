"""VersityGW's admin API: signed PATCH requests on the S3 endpoint, as `versitygw admin` sends them."""

import xml.etree.ElementTree as ET

import pytest

from harness import accounts, settings
from harness import s3 as s3c
from harness.accounts import document
from harness.rawhttp import Raw
from harness.s3 import refused

pytestmark = pytest.mark.pinfold


def users(raw):
    """name → fields, of `list-users`."""
    answer = raw.request("PATCH", "/list-users")
    assert answer.status == 200, answer.body
    root = ET.fromstring(answer.body)
    assert root.tag == "ListUserAccountsResult"
    found = [{field.tag: field.text for field in user} for user in root.findall("Accounts")]
    return {user["Access"]: user for user in found}


def test_an_account_from_its_creation_to_its_end(server, raw):
    made = accounts.make(server, raw, "userplus", UserID=1000, GroupID=1001, ProjectID=7)
    assert users(raw)[made.name] == {
        "Access": made.name, "Secret": made.secret, "Role": "userplus", "UserID": "1000", "GroupID": "1001",
        "ProjectID": "7",
    }
    again = raw.request("PATCH", "/create-user", body=document(Access=made.name, Secret="s", Role="user"))
    assert (again.status, again.code) == (409, "XAdminUserExists")
    bucket = s3c.fresh_name("theirs")
    made.s3.create_bucket(Bucket=bucket)

    at = [("access", made.name)]
    changed = raw.request("PATCH", "/update-user", at, body=b"<MutableProps><Secret>another</Secret></MutableProps>")
    assert changed.status == 200
    assert made.raw.request("GET", f"/{bucket}").code == "SignatureDoesNotMatch"
    made.raw.secret = "another"
    assert made.raw.request("GET", f"/{bucket}").status == 200
    body = b"<MutableProps><Role>user</Role><UserID>5</UserID></MutableProps>"
    assert raw.request("PATCH", "/update-user", at, body=body).status == 200
    now = users(raw)[made.name]
    assert (now["Role"], now["UserID"], now["GroupID"], now["Secret"]) == ("user", "5", "1001", "another")
    assert made.raw.request("PUT", f"/{s3c.fresh_name()}").code == "AccessDenied"

    for _ in range(2):
        assert raw.request("PATCH", "/delete-user", at).status == 200
    assert made.name not in users(raw)
    assert made.raw.request("GET", f"/{bucket}").code == "InvalidAccessKeyId"


def test_what_is_wrong_is_said_as_versitygw_says_it(raw):
    for target, params, body, status, code in [
        ("/create-user", [], document(Access="x1", Secret="s", Role="king"), 400, "XAdminInvalidArgument"),
        ("/create-user", [], document(Access="", Secret="s", Role="user"), 400, "XAdminInvalidArgument"),
        ("/create-user", [], document(Access="a/b", Secret="s", Role="user"), 400, "XAdminInvalidArgument"),
        ("/create-user", [], document(Access="x2", Secret="", Role="user"), 400, "XAdminInvalidArgument"),
        ("/create-user", [], b"<Account>", 400, "MalformedXML"),
        ("/create-user", [], document(Access="x3", Secret="s", Role="user", UserID=-1), 400, "MalformedXML"),
        ("/create-user", [], document(Access=settings.ROOT_ACCESS, Secret="s", Role="user"), 409, "XAdminUserExists"),
        ("/update-user", [], b"<MutableProps/>", 404, "XAdminInvalidArgument"),
        ("/update-user", [("access", "nobody-here")], b"<MutableProps/>", 404, "XAdminUserNotFound"),
        ("/update-user", [("access", "x")], b"<MutableProps><Role>king</Role></MutableProps>", 400, "XAdminInvalidArgument"),
        ("/delete-user", [], b"", 404, "XAdminInvalidArgument"),
        ("/change-bucket-owner", [("bucket", "b"), ("owner", "nobody-here")], b"", 404, "XAdminUserNotFound"),
        ("/change-bucket-owner", [("bucket", "nothing"), ("owner", settings.ROOT_ACCESS)], b"", 404, "NoSuchBucket"),
        ("/bkt/create", [], b"", 400, "XAdminInvalidRequest"),
        ("/something-else", [], b"", 405, "MethodNotAllowed"),
    ]:
        answer = raw.request("PATCH", target, params, body=body)
        assert (answer.status, answer.code) == (status, code), (target, params, body, answer.body)
    assert not {"x1", "x2", "x3", "a/b"} & set(users(raw))


def test_only_administrators(server, raw):
    for role, status in (("user", 403), ("userplus", 403), ("admin", 200)):
        account = accounts.make(server, raw, role)
        answer = account.raw.request("PATCH", "/list-users")
        assert answer.status == status, answer.body
        if status == 403:
            assert answer.code == "XAdminAccessDenied" and b"Secret" not in answer.body
            made = account.raw.request("PATCH", "/create-user", body=document(Access="evil", Secret="s", Role="admin"))
            assert made.code == "XAdminAccessDenied"
    wrong = Raw(server.host, server.port, secret="wrong")
    assert wrong.request("PATCH", "/list-users").code == "SignatureDoesNotMatch"
    assert "evil" not in users(raw)


def test_buckets_for_others(server, raw, s3):
    ann, bob = accounts.make(server, raw), accounts.make(server, raw)
    bucket = s3c.fresh_name("for")
    body = b"<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags></CreateBucketConfiguration>"
    headers = {"x-vgw-owner": ann.name, "x-amz-object-ownership": "ObjectWriter", "x-amz-grant-read": bob.name}
    answer = raw.request("PATCH", f"/{bucket}/create", headers=headers, body=body)
    assert answer.status == 201, answer.body
    ann.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3c.keys(bob.s3, bucket) == ["k"]
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "1"}]
    again = raw.request("PATCH", f"/{bucket}/create", headers={"x-vgw-owner": bob.name})
    assert (again.status, again.code) == (409, "BucketAlreadyExists")
    assert raw.request("PATCH", "/x-y-z/create", headers={"x-vgw-owner": "nobody-here"}).code == "XAdminUserNotFound"

    assert raw.request("PATCH", "/change-bucket-owner", [("bucket", bucket), ("owner", bob.name)]).status == 200
    bob.s3.put_object(Bucket=bucket, Key="of-bob", Body=b"x")
    with refused("AccessDenied"):
        ann.s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    listed = raw.request("PATCH", "/list-buckets").body.decode()
    assert f"<Buckets><Name>{bucket}</Name><Owner>{bob.name}</Owner></Buckets>" in listed
    assert bucket in [b["Name"] for b in bob.s3.list_buckets()["Buckets"]]
    assert bucket not in [b["Name"] for b in ann.s3.list_buckets()["Buckets"]]


def test_secrets_are_in_no_log(own_node):
    raw = Raw("127.0.0.1", own_node.s3_port)
    secret = "hush-" + "s3cret" * 3
    body = document(Access="quiet", Secret=secret, Role="user")
    assert raw.request("PATCH", "/create-user", body=body).status == 201
    assert raw.request("PATCH", "/create-user", body=body).status == 409
    assert raw.request("PATCH", "/create-user", body=document(Access="q2", Secret=secret, Role="king")).status == 400
    assert secret in raw.request("PATCH", "/list-users").body.decode()
    log = own_node.log_text()
    assert log and secret not in log and settings.ROOT_SECRET not in log
