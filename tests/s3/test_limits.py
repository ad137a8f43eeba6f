"""Rates of clients, accounts and buckets; requests at once; slow clients."""

import socket
import threading
import time

import pytest

from harness import s3 as s3c
from harness import settings
from harness.accounts import document
from harness.data import noise
from harness.node import Node
from harness.rawhttp import Raw
from harness.wait import until

pytestmark = pytest.mark.pinfold


def metric(node, name, **labels):
    """A metric with labels; 0 if it was never counted."""
    wanted = name + "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"
    _, text = node.admin(settings.METRICS)
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(wanted))


def burst(times, ask):
    """(answers, those that were refused), each refusal looked at."""
    answers = [ask() for _ in range(times)]
    slow = [a for a in answers if a.status == 503]
    for answer in slow:
        assert answer.code == "SlowDown", answer.body
        assert int(answer.headers["retry-after"]) >= 1
    return answers, slow


def test_nobody_is_limited_unless_configured(own_node):
    raw = Raw("127.0.0.1", own_node.s3_port)
    assert not burst(200, lambda: raw.send("GET", "/", {"host": raw.authority}))[1]


def test_a_client_that_asks_too_often():
    """Refused before the signature is looked at: a wrong one gets the same answer. Reload lifts it."""
    with Node("per-ip", mount=False, env={"PINFOLD_S3_REQUESTS_PER_IP": "5"}) as node:
        wrong = Raw("127.0.0.1", node.s3_port, secret="wrong")
        answers, slow = burst(60, lambda: wrong.request("GET", "/"))
        assert 40 <= len(slow) < 60 and {a.status for a in answers} == {403, 503}
        assert metric(node, "pinfold_s3_limited_total", by="ip") == len(slow)
        # Another address is another client.
        other = socket.create_connection(("127.0.0.1", node.s3_port), source_address=("127.0.0.2", 0))
        other.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 403 " in other.recv(4096).split(b"\r\n")[0]
        other.close()


def test_rates_are_applied_by_reload(tmp_path):
    file = tmp_path / "pinfold.toml"
    file.write_text("s3_requests_per_ip = 3\n")
    with Node("reload-rates", mount=False, args=["--config", str(file)]) as node:
        raw = Raw("127.0.0.1", node.s3_port)
        assert burst(40, lambda: raw.request("GET", "/"))[1]
        file.write_text("s3_requests_per_ip = 0\n")
        node.cli("reload", "--data", node.data)
        until(lambda: not burst(30, lambda: raw.request("GET", "/"))[1], "no limit any more", 20)


def test_accounts_and_buckets_have_their_own():
    env = {"PINFOLD_S3_REQUESTS_PER_ACCOUNT": "8", "PINFOLD_S3_REQUESTS_PER_BUCKET": "4"}
    with Node("per-account", mount=False, env=env) as node:
        root = Raw("127.0.0.1", node.s3_port)
        raws = {"root": root}
        for name in ("ann", "bob"):
            body = document(Access=name, Secret="secret-1", Role="userplus")
            until(lambda body=body: root.request("PATCH", "/create-user", body=body).status in (201, 409), "an account", 20)
            raws[name] = Raw("127.0.0.1", node.s3_port, access=name, secret="secret-1")
        _, slow = burst(60, lambda: raws["ann"].request("GET", "/"))
        assert slow and metric(node, "pinfold_s3_limited_total", by="account") >= len(slow)
        assert raws["bob"].request("GET", "/").status == 200, "another account's requests are its own"
        # Who only says that he is somebody uses up nothing of theirs.
        liar = Raw("127.0.0.1", node.s3_port, access="bob", secret="wrong")
        assert {liar.request("GET", "/").status for _ in range(40)} == {403}
        assert raws["bob"].request("GET", "/").status == 200
        time.sleep(1.2)
        for bucket in ("busy", "quiet"):
            assert raws["bob"].request("PUT", f"/{bucket}").status == 200
        before = metric(node, "pinfold_s3_limited_total", by="bucket")
        _, slow = burst(7, lambda: raws["bob"].request("GET", "/busy"))
        assert metric(node, "pinfold_s3_limited_total", by="bucket") > before
        until(lambda: root.request("GET", "/quiet").status == 200, "another bucket", 20)


