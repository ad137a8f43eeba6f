"""Accounts in LDAP and in Vault, as VersityGW has them: each test runs before a real server of each."""

import xml.etree.ElementTree as ET

import pytest

from harness import s3 as s3c
from harness import settings
from harness.accounts import document
from harness.wait import until

pytestmark = pytest.mark.pinfold

#: Every request asks anew.
FRESH = {"PINFOLD_IAM_CACHE_DISABLE": "on"}
#: What was said is old at once, and is kept.
OLD = {"PINFOLD_IAM_CACHE_TTL": "1ms"}


def test_accounts_that_others_made_sign_by_their_roles(directory, serve):
    directory.put("alice", role="userplus", user_id=1000, group_id=1001, project_id=7)
    directory.put("bob", role="user")
    directory.put("boss", role="admin")
    with serve() as served:
        bucket = s3c.fresh_name("alices")
        alice = served.s3("alice")
        alice.create_bucket(Bucket=bucket)
        alice.put_object(Bucket=bucket, Key="k", Body=b"hers")
        assert alice.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hers"
        assert served.code("bob", target=f"/{bucket}") == "AccessDenied"
        assert served.raw("bob").request("PUT", f"/{s3c.fresh_name()}").code == "AccessDenied"
        assert served.code("boss", target=f"/{bucket}/k") == 200
        assert served.code("alice", "wrong") == "SignatureDoesNotMatch"
        assert served.code("nobody") == "InvalidAccessKeyId"
        assert alice.head_object(Bucket=bucket, Key="k")["Metadata"] is not None


@pytest.mark.parametrize("access", ["*", "al*", "alice)(pfRole=admin", "..", ".", "ALICE", "alice ", "a\\2alice", "al%69ce"])
def test_an_access_key_is_nothing_but_itself(directory, serve, access):
    directory.put("alice")
    with serve() as served:
        answer = served.raw(access).request("GET", "/")
        assert answer.code in ("InvalidAccessKeyId", "AuthorizationHeaderMalformed"), answer.body
        assert served.code("alice") == 200


def test_the_root_account_is_no_directorys(directory, serve):
    directory.put(settings.ROOT_ACCESS, secret="taken-over")
    with serve() as served:
        assert served.code(settings.ROOT_ACCESS, "taken-over") == "SignatureDoesNotMatch"
        assert served.code(settings.ROOT_ACCESS, settings.ROOT_SECRET) == 200
        made = served.root.request("PATCH", "/create-user", body=document(Access=settings.ROOT_ACCESS, Secret="s", Role="user"))
        assert made.code == "XAdminUserExists"
        assert served.root.request("PATCH", "/delete-user", [("access", settings.ROOT_ACCESS)]).status == 200
        assert directory.get(settings.ROOT_ACCESS)["secret"] == "taken-over"


def test_the_admin_api_writes_through(directory, serve):
    with serve() as served:
        root = served.root
        assert served.code("carol") == "InvalidAccessKeyId"
        body = document(Access="carol", Secret="a-secret", Role="userplus", UserID=1, GroupID=2, ProjectID=3)
        assert root.request("PATCH", "/create-user", body=body).status == 201
        assert directory.get("carol") == {
            "access": "carol", "secret": "a-secret", "role": "userplus", "user_id": "1", "group_id": "2", "project_id": "3",
        }
        assert root.request("PATCH", "/create-user", body=body).code == "XAdminUserExists"
        assert served.code("carol") == 200, "that there was none is not believed any more"
        at = [("access", "carol")]
        change = b"<MutableProps><Secret>another</Secret><Role>user</Role><UserID>9</UserID></MutableProps>"
        assert root.request("PATCH", "/update-user", at, body=change).status == 200
        stored = directory.get("carol")
        assert [stored[name] for name in ("secret", "role", "user_id", "group_id")] == ["another", "user", "9", "2"]
        assert (served.code("carol"), served.code("carol", "another")) == ("SignatureDoesNotMatch", 200)
        assert root.request("PATCH", "/update-user", [("access", "dave")], body=change).code == "XAdminUserNotFound"
        for name in ("dora", "emil", "fritz", "gerd", "hans"):
            directory.put(name)
        listed = ET.fromstring(root.request("PATCH", "/list-users").body)
        names = [user.findtext("Access") for user in listed.findall("Accounts")]
        assert names == ["carol", "dora", "emil", "fritz", "gerd", "hans"]
        for _ in range(2):
            assert root.request("PATCH", "/delete-user", at).status == 200
        assert directory.get("carol") is None
        assert served.code("carol", "another") == "InvalidAccessKeyId"


def test_the_operators_commands_write_through(directory, serve):
    with serve() as served:
        made = served.command("user", "create", "--access", "erna", "--role", "user", "--json")
        assert made.returncode == 0, made.stderr
        stored = directory.get("erna")
        assert stored["role"] == "user" and stored["secret"] in made.stdout
        assert served.code("erna", stored["secret"]) == 200
        assert "erna" in served.command("user", "list").stdout
        assert served.command("user", "delete", "erna").returncode == 0
        assert directory.get("erna") is None


