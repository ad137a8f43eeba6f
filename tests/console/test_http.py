"""The console's server without a browser: who gets in, what is refused, what its answers forbid the browser."""

import http.client
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import s3 as s3c
from harness import settings
from harness.console import Http, arguments
from harness.node import Node, free_port

ROOT = (settings.ROOT_ACCESS, settings.ROOT_SECRET)


@pytest.fixture
def root(http):
    """A session of the root account."""
    assert http.sign_in(*ROOT).status == 200
    return http


def test_pages_are_served_to_anybody_and_forbid_everything_of_elsewhere(http):
    answer = http.send("GET", "/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert http.send("GET", "/static/main.js").headers["content-type"].startswith("text/javascript")
    known = {"if-none-match": http.send("GET", "/static/main.js").headers["etag"]}
    assert http.send("GET", "/static/main.js", headers=known).status == 304
    assert http.change("POST", "/static/main.js").status == 405


@pytest.mark.parametrize("path", [
    "/static/../../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2fetc/passwd", "//etc/passwd",
    "/static/", "/static/main.js/", "/static\\..\\x", "/index.html", "/metrics", "/v1/status", "/s3",
])
def test_no_path_leads_out_of_the_table_of_files(http, path):
    assert http.send("GET", path).status in (400, 404)


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/s3/"), ("GET", "/s3/bucket/key"), ("PUT", "/s3/bucket"), ("DELETE", "/s3/bucket"), ("GET", "/api/users"),
    ("POST", "/api/users"), ("DELETE", "/api/users/alice"), ("PUT", "/api/users/alice/secret"), ("GET", "/api/node"),
    ("GET", "/api/metrics"), ("DELETE", "/api/session"), ("GET", "/api/nothing"),
])
def test_nothing_without_a_session(http, method, path):
    for cookie in [None, "pinfold-console=", "pinfold-console=" + "0" * 64, "pinfold-console"]:
        http.cookie = cookie
        answer = http.change(method, path)
        assert answer.status == 401, answer.body
    assert http.send("GET", "/api/session").body == b"null"


def test_a_session_begins_with_the_right_keys_only_and_ends(site, http):
    for access, secret in [(ROOT[0], "wrong"), ("nobody", ROOT[1]), ("", ""), (ROOT[0], "")]:
        answer = http.sign_in(access, secret)
        assert answer.status == 401 and "set-cookie" not in answer.headers
    answer = http.sign_in(*ROOT)
    assert answer.status == 200
    assert json.loads(answer.body)["role"] == "admin"
    cookie = answer.headers["set-cookie"]
    token = cookie.split(";")[0].split("=")[1]
    assert len(token) == 64
    assert all(part in cookie for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"])
    assert "Secure" not in cookie, "without TLS a browser would not send it"
    assert http.send("GET", "/s3/").status == 200
    assert http.change("DELETE", "/api/session").status == 204
    assert http.send("GET", "/s3/").status == 401
    # Nothing of it is in the log.
    log = site.node.log_text()
    assert "signed in at the console" in log and token not in log and ROOT[1] not in log and "wrong" not in log


def test_changes_need_the_header_and_the_same_origin(site, root):
    own = f"http://127.0.0.1:{site.port}"
    bucket = s3c.fresh_name()
    body = json.dumps({"access": "eve", "secret": "long-enough", "role": "admin", "uid": 0, "gid": 0})
    for method, path, data in [
        ("PUT", f"/s3/{bucket}", None), ("DELETE", f"/s3/{bucket}", None), ("POST", f"/s3/{bucket}?delete", "<Delete/>"),
        ("POST", "/api/users", body), ("DELETE", "/api/users/alice", None), ("DELETE", "/api/session", None),
        ("POST", "/api/session", json.dumps({"access": ROOT[0], "secret": ROOT[1]})),
    ]:
        plain = {"content-type": "application/json"}
        assert root.send(method, path, data, plain).status == 403, "the header is missing"
        for foreign in [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": f"http://127.0.0.1:{site.node.s3_port}"},
                        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}]:
            assert root.change(method, path, data, plain | foreign).status == 403, foreign
    assert root.send("GET", "/s3/", headers={"sec-fetch-site": "same-site"}).status == 403
    assert not any(b["Name"] == bucket for b in site.s3.list_buckets()["Buckets"])
    assert root.change("PUT", f"/s3/{bucket}", headers={"origin": own, "sec-fetch-site": "same-origin"}).status == 200
    site.s3.delete_bucket(Bucket=bucket)


