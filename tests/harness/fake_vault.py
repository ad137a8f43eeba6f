"""What of Vault's documented HTTP interface a node and `vault.Vault` use: KV version 2, AppRole, tokens, transit.

For machines without a real one: the tests run before both where both are there."""

import base64
import json
import secrets
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class State:
    """What it holds."""

    def __init__(self):
        self.lock = threading.Lock()
        self.root = secrets.token_urlsafe(20)
        self.accessors = {}  # accessor → token
        self.tokens = {self.root}
        self.role_id, self.secret_id = secrets.token_hex(16), secrets.token_hex(16)
        self.kv = {}  # path → (version, data)
        self.version, self.least = 1, 1  # of the transit key
        self.wrapped = {}  # ciphertext → plaintext

    def answer(self, method, path, query, token, body):
        """(status, document) of a request."""
        if path == "auth/approle/login":
            if (body.get("role_id"), body.get("secret_id")) != (self.role_id, self.secret_id):
                return error(400, "invalid role or secret ID")
            made, accessor = secrets.token_urlsafe(20), secrets.token_hex(8)
            self.tokens.add(made)
            self.accessors[accessor] = made
            return 200, {"auth": {"client_token": made, "accessor": accessor, "policies": ["default", "pinfold"]}}
        if token not in self.tokens:
            return error(403, "permission denied")
        if path == "auth/approle/role/pinfold/role-id":
            return 200, {"data": {"role_id": self.role_id}}
        if path == "auth/approle/role/pinfold/secret-id":
            return 200, {"data": {"secret_id": self.secret_id}}
        if path == "auth/token/accessors":
            return 200, {"data": {"keys": list(self.accessors)}}
        if path == "auth/token/lookup-accessor":
            return 200, {"data": {"policies": ["default", "pinfold"]}}
        if path == "auth/token/revoke-accessor":
            self.tokens.discard(self.accessors.pop(body["accessor"]))
            return 204, None
        if path.startswith("kv-v2/"):
            return self.secret(method, path.removeprefix("kv-v2/"), query, body)
        if path.startswith("transit/"):
            return self.transit(*path.split("/")[1:], body)
        return 204, None  # mounts, policies

    def secret(self, method, path, query, body):
        """KV, version 2."""
        kind, _, path = path.partition("/")
        if kind == "metadata" and (method == "LIST" or "list=true" in query):
            prefix = path.rstrip("/") + "/"
            keys = sorted(name.removeprefix(prefix) for name in self.kv if name.startswith(prefix))
            return (200, {"data": {"keys": keys}}) if keys else error(404)
        if kind == "metadata" and method == "DELETE":
            self.kv.pop(path, None)
            return 204, None
        version, data = self.kv.get(path, (0, None))
        if method == "GET":
            return (200, {"data": {"data": data, "metadata": {"version": version}}}) if version else error(404)
        cas = body.get("options", {}).get("cas")
        if cas is not None and cas != version:
            return error(400, "check-and-set parameter did not match the current version")
        self.kv[path] = (version + 1, body["data"])
        return 200, {"data": {"version": version + 1}}

    def transit(self, what, *rest):
        """One key."""
        body = rest[-1]
        if what == "keys":
            if rest[1:2] == ("rotate",):
                self.version += 1
            elif rest[1:2] == ("config",):
                self.least = body["min_decryption_version"]
            return 200, {"data": {}}
        if what == "encrypt":
            base64.b64decode(body["plaintext"], validate=True)
            return 200, {"data": {"ciphertext": self.wrap(body["plaintext"])}}
        ciphertext = body["ciphertext"]
        if not ciphertext.startswith("vault:v"):
            return error(400, "invalid ciphertext: no prefix")
        if int(ciphertext.split(":")[1][1:]) < self.least:
            return error(400, "ciphertext or signature version is disallowed by policy (too old)")
        plaintext = self.wrapped.get(ciphertext)
        if plaintext is None:
            return error(400, "cipher: message authentication failed")
        if what == "rewrap":
            return 200, {"data": {"ciphertext": self.wrap(plaintext)}}
        return 200, {"data": {"plaintext": plaintext}}

    def wrap(self, plaintext):
        """A ciphertext that nobody guesses."""
        made = f"vault:v{self.version}:{base64.b64encode(secrets.token_bytes(60)).decode()}"
        self.wrapped[made] = plaintext
        return made


def error(status, *messages):
    """As Vault says it."""
    return status, {"errors": list(messages)}


class Handler(BaseHTTPRequestHandler):
    """Requests to `server.state`."""

    protocol_version = "HTTP/1.1"

    def do_any(self):
        url = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        path = unquote(url.path.removeprefix("/v1/"))
        state = self.server.state
        with state.lock:
            status, document = state.answer(self.command, path, url.query, self.headers.get("x-vault-token"), body)
        text = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_LIST = do_any

    def log_message(self, *_):
        """Says nothing."""


class Server:
    """Serves until it is closed."""

    def __init__(self, cert=None, key=None):
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.state = State()
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.scheme = "https" if cert else "http"
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        """Ends it."""
        self.http.shutdown()
        self.http.server_close()
