"""AWS Signature Version 4 by the book, for requests that no SDK would send: wrong, late, chunk-signed, trailing."""

import datetime
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import quote

from . import settings

EMPTY = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _sha(data):
    return hashlib.sha256(data).hexdigest()


def query_string(params):
    """Canonical query: sorted, percent-encoded, `=` always there."""
    pairs = sorted((quote(str(k), safe="-_.~"), quote(str(v), safe="-_.~")) for k, v in params)
    return "&".join(f"{k}={v}" for k, v in pairs)


@dataclass
class Signer:
    """Signs with these credentials; every field can be made wrong by a test."""

    access: str = settings.ROOT_ACCESS
    secret: str = settings.ROOT_SECRET
    region: str = settings.REGION
    service: str = "s3"
    now: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))

    @property
    def stamp(self):
        return self.now.strftime("%Y%m%dT%H%M%SZ")

    @property
    def scope(self):
        return f"{self.stamp[:8]}/{self.region}/{self.service}/aws4_request"

    def _key(self):
        key = _mac(b"AWS4" + self.secret.encode(), self.stamp[:8])
        for part in (self.region, self.service, "aws4_request"):
            key = _mac(key, part)
        return key

    def _sign(self, text):
        return hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()

    def _signature(self, method, path, params, headers, payload):
        names = sorted(headers)
        canonical = "\n".join(
            [method, path, query_string(params), *(f"{n}:{' '.join(headers[n].split())}" for n in names)]
            + ["", ";".join(names), payload]
        )
        return self._sign("\n".join(["AWS4-HMAC-SHA256", self.stamp, self.scope, _sha(canonical.encode())]))

    def headers(self, method, host, path, params=(), headers=None, payload=EMPTY):
        """All headers of a header-signed request. `path` is percent-encoded already; `payload` its digest or mode."""
        signed = {k.lower(): v for k, v in (headers or {}).items()}
        signed |= {"host": host, "x-amz-date": self.stamp, "x-amz-content-sha256": payload}
        signature = self._signature(method, path, params, signed, payload)
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access}/{self.scope}, "
            f"SignedHeaders={';'.join(sorted(k for k in signed if k != 'authorization'))}, Signature={signature}"
        )
        return signed

    def presign(self, method, host, path, params=(), expires=300, headers=None):
        """The query of a presigned URL."""
        signed = {k.lower(): v for k, v in (headers or {}).items()} | {"host": host}
        params = [*params]
        params += [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", f"{self.access}/{self.scope}"),
            ("X-Amz-Date", self.stamp),
            ("X-Amz-Expires", str(expires)),
            ("X-Amz-SignedHeaders", ";".join(sorted(signed))),
        ]
        signature = self._signature(method, path, params, signed, UNSIGNED)
        return query_string([*params, ("X-Amz-Signature", signature)])

    def chunked(self, seed, chunks, trailers=None):
        """The aws-chunked body whose chunks are signed one after another from the `seed` signature."""
        out, previous = [], seed
        for chunk in [*chunks, b""]:
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", self.stamp, self.scope, previous, EMPTY, _sha(chunk)])
            previous = self._sign(text)
            out.append(f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk)
            out.append(b"\r\n" if chunk or trailers is None else b"")
        if trailers is not None:
            lines = "".join(f"{k}:{v}\n" for k, v in trailers)
            text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", self.stamp, self.scope, previous, _sha(lines.encode())])
            out += [f"{k}:{v}\r\n".encode() for k, v in trailers]
            out.append(f"x-amz-trailer-signature:{self._sign(text)}\r\n\r\n".encode())
        return b"".join(out)


def signature_of(headers):
    """The seed signature in an Authorization header."""
    return headers["authorization"].rsplit("Signature=", 1)[1]


def unsigned_chunked(chunks, trailers):
    """An aws-chunked body without chunk signatures, with trailers."""
    out = [f"{len(c):x}\r\n".encode() + c + b"\r\n" for c in chunks]
    out.append(b"0\r\n")
    out += [f"{k}:{v}\r\n".encode() for k, v in trailers]
    return b"".join(out) + b"\r\n"
