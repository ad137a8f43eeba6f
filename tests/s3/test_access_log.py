"""The access log: VersityGW's form, held against a line of the real one; rotated; never in a request's way."""

import http.server
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from harness import s3 as s3c
from harness import settings
from harness.node import Node, free_port, new_base
from harness.rawhttp import Raw
from harness.wait import until

pytestmark = pytest.mark.pinfold

#: The names of the fields, in order.
FIELDS = [
    "BucketOwner", "Bucket", "Time", "RemoteIP", "Requester", "RequestID", "Operation", "Key", "RequestURI", "HttpStatus",
    "ErrorCode", "BytesSent", "ObjectSize", "TotalTime", "TurnAroundTime", "Referer", "UserAgent", "VersionID", "HostID",
    "SignatureVersion", "CipherSuite", "AuthenticationType", "HostHeader", "TLSVersion", "AccessPointARN", "AclRequired",
]
ADMIN_FIELDS = [
    "Time", "RemoteIP", "Requester", "RequestID", "Operation", "RequestURI", "HttpStatus", "ErrorCode", "BytesSent",
    "TotalTime", "TurnAroundTime", "Referer", "UserAgent", "HostID", "SignatureVersion", "CipherSuite",
    "AuthenticationType", "TLSVersion",
]
#: What differs from request to request, and from server to server, and its form.
OWN = {
    "Time": r"\[\d\d/(January|February|March|April|May|June|July|August|September|October|November|December)/\d{4}"
            r":\d\d:\d\d:\d\d [+-]\d{4}\]",
    "RequestID": r"[0-9A-Z]{16,32}", "HostID": r"[0-9A-Za-z+/=]+", "TotalTime": r"\d+", "TurnAroundTime": r"\d+",
    "BytesSent": r"\d+", "ObjectSize": r"\d+",
}
STARTS = re.compile(r"log starts \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})? [+-]\d{4} \w+ m=\+\d+\.\d{9}")
VERSITYGW = "v1.8.0"


def fields(line, names=FIELDS):
    """A line taken apart. No field of these requests but the time has a space."""
    parts = re.fullmatch(r"(.*?)\[(\S+ \S+)\](.*)", line)
    before, time, after = parts.groups()
    words = [*before.split(), f"[{time}]", *after.split()]
    assert line == " ".join(words), "single spaces, none at the ends"
    assert len(words) == len(names), (len(words), line)
    return dict(zip(names, words, strict=True))


def requests(raw):
    """What both servers are asked: done and refused, of every kind."""
    agent = {"user-agent": "probe/1.0", "referer": "http://here/page"}
    bucket, body = "access-log", b"twelve bytes"
    answers = [
        raw.request("PUT", f"/{bucket}", headers=agent),
        raw.request("PUT", f"/{bucket}/dir/a%20key".replace("%20", "-"), headers=agent, body=body),
        raw.request("GET", f"/{bucket}/dir/a-key", headers=agent),
        raw.request("HEAD", f"/{bucket}/dir/a-key", headers=agent),
        raw.request("GET", f"/{bucket}", [("list-type", "2"), ("prefix", "dir/")], headers=agent),
        raw.request("GET", f"/{bucket}/nothing", headers=agent),
        raw.request("HEAD", f"/{bucket}/nothing", headers=agent),
        raw.request("GET", "/no-such-bucket-here", headers=agent),
        raw.request("GET", f"/{bucket}", [("versionId", "x"), ("policy", "")], headers=agent),
        raw.request("GET", f"/{bucket}", headers=agent, signer=raw.signer(secret="wrong")),
        raw.request("GET", "/", headers=agent),
        raw.request("DELETE", f"/{bucket}/dir/a-key", headers=agent),
        raw.request("DELETE", f"/{bucket}"),
    ]
    return [a.status for a in answers]


@pytest.fixture(scope="module")
def versitygw():
    """The real one's binary."""
    cached = Path(os.environ.get("PINFOLD_TEST_CACHE", "~/.cache/pinfold")).expanduser()
    program = os.environ.get("PINFOLD_COMPAT_VERSITYGW") or cached / f"tools/versitygw-{VERSITYGW}/bin/versitygw"
    if not Path(program).is_file():
        pytest.skip("needs VersityGW, which tests/compat/versitygw builds")
    return str(program)


