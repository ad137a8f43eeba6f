"""The trustless gateway, case by case of its specification: https://specs.ipfs.tech/http-gateways/trustless-gateway/."""

import contextlib
import hashlib
import http.client
import json
import socket

import pytest

from harness import cid
from harness import s3 as s3c
from harness.car import blocks_of, read_car

RAW, CAR = "application/vnd.ipld.raw", "application/vnd.ipld.car"
MIB = 1 << 20


class Gateway:
    """Requests to one provider."""

    def __init__(self, port):
        self.port = port

    def ask(self, path, method="GET", **headers):
        """One request: the answer, with its body as `content`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            answer.content = answer.read()
            return answer
        finally:
            connection.close()

    def raw(self, name, **headers):
        """A block."""
        answer = self.ask(f"/ipfs/{name}?format=raw", **headers)
        assert answer.status == 200, answer.content
        return answer.content

    def car(self, path, **headers):
        """A CAR's blocks in their order, checked: [(CID, bytes)]."""
        answer = self.ask(path, **headers)
        assert answer.status == 200, answer.content
        assert answer.headers["Content-Type"].startswith(f"{CAR}; version=1; order=dfs; dups=")
        return read_car(answer.content)[1]


@pytest.fixture(scope="session")
def gateway(peer):
    return Gateway(peer.port)


@pytest.fixture
def file(stored, rng):
    """A file of four chunks, the last of 10 bytes: its CID, its bytes, its leaves' CIDs."""
    data = rng.randbytes(3 * MIB + 10)
    leaves = [cid.text(leaf) for leaf in cid.leaves_of([data])]
    return stored("file", data), data, leaves


def test_raw_by_format_and_by_accept(gateway, file):
    root, data, leaves = file
    for how in ({"path": f"/ipfs/{leaves[1]}?format=raw"}, {"path": f"/ipfs/{leaves[1]}", "Accept": RAW}):
        answer = gateway.ask(**how)
        assert answer.status == 200 and answer.content == data[MIB : 2 * MIB]
        assert answer.headers["Content-Type"] == RAW
        assert answer.headers["Content-Length"] == str(MIB)
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{leaves[1]}.bin"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Etag"] == f'"{leaves[1]}.raw"'
        assert answer.headers["Cache-Control"] == "public, max-age=29030400, immutable"
        assert answer.headers["X-Ipfs-Path"] == f"/ipfs/{leaves[1]}"
        assert answer.headers["X-Ipfs-Roots"] == leaves[1]
    assert hashlib.sha256(gateway.raw(root)).digest() == cid.parse(root)[4:]


def test_head_has_the_same_headers_and_no_body(gateway, file):
    for query in ("format=raw", "format=car"):
        get, head = (gateway.ask(f"/ipfs/{file[0]}?{query}", method) for method in ("GET", "HEAD"))
        assert head.status == 200 and head.content == b""
        for name in ("Content-Type", "Etag", "Content-Disposition", "Cache-Control", "X-Ipfs-Roots"):
            assert head.headers[name] == get.headers[name]
    assert gateway.ask(f"/ipfs/{file[2][0]}?format=raw", "HEAD").headers["Content-Length"] == str(MIB)
    assert gateway.ask(f"/ipfs/{cid.of_bytes(b'never stored')}?format=raw", "HEAD").status == 404


def test_the_probe_and_other_blocks_in_their_cids(gateway):
    for method in ("GET", "HEAD"):
        answer = gateway.ask("/ipfs/bafkqaaa", method, Accept=RAW)
        assert answer.status == 200 and answer.content == b""
        assert gateway.ask("/ipfs/bafkqaaa?format=car", method).status == 200
    roots, blocks = read_car(gateway.ask("/ipfs/bafkqaaa?format=car").content)
    assert roots == ["bafkqaaa"] and blocks == []
    hello = "bafkqaf3imvwgy3zaneqgc3janfxgy2lomvscay3jmqfa"
    assert gateway.raw(hello) == b"hello i am inlined cid\n"
    assert gateway.car(f"/ipfs/{hello}", Accept=f"{CAR}; dups=y") == []


