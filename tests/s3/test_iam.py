"""Accounts' own policies, groups and roles, and sessions: `pinfold iam` and the token service on the S3 endpoint."""

import json
import urllib.request
import uuid
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config

from harness import accounts
from harness import s3 as s3c
from harness.rawhttp import Raw
from harness.s3 import refused
from harness.settings import ROOT_ACCESS, ROOT_SECRET

pytestmark = pytest.mark.pinfold

ARN = "arn:aws:s3:::"


def allow(*actions, resource="*", effect="Allow", **more):
    return {"Effect": effect, "Action": list(actions), "Resource": resource, **more}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def node(s3_node):
    return s3_node


class Iam:
    """The command line, with everything it made taken away at the end."""

    def __init__(self, node, folder):
        self.node, self.folder, self.made = node, folder, []

    def run(self, *words, **options):
        return self.node.cli("iam", *words, "--data", self.node.data, **options)

    def policy(self, *statements, name=None):
        name = name or f"p-{uuid.uuid4().hex[:8]}"
        path = self.folder / name
        path.write_text(document(*statements))
        self.run("policy", "put", name, str(path))
        self.made.append(("policy", name))
        return name

    def group(self, *policies):
        name = f"g-{uuid.uuid4().hex[:8]}"
        self.run("group", "put", name, *(word for policy in policies for word in ("--policy", policy)))
        self.made.append(("group", name))
        return name

    def role(self, trust, *policies, seconds=3600):
        name = f"r-{uuid.uuid4().hex[:8]}"
        path = self.folder / name
        path.write_text(document(trust))
        words = [word for policy in policies for word in ("--policy", policy)]
        self.run("role", "put", name, "--trust", str(path), "--max-seconds", str(seconds), *words)
        self.made.append(("role", name))
        return name

    def grant(self, access, *policies, groups=()):
        words = [word for policy in policies for word in ("--policy", policy)]
        words += [word for group in groups for word in ("--group", group)]
        self.run("user", "put", access, *words)
        self.made.append(("user", access))

    def close(self):
        for kind, name in reversed(self.made):
            self.run(kind, "delete", name, check=False)


@pytest.fixture
def iam(node, tmp_path):
    made = Iam(node, tmp_path)
    yield made
    made.close()


@pytest.fixture
def ann(node, server, raw):
    """An account that may do nothing by itself: its access key, its secret key, and a client."""
    made = accounts.make(server, raw)
    yield made.name, made.secret, made.s3
    remove(node, made.name, check=False)


def remove(node, access, **options):
    """Deletes an account."""
    node.cli("user", "delete", access, "--data", node.data, **options)


def sts(node, access=ROOT_ACCESS, secret=ROOT_SECRET, token=None):
    return boto3.client(
        "sts", endpoint_url=node.endpoint, aws_access_key_id=access, aws_secret_access_key=secret,
        aws_session_token=token, region_name="us-east-1",
    )


def session(node, credentials):
    """An S3 client with temporary credentials."""
    return boto3.client(
        "s3", endpoint_url=node.endpoint, aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"], aws_session_token=credentials["SessionToken"],
        region_name="us-east-1", config=Config(signature_version="s3v4"),
    )


def test_an_account_has_what_its_policies_and_groups_give(node, s3, bucket, iam, ann):
    access, _, mine = ann
    s3.put_object(Bucket=bucket, Key="public/a", Body=b"a")
    s3.put_object(Bucket=bucket, Key="secret/b", Body=b"b")
    with refused("AccessDenied"):
        mine.get_object(Bucket=bucket, Key="public/a")
    reads = iam.policy(allow("s3:GetObject", resource=f"{ARN}{bucket}/public/*"))
    lists = iam.policy(allow("s3:ListBucket", resource=f"{ARN}{bucket}"))
    iam.grant(access, reads, groups=[iam.group(lists)])
    assert mine.get_object(Bucket=bucket, Key="public/a")["Body"].read() == b"a"
    assert [o["Key"] for o in mine.list_objects_v2(Bucket=bucket)["Contents"]] == ["public/a", "secret/b"]
    for call in (
        lambda: mine.get_object(Bucket=bucket, Key="secret/b"),
        lambda: mine.put_object(Bucket=bucket, Key="public/a", Body=b""),
        lambda: mine.delete_object(Bucket=bucket, Key="public/a"),
        lambda: mine.get_bucket_policy(Bucket=bucket),
    ):
        with refused("AccessDenied"):
            call()
    iam.policy(allow("s3:GetObject", resource=f"{ARN}{bucket}/secret/*"), name=reads)
    assert mine.get_object(Bucket=bucket, Key="secret/b")["Body"].read() == b"b", "a changed policy counts at once"
    with refused("AccessDenied"):
        mine.get_object(Bucket=bucket, Key="public/a")


