"""Test bytes: reproducible, not compressible, cheap."""

import hashlib
import random


def noise(size, seed=0):
    """`size` pseudo-random bytes, the same for the same seed."""
    return random.Random(f"noise-{seed}").randbytes(size)


def md5(data):
    """Hex MD5."""
    return hashlib.md5(data).hexdigest()


def composite_etag(parts):
    """S3's ETag of a multipart upload (no quotes)."""
    return hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest() + f"-{len(parts)}"


def stamped(tag, size):
    """A value that says who wrote it and cannot be torn unnoticed: a line with tag and size, noise, its digest."""
    head = f"{tag} {size}\n".encode()
    body = head + noise(max(0, size - len(head) - 32), tag)
    return body + hashlib.sha256(body).digest()


def stamp_of(data):
    """The tag of a `stamped` value; fails where the value is not one, whole."""
    body, digest = data[:-32], data[-32:]
    assert hashlib.sha256(body).digest() == digest, f"a torn or mixed value of {len(data)} bytes: {data[:80]!r}"
    return data.split(b"\n", 1)[0].rsplit(b" ", 1)[0].decode()