def test_ranges_of_a_block(gateway, file):
    _, data, leaves = file
    for asked, want, header in [
        ("bytes=0-3", data[:4], f"bytes 0-3/{MIB}"),
        ("bytes=-5", data[MIB - 5 : MIB], f"bytes {MIB - 5}-{MIB - 1}/{MIB}"),
        (f"bytes={MIB - 2}-{MIB + 9}", data[MIB - 2 : MIB], f"bytes {MIB - 2}-{MIB - 1}/{MIB}"),
    ]:
        answer = gateway.ask(f"/ipfs/{leaves[0]}?format=raw", Range=asked)
        assert (answer.status, answer.content) == (206, want)
        assert answer.headers["Content-Range"] == header
    answer = gateway.ask(f"/ipfs/{leaves[0]}?format=raw", Range=f"bytes={MIB}-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{MIB}")
    # Several at once need not be served: the whole is right too.
    assert gateway.ask(f"/ipfs/{leaves[0]}?format=raw", Range="bytes=0-1,5-6").content == data[:MIB]
    assert gateway.ask(f"/ipfs/{leaves[0]}?format=raw", Range="bytes=0-1", If_Range='"other"').status == 200


def test_what_the_client_has_is_not_sent(gateway, file):
    for query in ("format=raw", "format=car", "format=car&dag-scope=block"):
        path = f"/ipfs/{file[0]}?{query}"
        etag = gateway.ask(path).headers["Etag"]
        for known in (etag, "*", f'"x", {etag}', etag.removeprefix("W/")):
            answer = gateway.ask(path, If_None_Match=known)
            assert (answer.status, answer.content, answer.headers["Etag"]) == (304, b"", etag)
        assert gateway.ask(path, If_None_Match='"x"').status == 200
    paths = [f"/ipfs/{file[0]}?format=car{more}" for more in ("", "&dag-scope=block", "&entity-bytes=0:5", "&car-dups=y")]
    assert len({gateway.ask(path).headers["Etag"] for path in paths}) == 4, "what is different has another name"


def test_a_car_of_a_file_in_depth_first_order(gateway, file):
    root, data, leaves = file
    blocks = gateway.car(f"/ipfs/{root}?format=car")
    assert [name for name, _ in blocks] == [root, *leaves]
    assert b"".join(bytes_ for _, bytes_ in blocks[1:]) == data
    assert gateway.car(f"/ipfs/{root}?format=car&dag-scope=entity") == blocks
    assert gateway.car(f"/ipfs/{root}?format=car&dag-scope=block") == blocks[:1]
    assert gateway.car(f"/ipfs/{root}", Accept=CAR) == blocks


def test_only_the_blocks_of_a_range_of_a_file(gateway, file):
    root, _, leaves = file
    for bytes_, want in [
        ("0:0", [0]), (f"{MIB - 1}:{MIB}", [0, 1]), (f"{MIB}:*", [1, 2, 3]), ("-10:*", [3]), ("-11:-11", [2]),
        (f"{MIB}:-{MIB}", [1, 2]), ("-99999999:0", [0]), ("0:*", [0, 1, 2, 3]), ("99999999:*", []),
    ]:
        blocks = gateway.car(f"/ipfs/{root}?format=car&dag-scope=entity&entity-bytes={bytes_}")
        assert [name for name, _ in blocks] == [root, *(leaves[k] for k in want)], bytes_
    alone = gateway.car(f"/ipfs/{root}?format=car&entity-bytes=0:0")
    assert len(alone) == 2, "a range alone is of the entity"


