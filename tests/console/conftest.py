"""A node with the web console, and browsers that look at it."""

import contextlib
import subprocess
from types import SimpleNamespace

import pytest
from playwright.sync_api import sync_playwright

from harness import accounts, settings
from harness import s3 as s3c
from harness.console import Http, arguments, chromium
from harness.node import Node, free_port
from harness.rawhttp import Raw


@pytest.fixture(scope="session")
def site():
    """The console's node: `node`, `port`, `url`, `s3` (root's client), accounts `alice` (userplus) and `bob` (user)."""
    port = free_port()
    with Node("console", args=arguments(port)) as node:
        s3 = s3c.client(node.endpoint)
        raw = Raw("127.0.0.1", node.s3_port, access=settings.ROOT_ACCESS, secret=settings.ROOT_SECRET)
        made = {name: accounts.make(node_as_server(node), raw, role, name=name) for name, role in
                [("alice", "userplus"), ("bob", "user")]}
        yield SimpleNamespace(node=node, port=port, url=f"http://127.0.0.1:{port}/", s3=s3, **made)


@pytest.fixture(scope="session")
def tls_site(tmp_path_factory):
    """A node with TLS: `node`, `port`, `url`, `cert`."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=pinfold", "-newkey", "rsa:2048",
               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run(request, check=True, capture_output=True)
    port = free_port()
    env = {settings.ENV_TLS_CERT: str(cert), settings.ENV_TLS_KEY: str(key)}
    with Node("console-tls", mount=False, env=env, args=arguments(port)) as node:
        yield SimpleNamespace(node=node, port=port, url=f"https://127.0.0.1:{port}/", cert=cert)


def node_as_server(node):
    """What `accounts.make` wants to know of a server."""
    return SimpleNamespace(endpoint=node.endpoint, host="127.0.0.1", port=node.s3_port)


@pytest.fixture
def http(site):
    """Plain requests to the console, without a session until it signs in."""
    return Http(site.port)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    with sync_playwright() as playwright:
        found = chromium(playwright)
        yield found
        found.close()


@pytest.fixture
def page(site, browser):
    """A fresh page of the console. At its end nothing was asked of another host, no script failed, no policy was
    violated, and the browser complained of nothing but the refusals that the test put into `expected`."""
    with contextlib.closing(browser.new_context(accept_downloads=True, viewport={"width": 1100, "height": 720})) as context:
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.expected = []
        page.complaints = complaints = []
        elsewhere = []
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: complaints.append(f"a script failed: {e}"))
        page.on("request", lambda r: None if r.url.startswith((site.url, "blob:", "data:")) else elsewhere.append(r.url))
        page.goto(site.url)
        yield page
        assert not elsewhere, f"asked of elsewhere: {elsewhere}"
        left = [c for c in complaints if not any(e in c for e in page.expected)]
        assert not left, f"the browser complained: {left}"