@pytest.fixture
def theirs(versitygw):
    """A running VersityGW with its logs: (raw, base)."""
    base = new_base("versitygw")
    (base / "data").mkdir()
    port = free_port()
    env = {"ROOT_ACCESS_KEY": settings.ROOT_ACCESS, "ROOT_SECRET_KEY": settings.ROOT_SECRET, "PATH": os.environ["PATH"]}
    line = [versitygw, "--port", f"127.0.0.1:{port}", "--region", settings.REGION, "--quiet",
            "--access-log", str(base / "access.log"), "posix", str(base / "data")]
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(line, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=base)
    try:
        raw = Raw("127.0.0.1", port)
        until(lambda: answers(raw), "VersityGW answers", 30)
        yield raw, base
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(base, ignore_errors=True)


def answers(raw):
    try:
        return raw.request("GET", "/").status == 200
    except OSError:
        return False


@pytest.fixture
def logged():
    """A node with both logs in files: (node, raw, access log, admin log)."""
    folder = Path(tempfile.mkdtemp(prefix="pinfold-logs-", dir="/var/tmp"))
    env = {"PINFOLD_ACCESS_LOG": str(folder / "access.log"), "PINFOLD_ADMIN_ACCESS_LOG": str(folder / "admin.log")}
    with Node("logged", mount=False, env=env) as node:
        yield node, Raw("127.0.0.1", node.s3_port), folder / "access.log", folder / "admin.log"
    shutil.rmtree(folder)


def lines(path, wanted):
    """All lines but those that say where the log begins, once there are so many."""
    def found():
        text = path.read_text()
        all_ = [line for line in text.splitlines() if not line.startswith("log starts ")]
        return all_ if len(all_) >= wanted and text.endswith("\n") else None
    return until(found, f"{wanted} lines in {path}", 20)


def comparable(found):
    for name, form in OWN.items():
        assert re.fullmatch(form, found[name]), (name, found[name])
    return {name: value for name, value in found.items() if name not in OWN}


def test_lines_are_versitygws(theirs, logged):
    their_raw, base = theirs
    _, raw, log, _ = logged
    their_status, own_status = requests(their_raw), requests(raw)
    assert own_status == their_status
    # The fixture asked theirs for its buckets until it answered.
    their_lines = lines(base / "access.log", len(their_status) + 1)[-len(their_status):]
    own_lines = lines(log, len(own_status))
    assert len(own_lines) == len(own_status)
    wrong = []
    for their_line, own_line in zip(their_lines, own_lines, strict=True):
        theirs_, own = comparable(fields(their_line)), comparable(fields(own_line))
        what = f"{own['Operation']} {own['RequestURI']}"
        wrong += [f"{what}: {n} is {own[n]}, theirs {theirs_[n]}" for n in own if own[n] != theirs_[n]]
    assert not wrong, "\n".join(wrong)
    for path in (base / "access.log", log):
        assert STARTS.fullmatch(path.read_text().splitlines()[0]), path.read_text()[:200]
    put, got, head = (fields(line) for line in own_lines[1:4])
    assert (put["ObjectSize"], put["BytesSent"]) == ("12", "0")
    assert (got["ObjectSize"], got["BytesSent"]) == ("12", "12"), "VersityGW says 0 of what it streams"
    assert (head["ObjectSize"], head["BytesSent"]) == ("12", "0")


def test_no_client_writes_lines_of_its_own(logged):
    _, raw, log, _ = logged
    assert raw.request("GET", "/bkt/a%0Aforged%20line%0D").status == 404
    assert raw.request("GET", "/%C2%9Bx").status in (400, 404)
    found = lines(log, 2)
    assert len(found) == 2
    assert " a%0Aforged line%0D /bkt/a%0Aforged%20line%0D 404 NoSuchBucket " in found[0]
    assert "%C2%9B" in found[1] and "\x9b" not in found[1]


def test_the_admin_api_has_its_own(logged):
    _, raw, log, admin = logged
    assert raw.request("PATCH", "/list-users", headers={"user-agent": "a"}).status == 200
    assert raw.request("PATCH", "/update-user", [("access", "nobody")], body=b"<MutableProps/>", headers={"user-agent": "a"})
    first, second = (fields(line, ADMIN_FIELDS) for line in lines(admin, 2))
    assert (first["Operation"], first["HttpStatus"], first["Requester"]) == ("admin_ListUsers", "200", settings.ROOT_ACCESS)
    assert (second["Operation"], second["HttpStatus"], second["ErrorCode"]) == ("admin_UpdateUser", "404", "XAdminUserNotFound")
    assert log.read_text().count("\n") == 1, "the other log has none of these"