def test_blocks_come_twice_only_where_asked_for(gateway, stored, rng):
    chunk = rng.randbytes(MIB)
    data = chunk + bytes(MIB) + chunk + bytes(MIB)
    root = stored("twice", data)
    once = [cid.text(leaf) for leaf in cid.leaves_of([data])][:2]
    for how, dups in [
        ({"path": f"/ipfs/{root}?format=car"}, "n"),
        ({"path": f"/ipfs/{root}", "Accept": f"{CAR}; version=1; order=dfs; dups=n"}, "n"),
        ({"path": f"/ipfs/{root}", "Accept": f"{CAR};version=1;order=unk;dups=y"}, "y"),
        ({"path": f"/ipfs/{root}?format=car", "Accept": f"{CAR}; dups=y"}, "y"),
        ({"path": f"/ipfs/{root}?format=car&car-dups=y", "Accept": f"{CAR}; dups=n"}, "y"),
        ({"path": f"/ipfs/{root}", "Accept": f"{CAR}; order=wide, {CAR}; dups=y; q=0.5"}, "y"),
    ]:
        answer = gateway.ask(**how)
        assert answer.headers["Content-Type"] == f"{CAR}; version=1; order=dfs; dups={dups}"
        assert [name for name, _ in read_car(answer.content)[1]] == [root, *once * (2 if dups == "y" else 1)]


def test_format_goes_before_accept(gateway, file):
    root = file[0]
    assert gateway.ask(f"/ipfs/{root}?format=car", Accept=RAW).headers["Content-Type"].startswith(CAR)
    assert gateway.ask(f"/ipfs/{root}?format=raw", Accept=CAR).headers["Content-Type"] == RAW
    assert gateway.ask(f"/ipfs/{root}", Accept=f"{CAR};q=0.2, {RAW}").headers["Content-Type"] == RAW
    answer = gateway.ask(f"/ipfs/{root}?format=raw&filename=b%C3%BCro%22.bin")
    assert answer.headers["Content-Disposition"] == "attachment; filename=\"b_ro_.bin\"; filename*=UTF-8''b%C3%BCro%22.bin"


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/ipfs/{root}", None, 400),  # Nothing is sent that could not be checked: who asks says how.
        ("/ipfs/{root}", "*/*", 400),
        ("/ipfs/{root}", "text/html", 406),
        ("/ipfs/{root}", f"{CAR}; version=2", 406),
        ("/ipfs/{root}", f"{RAW};q=0", 400),
        ("/ipfs/{root}?format=tar", None, 406),
        ("/ipfs/{root}?format=x", None, 400),
        ("/ipfs/{root}?format=raw&format=car", None, 400),
        ("/ipfs/{root}?format=car&car-version=2", None, 400),
        ("/ipfs/{root}?format=car&car-order=wide", None, 400),
        ("/ipfs/{root}?format=car&car-dups=maybe", None, 400),
        ("/ipfs/{root}?format=car&dag-scope=some", None, 400),
        ("/ipfs/{root}?format=car&dag-scope=block&entity-bytes=0:1", None, 400),
        ("/ipfs/{root}?format=car&entity-bytes=5:4", None, 400),
        ("/ipfs/{root}?format=car&entity-bytes=a:b", None, 400),
        ("/ipfs/{root}/name?format=car", None, 404),  # Below a file there is nothing.
        ("/ipfs/{root}/%ff?format=car", None, 400),
        ("/ipfs/{root}/%2e%2e/x?format=car", None, 400),
        ("/ipfs/{none}?format=raw", None, 404),
        ("/ipfs/{none}?format=car", None, 404),
        ("/ipfs/QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn?format=raw", None, 404),
        ("/ipfs/?format=raw", None, 400),
        ("/ipfs/no-cid?format=raw", None, 400),
        ("/ipfs/" + "b" * 3000 + "?format=raw", None, 400),
        ("/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8", None, 501),
        ("/", None, 404),
        ("/metrics", None, 404),
        ("/routing/v1/providers/no-cid", None, 422),
        ("/routing/v1/elsewhere", None, 404),
    ],
)
def test_wrong_requests(gateway, file, path, accept, status):
    path = path.format(root=file[0], none=cid.of_bytes(b"nobody has this"))
    answer = gateway.ask(path, **({"Accept": accept} if accept else {}))
    assert answer.status == status, answer.content
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_other_methods_and_what_is_not_cached(gateway, file):
    answer = gateway.ask(f"/ipfs/{file[0]}?format=raw", "POST")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    none = cid.of_bytes(b"nobody has this")
    assert gateway.ask(f"/ipfs/{none}?format=raw", Cache_Control="only-if-cached").status == 412
    assert gateway.ask(f"/ipfs/{file[0]}?format=raw", Cache_Control="only-if-cached").status == 200