def test_deny_wins_wherever_it_is(node, s3, bucket, iam, ann):
    access, _, mine = ann
    s3.put_object(Bucket=bucket, Key="k", Body=b"a")
    everything = allow("s3:*", resource=[f"{ARN}{bucket}", f"{ARN}{bucket}/*"], Principal={"AWS": access})
    s3.put_bucket_policy(Bucket=bucket, Policy=document(everything))
    assert mine.get_object(Bucket=bucket, Key="k")["Body"].read() == b"a"
    iam.grant(access, iam.policy(allow("s3:Get*", resource=f"{ARN}{bucket}/*", effect="Deny")))
    with refused("AccessDenied") as told:
        mine.get_object(Bucket=bucket, Key="k")
    assert "explicit deny in an identity-based policy" in str(told.value)
    mine.put_object(Bucket=bucket, Key="k", Body=b"b")
    denied = allow("s3:PutObject", resource=f"{ARN}{bucket}/*", effect="Deny", Principal={"AWS": access})
    s3.put_bucket_policy(Bucket=bucket, Policy=document(denied))
    iam.grant(access, iam.policy(allow("s3:*")))
    assert mine.get_object(Bucket=bucket, Key="k")["Body"].read() == b"b"
    with refused("AccessDenied") as told:
        mine.put_object(Bucket=bucket, Key="k", Body=b"c")
    assert "explicit deny in a resource-based policy" in str(told.value)


def test_policies_open_the_door_to_new_buckets_and_to_the_list(node, s3, bucket, iam, ann):
    access, _, mine = ann
    wanted = s3c.fresh_name()
    with refused("AccessDenied"):
        mine.create_bucket(Bucket=wanted)
    assert mine.list_buckets()["Buckets"] == []
    iam.grant(access, iam.policy(allow("s3:CreateBucket", resource=f"{ARN}{wanted}"), allow("s3:ListAllMyBuckets")))
    with refused("AccessDenied"):
        mine.create_bucket(Bucket=s3c.fresh_name())
    mine.create_bucket(Bucket=wanted)
    assert {b["Name"] for b in mine.list_buckets()["Buckets"]} >= {wanted, bucket}
    iam.grant(access, iam.policy(allow("s3:ListAllMyBuckets", "s3:DeleteBucket", effect="Deny")))
    with refused("AccessDenied"):
        mine.list_buckets()
    with refused("AccessDenied"):
        mine.delete_bucket(Bucket=wanted)
    s3.delete_bucket(Bucket=wanted)


def test_conditions_and_variables_of_an_own_policy(node, s3, bucket, iam, ann):
    access, _, mine = ann
    home = allow("s3:PutObject", "s3:GetObject", resource=f"{ARN}{bucket}/home/${{aws:username}}/*")
    lists = allow("s3:ListBucket", resource=f"{ARN}{bucket}", Condition={"StringLike": {"s3:prefix": ["home/*"]}})
    iam.grant(access, iam.policy(home, lists))
    mine.put_object(Bucket=bucket, Key=f"home/{access}/k", Body=b"x")
    assert [o["Key"] for o in mine.list_objects_v2(Bucket=bucket, Prefix="home/")["Contents"]] == [f"home/{access}/k"]
    with refused("AccessDenied"):
        mine.put_object(Bucket=bucket, Key="home/other/k", Body=b"x")
    with refused("AccessDenied"):
        mine.list_objects_v2(Bucket=bucket)


