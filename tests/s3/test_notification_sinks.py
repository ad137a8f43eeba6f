"""Notifications by https, NATS and Redis, each to a real server on the loopback, which goes away and comes back."""

import http.server
import json
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from urllib.parse import unquote_plus

import pytest

from harness import s3 as s3c
from harness.debian import program
from harness.node import Node, free_port
from harness.wait import until

pytestmark = pytest.mark.pinfold


def queue(arn):
    return {"Id": "r", "QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}


def tell(s3, bucket, arn):
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [queue(arn)]})


def keys(messages):
    """The keys that messages (JSON) tell of; `test` for a test event."""
    found = []
    for message in map(json.loads, messages):
        found += [unquote_plus(r["s3"]["object"]["key"]) for r in message["Records"]] if "Records" in message else ["test"]
    return found


@contextmanager
def running(line, env, port):
    """A server, once it listens."""
    process = subprocess.Popen(line, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(port), f"{line[0]} listens")
        yield process
    finally:
        process.kill()
        process.wait()


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Subscriber:
    """A plain NATS client that keeps what comes."""

    def __init__(self, port, subject, user, password):
        self.messages = []
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        self.file.readline()
        options = json.dumps({"verbose": False, "user": user, "pass": password})
        self.socket.sendall(f"CONNECT {options}\r\nSUB {subject} 1\r\nPING\r\n".encode())
        assert self.file.readline() == b"PONG\r\n"
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while line := self.file.readline():
                if line.startswith(b"MSG "):
                    self.messages.append(self.file.read(int(line.split()[-1]) + 2)[:-2])
                elif line == b"PING\r\n":
                    self.socket.sendall(b"PONG\r\n")
        except OSError:
            pass


def test_nats():
    path, env = program("nats-server", "nats-server")
    port, arn = free_port(), "arn:pinfold:sqs:::nats"
    line = [path, "-a", "127.0.0.1", "-p", str(port), "--user", "ann", "--pass", "p@ss/word"]
    target = f"{arn}=nats://ann:p%40ss%2Fword@127.0.0.1:{port}/s3.events"
    with ExitStack() as stack:
        node = stack.enter_context(Node("nats", mount=False, env={"PINFOLD_NOTIFICATION_TARGET": target}))
        s3 = s3c.client(node.endpoint)
        with running(line, env, port):
            subscriber = Subscriber(port, "s3.>", "ann", "p@ss/word")
            tell(s3, "nats", arn)
            s3.put_object(Bucket="nats", Key="a b/ü", Body=b"1")
            until(lambda: keys(subscriber.messages) == ["test", "a b/ü"], "both messages")
        s3.put_object(Bucket="nats", Key="away", Body=b"1")
        failures = f'pinfold_node_notification_failures_total{{target="{arn}"}}'
        until(lambda: failures in node.admin("/metrics")[1], "a failure is counted")
        with running(line, env, port):
            subscriber = Subscriber(port, "s3.>", "ann", "p@ss/word")
            until(lambda: keys(subscriber.messages) == ["away"], "what waited", 90)
        logged = node.log.read_text()
    assert "p@ss" not in logged and "p%40ss" not in logged


def test_nats_that_lets_nobody_in():
    path, env = program("nats-server", "nats-server")
    port, arn = free_port(), "arn:pinfold:sqs:::nats"
    line = [path, "-a", "127.0.0.1", "-p", str(port), "--user", "ann", "--pass", "right"]
    target = f"{arn}=nats://ann:wrong@127.0.0.1:{port}/s3.events"
    with running(line, env, port), Node("nats", mount=False, env={"PINFOLD_NOTIFICATION_TARGET": target}) as node:
        tell(s3c.client(node.endpoint), "nats", arn)
        until(lambda: "Authorization Violation" in node.log.read_text(), "the server's words")