@pytest.mark.parametrize("by", ["ip", "account", "bucket"])
def test_bytes_flow_no_faster(by):
    """Bodies in both directions together: 3 MiB up and 3 down at 2 MiB a second, of which the first 2 are there at once."""
    with Node(f"bytes-{by}", mount=False, env={f"PINFOLD_S3_BYTES_PER_{by.upper()}": "2MiB"}) as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="bkt")
        data = noise(3 * settings.MIB)
        began = time.monotonic()
        s3.put_object(Bucket="bkt", Key="k", Body=data)
        assert s3c.body(s3, "bkt", "k") == data
        took = time.monotonic() - began
        assert took > 1.9, "6 MiB, 2 of them at once, at 2 MiB a second"
        assert metric(node, "pinfold_s3_paced_total", by=by) >= 1


def test_small_objects_pay_too():
    with Node("bytes-small", mount=False, env={"PINFOLD_S3_BYTES_PER_IP": "1MiB"}) as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="bkt")
        s3.put_object(Bucket="bkt", Key="k", Body=noise(64 * settings.KIB))
        began = time.monotonic()
        for _ in range(48):
            assert len(s3c.body(s3, "bkt", "k")) == 64 * settings.KIB
        assert time.monotonic() - began > 1.8, "3 MiB, one of them at once"


def test_requests_at_once_are_bounded():
    """All places taken by bodies that do not come: the next one waits and is told to slow down; then all is well."""
    with Node("in-flight", mount=False, env={"PINFOLD_S3_MAX_REQUESTS": "4"}) as node:
        raw = Raw("127.0.0.1", node.s3_port)
        assert raw.request("PUT", "/bkt").status == 200
        held = []
        for n in range(4):
            headers = raw.signer().headers("PUT", raw.authority, f"/bkt/{n}", payload="UNSIGNED-PAYLOAD")
            connection = raw.connect()
            connection.sendall(raw.head_bytes("PUT", f"/bkt/{n}", headers | {"content-length": "100000"}) + b"x")
            held.append(connection)
        until(lambda: node.metric("pinfold_s3_requests_in_flight") >= 4, "they are being served", 20)
        _, slow = burst(1, lambda: raw.request("GET", "/bkt"))
        assert slow and node.metric("pinfold_s3_requests_queued_out_total") == 1
        for connection in held:
            connection.close()
        until(lambda: raw.request("GET", "/bkt").status == 200, "places again", 20)


def answer_of(connection, deadline=40):
    """All that comes until the other side closes."""
    connection.settimeout(deadline)
    text = b""
    try:
        while piece := connection.recv(65536):
            text += piece
    except ConnectionResetError:
        pass
    return text


def test_slow_clients_are_given_up():
    """Heads that do not end, bodies that stop, answers that nobody takes: none of them for longer than configured."""
    env = {"PINFOLD_S3_HEADER_TIMEOUT": "2s", "PINFOLD_S3_IDLE_TIMEOUT": "2s"}
    with Node("slow", mount=False, env=env) as node:
        raw = Raw("127.0.0.1", node.s3_port)
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="bkt")
        s3.put_object(Bucket="bkt", Key="large", Body=noise(48 * settings.MIB))
        before = node.metric("pinfold_s3_connections")

        # A byte of head at a time: each is progress, the whole is too slow all the same.
        drip, stop = raw.connect(), threading.Event()

        def dripping():
            try:
                drip.sendall(b"GET / HTTP/1.1\r\nx-a: ")
                while not stop.wait(0.2):
                    drip.sendall(b"a")
            except OSError:
                pass
        thread = threading.Thread(target=dripping)
        thread.start()
        silent = raw.connect()
        headers = raw.signer().headers("PUT", raw.authority, "/bkt/k", payload="UNSIGNED-PAYLOAD")
        stuck = raw.connect()
        stuck.sendall(raw.head_bytes("PUT", "/bkt/k", headers | {"content-length": "1000"}) + b"half")
        reader = raw.connect()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(raw.head_bytes("GET", "/bkt/large", raw.signer().headers("GET", raw.authority, "/bkt/large")))

        assert b"RequestTimeout" in (text := answer_of(stuck)) and b" 400 " in text.split(b"\r\n")[0], text
        assert answer_of(silent) == b""
        late = answer_of(drip)
        assert late == b"" or b" 408 " in late.split(b"\r\n")[0], late
        stop.set()
        thread.join()
        until(lambda: node.metric("pinfold_s3_connections") <= before, "all of them are gone", 60)
        reader.close()
        assert s3c.absent(s3, "bkt", "k")
