"""POST Object: HTML forms with a policy, as boto3 makes them and as no library would."""

import base64
import datetime
import hashlib
import hmac
import json
import os

import pytest

from harness import s3 as s3c
from harness import settings, sums
from harness.data import md5, noise

BOUNDARY = "a-boundary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(fields, data, name="up.bin", tail=b""):
    """The body of a form: fields in order, then the file."""
    out = b""
    for key, value in fields:
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
    out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    return out + data + f"\r\n--{BOUNDARY}--\r\n".encode() + tail


def signed(bucket, key, conditions=(), fields=(), age=0, life=600):
    """The fields of a form whose policy has a condition for each of them."""
    now = datetime.datetime.now(datetime.UTC)
    stamp = (now - datetime.timedelta(seconds=age)).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{settings.REGION}/s3/aws4_request"
    plain = {
        "key": key, "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": f"{settings.ROOT_ACCESS}/{scope}",
        "x-amz-date": stamp,
    } | dict(fields)
    given = {c[1][1:] for c in conditions if isinstance(c, list) and c[0] != "content-length-range"}
    policy = {
        "expiration": (now + datetime.timedelta(seconds=life)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [{"bucket": bucket}, *conditions, *({k: v} for k, v in plain.items() if k not in given)],
    }
    text = base64.b64encode(json.dumps(policy).encode()).decode()
    secret = b"AWS4" + settings.ROOT_SECRET.encode()
    for part in (*scope.split("/"), text):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    return [*plain.items(), ("policy", text), ("x-amz-signature", secret.hex())]


@pytest.fixture
def post(raw, bucket):
    """Sends a form to the bucket."""

    def send(fields, data, content_type=TYPE, **how):
        headers = {"host": raw.authority, "content-type": content_type}
        return raw.send("POST", f"/{bucket}", headers, form(fields, data, **how))

    return send


def test_a_form_as_boto3_makes_it(raw, s3, bucket):
    at = s3.generate_presigned_post(
        bucket, "in/${filename}", Fields={"acl": "private", "x-amz-meta-a": "1"},
        Conditions=[{"acl": "private"}, {"x-amz-meta-a": "1"}, ["content-length-range", 1, 100]],
    )
    answer = raw.send("POST", f"/{bucket}", {"host": raw.authority, "content-type": TYPE}, form(at["fields"].items(), b"data"))
    assert answer.status == 204 and answer.body == b"", answer.body
    assert answer.headers["etag"] == f'"{md5(b"data")}"'
    assert answer.headers["location"] == f"http://{raw.authority}/{bucket}/in/up.bin"
    got = s3.get_object(Bucket=bucket, Key="in/up.bin")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (b"data", {"a": "1"}, "binary/octet-stream")


def test_fields_become_the_object(post, s3, bucket):
    tagging = "<Tagging><TagSet><Tag><Key>t</Key><Value>1 + 2</Value></Tag></TagSet></Tagging>"
    fields = {
        "Content-Type": "text/plain", "Cache-Control": "no-cache", "Expires": "Fri, 21 Mar 2036 00:00:00 GMT",
        "x-amz-storage-class": "STANDARD_IA", "x-amz-website-redirect-location": "/else", "tagging": tagging,
        "x-amz-checksum-sha512": sums.value("SHA512", b"data"),
    }
    assert post(signed(bucket, "k", fields=fields.items()), b"data").status == 204
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head["ContentType"], head["CacheControl"], head["StorageClass"]) == ("text/plain", "no-cache", "STANDARD_IA")
    assert head["WebsiteRedirectLocation"] == "/else" and head["ChecksumSHA512"] == fields["x-amz-checksum-sha512"]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "t", "Value": "1 + 2"}]


def test_tags_of_a_form_ask_for_their_own_action(raw, s3, bucket):
    """Who may put objects, and not tags, puts no tags by a form either."""
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    tagging = "<Tagging><TagSet><Tag><Key>t</Key><Value>1</Value></Tag></TagSet></Tagging>"

    def send(*fields):
        headers = {"host": raw.authority, "content-type": TYPE}
        return raw.send("POST", f"/{bucket}", headers, form([("key", "k"), *fields], b"data"))

    def let(*actions):
        policy = {"Version": "2012-10-17", "Statement": [allow | {"Action": list(actions)}]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    let("s3:PutObject")
    assert send(("tagging", tagging)).code == "AccessDenied" and s3c.keys(s3, bucket) == []
    assert send().status == 204
    let("s3:PutObject", "s3:PutObjectTagging")
    assert send(("tagging", tagging)).status == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "t", "Value": "1"}]


def test_answers_as_the_form_asks(post, s3, bucket):
    made = post(signed(bucket, "a b", fields=[("success_action_status", "201")]), b"x")
    assert made.status == 201 and f"<Bucket>{bucket}</Bucket><Key>a b</Key>".encode() in made.body
    assert post(signed(bucket, "k", fields=[("success_action_status", "200")]), b"x").status == 200
    to = post(signed(bucket, "k", fields=[("success_action_redirect", "http://x.test/y?z=1")]), b"x")
    assert to.status == 303
    assert to.headers["location"] == f"http://x.test/y?z=1&bucket={bucket}&key=k&etag=%22{md5(b'x')}%22"
    assert s3c.keys(s3, bucket) == ["a b", "k"]


