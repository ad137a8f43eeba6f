"""The web console: how a node is told to serve it, plain requests to it, the browser for it."""

import http.client
import json
import shutil
from types import SimpleNamespace

CHANGES = {"x-pinfold-console": "1"}


def arguments(port):
    """Flags of `serve` for a console at this port."""
    return ["--console", f"127.0.0.1:{port}"]


def chromium(playwright):
    """Debian's Chromium, with no way to any host but this one."""
    # The suites run as root, and Chromium's sandbox refuses to start as root: the user namespaces that it builds upon are
    # for other users. What it shows here are this repository's own pages, from a node on the loopback.
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)


class Http:
    """Requests as a program sends them; keeps the session's cookie."""

    def __init__(self, port):
        self.port = port
        self.cookie = None

    def send(self, method, path, body=None, headers=None):
        """One request, nothing added but the cookie: status, headers (lower case), body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            own = {"cookie": self.cookie} if self.cookie else {}
            connection.request(method, path, body=body, headers=own | (headers or {}))
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return SimpleNamespace(status=answer.status, headers=found, body=answer.read())
        finally:
            connection.close()

    def change(self, method, path, body=None, headers=None):
        """A change, with the header that changes need; a dict becomes JSON."""
        more = dict(CHANGES)
        if isinstance(body, dict):
            body, more["content-type"] = json.dumps(body), "application/json"
        return self.send(method, path, body, more | (headers or {}))

    def sign_in(self, access, secret):
        """Begins a session; the answer."""
        answer = self.change("POST", "/api/session", {"access": access, "secret": secret})
        if answer.status == 200:
            self.cookie = answer.headers["set-cookie"].split(";")[0]
        return answer