def test_s3_is_what_the_account_may_do_over_s3(site, http):
    own, foreign = s3c.fresh_name(), s3c.fresh_name()
    site.alice.s3.create_bucket(Bucket=own)
    site.s3.create_bucket(Bucket=foreign)
    site.s3.put_object(Bucket=foreign, Key="k", Body=b"not hers")
    assert http.sign_in("alice", site.alice.secret).status == 200
    listing = http.send("GET", "/s3/").body.decode()
    assert own in listing and foreign not in listing
    assert http.send("GET", f"/s3/{foreign}/k").status == 403
    assert http.send("GET", f"/s3/{foreign}/{'k' * 1500}").status == 403, "long keys go another way"
    assert http.send("GET", f"/s3/{foreign}?list-type=2").status == 403
    assert http.change("PUT", f"/s3/{foreign}/k", b"x").status == 403
    assert http.change("PUT", f"/s3/{own}/k", b"hers").status == 200
    answer = http.send("GET", f"/s3/{own}/k")
    assert (answer.status, answer.body) == (200, b"hers")
    assert answer.headers["x-pinfold-cid"] == s3c.cid(site.alice.s3.head_object(Bucket=own, Key="k"))
    # The bucket's owner opens it to her: the console follows the policy at once.
    allow = {"Effect": "Allow", "Principal": "alice", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{foreign}/*"}
    site.s3.put_bucket_policy(Bucket=foreign, Policy=json.dumps({"Statement": [allow]}))
    assert http.send("GET", f"/s3/{foreign}/k").body == b"not hers"
    # A role without the right to make buckets has none here.
    assert http.sign_in("bob", site.bob.secret).status == 200
    assert http.change("PUT", f"/s3/{s3c.fresh_name()}").status == 403
    # Headers and parameters that claim to be somebody else change nothing.
    credential = "AWS4-HMAC-SHA256 Credential=pinfold-root/20260101/us-east-1/s3/aws4_request"
    claims = {"authorization": credential, "host": f"{own}.s3"}
    assert http.send("GET", f"/s3/{own}/k", headers=claims).status == 403


def test_other_methods_do_not_reach_s3(root):
    for method, path in [("OPTIONS", "bucket"), ("PATCH", "list-users"), ("PATCH", "create-user"), ("TRACE", "")]:
        assert root.change(method, f"/s3/{path}").status == 405


def test_an_object_is_never_a_page_of_the_console(site, root):
    bucket = s3c.fresh_name()
    site.s3.create_bucket(Bucket=bucket)
    site.s3.put_object(Bucket=bucket, Key="x.html", Body=b"<script>alert(1)</script>", ContentType="text/html")
    path = f"/s3/{bucket}/x.html"
    for use in [None, "document"]:
        answer = root.send("GET", path, headers={"sec-fetch-dest": use} if use else {})
        assert answer.status == 200
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-security-policy"].startswith("sandbox;")
        assert answer.headers["cache-control"] == "no-store"
    named = root.send("GET", path + "?response-content-disposition=inline", headers={"sec-fetch-dest": "document"})
    assert named.headers["content-disposition"] == "attachment"
    for use in ["script", "style", "iframe", "worker", "serviceworker", "object", "embed", "font", "frame", "manifest"]:
        assert root.send("GET", path, headers={"sec-fetch-dest": use}).status == 403, use


def test_accounts_are_for_administrators(site, http, root):
    plain = Http(site.port)
    assert plain.sign_in("alice", site.alice.secret).status == 200
    user = {"access": "carol", "secret": "a-long-secret", "role": "user", "uid": 7, "gid": 8}
    for method, path, body in [("GET", "/api/users", None), ("POST", "/api/users", user), ("DELETE", "/api/users/bob", None),
                               ("PUT", "/api/users/bob/secret", {"secret": "another-secret"}), ("GET", "/api/node", None),
                               ("GET", "/api/metrics", None)]:
        assert plain.change(method, path, body).status == 403, path
    assert root.change("POST", "/api/users", user).status == 200
    assert root.change("POST", "/api/users", user).status == 409
    assert root.change("POST", "/api/users", user | {"access": ROOT[0]}).status == 409
    assert root.change("POST", "/api/users", user | {"access": "d", "secret": "short"}).status == 400
    listing = root.send("GET", "/api/users").body
    assert b"carol" in listing and b"a-long-secret" not in listing and site.alice.secret.encode() not in listing
    carol = Http(site.port)
    assert carol.sign_in("carol", "a-long-secret").status == 200
    # A new secret ends what the old one began.
    assert root.change("PUT", "/api/users/carol/secret", {"secret": "a-newer-secret"}).status == 204
    assert carol.send("GET", "/s3/").status == 401
    assert carol.sign_in("carol", "a-long-secret").status == 401
    assert carol.sign_in("carol", "a-newer-secret").status == 200
    assert root.change("DELETE", "/api/users/carol").status == 204
    assert carol.send("GET", "/s3/").status == 401, "an account that is gone has no session"
    assert root.change("DELETE", "/api/users/carol").status == 404
    assert root.change("POST", "/api/users", {"access": "x" * 3_000_000}).status == 413
    assert root.change("POST", "/api/session", {"access": "x" * 20_000}).status == 413
    for path in ["/api/users/../buckets", "/api/users/..%2fbuckets/x", "/api/mounts", "/api/reload"]:
        assert root.change("POST", path, {}).status in (404, 405), path


def test_bodies_are_streamed_both_ways(site, root):
    bucket, size = s3c.fresh_name(), 192 << 20
    site.s3.create_bucket(Bucket=bucket)
    site.node.reset_peak_memory()
    before = site.node.peak_memory()

    def pieces():
        for i in range(size >> 20):
            yield bytes([i]) * (1 << 20)

    answer = root.change("PUT", f"/s3/{bucket}/big", pieces(), {"content-length": str(size)})
    assert answer.status == 200, answer.body
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.request("GET", f"/s3/{bucket}/big", headers={"cookie": root.cookie})
    got = connection.getresponse()
    assert got.status == 200 and int(got.headers["content-length"]) == size
    for piece in pieces():
        assert got.read(1 << 20) == piece
    connection.close()
    assert site.node.peak_memory() - before < size // 2, "it was held in memory"
    site.s3.delete_object(Bucket=bucket, Key="big")


def test_guessing_is_slowed_and_then_refused():
    port = free_port()
    with Node("console-limit", mount=False, args=arguments(port)) as node:
        http = Http(port)
        began = time.monotonic()
        assert http.sign_in(ROOT[0], "wrong").status == 401
        assert time.monotonic() - began >= 1, "a wrong one takes a while"
        with ThreadPoolExecutor(14) as threads:
            answers = list(threads.map(lambda n: Http(port).sign_in(ROOT[0], f"guess-{n}"), range(14)))
        assert {a.status for a in answers} == {401, 429}
        refused = next(a for a in answers if a.status == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert http.sign_in(*ROOT).status in (200, 429), "the right one waits like the others"
        assert "guess-" not in node.log_text()


def test_tls_is_the_s3_endpoints_and_the_cookie_is_bound_to_it(tls_site):
    context = ssl.create_default_context(cafile=str(tls_site.cert))
    connection = http.client.HTTPSConnection("127.0.0.1", tls_site.port, timeout=30, context=context)
    body = json.dumps({"access": ROOT[0], "secret": ROOT[1]})
    connection.request("POST", "/api/session", body, {"content-type": "application/json", "x-pinfold-console": "1"})
    answer = connection.getresponse()
    cookie = answer.headers["set-cookie"]
    answer.read()
    assert answer.status == 200 and cookie.startswith("__Host-pinfold-console=") and cookie.endswith("; Secure")
    connection.request("GET", "/s3/", headers={"cookie": cookie.split(";")[0]})
    assert connection.getresponse().status == 200
    connection.close()
    assert tls_site.url in tls_site.node.cli("status", "--data", tls_site.node.data).stdout


@pytest.mark.parametrize(("given", "why"), [
    ({"PINFOLD_S3": "off", "PINFOLD_CONSOLE": "127.0.0.1:1"}, "which is off"),
    ({"PINFOLD_CONSOLE": "127.0.0.1:9001"}, "listen there already"),
    ({"PINFOLD_CONSOLE": "127.0.0.1:9000"}, "listen there already"),
])
def test_a_console_needs_the_s3_endpoint_and_an_address_of_its_own(given, why):
    node = Node("console-refused", mount=False, env=given | {"PINFOLD_DATA": "/nonexistent/data"})
    try:
        done = node.cli("check-config", check=False)
        assert done.returncode == 78 and why in done.stdout + done.stderr, done
    finally:
        node.close()
