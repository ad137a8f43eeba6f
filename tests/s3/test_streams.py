"""Bodies that stream: bounded memory, clients that disappear, many at once."""

import contextlib
import threading

import pytest

from harness import s3 as s3c
from harness import settings, sigv4
from harness.data import md5, noise
from harness.node import Node
from harness.rawhttp import Raw, encode
from harness.wait import until

MIB = settings.MIB
BIG = 512 * MIB
#: Generous for buffers, caches and threads; a body held in memory would be far above it.
BOUND = 200 * MIB


class Pattern:
    """A file-like body of any size, cheap to make and to check: 1 MiB of noise, its number in front, again and again."""

    def __init__(self, size, tag="pattern"):
        self.size, self.at, self.block = size, 0, noise(MIB - 8, tag)

    def piece(self, number):
        return number.to_bytes(8, "big") + self.block

    def read(self, n=-1):
        n = self.size - self.at if n < 0 else min(n, self.size - self.at)
        out = bytearray()
        while len(out) < n:
            number, offset = divmod(self.at + len(out), MIB)
            out += self.piece(number)[offset : offset + n - len(out)]
        self.at += n
        return bytes(out)

    def seek(self, at, whence=0):
        self.at = at if whence == 0 else self.size + at if whence == 2 else self.at + at
        return self.at

    def tell(self):
        return self.at

    def __len__(self):
        return self.size


def check(stream, size, tag="pattern"):
    """The stream is that pattern."""
    expected, seen = Pattern(size, tag), 0
    for chunk in stream.iter_chunks(MIB):
        assert chunk == expected.read(len(chunk)), f"wrong bytes near {seen}"
        seen += len(chunk)
    assert seen == size


@contextlib.contextmanager
def watched_memory(node):
    """What the node's memory was, again and again during the block."""
    peaks, stop = [], threading.Event()

    def watch():
        while not stop.wait(0.02):
            peaks.append(node.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        stop.set()
        watcher.join()


@pytest.mark.pinfold
def test_big_bodies_stream_in_bounded_memory(server, s3, bucket):
    node = server.node
    s3.put_object(Bucket=bucket, Key="warm", Body=noise(8 * MIB))
    before = node.memory()
    node.reset_peak_memory()
    with watched_memory(node) as peaks:
        s3.put_object(Bucket=bucket, Key="big", Body=Pattern(BIG))
        check(s3.get_object(Bucket=bucket, Key="big")["Body"], BIG)
    assert max(peaks) - before < BOUND, f"{(max(peaks) - before) >> 20} MiB more for a body of {BIG >> 20} MiB"


@pytest.mark.pinfold
@pytest.mark.slow
@pytest.mark.parametrize("how", ["plain", "aws-chunked", "parts"])
def test_two_gib_in_bounded_memory(server, s3, bucket, how):
    """The same with 2 GiB each way, as a plain body, as aws-chunked with a trailer, and in parts."""
    node, size = server.node, 2 * settings.GIB
    before = node.memory()
    with watched_memory(node) as peaks:
        if how == "parts":
            up = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
            at, part, parts = {"Bucket": bucket, "Key": "big", "UploadId": up}, 256 * MIB, []
            whole = Pattern(size)
            for number in range(1, size // part + 1):
                data = whole.read(part)
                etag = s3.upload_part(**at, PartNumber=number, Body=data)["ETag"]
                parts.append({"PartNumber": number, "ETag": etag})
            s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
        else:
            extra = {"ChecksumAlgorithm": "CRC32"} if how == "aws-chunked" else {}
            s3.put_object(Bucket=bucket, Key="big", Body=Pattern(size), **extra)
        check(s3.get_object(Bucket=bucket, Key="big")["Body"], size)
    grown = max(peaks) - before
    print(f"{how}: {grown >> 20} MiB more at most for a body of {size >> 20} MiB")
    assert grown < BOUND
    s3.delete_object(Bucket=bucket, Key="big")


@pytest.mark.pinfold
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_gib_put_get_and_copy_in_200_mib(server, s3, bucket):
    """Far beyond what any buffer could hold; the whole process stays below 200 MiB."""
    node, size, part = server.node, 20 * settings.GIB, 256 * MIB

    def upload(key, give):
        at = {"Bucket": bucket, "Key": key, "UploadId": s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]}
        parts = [{"PartNumber": n + 1, "ETag": give({**at, "PartNumber": n + 1}, n * part)} for n in range(size // part)]
        return s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})["ETag"]

    whole = Pattern(size)

    def copy(at, begin):
        source = {"Bucket": bucket, "Key": "big"}
        copied = s3.upload_part_copy(**at, CopySource=source, CopySourceRange=f"bytes={begin}-{begin + part - 1}")
        return copied["CopyPartResult"]["ETag"]

    most = {}
    with watched_memory(node) as peaks:
        etag = upload("big", lambda at, _: s3.upload_part(**at, Body=whole.read(part))["ETag"])
        most["PUT"] = max(peaks)
        check(s3.get_object(Bucket=bucket, Key="big")["Body"], size)
        most["GET"] = max(peaks)
        assert upload("copy", copy) == etag
        most["copy"] = max(peaks)
    print("resident at most:", {what: f"{peak >> 20} MiB" for what, peak in most.items()})
    assert most["copy"] < 200 * MIB
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "big"}, {"Key": "copy"}]})