def test_it_is_opened_anew(logged):
    node, raw, log, _ = logged
    for way in ("signal", "command"):
        assert raw.request("GET", "/").status == 200
        lines(log, 1)
        moved = log.with_name(f"moved-{way}")
        log.rename(moved)
        assert raw.request("GET", "/").status == 200
        until(lambda moved=moved: moved.read_text().count("ListAllMyBuckets") == 2, "still the old file", 20)
        if way == "signal":
            os.kill(node.process.pid, 1)
        else:
            node.cli("reload", "--data", node.data)
        until(log.exists, "the new file", 20)
        until(lambda: STARTS.fullmatch(log.read_text().splitlines()[0]), "its first line", 20)
    # A log that cannot be opened anew goes on in the old file.
    log.rename(log.with_name("last"))
    log.mkdir()
    node.cli("reload", "--data", node.data)
    until(lambda: "cannot be opened anew" in node.log_text(), "it is said", 20)
    assert raw.request("GET", "/").status == 200
    lines(log.with_name("last"), 1)


def test_a_log_that_nobody_reads_stops_no_request():
    """The file is a pipe whose reader sleeps: lines are dropped, counted and said; requests go on."""
    base = new_base("pipe")
    pipe = base / "access.log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    try:
        with Node("pipe", mount=False, env={"PINFOLD_ACCESS_LOG": str(pipe)}) as node:
            raw = Raw("127.0.0.1", node.s3_port)
            agent = {"user-agent": "u" * 6000, "referer": "r" * 1000}
            before = node.memory()
            for _ in range(1700):
                assert raw.send("GET", "/", {"host": "x", **agent}).status == 403
            _, text = node.admin(settings.METRICS)
            dropped = [line for line in text.splitlines() if line.startswith("pinfold_s3_access_log_dropped_total")]
            assert dropped and float(dropped[0].split()[1]) > 100, dropped
            assert node.memory() < before + 64 * settings.MIB
            os.set_blocking(reader, False)
            seen = b""

            def drained():
                nonlocal seen
                try:
                    while piece := os.read(reader, 1 << 20):
                        seen = (seen + piece)[-20_000:]
                except BlockingIOError:
                    pass
                return "lines of the access log were dropped" in node.log_text()
            until(drained, "the log says how many", 60)
            assert raw.send("GET", "/", {"host": "x", "user-agent": "after"}).status == 403
            until(lambda: drained() and b" after " in seen, "it is written again", 60)
    finally:
        os.close(reader)
        shutil.rmtree(base)


class Hook(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.headers["content-type"], json.loads(body)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.got = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_webhook_gets_the_same(hook):
    env = {"PINFOLD_LOG_WEBHOOK_URL": f"http://127.0.0.1:{hook.server_address[1]}/in?x=1"}
    with Node("webhook", mount=False, env=env) as node:
        raw = Raw("127.0.0.1", node.s3_port)
        s3c.client(node.endpoint).create_bucket(Bucket="hooked")
        assert raw.request("PUT", "/hooked/k", headers={"user-agent": "probe/1.0"}, body=b"abc").status == 200
        got = until(lambda: next((g for g in hook.got if g[1]["Key"] == "k"), None), "the PUT's record", 20)
    kind, record = got
    assert kind == "application/json; charset=utf-8"
    assert list(record) == FIELDS
    assert record["HttpStatus"] == 200 and record["ObjectSize"] == 3 and record["Referer"] == record["ErrorCode"] == ""
    assert record["Requester"] == settings.ROOT_ACCESS and record["BucketOwner"] == settings.ROOT_ACCESS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", record["Time"])


def test_a_webhook_that_is_not_there_stops_nothing():
    with Node("no-webhook", mount=False, env={"PINFOLD_LOG_WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/"}) as node:
        raw = Raw("127.0.0.1", node.s3_port)
        for _ in range(20):
            assert raw.request("GET", "/").status == 200
        until(lambda: "webhook cannot be reached" in node.log_text(), "it is said", 20)
        assert node.log_text().count("webhook cannot be reached") == 1


def test_one_of_the_two():
    node = Node("both", mount=False, env={"PINFOLD_ACCESS_LOG": "/tmp/x", "PINFOLD_LOG_WEBHOOK_URL": "http://127.0.0.1:1/"})
    try:
        done = node.cli("check-config", "--data", node.data, check=False)
        assert done.returncode == 78 and "log_webhook_url" in done.stderr
    finally:
        node.close()
