"""Signature V4 as header, query and chunks; and everything about it that can be wrong."""

import datetime
import hashlib

import pytest

from harness import s3 as s3c
from harness import sigv4, sums
from harness.data import noise

BODY = noise(200_001, "signed")
HOUR = datetime.timedelta(hours=1)


def utc(delta=datetime.timedelta(0)):
    return datetime.datetime.now(datetime.UTC) + delta


@pytest.fixture
def there(s3, bucket):
    """Path of an object that is there."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret bytes")
    return f"/{bucket}/k"


# ---- headers
def test_a_good_signature(raw, there):
    assert raw.request("GET", there).body == b"secret bytes"


def test_anonymous_is_refused(raw, there):
    for method in ("GET", "PUT", "DELETE"):
        answer = raw.send(method, there, {"host": raw.authority})
        assert (answer.status, answer.code) == (403, "AccessDenied"), answer.body


def test_an_unknown_key(raw, there):
    answer = raw.request("GET", there, signer=raw.signer(access="nobody"))
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")


def test_a_wrong_secret(raw, there):
    answer = raw.request("GET", there, signer=raw.signer(secret="not the secret"))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert b"secret bytes" not in answer.body


@pytest.mark.parametrize("delta", [-HOUR, HOUR])
def test_a_clock_that_is_wrong(raw, there, delta):
    answer = raw.request("GET", there, signer=raw.signer(now=utc(delta)))
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")


@pytest.mark.parametrize("delta", [-HOUR / 6, HOUR / 6])
def test_a_clock_that_is_near_enough(raw, there, delta):
    assert raw.request("GET", there, signer=raw.signer(now=utc(delta))).status == 200


def test_another_service(raw, there):
    answer = raw.request("GET", there, signer=raw.signer(service="ec2"))
    assert answer.status in (400, 403), answer.body
    assert answer.code in ("AuthorizationHeaderMalformed", "SignatureDoesNotMatch", "InvalidRequest", "NotImplemented")


def signed(raw, method, path, **how):
    return raw.signer().headers(method, raw.authority, path, **how)


def test_what_was_signed_may_not_change(raw, s3, bucket, there):
    headers = signed(raw, "GET", there)
    assert raw.send("GET", there + "x", headers).code == "SignatureDoesNotMatch"
    assert raw.send("DELETE", there, headers).code == "SignatureDoesNotMatch"
    assert raw.send("GET", there + "?partNumber=1", headers).code == "SignatureDoesNotMatch"
    headers = signed(raw, "PUT", there, headers={"x-amz-meta-a": "1"}, payload=hashlib.sha256(b"x").hexdigest())
    assert raw.send("PUT", there, headers | {"x-amz-meta-a": "2"}, b"x").code == "SignatureDoesNotMatch"
    assert s3c.body(s3, bucket, "k") == b"secret bytes"


def test_an_amz_header_that_was_not_signed(raw, s3, bucket, there):
    """A header that changes what is written must be under the signature, or is refused."""
    headers = signed(raw, "PUT", there, payload=hashlib.sha256(b"x").hexdigest())
    answer = raw.send("PUT", there, headers | {"x-amz-meta-smuggled": "1"}, b"x")
    if answer.status == 200:
        assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {}
    else:
        assert answer.status in (400, 403)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), lambda a: a[:-1], lambda a: a + "0", lambda a: "",
        lambda a: "AWS4-HMAC-SHA256", lambda a: a.split(",")[0], lambda a: a.replace("/aws4_request", ""),
        lambda a: a.replace("Signature=", "Signature=\u00fc"), lambda a: "Bearer abc", lambda a: a.replace("=", ""),
        lambda a: "AWS nobody:c2ln", lambda a: a.replace("host;", ""),
    ],
)
def test_broken_authorization_headers(raw, there, change):
    headers = signed(raw, "GET", there)
    headers["authorization"] = change(headers["authorization"]).encode("latin-1", "ignore").decode("latin-1")
    answer = raw.send("GET", there, headers)
    assert answer.status in (400, 403), (answer.status, answer.body)
    assert b"secret bytes" not in answer.body


def test_no_date(raw, there):
    headers = signed(raw, "GET", there)
    del headers["x-amz-date"]
    assert raw.send("GET", there, headers).status in (400, 403)


def test_an_unsigned_payload(raw, s3, bucket):
    assert raw.request("PUT", f"/{bucket}/u", body=BODY, payload=sigv4.UNSIGNED).status == 200
    assert s3c.body(s3, bucket, "u") == BODY


# ---- presigned
def test_presigned_get_and_put(raw, s3, bucket, there):
    assert raw.presigned("GET", there).body == b"secret bytes"
    assert raw.presigned("PUT", f"/{bucket}/new", body=BODY).status == 200
    assert s3c.body(s3, bucket, "new") == BODY
    assert raw.presigned("DELETE", f"/{bucket}/new").status == 204


def test_presigned_by_boto(raw, s3, bucket, there):
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k", "ResponseContentType": "text/x"}, 60)
    answer = raw.send("GET", url[url.index(there) :], {"host": raw.authority})
    assert answer.body == b"secret bytes" and answer.headers["content-type"] == "text/x"


def test_presigned_for_one_method_only(raw, there):
    query = raw.signer().presign("GET", raw.authority, there)
    for method in ("PUT", "DELETE"):
        assert raw.send(method, f"{there}?{query}", {"host": raw.authority}).code == "SignatureDoesNotMatch"


def test_ruling28_presigned_expiry(raw, there):
    late = raw.presigned("GET", there, expires=60, signer=raw.signer(now=utc(-HOUR)))
    assert (late.status, late.code) == (403, "AccessDenied"), late.body
    early = raw.presigned("GET", there, expires=60, signer=raw.signer(now=utc(HOUR)))
    assert early.status == 403, early.body
    assert raw.presigned("GET", there, expires=7200, signer=raw.signer(now=utc(-HOUR))).status == 200


def test_ruling28_another_region(raw, s3, bucket, there):
    """One endpoint, one region: in the header and in a presigned URL."""
    header = raw.request("GET", there, signer=raw.signer(region="eu-west-1"))
    assert (header.status, header.code) == (400, "AuthorizationHeaderMalformed"), header.body
    assert b"<Region>us-east-1</Region>" in header.body, "SDKs read the right one from here"
    url = raw.presigned("GET", there, signer=raw.signer(region="eu-west-1"))
    assert (url.status, url.code) == (400, "AuthorizationQueryParametersError"), url.body
    for service in ("sts", "s3express"):
        assert raw.presigned("GET", there, signer=raw.signer(service=service)).status == 400


@pytest.mark.parametrize("expires", [604801, -1, 0])
def test_ruling28_presigned_for_too_long(raw, there, expires):
    answer = raw.presigned("GET", there, expires=expires)
    assert answer.status in (400, 403), answer.body
    assert answer.code in ("AuthorizationQueryParametersError", "AccessDenied"), answer.code


def test_presigned_changed(raw, there):
    query = raw.signer().presign("GET", raw.authority, there, expires=60)
    changed = query.replace("X-Amz-Expires=60", "X-Amz-Expires=600")
    assert raw.send("GET", f"{there}?{changed}", {"host": raw.authority}).code == "SignatureDoesNotMatch"


def test_presigned_with_signed_headers(raw, s3, bucket):
    path = f"/{bucket}/h"
    query = raw.signer().presign("PUT", raw.authority, path, headers={"content-type": "text/plain"})
    host = {"host": raw.authority}
    assert raw.send("PUT", f"{path}?{query}", host | {"content-type": "text/html"}, b"x").code == "SignatureDoesNotMatch"
    assert raw.send("PUT", f"{path}?{query}", host | {"content-type": "text/plain"}, b"x").status == 200
    assert s3.head_object(Bucket=bucket, Key="h")["ContentType"] == "text/plain"


def test_ruling28_no_sigv2(raw, there):
    """Signature V2 is off: neither its header nor its query opens anything."""
    assert raw.send("GET", there, {"host": raw.authority, "authorization": f"AWS {raw.access}:c2ln"}).status in (400, 403)
    query = f"AWSAccessKeyId={raw.access}&Expires=4102444800&Signature=c2ln"
    assert raw.send("GET", f"{there}?{query}", {"host": raw.authority}).status in (400, 403)


# ---- chunked
def chunked_put(raw, path, chunks, payload=sigv4.STREAMING, trailers=None, names=None, spoil=lambda body: body, length=None):
    """A PUT of an aws-chunked body with signed chunks."""
    signer = raw.signer()
    extra = {"content-encoding": "aws-chunked"}
    extra["x-amz-decoded-content-length"] = str(sum(map(len, chunks)) if length is None else length)
    if trailers is not None:
        extra["x-amz-trailer"] = names or ",".join(k for k, _ in trailers)
    headers = signer.headers("PUT", raw.authority, path, headers=extra, payload=payload)
    if payload == sigv4.UNSIGNED_TRAILER:
        body = sigv4.unsigned_chunked(chunks, trailers)
    else:
        body = signer.chunked(sigv4.signature_of(headers), chunks, trailers)
    return raw.send("PUT", path, headers, spoil(body))


CHUNKS = [BODY[:65536], BODY[65536:131072], BODY[131072:200000], BODY[200000:]]


def test_signed_chunks(raw, s3, bucket):
    answer = chunked_put(raw, f"/{bucket}/c", CHUNKS)
    assert answer.status == 200, answer.body
    assert s3c.body(s3, bucket, "c") == BODY
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="c")


def test_signed_chunks_of_nothing(raw, s3, bucket):
    assert chunked_put(raw, f"/{bucket}/c", []).status == 200
    assert s3c.body(s3, bucket, "c") == b""


def test_a_spoilt_chunk_is_refused(raw, s3, bucket):
    def spoil(body):
        return body.replace(BODY[70000:70010], bytes(10))

    answer = chunked_put(raw, f"/{bucket}/c", CHUNKS, spoil=spoil)
    assert answer.status in (400, 403) and answer.code == "SignatureDoesNotMatch", answer.body
    assert s3c.absent(s3, bucket, "c")


def test_chunks_in_another_order_are_refused(raw, s3, bucket):
    def swap(body):
        mark = b"10000;chunk-signature="
        _, one, rest = body.split(mark)
        two = rest[: 64 + 2 + 65536 + 2]
        return mark + two + mark + one + rest[len(two) :]

    answer = chunked_put(raw, f"/{bucket}/c", CHUNKS[:2], spoil=swap)
    assert answer.status in (400, 403), answer.body
    assert s3c.absent(s3, bucket, "c")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[: len(body) // 2], lambda body: body[:-90], lambda body: b"zz;" + body, lambda body: b"",
        lambda body: b"ffffffffffffffff" + body, lambda body: body.replace(b"chunk-signature", b"chunk-sig"),
    ],
)
def test_broken_framing_is_refused(raw, s3, bucket, spoil):
    answer = chunked_put(raw, f"/{bucket}/c", CHUNKS, spoil=spoil)
    assert 400 <= answer.status < 500, (answer.status, answer.body)
    assert s3c.absent(s3, bucket, "c")


ENDS = {
    "no last chunk": lambda body: body[: body.rindex(b"\r\n0") + 2],
    "no line after the last chunk": lambda body: body[: body.rindex(b"\r\n0") + 3],
    "half a line end": lambda body: body[:-1],
    "bytes after the end": lambda body: body + b"EXTRA",
    "an empty line more": lambda body: body + b"\r\n",
    "a second body": lambda body: body + body,
}
CRC = ("x-amz-checksum-crc32", sums.value("CRC32", BODY))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("payload", "trailers", "names"),
    [
        (sigv4.STREAMING, None, None), (sigv4.STREAMING_TRAILER, [CRC], None), (sigv4.UNSIGNED_TRAILER, [CRC], None),
        (sigv4.UNSIGNED_TRAILER, [], ""),
    ],
    ids=["signed", "signed with trailer", "unsigned with trailer", "unsigned"],
)
def test_a_chunked_body_ends_where_it_says(raw, s3, bucket, payload, trailers, names, end):
    """All bytes of the object are there, and yet: whoever sends such an end did not mean this body."""
    if names == "":
        signer = raw.signer()
        extra = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(BODY))}
        headers = signer.headers("PUT", raw.authority, f"/{bucket}/c", headers=extra, payload=payload)
        body = sigv4.unsigned_chunked(CHUNKS, [])
        assert raw.send("PUT", f"/{bucket}/good", signer.headers(
            "PUT", raw.authority, f"/{bucket}/good", headers=extra, payload=payload), body).status == 200
        answer = raw.send("PUT", f"/{bucket}/c", headers, ENDS[end](body))
    else:
        answer = chunked_put(raw, f"/{bucket}/c", CHUNKS, payload, trailers, spoil=ENDS[end])
    assert answer.status == 400 and answer.code in ("IncompleteBody", "MalformedTrailerError"), answer.body
    assert s3c.absent(s3, bucket, "c")


@pytest.mark.parametrize("length", [0, 200_000, 200_002])
def test_a_wrong_decoded_length_is_refused(raw, s3, bucket, length):
    answer = chunked_put(raw, f"/{bucket}/c", CHUNKS, length=length)
    assert 400 <= answer.status < 500, (answer.status, answer.body)
    assert s3c.absent(s3, bucket, "c")


@pytest.mark.parametrize("algorithm", sorted(sums.RAW))
@pytest.mark.parametrize("payload", [sigv4.STREAMING_TRAILER, sigv4.UNSIGNED_TRAILER])
def test_trailers(raw, s3, bucket, algorithm, payload):
    name = sums.header(algorithm)
    answer = chunked_put(raw, f"/{bucket}/c", CHUNKS, payload, [(name, sums.value(algorithm, BODY))])
    assert answer.status == 200, answer.body
    assert answer.headers[name] == sums.value(algorithm, BODY)
    assert s3c.body(s3, bucket, "c") == BODY
    wrong = chunked_put(raw, f"/{bucket}/w", CHUNKS, payload, [(name, sums.value(algorithm, b"else"))])
    assert (wrong.status, wrong.code) == (400, "BadDigest"), wrong.body
    assert s3c.absent(s3, bucket, "w")


def test_a_trailer_that_does_not_come(raw, s3, bucket):
    answer = chunked_put(raw, f"/{bucket}/c", CHUNKS, sigv4.UNSIGNED_TRAILER, [], names="x-amz-checksum-crc32")
    assert answer.status == 400, answer.body
    assert s3c.absent(s3, bucket, "c")


def test_a_trailer_signature_that_is_wrong(raw, s3, bucket):
    trailers = [("x-amz-checksum-crc32", sums.value("CRC32", BODY))]

    def spoil(body):
        at = body.index(b"x-amz-trailer-signature:") + 30
        return body[:at] + (b"0" if body[at : at + 1] != b"0" else b"1") + body[at + 1 :]

    answer = chunked_put(raw, f"/{bucket}/c", CHUNKS, sigv4.STREAMING_TRAILER, trailers, spoil=spoil)
    assert answer.status in (400, 403), answer.body
    assert s3c.absent(s3, bucket, "c")
