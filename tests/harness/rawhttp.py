"""HTTP as the test says it, byte for byte: paths already encoded, headers in full, bodies cut short at will."""

import contextlib
import hashlib
import http.client
import re
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import quote

from . import settings, sigv4


@dataclass
class Response:
    """Status, headers (lower case), body."""

    status: int
    headers: dict
    body: bytes

    @property
    def code(self):
        """The S3 error code, or None."""
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found.group(1).decode() if found else None


def encode(key):
    """A key as it stands in a request path."""
    return quote(key, safe="/-_.~")


class Raw:
    """Sends requests to one S3 endpoint."""

    def __init__(self, host, port, *, tls=None, access=settings.ROOT_ACCESS, secret=settings.ROOT_SECRET):
        self.host, self.port, self.tls = host, port, tls
        self.access, self.secret = access, secret

    @property
    def authority(self):
        return f"{self.host}:{self.port}"

    def signer(self, **changes):
        """A signer with this endpoint's credentials, changed as said."""
        return sigv4.Signer(**({"access": self.access, "secret": self.secret} | changes))

    def send(self, method, target, headers, body=b""):
        """One request exactly as given; Content-Length is added unless said."""
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        extra = {"context": self.tls} if self.tls else {}
        connection = kind(self.host, self.port, timeout=120, **extra)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            lower = {k.lower() for k in headers}
            for name, value in headers.items():
                connection.putheader(name, value)
            if "content-length" not in lower and "transfer-encoding" not in lower:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders()
            if body:
                # Refused before the body was read: the answer is there.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.send(body)
            response = connection.getresponse()
            data = response.read()
            return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, data)
        finally:
            connection.close()

    def request(self, method, path, params=(), headers=None, body=b"", payload=None, signer=None, host=None):
        """A header-signed request. `path` begins with `/` and is encoded already."""
        signer = signer or self.signer()
        payload = payload or hashlib.sha256(body).hexdigest()
        signed = signer.headers(method, host or self.authority, path, params, headers, payload)
        target = path + ("?" + sigv4.query_string(params) if params else "")
        return self.send(method, target, signed, body)

    def presigned(self, method, path, params=(), expires=300, body=b"", signer=None, headers=None):
        """A request signed in its query."""
        query = (signer or self.signer()).presign(method, self.authority, path, params, expires, headers)
        return self.send(method, f"{path}?{query}", {"host": self.authority} | (headers or {}), body)

    def connect(self):
        """A bare connection."""
        plain = socket.create_connection((self.host, self.port), timeout=60)
        if isinstance(self.tls, ssl.SSLContext):
            return self.tls.wrap_socket(plain, server_hostname=self.host)
        return plain

    def head_bytes(self, method, path, headers, params=()):
        """Request line and headers on the wire, for a test that then sends only part of the body."""
        target = path + ("?" + sigv4.query_string(params) if params else "")
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()