def test_what_is_malformed_or_in_use_is_refused(node, iam, ann, tmp_path):
    access, _, _ = ann
    bad = tmp_path / "bad"
    for text, says in (
        ("{", "Json"),
        (document({**allow("s3:GetObject"), "Principal": "*"}), "principal"),
        (document(allow("s3:FlyToTheMoon")), "action"),
        (document(allow("s3:GetObject", effect="Maybe")), "effect"),
    ):
        bad.write_text(text)
        done = iam.run("policy", "put", "bad", str(bad), check=False)
        assert done.returncode != 0 and says in done.stderr, done
    for words in (("group", "put", "g", "--policy", "nothing"), ("user", "put", "nobody"), ("policy", "show", "nothing")):
        assert iam.run(*words, check=False).returncode != 0, words
    policy = iam.policy(allow("s3:GetObject"))
    group = iam.group(policy)
    iam.grant(access, groups=[group])
    for words in (("policy", "delete", policy), ("group", "delete", group)):
        done = iam.run(*words, check=False)
        assert done.returncode != 0 and "in use" in done.stderr, done
    shown = json.loads(iam.run("user", "show", access, "--json").stdout)
    assert (shown["policies"], shown["groups"]) == ([], [group])
    remove(node, access)
    assert iam.run("user", "show", access, check=False).returncode != 0, "it goes with the account"
    iam.run("group", "delete", group)


def test_roles_are_taken_by_those_they_trust(node, s3, bucket, raw, iam, ann):
    access, secret, mine = ann
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": access}}
    role = iam.role(trust, iam.policy(allow("s3:GetObject", "s3:PutObject", resource=f"{ARN}{bucket}/*")))
    arn = f"arn:aws:iam::000000000000:role/{role}"
    taken = sts(node, access, secret).assume_role(RoleArn=arn, RoleSessionName="here", DurationSeconds=900)
    assert taken["AssumedRoleUser"]["Arn"].endswith(f"assumed-role/{role}/here")
    temporary = session(node, taken["Credentials"])
    assert temporary.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    with refused("AccessDenied"):
        mine.get_object(Bucket=bucket, Key="k")
    with refused("AccessDenied"):
        temporary.delete_object(Bucket=bucket, Key="k")
    url = temporary.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    assert urllib.request.urlopen(url, timeout=60).read() == b"x"
    form = temporary.generate_presigned_post(bucket, "formed", ExpiresIn=60)
    parts = [f'form-data; name="{name}"\r\n\r\n{value}' for name, value in form["fields"].items()]
    parts.append('form-data; name="file"; filename="f"\r\n\r\nf')
    body = "".join(f"--edge\r\nContent-Disposition: {part}\r\n" for part in parts) + "--edge--\r\n"
    kind = "multipart/form-data; boundary=edge"
    posted = raw.send("POST", f"/{bucket}", {"host": raw.authority, "content-type": kind}, body.encode())
    assert posted.status == 204, posted.body
    assert s3c.body(s3, bucket, "formed") == b"f"
    who = sts(node, *(taken["Credentials"][k] for k in ("AccessKeyId", "SecretAccessKey", "SessionToken")))
    assert f"assumed-role/{role}" in who.get_caller_identity()["Arn"]

    # A bucket's policy may name the role.
    granted = allow("s3:DeleteObject", resource=f"{ARN}{bucket}/*", Principal={"AWS": arn})
    s3.put_bucket_policy(Bucket=bucket, Policy=document(granted))
    temporary.delete_object(Bucket=bucket, Key="k")

    # Narrowed, it may less; a limit gives nothing.
    narrow = document(allow("s3:GetObject", "s3:DeleteBucket", resource="*"))
    less = sts(node, access, secret).assume_role(RoleArn=arn, RoleSessionName="less", Policy=narrow)
    narrowed = session(node, less["Credentials"])
    assert narrowed.get_object(Bucket=bucket, Key="formed")["Body"].read() == b"f"
    for call in (
        lambda: narrowed.put_object(Bucket=bucket, Key="k", Body=b""),
        lambda: narrowed.delete_object(Bucket=bucket, Key="formed"),
        lambda: narrowed.delete_bucket(Bucket=bucket),
        lambda: sts(node, *(less["Credentials"][k] for k in ("AccessKeyId", "SecretAccessKey", "SessionToken"))).assume_role(
            RoleArn=arn, RoleSessionName="wide"
        ),
    ):
        with refused("AccessDenied"):
            call()
    iam.run("role", "delete", role)
    with refused("InvalidAccessKeyId"):
        temporary.get_object(Bucket=bucket, Key="formed")


