"""CARs, read by the specification and checked block by block; shares no code with the product."""

import base64
import hashlib


def _varint(data, at):
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _text(binary):
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


def _cid_length(data, at):
    begin = at
    for _ in range(3):  # version, codec, hash function
        _, at = _varint(data, at)
    length, at = _varint(data, at)
    return at + length - begin


def read_car(data):
    """(roots, [(CID, bytes), …]). AssertionError for a block that is not what its CID says, or a CAR that is cut off."""
    length, at = _varint(data, 0)
    header = data[at : at + length]
    assert header.startswith(b"\xa2eroots\x81\xd8\x2a") and header.endswith(b"gversion\x01"), header
    root = header[header.index(b"\xd8\x2a") + 2 : -9]
    root = root[2:] if root[0] == 0x58 else root[1:]
    at += length
    blocks = []
    while at < len(data):
        length, at = _varint(data, at)
        section = data[at : at + length]
        assert len(section) == length, "cut off"
        at += length
        cut = _cid_length(section, 0)
        binary, block = section[:cut], section[cut:]
        assert binary[2:4] == b"\x12\x20" and hashlib.sha256(block).digest() == binary[4:], "a wrong block"
        blocks.append((_text(binary), block))
    return [_text(root[1:])], blocks


def blocks_of(cid, data):
    """CIDs of the blocks of a file of up to 1,024 chunks in depth-first order; `cid` is the harness's module."""
    names = [cid.text(leaf) for leaf in cid.leaves_of([data])]
    return [cid.of_bytes(data), *names] if len(names) > 1 else names