def test_rights_go_with_the_account(directory, serve):
    directory.put("alice")
    with serve() as served:
        served.root.request("PUT", "/theirs")
        policy = served.node.base / "policy.json"
        policy.write_text('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}')
        attach = ("iam", "user", "put", "alice", "--policy", "all")
        assert served.command("iam", "policy", "put", "all", str(policy)).returncode == 0
        assert served.command(*attach).returncode == 0, served.command(*attach).stderr
        assert served.command("iam", "user", "put", "nobody", "--policy", "all").returncode != 0
        assert served.code("alice", target="/theirs") == 200
        assert served.root.request("PATCH", "/delete-user", [("access", "alice")]).status == 200
        directory.put("alice")
        until(lambda: served.code("alice", target="/theirs") == "AccessDenied", lambda: "the new alice has no rights", 20)


def test_what_the_directory_says_is_believed_for_its_time(directory, serve):
    directory.put("alice")
    with serve() as served:
        assert served.code("alice") == 200
        directory.change("alice", secret="another")
        assert served.code("alice") == 200, "120 s are not over"
    with serve(**FRESH) as served:
        assert (served.code("alice"), served.code("alice", "another")) == ("SignatureDoesNotMatch", 200)
        directory.remove("alice")
        assert served.code("alice", "another") == "InvalidAccessKeyId"


def test_an_outage_ends_nobody_who_is_known(directory, serve):
    directory.put("alice")
    directory.put("late")
    with serve(**OLD) as served:
        assert served.code("alice") == 200
        directory.relay.cut()
        for _ in range(5):
            assert served.code("alice") == 200
            assert served.code("late") == "ServiceUnavailable"
            assert served.code(settings.ROOT_ACCESS, settings.ROOT_SECRET) == 200
        listed = served.root.request("PATCH", "/list-users")
        assert (listed.status, listed.code) == (503, "ServiceUnavailable")
        assert served.log().count("the directory of accounts does not answer") == 1
        directory.relay.mend()
        until(lambda: served.code("late") == 200, lambda: f"it is asked again\n{served.log()}", 60)
        assert served.log().count("the directory of accounts answers again") == 1
    with serve(PINFOLD_IAM_CACHE_TTL="1ms", PINFOLD_IAM_CACHE_PRUNE="1ms") as served:
        assert served.code("alice") == 200
        directory.relay.cut()
        assert served.code("alice") == "ServiceUnavailable", "nothing old is to be taken"


def test_a_directory_that_hangs_holds_nobody_up(directory, serve):
    directory.put("alice")
    directory.put("late")
    with serve(**OLD) as served:
        assert served.code("alice") == 200
        directory.relay.hold()
        assert served.code("late") == "ServiceUnavailable"
        assert served.code("alice") == 200
        assert served.code(settings.ROOT_ACCESS, settings.ROOT_SECRET) == 200
        directory.relay.mend()
        until(lambda: served.code("late") == 200, lambda: f"it is asked again\n{served.log()}", 60)


def test_a_node_starts_without_its_directory(directory, serve):
    directory.put("alice")
    directory.relay.cut()
    with serve() as served:
        assert served.code(settings.ROOT_ACCESS, settings.ROOT_SECRET) == 200
        assert served.code("alice") == "ServiceUnavailable"
        directory.relay.mend()
        until(lambda: served.code("alice") == 200, lambda: f"it is asked again\n{served.log()}", 60)


@pytest.mark.parametrize("wrong", [{"role": "king"}, {"user_id": None}, {"secret": None}])
def test_an_account_that_cannot_be_read_is_refused_alone(directory, serve, wrong):
    directory.put("bad", **wrong)
    directory.put("alice")
    with serve() as served:
        assert served.code("bad") == "InternalError"
        assert served.code("alice") == 200
        assert "an account of the directory is refused" in served.log()


def test_no_secret_is_logged(directory, serve):
    secret, changed = "never-to-be-seen-4711", "nor-this-one-4712"
    directory.put("alice", secret=secret)
    directory.put("bad", secret="and-not-this-4713", role="king")
    with serve(PINFOLD_LOG_LEVEL="trace", **FRESH) as served:
        assert served.code("alice", secret) == 200
        assert served.code("bad", "and-not-this-4713") == "InternalError"
        change = f"<MutableProps><Secret>{changed}</Secret></MutableProps>".encode()
        assert served.root.request("PATCH", "/update-user", [("access", "alice")], body=change).status == 200
        assert served.code("alice", changed) == 200
        directory.relay.cut()
        assert served.code("alice", changed) == "ServiceUnavailable"
        served.node.stop()
        log = served.log()
        held = [value for name, value in directory.settings().items() if name.endswith(("_PASS", "_SECRET"))]
        assert held, "the node's own secret is looked for, too"
        for text in [secret, changed, "and-not-this-4713", *held]:
            assert text not in log
        assert "an account of the directory is refused" in log