def test_paths_through_a_directory(gateway, peer, stored, rng):
    data = rng.randbytes(2 * MIB)
    stored("d/e/file", data)
    for n in range(10):
        stored(f"d/name {n:04} {'x' * 200}", b"same")
    done = peer.node.cli("bucket", "cid", stored.bucket, "--json", "--data", peer.node.data)
    root = json.loads(done.stdout)["cid"]
    whole = gateway.car(f"/ipfs/{root}?format=car")
    assert whole[0][0] == root and cid.of_bytes(data) in dict(whole)
    found = gateway.car(f"/ipfs/{root}/d/e/file?format=car")
    assert found[0][0] == root and [name for name, _ in found[3:]] == blocks_of(cid, data)
    answer = gateway.ask(f"/ipfs/{root}/d/name%200007%20{'x' * 200}?format=raw")
    assert (answer.status, answer.content) == (200, b"same")
    assert answer.headers["X-Ipfs-Roots"].split(",")[0] == root and answer.headers["X-Ipfs-Roots"].count(",") == 2
    assert len(gateway.car(f"/ipfs/{root}/d?format=car&dag-scope=entity")) == 2
    assert gateway.ask(f"/ipfs/{root}/d/none?format=car").status == 404


def test_a_closed_bucket_and_what_was_deleted(gateway, peer, stored, rng):
    data = rng.randbytes(2 * MIB)
    name = stored("file", data)
    leaf = cid.text(cid.leaves_of([data])[0])
    routing = f"/routing/v1/providers/{leaf}"
    assert gateway.raw(leaf) and b"12D3KooW" in gateway.ask(routing).content
    peer.node.cli("bucket", "provide", stored.bucket, "off", "--data", peer.node.data)
    for path in (name, leaf):
        assert gateway.ask(f"/ipfs/{path}?format=raw").status == 404
    assert gateway.ask(routing).content == b'{"Providers":[]}'
    peer.node.cli("bucket", "provide", stored.bucket, "on", "--data", peer.node.data)
    assert gateway.raw(leaf)
    peer.s3.delete_object(Bucket=stored.bucket, Key="file")
    assert gateway.ask(f"/ipfs/{leaf}?format=raw").status == 404


def test_routing_as_json_and_as_a_stream(gateway, peer, stored):
    name = stored("k", b"who has this?")
    path = f"/routing/v1/providers/{name}"
    answer = gateway.ask(path)
    assert answer.headers["Content-Type"] == "application/json" and answer.headers["Vary"] == "Accept"
    [record] = json.loads(answer.content)["Providers"]
    assert record["Schema"] == "peer" and record["Protocols"] == ["transport-ipfs-gateway-http"]
    assert record["Addrs"] == [f"/ip4/127.0.0.1/tcp/{peer.port}/http"]
    streamed = gateway.ask(path, Accept="application/x-ndjson")
    assert streamed.headers["Content-Type"] == "application/x-ndjson"
    assert json.loads(streamed.content) == record and streamed.content.endswith(b"\n")
    none = f"/routing/v1/providers/{cid.of_bytes(b'nobody has this')}"
    assert gateway.ask(none).content == b'{"Providers":[]}'
    assert gateway.ask(none, Accept="application/x-ndjson").content == b""
    for query, known in [
        ("filter-protocols=transport-bitswap", False), ("filter-protocols=unknown,Transport-IPFS-gateway-http", True),
        ("filter-addrs=http", True), ("filter-addrs=quic-v1", False), ("filter-addrs=%21http", False),
        ("filter-addrs=!ip6", True),
    ]:
        assert (b"12D3KooW" in gateway.ask(f"{path}?{query}").content) == known, query
    peers = gateway.ask(f"/routing/v1/peers/{record['ID']}")
    assert json.loads(peers.content)["Peers"] == [record]
    other = gateway.ask("/routing/v1/peers/12D3KooWQCUXPaXNSSLZ9TMHgr9uPGcs83YZx2hxfihmVDgVhTmX")
    assert other.content == b'{"Peers":[]}'
    assert gateway.ask("/routing/v1/ipns/k51").status == 501


