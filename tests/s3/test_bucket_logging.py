"""Server access logs of buckets: AWS's answers, AWS's lines, and a worker that is in nobody's way."""

import re
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from harness import s3 as s3c
from harness import settings
from harness.accounts import make
from harness.node import Node
from harness.rawhttp import Raw
from harness.s3 import refused
from harness.wait import until

pytestmark = pytest.mark.pinfold

#: One line of AWS's: three fields may have spaces, and are in quotes or brackets.
LINE = re.compile(
    r'(\S+) (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] (\S+) (\S+) (\S+) (\S+) (\S+) "([^"]*)" (\d{3}) (\S+) '
    r'(\S+) (\S+) (\d+|-) (\d+|-) "([^"]*)" "([^"]*)" '
    r'(\S+) (\S+) (SigV4|-) (\S+) (AuthHeader|QueryString|-) (\S+) (\S+) (\S+) (\S+)'
)
FIELDS = [
    "owner", "bucket", "time", "ip", "requester", "request", "operation", "key", "uri", "status", "code", "sent", "size",
    "total", "turn", "referer", "agent", "version", "host_id", "signature", "cipher", "auth", "host", "tls", "arn", "acl",
]


@pytest.fixture(scope="module")
def at():
    with Node("bucket-log", mount=False, env={"PINFOLD_BUCKET_LOG_INTERVAL": "300ms"}) as node:
        yield SimpleNamespace(node=node, s3=s3c.client(node.endpoint), raw=Raw("127.0.0.1", node.s3_port))


@pytest.fixture
def buckets(at):
    """A bucket and the one that gets its log."""
    source, target = s3c.fresh_name("source"), s3c.fresh_name("target")
    for name in (source, target):
        at.s3.create_bucket(Bucket=name)
    return source, target


def account(at, name):
    server = SimpleNamespace(endpoint=at.node.endpoint, host="127.0.0.1", port=at.node.s3_port)
    return make(server, at.raw, role="userplus", name=name)


def log_to(target, prefix="log/", **more):
    return {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": prefix} | more}


def set_log(s3, bucket, status):
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=status)


def lines(at, target):
    """All lines that were delivered, taken apart, in the order of their request."""
    found = []
    for key in s3c.keys(at.s3, target):
        for line in s3c.body(at.s3, target, key).decode().splitlines():
            parts = LINE.fullmatch(line)
            assert parts, line
            found.append(SimpleNamespace(log=key, **dict(zip(FIELDS, parts.groups(), strict=True))))
    return found


def logged(at, target, number):
    """Waits for so many lines."""
    until(lambda: len(lines(at, target)) >= number, f"{number} lines")
    return lines(at, target)


def test_a_configuration_comes_back(at, buckets):
    source, target = buckets
    assert "LoggingEnabled" not in at.s3.get_bucket_logging(Bucket=source)
    formats = [
        {"SimplePrefix": {}}, {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
        {"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}},
    ]
    for status in [log_to(target), log_to(source, ""), *(log_to(target, TargetObjectKeyFormat=f) for f in formats)]:
        set_log(at.s3, source, status)
        assert at.s3.get_bucket_logging(Bucket=source)["LoggingEnabled"] == status["LoggingEnabled"]
    set_log(at.s3, source, {})
    assert "LoggingEnabled" not in at.s3.get_bucket_logging(Bucket=source)


def test_what_is_refused(at, buckets):
    source, target = buckets
    ann, bob = account(at, "logann"), account(at, "logbob")
    for who, name in ((ann, "ann-source"), (ann, "ann-logs"), (bob, "bob-logs")):
        who.s3.create_bucket(Bucket=name)
    for s3, bucket, status, code, words in (
        (at.s3, source, log_to("no-such-target"), "InvalidTargetBucketForLogging", "does not exist"),
        (ann.s3, "ann-source", log_to("bob-logs"), "InvalidTargetBucketForLogging", "must be the same"),
        # Not even for the administrator.
        (at.s3, source, log_to("bob-logs"), "InvalidTargetBucketForLogging", "must be the same"),
        (at.s3, source, log_to(target, "p" * 801), "InvalidArgument", "prefix"),
        (at.s3, source, log_to(target, TargetObjectKeyFormat={}), "MalformedXML", ""),
        (at.s3, source, log_to(target, TargetGrants=[
            {"Grantee": {"Type": "CanonicalUser", "ID": "logann"}, "Permission": "READ"}
        ]), "AccessControlListNotSupported", "does not allow ACLs"),
    ):
        with refused(code) as caught:
            set_log(s3, bucket, status)
        assert words in caught.value.response["Error"]["Message"]
    with refused("AccessDenied"):
        set_log(bob.s3, "ann-source", log_to("ann-logs"))
    # Who may set the log of a bucket, but not write to the target, sends nothing there.
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"logbob"},"Action":"s3:PutBucketLogging",'
        '"Resource":"arn:aws:s3:::ann-source"}]}'
    )
    ann.s3.put_bucket_policy(Bucket="ann-source", Policy=policy)
    with refused("InvalidTargetBucketForLogging") as caught:
        set_log(bob.s3, "ann-source", log_to("ann-logs"))
    assert "log-delivery group" in caught.value.response["Error"]["Message"]
    set_log(ann.s3, "ann-source", log_to("ann-logs"))
    for body in (b"", b"<BucketLoggingStatus><LoggingEnabled/></BucketLoggingStatus>", b"<x/>"):
        answer = at.raw.request("PUT", f"/{source}", [("logging", "")], body=body)
        assert answer.status == 400, (body, answer.body)


