"""Every kind of bad request and its exact answer: status, code, and a document that names what is wrong."""

import base64
import datetime
import hashlib
import socket

import pytest

from harness import s3 as s3c
from harness import settings, sigv4, sums
from harness.data import noise
from harness.errors import document, refusal
from harness.rawhttp import Response, encode

MIB = settings.MIB
TIB = 1024 * settings.GIB
HOUR = datetime.timedelta(hours=1)
DATA = noise(70_001, "bad")
BOGUS = "0" * 32


@pytest.fixture(autouse=True)
def goes_on(s3, bucket):
    """After every refusal the bucket holds what it held, and the server works."""
    s3.put_object(Bucket=bucket, Key="kept", Body=b"kept")
    yield
    assert s3c.keys(s3, bucket) == ["kept"] and s3c.body(s3, bucket, "kept") == b"kept"


@pytest.fixture
def upload(s3, bucket):
    """An upload of `k` with one part: (query, etag)."""
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    etag = s3.upload_part(Bucket=bucket, Key="k", UploadId=made, PartNumber=1, Body=b"part")["ETag"]
    yield made, etag.strip('"')
    parts = s3.list_parts(Bucket=bucket, Key="k", UploadId=made)["Parts"]
    assert [(p["PartNumber"], p["Size"]) for p in parts] == [(1, 4)], "a refused part leaves the upload as it was"


def now(delta=datetime.timedelta(0)):
    return datetime.datetime.now(datetime.UTC) + delta


# ---- signatures and clocks
WRONG_SIGNERS = {
    "secret": ({"secret": "wrong"}, 403, "SignatureDoesNotMatch"),
    "access key": ({"access": "nobody"}, 403, "InvalidAccessKeyId"),
    "region": ({"region": "eu-west-1"}, 400, "AuthorizationHeaderMalformed"),
    "service": ({"service": "ec2"}, 400, "AuthorizationHeaderMalformed"),
    "clock behind": ({"now": -HOUR}, 403, "RequestTimeTooSkewed"),
    "clock ahead": ({"now": HOUR}, 403, "RequestTimeTooSkewed"),
}


@pytest.mark.parametrize("what", WRONG_SIGNERS)
@pytest.mark.parametrize(("method", "target"), [("GET", "/kept"), ("PUT", "/new"), ("DELETE", "/kept"), ("POST", "?delete")])
def test_wrong_signatures(raw, bucket, what, method, target):
    how, status, code = WRONG_SIGNERS[what]
    how = {k: now(v) if k == "now" else v for k, v in how.items()}
    key, _, query = target.partition("?")
    params = [(query, "")] if query else []
    body = DATA if method == "PUT" else b""
    answer = raw.request(method, f"/{bucket}{key}", params, body=body, signer=raw.signer(**how))
    found = refusal(answer, status, code, Resource=f"/{bucket}{key}")
    if code == "RequestTimeTooSkewed":
        assert int(found["MaxAllowedSkewMilliseconds"]) == 900_000
        assert found["RequestTime"] and found["ServerTime"]


def test_a_signature_of_another_payload_mode(raw, bucket):
    """Signed as unsigned, sent with a digest: the digest is under the signature."""
    path = f"/{bucket}/new"
    headers = raw.signer().headers("PUT", raw.authority, path, payload=sigv4.UNSIGNED)
    headers["x-amz-content-sha256"] = hashlib.sha256(DATA).hexdigest()
    refusal(raw.send("PUT", path, headers, DATA), 403, "SignatureDoesNotMatch")


def test_presigned_too_late_and_too_early(raw, bucket):
    path = f"/{bucket}/kept"
    refusal(raw.presigned("GET", path, expires=60, signer=raw.signer(now=now(-HOUR))), 403, "AccessDenied", Message="expired")
    refusal(raw.presigned("GET", path, expires=60, signer=raw.signer(now=now(HOUR))), 403, "RequestTimeTooSkewed")


