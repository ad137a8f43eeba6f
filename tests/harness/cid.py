"""CIDs of files by UnixFS's rules, written from the specification and sharing no code with the product.

Rules: raw leaves; a file of one chunk is its raw block; else balanced layers of dag-pb nodes, links first, each link
Hash, Name (written, empty), Tsize; then Data = UnixFS {Type 2, filesize, blocksizes}. A lone trailing child is still
wrapped, so that all leaves are equally deep.
"""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

CHUNK = 1 << 20
WIDTH = 1024


@dataclass(frozen=True)
class Node:
    """One DAG node: binary CID, bytes of its block and all below (Tsize), bytes of the file it covers."""

    cid: bytes
    tsize: int
    size: int


def varint(n):
    """Protobuf's variable-length integer."""
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def cid_bytes(codec, block):
    """CIDv1 with SHA-256."""
    return bytes([1, codec, 0x12, 32]) + hashlib.sha256(block).digest()


def leaf(chunk):
    """A raw leaf."""
    return Node(cid_bytes(0x55, chunk), len(chunk), len(chunk))


def inner(children):
    """A dag-pb file node above `children`."""
    links = b"".join(
        field(2, field(1, c.cid) + field(2, b"") + varint(3 << 3) + varint(c.tsize)) for c in children
    )
    size = sum(c.size for c in children)
    data = b"\x08\x02" + varint(3 << 3) + varint(size) + b"".join(varint(4 << 3) + varint(c.size) for c in children)
    block = links + field(1, data)
    return Node(cid_bytes(0x70, block), len(block) + sum(c.tsize for c in children), size)


def root(leaves, width=WIDTH):
    """The root above the leaves, balanced."""
    layer = list(leaves)
    while len(layer) > 1:
        layer = [inner(layer[i : i + width]) for i in range(0, len(layer), width)]
    return layer[0]


def text(node):
    """`bafy…`: base32 without padding, lower case."""
    return "b" + base64.b32encode(node.cid).decode().lower().rstrip("=")


def parse(name):
    """The binary CID of `bafy…`."""
    letters = name[1:].upper()
    return base64.b32decode(letters + "=" * (-len(letters) % 8))


def leaves_of(pieces, chunk=CHUNK):
    """Raw leaves of a stream of byte strings cut anywhere."""
    leaves, rest = [], bytearray()
    for piece in pieces:
        rest += piece
        while len(rest) >= chunk:
            leaves.append(leaf(bytes(rest[:chunk])))
            del rest[:chunk]
    if rest or not leaves:
        leaves.append(leaf(bytes(rest)))
    return leaves


def of_bytes(data, chunk=CHUNK, width=WIDTH):
    """CID of these bytes as `ipfs add` with the default profile `unixfs-v1-2025` gives it."""
    return text(root(leaves_of([data], chunk), width))


def of_stream(pieces, chunk=CHUNK, width=WIDTH):
    """CID of a stream."""
    return text(root(leaves_of(pieces, chunk), width))


def of_zeros(size, chunk=CHUNK, width=WIDTH):
    """CID of `size` zero bytes: equal chunks are hashed once."""
    whole, rest = divmod(size, chunk)
    leaves = [leaf(bytes(chunk))] * whole
    if rest or not whole:
        leaves.append(leaf(bytes(rest)))
    return text(root(leaves, width))


def mount_etag(data):
    """ETag (no quotes) of content published by the mount (S12): 32 hex digits of the root's digest, `-`, chunks."""
    leaves = leaves_of([data])
    return f"{root(leaves).cid[4:].hex()[:32]}-{len(leaves)}"


def fixture_stream(seed, size, piece=CHUNK):
    """The published fixtures' bytes: the ChaCha20 stream of key sha256(seed), nonce 0."""
    cipher = Cipher(algorithms.ChaCha20(hashlib.sha256(seed.encode()).digest(), bytes(16)), mode=None).encryptor()
    while size > 0:
        n = min(piece, size)
        yield cipher.update(bytes(n))
        size -= n


#: (seed, size, CID) of IPIP-499's test vectors for the default profile.
FIXTURES = [
    ("chunk-v1-seed", CHUNK, "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta"),
    ("chunk-v1-seed", CHUNK + 1, "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"),
    ("v1-2025-seed", 1 << 30, "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm"),
    ("v1-2025-seed", (1 << 30) + 1, "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe"),
]