def test_lines_are_as_aws_writes_them(at, buckets):
    source, target = buckets
    set_log(at.s3, source, log_to(target))
    agent = {"user-agent": 'probe/1.0 ("quoted")', "referer": "http://here/page"}
    key = "dir/a key-ü"
    path = f"/{source}/{quote(key)}"
    put = at.raw.request("PUT", path, headers=agent, body=b"twelve bytes")
    at.raw.request("GET", path, headers=agent | {"range": "bytes=0-4"})
    at.raw.request("GET", f"/{source}/nothing")
    at.raw.request("GET", path, signer=at.raw.signer(secret="wrong"))
    at.raw.send("GET", path, {"host": at.raw.authority})
    presigned = at.s3.generate_presigned_url("head_object", Params={"Bucket": source, "Key": key}, HttpMethod="HEAD")
    signature = presigned.split("X-Amz-Signature=")[1].split("&")[0]
    at.raw.send("HEAD", presigned.removeprefix(at.node.endpoint), {"host": at.raw.authority})
    at.s3.copy_object(Bucket=source, Key="copy", CopySource={"Bucket": source, "Key": key})
    at.s3.delete_objects(Bucket=source, Delete={"Objects": [{"Key": "copy"}, {"Key": key}]})
    at.s3.get_bucket_versioning(Bucket=source)
    found = logged(at, target, 11)
    by = {(line.operation, line.key, line.status): line for line in found}
    enc = quote(key)
    assert [(line.operation, line.key, line.status, line.code) for line in found] == [
        ("REST.PUT.OBJECT", enc, "200", "-"), ("REST.GET.OBJECT", enc, "206", "-"),
        ("REST.GET.OBJECT", "nothing", "404", "NoSuchKey"), ("REST.GET.OBJECT", enc, "403", "SignatureDoesNotMatch"),
        ("REST.GET.OBJECT", enc, "403", "AccessDenied"), ("REST.HEAD.OBJECT", enc, "200", "-"),
        ("REST.COPY.OBJECT", "copy", "200", "-"), ("REST.POST.MULTI_OBJECT_DELETE", "-", "200", "-"),
        ("BATCH.DELETE.OBJECT", "copy", "204", "-"), ("BATCH.DELETE.OBJECT", enc, "204", "-"),
        ("REST.GET.VERSIONING", "-", "200", "-"),
    ]
    first, ranged = found[0], by["REST.GET.OBJECT", enc, "206"]
    assert (first.owner, first.bucket, first.requester) == (settings.ROOT_ACCESS, source, settings.ROOT_ACCESS)
    assert (first.ip, first.request, first.host) == ("127.0.0.1", put.headers["x-amz-request-id"], at.raw.authority)
    assert first.host_id == put.headers["x-amz-id-2"]
    assert (first.uri, first.size, first.sent) == (f"PUT {path} HTTP/1.1", "12", "-")
    assert (first.agent, first.referer) == ("probe/1.0 (%22quoted%22)", "http://here/page")
    assert (ranged.sent, ranged.size) == ("5", "12")
    assert (first.signature, first.auth) == ("SigV4", "AuthHeader")
    assert found[4].requester == "-" and (found[4].signature, found[4].auth) == ("-", "-"), "nobody signed"
    assert found[5].auth == "QueryString" and "X-Amz-Signature=REDACTED" in found[5].uri and signature not in found[5].uri
    assert all(re.fullmatch(r"log/\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}", line.log) for line in found)
    head = at.s3.head_object(Bucket=target, Key=found[0].log)
    assert head["ContentType"] == "text/plain"
    # Not a line of the target, which has no log; and none after the end.
    set_log(at.s3, source, {})
    at.s3.get_bucket_versioning(Bucket=source)
    ended = [line for line in logged(at, target, 12) if line.operation == "REST.PUT.LOGGING_STATUS"]
    assert len(ended) == 1 and len(lines(at, target)) == 12


def test_a_log_of_itself_is_no_loop(at, buckets):
    """The bucket gets its own log: one line for what clients do, none for the log's objects."""
    source, _ = buckets
    set_log(at.s3, source, log_to(source))
    at.s3.put_object(Bucket=source, Key="k", Body=b"1")
    until(lambda: at.s3.list_objects_v2(Bucket=source, Prefix="log/")["KeyCount"] >= 1, "the first log")
    at.s3.put_object(Bucket=source, Key="k", Body=b"2")

    def puts():
        return [line.key for line in lines_of_log(at, source) if line.operation == "REST.PUT.OBJECT"]

    until(lambda: len(puts()) >= 2, "the second log, which would tell of the first one's writing")
    assert puts() == ["k", "k"]


