"""The audit log: what goes in, that it is there before the answer, and that nothing in it can be changed unseen."""

import json
import os
import shutil
import subprocess
import threading

import boto3
import pytest

from harness import s3 as s3c
from harness import settings
from harness.accounts import document
from harness.node import Node
from harness.rawhttp import Raw
from harness.s3 import refused
from harness.wait import until

pytestmark = pytest.mark.pinfold

POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject",'
    '"Resource":"arn:aws:s3:::%s/*"}]}'
)


def files(node):
    return sorted((node.data / "audit").glob("*.jsonl"))


def entries(node):
    """All lines so far, but the log's own."""
    found = [json.loads(line) for path in files(node) for line in path.read_text().splitlines()]
    assert [e["seq"] for e in found] == list(range(1, len(found) + 1))
    return [e for e in found if not e["operation"].startswith("log_")]


def said(entry):
    """What matters of a line."""
    return entry["operation"], entry["who"], entry["result"], entry.get("bucket", ""), entry.get("target", "")


def verify(node, *args, check=True):
    return node.cli("audit", "verify", "--data", node.data, *args, check=check)


def test_who_did_what_from_where(own_node):
    node, root = own_node, settings.ROOT_ACCESS
    s3, raw = s3c.client(node.endpoint), Raw("127.0.0.1", node.s3_port)
    s3.create_bucket(Bucket="audited")
    s3.put_object(Bucket="audited", Key="k", Body=b"x")
    s3.put_bucket_policy(Bucket="audited", Policy=POLICY % "audited")
    s3.get_bucket_policy(Bucket="audited")
    s3.put_bucket_versioning(Bucket="audited", VersioningConfiguration={"Status": "Enabled"})
    assert raw.request("PATCH", "/create-user", body=document(Access="ann", Secret="hush-hush", Role="user")).status == 201
    assert raw.request("PATCH", "/create-user", body=document(Access="ann", Secret="hush-hush", Role="user")).status == 409
    assert raw.request("PATCH", "/list-users").status == 200
    assert raw.request("PATCH", "/delete-user", [("access", "ann")]).status == 200
    s3.delete_bucket_policy(Bucket="audited")
    found = entries(node)
    assert [said(e) for e in found] == [
        ("CreateBucket", root, "done", "audited", ""), ("PutBucketPolicy", root, "done", "audited", ""),
        ("PutBucketVersioning", root, "done", "audited", ""), ("admin_CreateUser", root, "done", "", "ann"),
        ("admin_CreateUser", root, "failed", "", "ann"), ("admin_ListUsers", root, "done", "", ""),
        ("admin_DeleteUser", root, "done", "", "ann"), ("DeleteBucketPolicy", root, "done", "audited", ""),
    ]
    assert all(e["verified"] and e["from"] == "127.0.0.1" and len(e["request"]) == 32 for e in found), found
    assert found[4]["code"] == "XAdminUserExists" and found[3]["door"] == "admin-api"
    answer = raw.request("PUT", "/audited", [("policy", "")], body=(POLICY % "audited").encode())
    assert entries(node)[-1]["request"] == answer.headers["x-amz-request-id"], "the client's id"
    assert "hush" not in "".join(path.read_text() for path in files(node))


def test_sessions(own_node):
    """Who took which role or session, from where; and who was refused."""
    node, root = own_node, settings.ROOT_ACCESS
    arn = "arn:aws:iam::000000000000:role/there-is-none"

    def sts(**keys):
        how = {"aws_access_key_id": root, "aws_secret_access_key": settings.ROOT_SECRET} | keys
        return boto3.client("sts", endpoint_url=node.endpoint, region_name="us-east-1", **how)

    made = sts().get_session_token(DurationSeconds=900)
    sts().get_caller_identity()
    with refused("AccessDenied"):
        sts().assume_role(RoleArn=arn, RoleSessionName="mine")
    with refused("SignatureDoesNotMatch"):
        sts(aws_secret_access_key="wrong").get_session_token()
    found = until(lambda: len(e := entries(node)) >= 3 and e, "all lines", 20)
    assert [(e["operation"], e["who"], e["verified"], e["result"], e.get("target", "")) for e in found] == [
        ("GetSessionToken", root, True, "done", ""), ("AssumeRole", root, True, "denied", arn),
        ("SecurityTokenService", root, False, "denied", ""),
    ]
    assert found[0]["from"] == "127.0.0.1" and found[1]["note"] == "session mine" and found[1]["code"] == "AccessDenied"
    assert found[0]["request"] == made["ResponseMetadata"]["RequestId"]
    secrets = [made["Credentials"][name] for name in ("SecretAccessKey", "SessionToken")]
    assert not [secret for secret in secrets if secret in "".join(path.read_text() for path in files(node))]