class Redis:
    """A plain Redis client."""

    def __init__(self, port, password):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        assert self.ask("AUTH", password) == "OK"

    def ask(self, *words):
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
        self.socket.sendall(b"*%d\r\n" % len(words) + parts)
        return self.answer()

    def answer(self):
        line = self.file.readline().decode().rstrip("\r\n")
        kind, rest = line[0], line[1:]
        if kind == "*":
            return [self.answer() for _ in range(int(rest))]
        return self.file.read(int(rest) + 2)[:-2].decode() if kind == "$" else rest


def test_redis(tmp_path):
    libraries = ["liblzf1", "libjemalloc2", "liblua5.1-0", "lua-cjson", "lua-bitop", "libhiredis0.14"]
    path, env = program("redis-server", "redis-server", "redis-tools", *libraries)
    port, listed, told = free_port(), "arn:pinfold:sqs:::list", "arn:pinfold:sqs:::channel"
    line = [path, "--port", str(port), "--bind", "127.0.0.1", "--requirepass", "se:cret", "--dir", str(tmp_path), "--save", ""]
    at = f":se%3Acret@127.0.0.1:{port}/3/events"
    targets = f"{listed}=redis://{at};{told}=redis-channel://{at}"
    with Node("redis", mount=False, env={"PINFOLD_NOTIFICATION_TARGET": targets}) as node:
        s3 = s3c.client(node.endpoint)
        with running(line, env, port):
            client, subscriber = Redis(port, "se:cret"), Redis(port, "se:cret")
            assert client.ask("SELECT", "3") == "OK" and subscriber.ask("SUBSCRIBE", "events")[2] == "1"
            tell(s3, "listed", listed)
            tell(s3, "told", told)
            s3.put_object(Bucket="listed", Key="a b/ü", Body=b"1")
            s3.put_object(Bucket="told", Key="k", Body=b"1")
            until(lambda: keys(client.ask("LRANGE", "events", "0", "-1")) == ["test", "a b/ü"], "both messages in the list")
            assert keys([subscriber.answer()[2], subscriber.answer()[2]]) == ["test", "k"]
        s3.put_object(Bucket="listed", Key="away", Body=b"1")
        failures = f'pinfold_node_notification_failures_total{{target="{listed}"}}'
        until(lambda: failures in node.admin("/metrics")[1], "a failure is counted")
        with running(line, env, port):
            client = Redis(port, "se:cret")
            client.ask("SELECT", "3")
            until(lambda: keys(client.ask("LRANGE", "events", "0", "-1")) == ["away"], "what waited", 90)
        assert "cret" not in node.log.read_text()


@pytest.fixture
def receiver(tmp_path):
    """An https server whose certificate's authority is its own."""
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, capture_output=True, check=False,
    )
    assert made.returncode == 0, made.stderr
    messages = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            messages.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}/events"
    yield SimpleNamespace(url=url, messages=messages, authority=tmp_path / "cert.pem")
    server.shutdown()


def test_https(receiver):
    arn = "arn:pinfold:sqs:::https"
    env = {"PINFOLD_NOTIFICATION_TARGET": f"{arn}={receiver.url}"}
    with Node("https", mount=False, env=env) as node:
        s3 = s3c.client(node.endpoint)
        tell(s3, "https", arn)
        until(lambda: "cannot be delivered" in node.log.read_text(), "nobody vouches for the receiver")
        assert receiver.messages == []
        node.stop()
        node.env["PINFOLD_NOTIFICATION_CA_FILE"] = str(receiver.authority)
        node.start()
        s3.put_object(Bucket="https", Key="k", Body=b"1")
        until(lambda: keys(receiver.messages) == ["test", "k"], "both messages")


@pytest.mark.parametrize("url", ["ftp://h/x", "nats://h", "nats://h/a.*", "redis://h/0", "https://u:hush@h/", "redis://:hush@h"])
def test_targets_that_are_none(url):
    node = Node("sinks", mount=False, env={"PINFOLD_NOTIFICATION_TARGET": f"arn:x={url}"})
    try:
        refusal = node.cli("check-config", "--data", node.data, check=False)
        assert refusal.returncode == 78 and "notification_target" in refusal.stderr and "hush" not in refusal.stderr
    finally:
        node.close()
