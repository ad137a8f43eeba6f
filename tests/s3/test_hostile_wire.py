"""Hostile bytes on the wire: slowloris, smuggling, giant and endless things. Each gets a clear answer or a closed connection;
the server stays up and holds nothing of it."""

import errno
import os
import re
import socket
import threading
import time

import pytest

from harness import s3 as s3c
from harness import settings, sigv4
from harness.node import Node
from harness.rawhttp import Raw
from harness.wait import until

pytestmark = pytest.mark.pinfold

#: What all of a test may add to the daemon's memory, in bytes, once it is over.
LEFT = 64 * settings.MIB


@pytest.fixture(scope="module")
def node():
    """A node with short patience, shared by the file."""
    env = {"PINFOLD_S3_HEADER_TIMEOUT": "3s", "PINFOLD_S3_IDLE_TIMEOUT": "3s"}
    with Node("hostile", mount=False, env=env) as node:
        s3c.client(node.endpoint).create_bucket(Bucket="bkt")
        yield node


@pytest.fixture
def raw(node):
    return Raw("127.0.0.1", node.s3_port)


@pytest.fixture(autouse=True)
def goes_on(node, raw):
    """After each test the server works, holds no connection of it and no memory."""
    before = node.memory()
    yield
    assert raw.request("PUT", "/bkt/alive", body=b"yes").status == 200
    assert raw.request("GET", "/bkt/alive").body == b"yes"
    until(lambda: node.metric("pinfold_s3_connections") <= 1, "no connection is left", 60)
    assert node.memory() < before + LEFT, f"{before} → {node.memory()}"
    assert "ended in a bug" not in node.log_text() and "panicked" not in node.log_text()
    keys = s3c.keys(s3c.client(node.endpoint), "bkt")
    assert keys == ["alive"], "nothing that was refused was done"


def talk(raw, data, deadline=30, shut=True):
    """Sends bytes as they are; all that comes back until the other side closes."""
    text = b""
    with raw.connect() as connection:
        connection.settimeout(deadline)
        try:
            connection.sendall(data)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                text += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        except OSError as e:
            # Closed by the other side before this one was.
            if e.errno != errno.ENOTCONN:
                raise
    return text


def statuses(text):
    """Of each answer on a connection. No body of these answers has what looks like a status line."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", text)]


def refused(text):
    """One answer of 4xx or 501, or none at all."""
    found = statuses(text)
    assert (found == [] and text == b"") or (len(found) == 1 and (400 <= found[0] < 500 or found[0] == 501)), text[:400]
    return found


# ---- slowloris
def test_many_heads_that_never_end(node, raw):
    """200 connections that send a header's byte now and then: all are given up within the header timeout."""
    held = [raw.connect() for _ in range(200)]
    for connection in held:
        connection.sendall(b"GET /bkt HTTP/1.1\r\nhost: x\r\nx-slow: ")
    assert raw.request("GET", "/bkt").status == 200, "others are served meanwhile"
    end = time.monotonic() + 40
    alive = held
    while alive and time.monotonic() < end:
        still = []
        for connection in alive:
            try:
                connection.sendall(b"a")
                connection.setblocking(False)
                try:
                    gone = connection.recv(4096) == b""
                except BlockingIOError:
                    gone = False
                connection.setblocking(True)
            except OSError:
                gone = True
            if gone:
                connection.close()
            else:
                still.append(connection)
        alive = still
        time.sleep(0.3)
    assert not alive, f"{len(alive)} of 200 are still there"


def test_many_bodies_that_stop(node, raw):
    held = []
    for n in range(64):
        headers = raw.signer().headers("PUT", raw.authority, f"/bkt/slow-{n}", payload=sigv4.UNSIGNED)
        connection = raw.connect()
        connection.sendall(raw.head_bytes("PUT", f"/bkt/slow-{n}", headers | {"content-length": "1000000"}) + b"x" * 100)
        held.append(connection)
    assert raw.request("GET", "/bkt").status == 200, "others are served meanwhile"
    for connection in held:
        connection.settimeout(40)
        text = connection.recv(65536)
        assert b" 400 " in text.split(b"\r\n")[0] and b"RequestTimeout" in text, text[:300]
        connection.close()