@pytest.mark.parametrize(
    ("conditions", "changed", "says"),
    [
        ([["eq", "$key", "else"]], {}, b"Policy Condition failed"),
        ([["starts-with", "$key", "in/"]], {}, b"Policy Condition failed"),
        ([], {"acl": "private"}, b"Extra input fields: acl"),
        ([], {"key": "other"}, b"Policy Condition failed"),
    ],
)
def test_a_policy_holds(post, s3, bucket, conditions, changed, says):
    fields = dict(signed(bucket, "k", conditions)) | changed
    answer = post(fields.items(), b"x")
    assert (answer.status, answer.code) == (403, "AccessDenied") and says in answer.body
    assert s3c.keys(s3, bucket) == []


def test_a_policy_ends(post, s3, bucket):
    for late in (signed(bucket, "k", life=-5), signed(bucket, "k", age=3700)):
        answer = post(late, b"x")
        assert (answer.status, answer.code) == (403, "AccessDenied") and b"Policy expired." in answer.body
    assert s3c.keys(s3, bucket) == []


def test_the_files_length(post, s3, bucket):
    data = noise(300_000, "form")
    for length, code in ((299_999, "EntityTooLarge"), (300_001, None)):
        answer = post(signed(bucket, "k", [["content-length-range", 0, length]]), data)
        assert answer.code == code, answer.body
    s3.delete_object(Bucket=bucket, Key="k")
    answer = post(signed(bucket, "k", [["content-length-range", 300_001, 400_000]]), data)
    assert (answer.status, answer.code) == (400, "EntityTooSmall") and b"<ProposedSize>300000<" in answer.body
    assert s3c.keys(s3, bucket) == []


def test_who_signed_a_form(post, s3, bucket):
    good = signed(bucket, "k")
    for name, value, code in [
        ("x-amz-signature", "00" * 32, "SignatureDoesNotMatch"),
        ("policy", base64.b64encode(b"{}").decode(), "SignatureDoesNotMatch"),
        ("x-amz-credential", f"nobody/20260101/{settings.REGION}/s3/aws4_request", "InvalidAccessKeyId"),
        ("x-amz-credential", "nonsense", "InvalidArgument"),
        ("x-amz-algorithm", "AWS4-ECDSA", "InvalidArgument"),
        ("x-amz-date", "today", "InvalidArgument"),
    ]:
        answer = post((dict(good) | {name: value}).items(), b"x")
        assert answer.code == code, (name, answer.body)
    for name in ("policy", "x-amz-signature", "x-amz-date"):
        answer = post([pair for pair in good if pair[0] != name], b"x")
        assert (answer.status, answer.code) == (400, "InvalidArgument") and b"must contain a field named" in answer.body
    assert post([("key", "k")], b"x").code == "AccessDenied", "nobody signed it"
    assert s3c.keys(s3, bucket) == []


def test_what_is_no_form(raw, post, s3, bucket):
    good = signed(bucket, "k")
    assert post(good, b"x", content_type="multipart/form-data").code == "MalformedPOSTRequest"
    assert post(good, b"x", content_type="application/json").code == "PreconditionFailed"
    headers = {"host": raw.authority, "content-type": TYPE}
    whole = form(good, b"x")
    assert raw.send("POST", f"/{bucket}", headers, whole[: whole.index(b'name="file"')]).code == "MalformedPOSTRequest"
    assert raw.send("POST", f"/{bucket}", headers, whole[:-10]).code in ("MalformedPOSTRequest", "IncompleteBody"), "no end"
    nothing = b"".join(whole.partition(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"'.encode())[:1])
    answer = raw.send("POST", f"/{bucket}", headers, nothing + f"--{BOUNDARY}--\r\n".encode())
    assert (answer.status, answer.code) == (400, "InvalidArgument") and b"exactly one file" in answer.body
    long = post([*good, ("x-ignore-a", "v" * 30_000)], b"x")
    assert (long.status, long.code) == (400, "MaxPostPreDataLengthExceededError")
    assert s3c.keys(s3, bucket) == []


def test_what_follows_the_file_is_ignored(post, s3, bucket):
    data = b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n" * 5
    assert post(signed(bucket, "k"), data, tail=b"anything at all").status == 204
    assert s3c.body(s3, bucket, "k") == data


def test_a_wrong_checksum_in_a_form(post, s3, bucket):
    for algorithm in sums.RAW:
        name = sums.header(algorithm)
        wrong = post(signed(bucket, "k", fields=[(name, sums.value(algorithm, b"else"))]), b"data")
        assert (wrong.status, wrong.code) == (400, "BadDigest"), wrong.body
    assert s3c.keys(s3, bucket) == []


@pytest.mark.pinfold
def test_a_forms_file_streams_in_bounded_memory(post, s3, s3_node, bucket):
    size = 200 << 20
    before = s3_node.memory()
    s3_node.reset_peak_memory()
    data = os.urandom(1 << 20) * (size >> 20)
    assert post(signed(bucket, "big"), data).status == 204
    assert s3.head_object(Bucket=bucket, Key="big")["ContentLength"] == size
    assert s3c.etag(s3.head_object(Bucket=bucket, Key="big")) == md5(data)
    assert s3_node.peak_memory() - before < 64 << 20, "the file was held in memory"