def lines_of_log(at, bucket):
    keys = [o["Key"] for o in at.s3.list_objects_v2(Bucket=bucket, Prefix="log/")["Contents"]]
    text = "".join(s3c.body(at.s3, bucket, key).decode() for key in keys)
    return [SimpleNamespace(**dict(zip(FIELDS, LINE.fullmatch(line).groups(), strict=True))) for line in text.splitlines()]


@pytest.mark.parametrize("by", ["EventTime", "DeliveryTime"])
def test_partitioned_keys(at, buckets, by):
    source, target = buckets
    set_log(at.s3, source, log_to(target, "p/", TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": by}}))
    at.s3.put_object(Bucket=source, Key="k", Body=b"1")
    key = logged(at, target, 1)[0].log
    time = r"00-00-00" if by == "EventTime" else r"\d\d-\d\d-\d\d"
    wanted = rf"p/{settings.ROOT_ACCESS}/us-east-1/{source}/(\d{{4}})/(\d\d)/(\d\d)/\1-\2-\3-{time}-[0-9A-F]{{16}}"
    assert re.fullmatch(wanted, key), key


def test_a_target_that_takes_nothing_is_said_once(at, buckets):
    """A target that is gone, or full, keeps no request waiting; the log says so once, and when it is over."""
    source, target = buckets
    set_log(at.s3, source, log_to(target))
    at.s3.delete_bucket(Bucket=target)

    def said(words):
        return [line for line in at.node.log.read_text().splitlines() if words in line and target in line]

    dropped = "pinfold_s3_bucket_log_dropped_total"
    for n in range(3):
        before = at.node.metric(dropped) if f"\n{dropped}" in at.node.admin("/metrics")[1] else 0
        at.s3.put_object(Bucket=source, Key=str(n), Body=b"1")
        until(
            lambda before=before: f"\n{dropped}" in at.node.admin("/metrics")[1] and at.node.metric(dropped) > before,
            "a line is dropped",
        )
    assert len(said("a bucket's log cannot be delivered")) == 1
    at.s3.create_bucket(Bucket=target)
    at.s3.put_object(Bucket=source, Key="later", Body=b"1")
    assert logged(at, target, 1)[-1].key == "later"
    assert len(said("a bucket's log is delivered again")) == 1
    at.node.cli("bucket", "quota", target, "--objects", "1", "--data", at.node.data)
    before = at.node.metric(dropped)
    at.s3.put_object(Bucket=source, Key="too-much", Body=b"1")
    until(lambda: at.node.metric(dropped) > before, "a line is dropped")
    assert len(said("a bucket's log cannot be delivered")) == 2 and len(s3c.keys(at.s3, target)) == 1


def test_a_target_that_became_anothers_gets_nothing(at):
    ann, bob = account(at, "ownann"), account(at, "ownbob")
    ann.s3.create_bucket(Bucket="own-source")
    ann.s3.create_bucket(Bucket="own-logs")
    set_log(ann.s3, "own-source", log_to("own-logs"))
    ann.s3.delete_bucket(Bucket="own-logs")
    bob.s3.create_bucket(Bucket="own-logs")
    ann.s3.put_object(Bucket="own-source", Key="private", Body=b"1")
    until(lambda: "belongs to another account" in at.node.log.read_text(), "it is said")
    assert s3c.keys(bob.s3, "own-logs") == []
    # Nor does the old owner of a bucket hear what the new one does.
    ann.s3.create_bucket(Bucket="sold")
    ann.s3.create_bucket(Bucket="sold-logs")
    set_log(ann.s3, "sold", log_to("sold-logs"))
    ann.s3.put_object(Bucket="sold", Key="before", Body=b"1")
    assert logged(SimpleNamespace(s3=ann.s3), "sold-logs", 1)[0].key == "before"
    changed = at.raw.request("PATCH", "/change-bucket-owner", [("bucket", "sold"), ("owner", "ownbob")])
    assert changed.status == 200, changed.body
    bob.s3.put_object(Bucket="sold", Key="after", Body=b"1")
    until(lambda: at.node.log.read_text().count("belongs to another account") == 2, "it is said")
    assert [line.key for line in lines(SimpleNamespace(s3=ann.s3), "sold-logs")] == ["before"]


def test_a_stop_delivers_and_the_next_start_goes_on():
    with Node("bucket-log-stop", mount=False, env={"PINFOLD_BUCKET_LOG_INTERVAL": "1h"}) as node:
        at = SimpleNamespace(node=node, s3=s3c.client(node.endpoint))
        for name in ("source", "target"):
            at.s3.create_bucket(Bucket=name)
        set_log(at.s3, "source", log_to("target"))
        at.s3.put_object(Bucket="source", Key="first", Body=b"1")
        assert lines(at, "target") == [], "an hour has not passed"
        node.stop()
        node.start()
        assert [line.key for line in lines(at, "target")] == ["first"]
        at.s3.put_object(Bucket="source", Key="second", Body=b"1")
        node.stop()
        node.start()
        assert sorted(line.key for line in lines(at, "target")) == ["first", "second"]