# ---- bodies that end too early
def half(raw, method, path, params, headers, body, length):
    """Sends half a body and closes its own side; the answer, as far as there is one."""
    headers = headers | {"content-length": str(length)}
    with raw.connect() as connection:
        connection.sendall(raw.head_bytes(method, path, headers, params) + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, text = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    return Response(int(lines[0].split()[1]), {k.lower(): v for k, v in fields.items()}, text)


@pytest.mark.parametrize("size", [1000, 70_001, 3 * MIB])
def test_half_a_body(raw, bucket, size):
    path, data = f"/{bucket}/new", noise(size)
    for payload in (sigv4.UNSIGNED, hashlib.sha256(data).hexdigest()):
        headers = raw.signer().headers("PUT", raw.authority, path, payload=payload)
        refusal(half(raw, "PUT", path, [], headers, data[: size // 2], size), 400, "IncompleteBody")


@pytest.mark.parametrize("size", [1000, 70_001, 3 * MIB])
def test_half_a_part(raw, bucket, upload, size):
    params = [("partNumber", "2"), ("uploadId", upload[0])]
    headers = raw.signer().headers("PUT", raw.authority, f"/{bucket}/k", params, payload=sigv4.UNSIGNED)
    refusal(half(raw, "PUT", f"/{bucket}/k", params, headers, noise(size // 2), size), 400, "IncompleteBody")


@pytest.mark.parametrize("at", [0.1, 0.5, 0.999])
def test_half_a_chunked_body(raw, bucket, at):
    path = f"/{bucket}/new"
    signer = raw.signer()
    extra = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(DATA))}
    headers = signer.headers("PUT", raw.authority, path, headers=extra, payload=sigv4.STREAMING)
    body = signer.chunked(sigv4.signature_of(headers), [DATA[:65536], DATA[65536:]])
    refusal(half(raw, "PUT", path, [], headers, body[: int(len(body) * at)], len(body)), 400, "IncompleteBody")


def test_half_an_xml_body(raw, bucket, upload):
    whole = b"<Delete><Object><Key>kept</Key></Object></Delete>"
    headers = raw.signer().headers("POST", raw.authority, f"/{bucket}", [("delete", "")], payload=sigv4.UNSIGNED)
    refusal(half(raw, "POST", f"/{bucket}", [("delete", "")], headers, whole[:20], len(whole)), 400, "IncompleteBody")
    params = [("uploadId", upload[0])]
    headers = raw.signer().headers("POST", raw.authority, f"/{bucket}/k", params, payload=sigv4.UNSIGNED)
    refusal(half(raw, "POST", f"/{bucket}/k", params, headers, b"<CompleteMultipart", 500), 400, "IncompleteBody")


@pytest.mark.parametrize("length", [0, len(DATA) - 1, len(DATA) + 1])
def test_a_chunked_body_of_another_length(raw, bucket, length):
    path = f"/{bucket}/new"
    signer = raw.signer()
    extra = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(length)}
    headers = signer.headers("PUT", raw.authority, path, headers=extra, payload=sigv4.STREAMING)
    body = signer.chunked(sigv4.signature_of(headers), [DATA])
    refusal(raw.send("PUT", path, headers, body), 400, "IncompleteBody")


# ---- digests
def wrong_md5():
    return base64.b64encode(hashlib.md5(b"else").digest()).decode()


BODIES = {
    "object": ("PUT", "/new", [], DATA),
    "empty object": ("PUT", "/new", [], b""),
    "large object": ("PUT", "/new", [], noise(3 * MIB)),
    "part": ("PUT", "/k", [("partNumber", "2")], DATA),
    "keys": ("POST", "", [("delete", "")], b"<Delete><Object><Key>kept</Key></Object></Delete>"),
    "tags": ("PUT", "/kept", [("tagging", "")], b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
}


@pytest.mark.parametrize("what", BODIES)
def test_wrong_digests(raw, s3, bucket, upload, what):
    method, key, params, body = BODIES[what]
    if what == "part":
        params = [*params, ("uploadId", upload[0])]

    def send(headers=None, **how):
        return raw.request(method, f"/{bucket}{key}", params, headers, body, **how)

    refusal(send({"content-md5": wrong_md5()}), 400, "BadDigest", Message="Content-MD5")
    for bad in ("nonsense", "AAAA", ""):
        refusal(send({"content-md5": bad}), 400, "InvalidDigest")
    refusal(send(payload=hashlib.sha256(b"else").hexdigest()), 400, "XAmzContentSHA256Mismatch")
    refusal(send(payload="nonsense"), 400, "InvalidArgument", ArgumentName="x-amz-content-sha256", ArgumentValue="nonsense")
    for algorithm in sums.RAW:
        name = sums.header(algorithm)
        refusal(send({name: sums.value(algorithm, b"else")}), 400, "BadDigest", Message=algorithm)
        refusal(send({name: "AAAA"}), 400, "InvalidRequest", Message=name)
    assert s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == []


# ---- names
LONG = {"ascii": "k" * 1025, "two bytes": "\u00e9" * 513, "path": "a/" * 512 + "b"}


@pytest.mark.parametrize("what", LONG)
def test_keys_that_are_too_long(raw, bucket, what):
    path = f"/{bucket}/{encode(LONG[what])}"
    source = {"x-amz-copy-source": f"{bucket}/kept"}
    for method, params, headers, body in [
        ("PUT", [], {}, b"x"), ("PUT", [], {}, DATA), ("POST", [("uploads", "")], {}, b""), ("PUT", [], source, b""),
    ]:
        answer = raw.request(method, path, params, headers, body)
        refusal(answer, 400, "KeyTooLongError", Message="too long")


def test_s2_keys_with_nul(raw, bucket):
    source = {"x-amz-copy-source": f"{bucket}/kept"}
    for path in (f"/{bucket}/a%00b", f"/{bucket}/%00", f"/{bucket}/dir/%00/x"):
        for method, params, headers in [
            ("PUT", [], {}), ("GET", [], {}), ("DELETE", [], {}), ("POST", [("uploads", "")], {}), ("PUT", [], source),
        ]:
            refusal(raw.request(method, path, params, headers), 400, "InvalidArgument", Message="NUL")
    listing = raw.request("GET", f"/{bucket}", [("list-type", "2"), ("prefix", "\0")])
    assert listing.status == 200 and b"<Contents>" not in listing.body
    keys = b"<Delete><Object><Key>a&#0;b</Key></Object></Delete>"
    refusal(raw.request("POST", f"/{bucket}", [("delete", "")], {"content-md5": md5_of(keys)}, keys), 400, "MalformedXML")


def md5_of(body):
    return base64.b64encode(hashlib.md5(body).digest()).decode()


@pytest.mark.parametrize("name", ["a%FF", "%C3", "%ED%A0%80", "%C0%AF", "%F4%90%80%80", "%", "%zz", "%4"])
def test_s10_keys_that_are_not_utf8(raw, bucket, name):
    for method, params in [("PUT", []), ("GET", []), ("DELETE", []), ("POST", [("uploads", "")]), ("PUT", [("tagging", "")])]:
        refusal(raw.request(method, f"/{bucket}/{name}", params), 400, "InvalidURI")
    headers = {"x-amz-copy-source": f"{bucket}/{name}"}
    refusal(raw.request("PUT", f"/{bucket}/new", headers=headers), 400, "InvalidArgument", ArgumentName="x-amz-copy-source")


@pytest.mark.parametrize("name", ["ab", "A-B-C", "a_b_c", "x" * 64, "-abc", "a..b", "192.168.0.1", "%C3%A9t%C3%A9", "a%20b"])
def test_buckets_of_bad_names(raw, name):
    refusal(raw.request("PUT", f"/{name}"), 400, "InvalidBucketName")


# ---- parts
def listed(*parts):
    rows = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in parts)
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


@pytest.mark.parametrize("number", ["0", "-1", "10001", "99999999999999999999", "x", "1.5", ""])
def test_part_numbers(raw, bucket, upload, number):
    params = [("partNumber", number), ("uploadId", upload[0])]
    copy = {"x-amz-copy-source": f"{bucket}/kept"}
    for headers, body in (({}, b"x"), (copy, b"")):
        answer = raw.request("PUT", f"/{bucket}/k", params, headers, body)
        refusal(answer, 400, "InvalidArgument", ArgumentName="partNumber", Message="1 and 10000")


def complete(raw, bucket, upload, *parts, headers=None):
    return raw.request("POST", f"/{bucket}/k", [("uploadId", upload[0])], headers, listed(*parts))


def test_10001_parts(raw, bucket, upload):
    answer = complete(raw, bucket, upload, *((n, upload[1]) for n in range(1, 10_002)))
    refusal(answer, 400, "InvalidArgument", ArgumentName="PartNumber", ArgumentValue="10001")
    refusal(complete(raw, bucket, upload, (0, upload[1])), 400, "InvalidArgument", ArgumentName="PartNumber")


def test_parts_out_of_order_missing_or_wrong(raw, s3, bucket):
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    etags = [
        s3.upload_part(Bucket=bucket, Key="k", UploadId=made, PartNumber=n, Body=noise(5 * MIB, n))["ETag"].strip('"')
        for n in (1, 2)
    ]
    up = (made, etags[0])
    refusal(complete(raw, bucket, up, (2, etags[1]), (1, etags[0])), 400, "InvalidPartOrder")
    refusal(complete(raw, bucket, up, (1, etags[0]), (1, etags[0])), 400, "InvalidPartOrder")
    refusal(complete(raw, bucket, up, (1, etags[0]), (3, etags[1])), 400, "InvalidPart", PartNumber="3", ETag=etags[1])
    refusal(complete(raw, bucket, up, (1, etags[1])), 400, "InvalidPart", PartNumber="1", ETag=etags[1])
    refusal(complete(raw, bucket, up, (1, etags[0]), headers={"x-amz-mp-object-size": "1"}), 400, "InvalidRequest")
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=made)


def test_parts_that_are_too_small(raw, s3, bucket):
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    at = {"Bucket": bucket, "Key": "k", "UploadId": made}
    etag, second = (s3.upload_part(**at, PartNumber=n, Body=body)["ETag"].strip('"') for n, body in ((1, b"four"), (2, b"x")))
    answer = complete(raw, bucket, (made, etag), (1, etag), (2, second))
    refusal(answer, 400, "EntityTooSmall", ProposedSize="4", MinSizeAllowed=str(5 * MIB), PartNumber="1", ETag=etag)
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=made)


def test_uploads_that_are_not_there(raw, bucket):
    for bad in ("nonsense", BOGUS, "", "%00"):
        at = [("uploadId", bad)]
        answers = [raw.request("GET", f"/{bucket}/k", at), raw.request("DELETE", f"/{bucket}/k", at)]
        answers += [raw.request("PUT", f"/{bucket}/k", [("partNumber", "1"), *at], body=b"x")]
        answers += [raw.request("POST", f"/{bucket}/k", at, body=listed((1, BOGUS)))]
        for answer in answers:
            refusal(answer, 404, "NoSuchUpload", UploadId=bad)


# ---- XML
XML = {
    "CreateBucket": ("PUT", "/fresh-bucket-name", []),
    "DeleteObjects": ("POST", "", [("delete", "")]),
    "CompleteMultipartUpload": ("POST", "/k", [("uploadId", "")]),
    "PutBucketTagging": ("PUT", "", [("tagging", "")]),
    "PutObjectTagging": ("PUT", "/kept", [("tagging", "")]),
}
MALFORMED = {
    "text": b"not xml", "cut": b"<Delete><Object>", "wrong root": b"<Wrong/>", "two roots": b"<Delete/><Delete/>",
    "bytes": b"\xff\xfe\x00", "not utf-8": b"<Delete>\xc3\x28</Delete>", "crossed": b"<Delete><Object></Delete></Object>",
    "nul": b"<Delete>\0</Delete>", "entity": b"<Delete>&nobody;</Delete>", "deep": b"<a>" * 50_000,
}


@pytest.mark.parametrize("what", MALFORMED)
@pytest.mark.parametrize("operation", XML)
def test_malformed_xml(raw, s3, bucket, upload, operation, what):
    method, key, params = XML[operation]
    path = key if operation == "CreateBucket" else f"/{bucket}{key}"
    params = [("uploadId", upload[0])] if operation == "CompleteMultipartUpload" else params
    body = MALFORMED[what]
    refusal(raw.request(method, path, params, {"content-md5": md5_of(body)}, body), 400, "MalformedXML")
    assert s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == []


@pytest.mark.parametrize("operation", [o for o in XML if o != "CreateBucket"])
def test_xml_that_is_not_there(raw, bucket, upload, operation):
    method, key, params = XML[operation]
    params = [("uploadId", upload[0])] if operation == "CompleteMultipartUpload" else params
    answer = raw.request(method, f"/{bucket}{key}", params, {"content-md5": md5_of(b"")})
    refusal(answer, 400, "MissingRequestBodyError" if answer.code != "MalformedXML" else "MalformedXML")


def test_more_keys_than_a_request_may_have(raw, bucket):
    body = b"<Delete>" + b"<Object><Key>kept</Key></Object>" * 1001 + b"</Delete>"
    refusal(raw.request("POST", f"/{bucket}", [("delete", "")], {"content-md5": md5_of(body)}, body), 400, "MalformedXML")


# ---- sizes
@pytest.mark.parametrize("size", [5 * settings.GIB + 1, 5 * TIB, 5 * TIB + 1, (1 << 63) - 1])
@pytest.mark.parametrize("how", ["length", "decoded length", "part"])
def test_bodies_that_are_too_large(raw, bucket, upload, size, how):
    """Refused by what the head says, before a byte of the body is asked for."""
    path, params, extra = f"/{bucket}/k", [], {}
    payload, length = sigv4.UNSIGNED, size
    if how == "part":
        params = [("partNumber", "2"), ("uploadId", upload[0])]
    if how == "decoded length":
        payload, length = sigv4.STREAMING, 1000
        extra = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(size)}
    headers = raw.signer().headers("PUT", raw.authority, path, params, extra, payload)
    headers |= {"expect": "100-continue", "connection": "close"}
    answer = half(raw, "PUT", path, params, headers, b"", length)
    refusal(answer, 400, "EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed=str(5 * settings.GIB))


def test_a_length_that_is_none(raw, bucket):
    path = f"/{bucket}/new"
    extra = {"content-encoding": "aws-chunked"}
    for decoded in (None, "x", "-1", "1e9", str(1 << 70)):
        more = extra | ({"x-amz-decoded-content-length": decoded} if decoded else {})
        headers = raw.signer().headers("PUT", raw.authority, path, headers=more, payload=sigv4.STREAMING)
        refusal(raw.send("PUT", path, headers, b""), 411, "MissingContentLength")


# ---- every answer at all
def test_head_says_it_without_a_body(raw, bucket):
    answer = raw.request("HEAD", f"/{bucket}/none")
    assert answer.status == 404 and answer.body == b"" and answer.headers["x-amz-request-id"]


def test_documents_of_what_is_not_there(raw, s3, bucket):
    refusal(raw.request("GET", f"/{bucket}/a&b<c>\u00e9".replace("\u00e9", "%C3%A9").replace("<", "%3C").replace(">", "%3E")),
            404, "NoSuchKey", Key="a&b<c>\u00e9")
    refusal(raw.request("GET", f"/{bucket}-none/k"), 404, "NoSuchBucket", BucketName=f"{bucket}-none")
    refusal(raw.request("DELETE", f"/{bucket}"), 409, "BucketNotEmpty", BucketName=bucket)
    refusal(raw.request("GET", f"/{bucket}/kept", headers={"range": "bytes=9-"}), 416, "InvalidRange",
            RangeRequested="bytes=9-", ActualObjectSize="4")
    answer = raw.request("GET", f"/{bucket}/kept", headers={"if-match": '"else"'})
    refusal(answer, 412, "PreconditionFailed", Condition="If-Match")
    assert document(raw.request("PATCH", f"/{bucket}/kept"))["Code"] in ("MethodNotAllowed", "NotImplemented")