@pytest.mark.root
def test_buckets_of_the_mount():
    with Node("audit-mount") as node:
        (node.mnt / "by-mkdir").mkdir()
        (node.mnt / "by-mkdir" / "dir").mkdir()
        with pytest.raises(OSError):
            (node.mnt / "by-mkdir").rmdir()
        (node.mnt / "by-mkdir" / "dir").rmdir()
        (node.mnt / "by-mkdir").rmdir()
        found = until(lambda: len(e := entries(node)) >= 3 and e, "all lines", 20)
        uid = os.getuid()
        assert [(*said(e)[:4], e["door"]) for e in found] == [
            ("CreateBucket", f"uid:{uid}", "done", "by-mkdir", "mount"),
            ("DeleteBucket", f"uid:{uid}", "failed", "by-mkdir", "mount"),
            ("DeleteBucket", f"uid:{uid}", "done", "by-mkdir", "mount"),
        ]
        assert all(e["from"].startswith(f"uid {uid} gid ") and len(e["request"]) == 32 for e in found)


def test_commands_on_the_socket(own_node):
    node = own_node
    node.cli("bucket", "create", "by-hand", "--data", node.data)
    node.cli("user", "create", "--access", "bob", "--data", node.data)
    node.cli("user", "create", "--access", "bob", "--data", node.data, check=False)
    node.cli("user", "passwd", "bob", "--data", node.data)
    node.cli("user", "list", "--data", node.data)
    node.cli("reload", "--data", node.data)
    node.cli("user", "delete", "bob", "--data", node.data)
    node.cli("bucket", "delete", "by-hand", "--data", node.data)
    root = settings.ROOT_ACCESS
    found = entries(node)
    assert [said(e) for e in found] == [
        ("CreateBucket", root, "done", "by-hand", ""), ("CreateUser", root, "done", "", "bob"),
        ("CreateUser", root, "failed", "", "bob"), ("ChangeSecret", root, "done", "", "bob"),
        ("DeleteUser", root, "done", "", "bob"), ("DeleteBucket", root, "done", "by-hand", ""),
    ]
    assert all(e["door"] == "admin-socket" and e["from"].startswith(f"uid {os.getuid()} pid ") for e in found)


def test_refusals_are_told_and_strangers_are_marked(own_node):
    node = own_node
    raw = Raw("127.0.0.1", node.s3_port)
    s3c.client(node.endpoint).create_bucket(Bucket="mine")
    assert raw.request("PATCH", "/create-user", body=document(Access="ann", Secret="sec", Role="user")).status == 201
    theirs = Raw("127.0.0.1", node.s3_port, access="ann", secret="sec")
    body = (POLICY % "mine").encode()
    assert theirs.request("PUT", "/mine", [("policy", "")], body=body).code == "AccessDenied"
    assert theirs.request("PATCH", "/create-user", body=document(Access="x", Secret="s", Role="admin")).status == 403
    wrong = Raw("127.0.0.1", node.s3_port, secret="wrong")
    assert wrong.request("DELETE", "/mine", [("policy", "")]).code == "SignatureDoesNotMatch"
    assert raw.send("DELETE", "/mine", {"host": raw.authority}).status == 403
    found = until(lambda: len(e := entries(node)) >= 6 and e, "all lines", 20)[2:]
    assert [(e["operation"], e.get("who", ""), e["verified"], e["result"], e["code"]) for e in found] == [
        ("PutBucketPolicy", "ann", True, "denied", "AccessDenied"),
        ("admin_CreateUser", "ann", True, "denied", "XAdminAccessDenied"),
        ("DeleteBucketPolicy", settings.ROOT_ACCESS, False, "denied", "SignatureDoesNotMatch"),
        ("DeleteBucket", "", False, "denied", "AccessDenied"),
    ]


def test_strangers_do_not_fill_the_disk(own_node):
    node = own_node
    raw = Raw("127.0.0.1", node.s3_port)
    for _ in range(600):
        assert raw.send("DELETE", "/mine", {"host": raw.authority}).status in (403, 404)
    s3c.client(node.endpoint).create_bucket(Bucket="last")
    text = "".join(path.read_text() for path in files(node))
    assert text.count('"verified":false') < 400
    assert "refusals of strangers are not in this log" in text
    verify(node)


def test_a_tampered_log_is_found_online_and_offline(own_node):
    node = own_node
    s3 = s3c.client(node.endpoint)
    for n in range(5):
        s3.create_bucket(Bucket=f"bucket-{n}")
    assert '"the last one' not in verify(node).stdout and "by the daemon" in verify(node).stdout
    path = files(node)[0]
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)

    def problem(changed, *args):
        path.write_text("".join(changed))
        done = verify(node, *args, check=False)
        path.write_text(whole)
        assert done.returncode == 1, done.stdout
        return done.stderr

    for args in ([], ["--offline"]):
        assert "line 3: it was changed" in problem([*lines[:2], lines[2].replace("bucket-1", "bucket-9"), *lines[3:]], *args)
        assert "line 3: it has number 4: lines from 3 on were removed" in problem([*lines[:2], *lines[3:]], *args)
        assert "line 3: it has number 4" in problem([*lines[:2], lines[3], lines[2], *lines[4:]], *args)
    # The end of it only the daemon misses, and whoever kept the last line.
    assert "ends with line 4, and line 6 was written" in problem(lines[:4])
    told = verify(node, "--json").stdout
    last = f"{json.loads(told)['seq']}:{json.loads(told)['hash']}"
    assert "was written" in problem(lines[:4], "--expect", last)
    path.write_text("".join(lines[:4]))
    assert verify(node, "--offline").returncode == 0
    path.write_text(whole)
    node.stop()
    assert "by the daemon" not in verify(node).stdout
    node.start()
    s3c.client(node.endpoint).create_bucket(Bucket="after")
    verify(node, "--expect", last)