def test_a_page_of_the_web_cannot_ask_by_another_name(gateway, file):
    path = f"/ipfs/{file[0]}?format=raw"
    assert gateway.ask(path, Host="localhost:1").status == 200
    assert gateway.ask(path, Host="rebound.example").status == 421
    assert "Access-Control-Allow-Origin" not in gateway.ask(path).headers


def test_a_connection_serves_many_requests(gateway, file):
    """As Kubo asks: one after the other, a missing block among them."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    for name in [*file[2], cid.of_bytes(b"nobody has this"), *file[2]]:
        connection.request("GET", f"/ipfs/{name}?format=raw")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == (200 if name in file[2] else 404)
        assert answer.status == 404 or cid.text(cid.leaf(body)) == name
    connection.close()


def test_rubbish_is_answered_or_closed(gateway):
    broken_http_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 99
    for sent in (b"\0" * 1000, b"GET /ipfs/ HTTP/9.9\r\n\r\n", b"GET " + b"/" * 200_000, broken_http_2):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as connection:
            # The node may well have closed it before all is said.
            with contextlib.suppress(ConnectionError, OSError):
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
    assert gateway.ask("/ipfs/bafkqaaa?format=raw").status == 200


def test_s17_a_damaged_chunk_is_never_sent(peer, gateway, stored, rng):
    data = rng.randbytes(3 * MIB)
    root = stored("hurt", data)
    leaves = [cid.text(leaf) for leaf in cid.leaves_of([data])]
    assert [gateway.raw(name) for name in leaves]
    [path] = [p for p in (peer.node.data / "chunks/content").rglob("*") if p.name.endswith(cid.parse(root)[4:].hex())]
    path.chmod(0o600)
    with path.open("r+b") as content:
        content.seek(MIB + 7)
        content.write(b"\0\0\0\0" if data[MIB + 7 : MIB + 11] != bytes(4) else b"\1")
    assert gateway.ask(f"/ipfs/{leaves[1]}?format=raw").status == 500
    assert gateway.raw(leaves[0]) == data[:MIB] and gateway.raw(leaves[2]) == data[2 * MIB :]
    # A CAR ends before it.
    with pytest.raises((http.client.IncompleteRead, ConnectionError, AssertionError)):
        gateway.car(f"/ipfs/{root}?format=car")
    peer.s3.delete_object(Bucket=stored.bucket, Key="hurt")


def test_content_of_an_encrypted_bucket_goes_out_sealed(peer, gateway, rng):
    name = s3c.fresh_name("enc")
    peer.s3.create_bucket(Bucket=name)
    peer.s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
    )
    data = rng.randbytes(MIB)
    peer.s3.put_object(Bucket=name, Key="secret", Body=data)
    head = peer.s3.head_object(Bucket=name, Key="secret")
    root = head["ResponseMetadata"]["HTTPHeaders"]["x-pinfold-cid"]
    sealed = gateway.raw(root)
    assert len(sealed) == len(data) and sealed != data and data[:64] not in sealed
    assert gateway.ask(f"/ipfs/{cid.of_bytes(data)}?format=raw").status == 404
    peer.node.cli("bucket", "cid", name, "--data", peer.node.data)
