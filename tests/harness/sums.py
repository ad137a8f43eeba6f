"""The S3 checksum algorithms in plain Python (xxHash: the SDK's C code), as a second opinion on the product's."""

import base64
import hashlib
import zlib

from awscrt.checksums import XXHash


def _table(poly):
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (poly if crc & 1 else 0)
        table.append(crc)
    return table


def _reflected(poly, bits):
    table, mask = _table(poly), (1 << bits) - 1

    def crc_of(data):
        crc = mask
        for byte in data:
            crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
        return (crc ^ mask).to_bytes(bits // 8, "big")

    return crc_of


#: Algorithm name (as in headers, upper case) → raw checksum of bytes.
RAW = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": _reflected(0x82F63B78, 32),
    "CRC64NVME": _reflected(0x9A6C9329AC4BC9B5, 64),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "SHA512": lambda data: hashlib.sha512(data).digest(),
    "MD5": lambda data: hashlib.md5(data).digest(),
    "XXHASH64": XXHash.compute_xxhash64,
    "XXHASH3": XXHash.compute_xxhash3_64,
    "XXHASH128": XXHash.compute_xxhash3_128,
}

#: Algorithms whose checksum of a whole multipart object can be put together from parts, or only composed.
FULL_OBJECT = ["CRC32", "CRC32C", "CRC64NVME"]
COMPOSITE = ["CRC32", "CRC32C", "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"]


def value(algorithm, data):
    """Base64, as S3 headers carry it."""
    return base64.b64encode(RAW[algorithm](data)).decode()


def composite(algorithm, parts):
    """Checksum of checksums: what a COMPOSITE multipart object has, less its `-N`."""
    return value(algorithm, b"".join(RAW[algorithm](p) for p in parts))


def header(algorithm):
    """The request header of an algorithm."""
    return f"x-amz-checksum-{algorithm.lower()}"


def parameter(algorithm):
    """boto3's name for the value."""
    return f"Checksum{algorithm}"