# ---- smuggling
EVIL = b"GET /bkt/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
FORMS = {
    "both": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % (5 + len(EVIL))
            + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, other order": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: %d\r\n\r\n" % len(EVIL),
    "two lengths in one": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length: 0, %d\r\n\r\n" % len(EVIL),
    "signed length": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length: +0\r\n\r\n",
    "hex length": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length: 0x0\r\n\r\n",
    "length with a space": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length: 1 0\r\n\r\n",
    "huge length": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    "unknown coding": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "folded": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\nx-a: b\r\n transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n",
    "space before colon": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length : %d\r\n\r\n" % len(EVIL),
    "space before the name": b"PUT /bkt/k HTTP/1.1\r\n host: x\r\ncontent-length: 0\r\n\r\n",
    "bare cr": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\nx-a: b\rtransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n",
    "nul": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\nx-a: b\0c\r\ncontent-length: 0\r\n\r\n",
    "no colon": b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length\r\n\r\n",
    "1.0 and chunked": b"PUT /bkt/k HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_smuggling(raw, form):
    """What two parsers may read differently is refused, and what follows it on the connection is not taken for a request."""
    found = refused(talk(raw, FORMS[form] + EVIL))
    assert len(found) <= 1


def test_bare_line_feeds(raw):
    """A line may end in a bare LF (RFC 9112 2.2); but it hides no length from a parser that reads it otherwise."""
    text = talk(raw, b"GET /bkt/nothing HTTP/1.1\nhost: x\n\n" + EVIL)
    # A client that has closed its side may miss the answer to what it sent last.
    assert statuses(text) in ([403, 403], [403], [400], []), text[:400]
    hidden = b"content-length: 0\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    refused(talk(raw, b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\n" + hidden + EVIL))


# ---- sizes
def test_giant_heads(raw):
    for head in (
        b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 8_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 8_000_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"A" * 8_000_000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: v\r\n" % n for n in range(100_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x-same: v\r\n" * 1000 + b"\r\n",
    ):
        refused(talk(raw, head))


def test_a_head_a_little_too_large_is_told_so(raw):
    answer = raw.request("GET", "/bkt", headers={f"x-amz-meta-{n}": "v" * 100 for n in range(100)})
    assert (answer.status, answer.code) == (400, "RequestHeaderSectionTooLarge"), answer.body


CHUNKS = {
    "no number": b"zz\r\nabc\r\n0\r\n\r\n",
    "negative": b"-1\r\nabc\r\n0\r\n\r\n",
    "too large": b"FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
    "empty": b"\r\nabc\r\n0\r\n\r\n", "longer than it says": b"1\r\nabc\r\n0\r\n\r\n", "space": b"1 1\r\nabc\r\n0\r\n\r\n",
    "endless size": b"0" * 200_000 + b"3\r\nabc\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"x" * 2_000_000 + b"\r\nabc\r\n0\r\n\r\n",
    "endless trailers": b"0\r\n" + b"x-t: v\r\n" * 200_000 + b"\r\n", "line feed only": b"3\nabc\n0\n\n",
}


@pytest.mark.parametrize("what", CHUNKS)
def test_bad_http_chunks(raw, what):
    headers = raw.signer().headers("PUT", raw.authority, "/bkt/k", payload=sigv4.UNSIGNED)
    head = raw.head_bytes("PUT", "/bkt/k", headers | {"transfer-encoding": "chunked"})
    refused(talk(raw, head + CHUNKS[what]))


AWS_CHUNKS = {
    "no number": b"zz;chunk-signature=%s\r\nabc\r\n", "negative": b"-3;chunk-signature=%s\r\nabc\r\n",
    "too large": b"FFFFFFFFFFFFFFFFFFFF;chunk-signature=%s\r\nabc\r\n",
    "a terabyte": b"10000000000;chunk-signature=%s\r\nabc\r\n",
    "no signature": b"3\r\nabc\r\n0\r\n\r\n", "short signature": b"3;chunk-signature=ab\r\nabc\r\n",
    "no line": b"3;chunk-signature=" + b"a" * 1_000_000,
    "wrong signature": b"3;chunk-signature=%s\r\nabc\r\n0;chunk-signature=%s\r\n\r\n",
    "no end": b"3;chunk-signature=%s\r\nabcd\r\n",
}


@pytest.mark.parametrize("what", AWS_CHUNKS)
@pytest.mark.parametrize("declared", [3, 5 * settings.GIB])
def test_bad_aws_chunks(raw, what, declared):
    zeros = b"0" * 64
    body = AWS_CHUNKS[what].replace(b"%s", zeros)
    extra = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(declared)}
    headers = raw.signer().headers("PUT", raw.authority, "/bkt/k", headers=extra, payload=sigv4.STREAMING)
    head = raw.head_bytes("PUT", "/bkt/k", headers | {"content-length": str(len(body))})
    assert refused(talk(raw, head + body, shut=False)) != []


# ---- XML
def laughs(depth):
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(depth))
    head = f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY e0 "ha">{entities}]>'
    return f"{head}<Delete><Object><Key>&e{depth};</Key></Object></Delete>".encode()