@pytest.mark.pinfold
def test_a_slow_reader_does_not_fill_memory(server, s3, bucket):
    """A client that asks for much and reads little: the daemon waits, it does not buffer."""
    node, size = server.node, 256 * MIB
    s3.put_object(Bucket=bucket, Key="big", Body=Pattern(size))
    before = node.memory()
    bodies = [s3.get_object(Bucket=bucket, Key="big")["Body"] for _ in range(8)]
    for body in bodies:
        assert len(body.read(MIB)) == MIB
    assert node.memory() - before < BOUND
    for body in bodies:
        body.close()


@pytest.mark.pinfold
@pytest.mark.parametrize("size", [1000, 3 * MIB, 64 * MIB])
def test_a_client_that_disappears_leaves_nothing(server, raw, s3, bucket, size):
    """Mid-PUT the connection is cut: no key, no trace on the disk, no descriptor held."""
    node, path = server.node, f"/{bucket}/{encode('gone/x')}"
    s3.put_object(Bucket=bucket, Key="warm", Body=noise(size))
    s3.delete_object(Bucket=bucket, Key="warm")
    files = node.open_files()
    before = node.disk_use()
    for _ in range(6):
        headers = raw.signer().headers("PUT", raw.authority, path, payload="UNSIGNED-PAYLOAD")
        headers["content-length"] = str(size)
        with raw.connect() as connection:
            connection.sendall(raw.head_bytes("PUT", path, headers) + noise(size * 3 // 4))
    until(lambda: node.open_files() <= files + 4, "its descriptors are closed")
    until(lambda: node.disk_use() <= before + size + MIB, "its bytes are given back")
    assert s3c.keys(s3, bucket) == []
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def cut(raw, method, path, headers, body, params=()):
    """Sends a request whose body stops in the middle, and goes away."""
    with raw.connect() as connection:
        connection.sendall(raw.head_bytes(method, path, headers, params) + body)


@pytest.mark.pinfold
@pytest.mark.parametrize("size", [1000, 3 * MIB, 24 * MIB])
def test_a_client_that_disappears_mid_part(server, raw, s3, bucket, size):
    """Of a part, a chunk-signed body and a part that replaces another: no row, no byte, and the upload goes on."""
    node, path = server.node, f"/{bucket}/k"
    up = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    at = {"Bucket": bucket, "Key": "k", "UploadId": up}
    kept = s3.upload_part(**at, PartNumber=1, Body=b"first")["ETag"]
    s3.put_object(Bucket=bucket, Key="warm", Body=noise(size))
    s3.delete_object(Bucket=bucket, Key="warm")
    files, before, data = node.open_files(), node.disk_use(), noise(size)
    for turn in range(6):
        params = [("partNumber", str(1 + turn % 2)), ("uploadId", up)]
        signer = raw.signer()
        if turn < 3:
            headers = signer.headers("PUT", raw.authority, path, params, payload="UNSIGNED-PAYLOAD")
            body = data
            headers["content-length"] = str(size)
        else:
            extra = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(size)}
            headers = signer.headers("PUT", raw.authority, path, params, extra, payload=sigv4.STREAMING)
            chunks = [data[i : i + 65536] for i in range(0, size, 65536)]
            body = signer.chunked(sigv4.signature_of(headers), chunks)
            headers["content-length"] = str(len(body))
        cut(raw, "PUT", path, headers, body[: len(body) * 3 // 4], params)
    until(lambda: node.open_files() <= files + 4, "its descriptors are closed")
    until(lambda: node.disk_use() <= before + size + MIB, "its bytes are given back")
    parts = s3.list_parts(**at)["Parts"]
    assert [(p["PartNumber"], p["ETag"]) for p in parts] == [(1, kept)]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": kept}]})
    assert s3c.keys(s3, bucket) == ["k"] and s3c.body(s3, bucket, "k") == b"first"


@pytest.mark.pinfold
def test_a_client_that_disappears_leaves_no_row(tmp_path):
    """Looked at from below: after such clients `fsck` finds a node as if they had never been there."""
    with Node("gone", mount=False) as node:
        s3, raw = s3c.client(node.endpoint), Raw("127.0.0.1", node.s3_port)
        s3.create_bucket(Bucket="gone")
        up = s3.create_multipart_upload(Bucket="gone", Key="k")["UploadId"]
        files = node.open_files()
        for size in (1000, 200_000, 3 * MIB):
            for method, path, params in [
                ("PUT", "/gone/k", []), ("PUT", "/gone/k", [("partNumber", "1"), ("uploadId", up)]),
                ("POST", "/gone/k", [("uploadId", up)]), ("POST", "/gone", [("delete", "")]),
            ]:
                headers = raw.signer().headers(method, raw.authority, path, params, payload="UNSIGNED-PAYLOAD")
                headers["content-length"] = str(size)
                cut(raw, method, path, headers, noise(size // 2), params)
        until(lambda: node.open_files() <= files, "its descriptors are closed")
        assert s3c.keys(s3, "gone") == []
        assert "Parts" not in s3.list_parts(Bucket="gone", Key="k", UploadId=up)
        s3.abort_multipart_upload(Bucket="gone", Key="k", UploadId=up)
        s3.delete_bucket(Bucket="gone")
        node.stop()
        node.fsck()


def test_a_refusal_is_seen_by_a_client_that_still_sends(raw, bucket):
    """A body of some MiB is read to its end though nobody wants it: else the client would see a reset connection."""
    for size in (MIB, 6 * MIB):
        answer = raw.request("PUT", f"/{bucket}-none/k", body=noise(size), payload="UNSIGNED-PAYLOAD")
        assert (answer.status, answer.code) == (404, "NoSuchBucket")


@pytest.mark.pinfold
def test_a_client_that_disappears_mid_get(server, raw, s3, bucket):
    node = server.node
    s3.put_object(Bucket=bucket, Key="big", Body=Pattern(64 * MIB))
    files = node.open_files()
    path = f"/{bucket}/big"
    for _ in range(20):
        with raw.connect() as connection:
            connection.sendall(raw.head_bytes("GET", path, raw.signer().headers("GET", raw.authority, path)))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    until(lambda: node.open_files() <= files + 4, "descriptors of cut answers are closed")
    check(s3.get_object(Bucket=bucket, Key="big")["Body"], 64 * MIB)


def test_a_cut_put_leaves_the_old_object(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    path = f"/{bucket}/k"
    headers = raw.signer().headers("PUT", raw.authority, path, payload="UNSIGNED-PAYLOAD")
    headers["content-length"] = str(MIB)
    with raw.connect() as connection:
        connection.sendall(raw.head_bytes("PUT", path, headers) + noise(MIB // 2))
    assert s3c.body(s3, bucket, "k") == b"old"


def test_expect_continue(raw, s3, bucket):
    """The body is asked for only once the request is allowed."""
    path, data = f"/{bucket}/k", noise(100_000)
    headers = raw.signer().headers("PUT", raw.authority, path, payload="UNSIGNED-PAYLOAD")
    headers |= {"content-length": str(len(data)), "expect": "100-continue", "connection": "close"}
    with raw.connect() as connection:
        connection.sendall(raw.head_bytes("PUT", path, headers))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(data)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert s3c.body(s3, bucket, "k") == data


def test_many_clients_at_once(s3, bucket):
    """16 threads put, read back, overwrite and delete keys of their own in one bucket."""
    problems = []

    def work(i):
        try:
            for turn in range(15):
                size = (i * 7919 + turn * 104729) % (2 * MIB)
                data = noise(size, (i, turn))
                put = s3.put_object(Bucket=bucket, Key=f"w{i}/k", Body=data)
                assert s3c.etag(put) == md5(data)
                assert s3c.body(s3, bucket, f"w{i}/k") == data
                if turn % 5 == 4:
                    s3.delete_object(Bucket=bucket, Key=f"w{i}/k")
                    assert s3c.keys(s3, bucket, Prefix=f"w{i}/") == []
        except Exception as error:
            problems.append((i, error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