def test_who_is_not_trusted_takes_no_role(node, iam, ann):
    access, secret, _ = ann
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ROOT_ACCESS}}
    role = iam.role(trust)
    mine = sts(node, access, secret)
    for name in (role, "there-is-none"):
        with refused("AccessDenied"):
            mine.assume_role(RoleArn=f"arn:aws:iam::000000000000:role/{name}", RoleSessionName="here")
    for wrong in (
        {"RoleArn": "arn:aws:iam::000000000000:user/x-y-z-and-more", "RoleSessionName": "here"},
        {"RoleArn": f"arn:aws:iam::000000000000:role/{role}", "RoleSessionName": "with/slash"},
        {"RoleArn": f"arn:aws:iam::000000000000:role/{role}", "RoleSessionName": "long", "DurationSeconds": 7200},
    ):
        with refused("ValidationError"):
            boto = boto3.client(
                "sts", endpoint_url=node.endpoint, aws_access_key_id=ROOT_ACCESS, aws_secret_access_key=ROOT_SECRET,
                region_name="us-east-1", config=boto3.session.Config(parameter_validation=False),
            )
            boto.assume_role(**wrong)
    with refused("SignatureDoesNotMatch"):
        sts(node, access, "not-the-secret").get_caller_identity()


def test_a_session_is_its_account_until_it_is_tampered_with(node, s3, bucket, ann):
    access, secret, _ = ann
    everything = allow("s3:*", resource=[f"{ARN}{bucket}", f"{ARN}{bucket}/*"], Principal={"AWS": access})
    s3.put_bucket_policy(Bucket=bucket, Policy=document(everything))
    keys = sts(node, access, secret).get_session_token(DurationSeconds=900)["Credentials"]
    session(node, keys).put_object(Bucket=bucket, Key="k", Body=b"x")
    other = sts(node).get_session_token()["Credentials"]
    flipped = keys["SessionToken"][:-3] + ("A" if keys["SessionToken"][-3] != "A" else "B") + keys["SessionToken"][-2:]
    for changed in (other["SessionToken"], flipped, "nonsense"):
        with refused("InvalidToken"):
            session(node, {**keys, "SessionToken": changed}).get_object(Bucket=bucket, Key="k")
    with refused("InvalidToken"):
        s3c.client(node.endpoint, access=keys["AccessKeyId"], secret=keys["SecretAccessKey"]).list_buckets()
    with refused("InvalidToken"):
        session(node, {"AccessKeyId": access, "SecretAccessKey": secret, "SessionToken": keys["SessionToken"]}).list_buckets()
    with refused("SignatureDoesNotMatch"):
        session(node, {**keys, "SecretAccessKey": "x" * 40}).list_buckets()
    with refused("AccessDenied"):
        sts(node, *(keys[k] for k in ("AccessKeyId", "SecretAccessKey", "SessionToken"))).get_session_token()
    remove(node, access)
    with refused("InvalidAccessKeyId"):
        session(node, keys).get_object(Bucket=bucket, Key="k")


def test_an_administrators_session_manages_no_accounts(node, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    keys = sts(node).get_session_token()["Credentials"]
    assert session(node, keys).get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    signer = Raw("127.0.0.1", node.s3_port, access=keys["AccessKeyId"], secret=keys["SecretAccessKey"])
    token = {"x-amz-security-token": keys["SessionToken"]}
    assert signer.request("GET", f"/{bucket}/k", headers=token).body == b"x"
    assert signer.request("PATCH", "/list-users", headers=token).status == 403


def test_secrets_and_tokens_are_in_no_log(node, s3, bucket):
    keys = sts(node).get_session_token()["Credentials"]
    session(node, keys).list_buckets()
    log = node.log_text()
    assert "s3" in log
    for secret in (ROOT_SECRET, keys["SecretAccessKey"], keys["SessionToken"]):
        assert secret not in log


def test_secrets_of_accounts_are_nowhere_on_disk(own_node):
    """Not in the log, the replica or a checkpoint; and they still sign after a restart."""
    node = own_node
    secret = f"find-me-{uuid.uuid4().hex}"
    raw = Raw("127.0.0.1", node.s3_port)
    at = SimpleNamespace(endpoint=node.endpoint, host="127.0.0.1", port=node.s3_port)
    made = accounts.make(at, raw, role="userplus", secret=secret)
    bucket = s3c.fresh_name()
    made.s3.create_bucket(Bucket=bucket)
    node.cli("meta", "checkpoint", "--data", node.data)
    node.cli("key", "rotate", "--data", node.data)
    assert [b["Name"] for b in made.s3.list_buckets()["Buckets"]] == [bucket]
    node.stop()
    files = [path for path in node.data.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        assert secret.encode() not in path.read_bytes(), path
    node.start()
    assert [b["Name"] for b in made.s3.list_buckets()["Buckets"]] == [bucket]
