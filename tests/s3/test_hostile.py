"""Requests that no honest client sends: the answer is a clean 4xx, and the server goes on."""

import socket

import pytest

from harness import s3 as s3c
from harness import settings
from harness.rawhttp import encode

BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]><Delete><Object><Key>&j;</Key></Object></Delete>"
).encode()


@pytest.fixture(autouse=True)
def goes_on(s3, bucket):
    """After every hostile request the server still does its work, and holds nothing of it."""
    yield
    s3.put_object(Bucket=bucket, Key="alive", Body=b"yes")
    assert s3c.body(s3, bucket, "alive") == b"yes"


def test_keys_of_1024_bytes_and_more(raw, s3, bucket):
    for key in ("k" * 1024, "\u00e9" * 512, "a/" * 512):
        assert raw.request("PUT", f"/{bucket}/{encode(key)}", body=b"x").status == 200
        assert s3c.keys(s3, bucket) == [key]
        assert raw.request("DELETE", f"/{bucket}/{encode(key)}").status == 204
    for key in ("k" * 1025, "\u00e9" * 512 + "x", "a/" * 512 + "b"):
        answer = raw.request("PUT", f"/{bucket}/{encode(key)}", body=b"x")
        assert (answer.status, answer.code) == (400, "KeyTooLongError"), (answer.status, answer.body)
        # A file of such a path may be there (S10), so that reading it is no mistake in itself.
        assert raw.request("GET", f"/{bucket}/{encode(key)}").code in ("NoSuchKey", "KeyTooLongError")
    assert s3c.keys(s3, bucket) == []


def test_s2_nul_in_a_key(raw, s3, bucket):
    for path in (f"/{bucket}/a%00b", f"/{bucket}/%00", f"/{bucket}/dir/%00/x"):
        answer = raw.request("PUT", path, body=b"x")
        assert (answer.status, answer.code) == (400, "InvalidArgument"), answer.body
    assert s3c.keys(s3, bucket) == []


def test_keys_that_are_not_utf8(raw, s3, bucket):
    for path in (f"/{bucket}/a%FF", f"/{bucket}/%C3", f"/{bucket}/%ED%A0%80"):
        answer = raw.request("PUT", path, body=b"x")
        assert 400 <= answer.status < 500, (path, answer.status)
    assert s3c.keys(s3, bucket) == []


def test_broken_percent_encoding(raw, bucket):
    for path in (f"/{bucket}/%", f"/{bucket}/%zz", f"/{bucket}/%4"):
        answer = raw.request("GET", path)
        assert 400 <= answer.status < 500, (path, answer.status)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not xml", b"<Delete>", b"<Delete></Delete>", b"<Wrong><Object><Key>a</Key></Object></Wrong>", b"\xff\xfe\x00",
        b"<Delete><Object></Object></Delete>", b"<" * 10000, b"<a>" * 100_000, BILLION_LAUGHS,
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>',
    ],
    ids=["empty", "text", "cut", "nothing", "wrong root", "bytes", "no key", "angles", "deep", "entities", "file entity"],
)
def test_malformed_xml(raw, bucket, body):
    answer = raw.request("POST", f"/{bucket}", [("delete", "")], body=body)
    assert 400 <= answer.status < 500, (answer.status, answer.body[:300])
    assert answer.code in ("MalformedXML", "MissingRequestBodyError", "InvalidRequest", "MissingContentMD5"), answer.body[:300]
    assert b"root:" not in answer.body


def test_an_endless_xml_body(raw, bucket):
    body = b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1_000_000
    answer = raw.request("POST", f"/{bucket}", [("delete", "")], body=body, payload="UNSIGNED-PAYLOAD")
    assert 400 <= answer.status < 500, (answer.status, answer.body[:300])


def test_complete_with_10001_parts(raw, s3, bucket, upload):
    up = upload()
    up.part(1, b"x")
    rows = b"".join(b"<Part><PartNumber>%d</PartNumber><ETag>x</ETag></Part>" % i for i in range(1, 10_002))
    body = b"<CompleteMultipartUpload>" + rows + b"</CompleteMultipartUpload>"
    answer = raw.request("POST", f"/{bucket}/k", [("uploadId", up.id)], body=body)
    assert answer.status == 400 and answer.code in ("InvalidPart", "InvalidArgument", "MalformedXML"), answer.body[:300]
    assert s3c.absent(s3, bucket, "k")


def test_metadata_beyond_two_kilobytes(raw, s3, bucket):
    answer = raw.request("PUT", f"/{bucket}/k", headers={"x-amz-meta-a": "v" * 2100}, body=b"x")
    assert (answer.status, answer.code) == (400, "MetadataTooLarge"), answer.body
    answer = raw.request("PUT", f"/{bucket}/k", headers={f"x-amz-meta-{i}": "v" * 20 for i in range(120)}, body=b"x")
    assert answer.code == "MetadataTooLarge"
    assert s3c.absent(s3, bucket, "k")


def test_headers_beyond_bounds(raw):
    with raw.connect() as connection:
        connection.settimeout(60)
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 200_000 + b"\r\n\r\n")
        answer = connection.recv(4096)
    assert answer == b"" or b" 4" in answer.split(b"\r\n")[0], answer[:200]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/9.9\r\n\r\n", b"\x00\x01\x02\x03\r\n\r\n", b"GET\r\n\r\n",
        b"PUT /x HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
        b"PUT /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_no_http(raw, head):
    with raw.connect() as connection:
        connection.settimeout(60)
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    line = answer.split(b"\r\n")[0]
    assert answer == b"" or b" 4" in line or b" 5" in line, answer[:200]
    assert b"root:" not in answer


def test_a_body_longer_than_five_gib_is_refused_at_once(raw, bucket):
    path = f"/{bucket}/k"
    headers = raw.signer().headers("PUT", raw.authority, path, payload="UNSIGNED-PAYLOAD")
    headers |= {"content-length": str(5 * settings.GIB + 1), "expect": "100-continue"}
    with raw.connect() as connection:
        connection.settimeout(60)
        connection.sendall(raw.head_bytes("PUT", path, headers))
        answer = connection.recv(65536)
    assert b"HTTP/1.1 400" in answer and b"EntityTooLarge" in answer, answer[:400]


def test_no_content_length(raw, bucket):
    path = f"/{bucket}/k"
    headers = raw.signer().headers("PUT", raw.authority, path, payload="UNSIGNED-PAYLOAD")
    with raw.connect() as connection:
        connection.settimeout(60)
        connection.sendall(raw.head_bytes("PUT", path, headers | {"connection": "close"}))
        answer = connection.recv(65536)
    assert b" 411 " in answer.split(b"\r\n")[0], answer[:200]


def test_methods_that_are_not_there(raw, bucket):
    for method in ("PATCH", "TRACE", "BREW", "OPTIONS"):
        answer = raw.request(method, f"/{bucket}/k")
        assert 400 <= answer.status < 600 and answer.status != 500, (method, answer.status)


def test_many_query_parameters(raw, bucket):
    answer = raw.request("GET", f"/{bucket}", [(f"p{i}", "v" * 50) for i in range(1000)])
    assert answer.status in (200, 400, 414, 431), answer.status


def test_odd_numbers_in_listings(raw, bucket):
    for value in ("x", "99999999999999999999", "-5", "1.5", "\u0663"):
        answer = raw.request("GET", f"/{bucket}", [("list-type", "2"), ("max-keys", value)])
        assert (answer.status, answer.code) == (400, "InvalidArgument"), (value, answer.status, answer.body[:200])