XML = {
    "entities": laughs(12),
    "quadratic": b'<!DOCTYPE d [<!ENTITY a "' + b"a" * 500_000 + b'">]><Delete>' + b"&a;" * 50_000 + b"</Delete>",
    "external": b'<!DOCTYPE d SYSTEM "http://127.0.0.1:1/x"><Delete><Object><Key>k</Key></Object></Delete>',
    "deep": b"<Delete>" + b"<Object>" * 800_000,
    "deep and closed": b"<a>" * 500_000 + b"</a>" * 500_000,
    "attributes": b"<Delete " + b" ".join(b'a%d="v"' % n for n in range(200_000)) + b"/>",
    "one attribute": b'<Delete a="' + b"v" * 7_000_000 + b'"/>',
    "one name": b"<" + b"D" * 7_000_000 + b"/>",
    "one comment": b"<!--" + b"-x" * 3_000_000 + b"--><Delete/>",
    "many comments": b"<!---->" * 1_000_000 + b"<Delete/>",
    "instructions": b"<?x?>" * 1_000_000 + b"<Delete/>",
    "namespaces": b"<Delete " + b" ".join(b'xmlns:a%d="u"' % n for n in range(100_000)) + b"/>",
    "cdata": b"<Delete><Object><Key><![CDATA[" + b"]" * 7_000_000,
    "references": b"<Delete><Object><Key>" + b"&#65;" * 1_400_000 + b"</Key></Object></Delete>",
    "bad reference": b"<Delete><Object><Key>&#xFFFFFFFFFFFF;</Key></Object></Delete>",
}


@pytest.mark.parametrize("what", XML)
def test_xml_bombs(node, raw, what):
    node.reset_peak_memory()
    before = node.memory()
    began = time.monotonic()
    for target, params in (("/bkt", [("delete", "")]), ("/bkt", [("tagging", "")]), ("/bkt", [("lifecycle", "")])):
        method = "POST" if params[0][0] == "delete" else "PUT"
        answer = raw.request(method, target, params, body=XML[what])
        assert 400 <= answer.status < 500 or answer.status == 501, (answer.status, answer.body[:300])
    assert time.monotonic() - began < 60, "no work beyond what the bytes are worth"
    assert node.peak_memory() < before + 512 * settings.MIB


# ---- floods
def test_a_flood_of_pipelined_requests(node, raw):
    """100,000 requests on one connection by a client that reads nothing: bounded, and given up."""
    node.reset_peak_memory()
    before = node.memory()
    sent = 0
    with raw.connect() as connection:
        connection.settimeout(10)
        block = b"GET /bkt/nothing HTTP/1.1\r\nhost: x\r\n\r\n" * 1000
        try:
            for _ in range(100):
                connection.sendall(block)
                sent += len(block)
        except OSError:
            pass
        assert node.peak_memory() < before + 256 * settings.MIB, sent
        assert raw.request("GET", "/bkt").status == 200, "others are served meanwhile"


def test_a_pipelined_flood_is_answered_in_order(raw):
    """A client that does read gets each answer."""
    one = b"GET /bkt/nothing HTTP/1.1\r\nhost: x\r\n\r\n"
    text = talk(raw, one * 499 + one.replace(b"x\r\n\r\n", b"x\r\nconnection: close\r\n\r\n"), deadline=120, shut=False)
    assert statuses(text) == [403] * 500


def test_a_flood_of_connections(node, raw):
    """Many at once that say nothing, while others are served; then all of them go."""
    before = node.metric("pinfold_s3_connections_total")
    held = [raw.connect() for _ in range(800)]
    assert raw.request("GET", "/bkt").status == 200
    until(lambda: node.metric("pinfold_s3_connections_total") >= before + 801, "all were taken", 40)
    for connection in held:
        connection.close()


def test_http2_rapid_reset(node, raw):
    """HEADERS and RST_STREAM, over and over, on one connection (CVE-2023-44487): bounded, and others are served."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    head = bytes([0x82, 0x84, 0x86, 0x41, 0x01]) + b"x"

    def frames(stream):
        number = stream.to_bytes(4, "big")
        return len(head).to_bytes(3, "big") + b"\1\5" + number + head + b"\0\0\4\3\0" + number + b"\0\0\0\x08"
    node.reset_peak_memory()
    before = node.memory()
    with raw.connect() as connection:
        connection.settimeout(10)
        drained = threading.Thread(target=drain, args=(connection,))
        try:
            connection.sendall(preface)
            drained.start()
            for n in range(200):
                connection.sendall(b"".join(frames(2 * (n * 500 + k) + 1) for k in range(500)))
        except OSError:
            pass
        assert raw.request("GET", "/bkt").status == 200
    drained.join()
    assert node.peak_memory() < before + 256 * settings.MIB


def drain(connection):
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass


def test_random_bytes(raw):
    for size in (1, 100, 10_000, 1_000_000):
        for _ in range(5):
            refused(talk(raw, os.urandom(size)))