def test_files_rotate_and_the_chain_goes_on():
    with Node("rotate", mount=False, env={"PINFOLD_AUDIT_FILE_SIZE": "64KiB"}) as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="bkt")
        for n in range(400):
            s3.put_bucket_tagging(Bucket="bkt", Tagging={"TagSet": [{"Key": "n", "Value": str(n)}]})
        all_ = files(node)
        assert len(all_) >= 2 and all(path.stat().st_size < 70 * settings.KIB for path in all_)
        first = json.loads(all_[1].read_text().splitlines()[0])
        last = json.loads(all_[0].read_text().splitlines()[-1])
        assert first["operation"] == "log_file" and first["prev"] == last["hash"] and f"{first['seq']:020}" == all_[1].stem
        assert len(entries(node)) == 401
        verify(node)
        all_[0].rename(node.base / "archived")
        assert "are missing" in verify(node, check=False).stderr
        verify(node, "--archived")


def test_a_crash_leaves_whole_lines_and_all_that_was_answered():
    """kill -9 while four clients change buckets; then a torn line by hand."""
    node = Node("audit-crash", mount=False)
    answered, stop = [], threading.Event()

    def work(k):
        s3 = s3c.client(node.endpoint)
        n = 0
        while not stop.is_set():
            name = f"b-{k}-{n}"
            try:
                s3.create_bucket(Bucket=name)
            except Exception:  # the daemon is gone
                return
            answered.append(name)
            n += 1
    try:
        for _ in range(3):
            node.start()
            threads = [threading.Thread(target=work, args=(f"{len(answered)}{k}",)) for k in "abcd"]
            for thread in threads:
                thread.start()
            before = len(answered)
            until(lambda before=before: len(answered) > before + 40, "some are answered", 60)
            node.kill()
            stop.set()
            for thread in threads:
                thread.join()
            stop.clear()
            told = {e["bucket"] for e in entries_of_whole_lines(node)}
            assert set(answered) <= told, "each that was answered was told"
        with files(node)[-1].open("a") as file:
            file.write('{"seq":99999,"prev":"0')
        node.start()
        assert "a torn line at the audit log's end was set aside" in node.log_text()
        assert list((node.data / "audit").glob("*.torn"))
        verify(node)
        entries(node)
        node.stop()
    finally:
        node.close()


def entries_of_whole_lines(node):
    for path in files(node):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                entry = json.loads(line)
                if entry["operation"] == "CreateBucket":
                    yield entry


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_nothing_is_done_that_cannot_be_told(tmp_path):
    """The log's disk is full: what is audited is refused before it is done, all else goes on; and it recovers."""
    node = Node("audit-full", mount=False)
    folder = node.data / "audit"
    folder.mkdir(parents=True)
    node.data.chmod(0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(folder)], check=True)
    try:
        node.start()
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="before")
        filler = folder / "filler"
        with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        # The rest of the last page still takes some.
        made = []
        for n in range(40):
            try:
                s3.create_bucket(Bucket=f"full-{n}")
                made.append(f"full-{n}")
            except s3.exceptions.ClientError:
                break
        else:
            raise AssertionError("the disk never was full")
        with refused("ServiceUnavailable"):
            s3.create_bucket(Bucket="never")
        assert node.cli("bucket", "create", "nor-this", "--data", node.data, check=False).returncode == 1
        s3.put_object(Bucket="before", Key="k", Body=b"goes on")
        assert "the audit log cannot be written" in node.log_text()
        filler.unlink()
        s3.create_bucket(Bucket="again")
        names = {b["Name"] for b in s3.list_buckets()["Buckets"]}
        assert "again" in names and not {"never", "nor-this"} & names
        verify(node)
        node.stop()
    finally:
        if node.process:
            node.kill()
        subprocess.run(["umount", str(folder)], check=False)
        node.close()
        shutil.rmtree(tmp_path, ignore_errors=True)


def test_it_can_be_off():
    with Node("no-audit", mount=False, env={"PINFOLD_AUDIT_LOG": "off"}) as node:
        s3c.client(node.endpoint).create_bucket(Bucket="bkt")
        assert not (node.data / "audit").exists()
        assert "there is no audit log" in verify(node, check=False).stderr
