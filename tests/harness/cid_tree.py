"""CIDs of directories by UnixFS's rules, written from the specification and sharing no code with the product.

A plain directory's links are sorted by name. One that is too large is a HAMT of fanout 256: the name's murmur3 hash
(x64, the first 64 bits) is read a byte a level; a link's name is its slot in two upper-case hex digits and the entry's
name, or nothing where the slot is a shard of the next level. What is too large is a profile's matter: the bytes of the
plain block, or the sum of names' and CIDs' lengths.
"""

import os
from pathlib import Path

from .cid import Node, cid_bytes, field, leaves_of, root, text, varint

LIMIT = 256 << 10
MASK = (1 << 64) - 1
MURMUR3 = 0x22


def dag_pb(links, data):
    """A node of (name, target) links and UnixFS data."""
    block = b"".join(
        field(2, field(1, to.cid) + field(2, name.encode()) + varint(3 << 3) + varint(to.tsize)) for name, to in links
    ) + field(1, data)
    return Node(cid_bytes(0x70, block), len(block) + sum(to.tsize for _, to in links), len(block))


def symlink(target):
    """A symbolic link."""
    return dag_pb([], b"\x08\x04" + field(2, target))


def rotated(x, by):
    return (x << by | x >> (64 - by)) & MASK


def mixed(x):
    x = (x ^ x >> 33) * 0xFF51AFD7ED558CCD & MASK
    x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    return x ^ x >> 33


def murmur3(data):
    """The first 64 bits of MurmurHash3_x64_128 with seed 0."""
    c1, c2, h1, h2 = 0x87C37B91114253D5, 0x4CF5AD432745937F, 0, 0
    whole = len(data) & ~15
    for i in range(0, whole, 16):
        k1, k2 = (int.from_bytes(data[i + n : i + n + 8], "little") for n in (0, 8))
        h1 ^= rotated(k1 * c1 & MASK, 31) * c2 & MASK
        h1 = ((rotated(h1, 27) + h2) * 5 + 0x52DCE729) & MASK
        h2 ^= rotated(k2 * c2 & MASK, 33) * c1 & MASK
        h2 = ((rotated(h2, 31) + h1) * 5 + 0x38495AB5) & MASK
    k1, k2 = (int.from_bytes(data[whole + n : min(whole + n + 8, len(data))], "little") for n in (0, 8))
    h2 ^= rotated(k2 * c2 & MASK, 33) * c1 & MASK
    h1 ^= rotated(k1 * c1 & MASK, 31) * c2 & MASK
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & MASK
    h2 = (h2 + h1) & MASK
    return (mixed(h1) + mixed(h2)) & MASK


def shard(entries, level=0):
    """A HAMT's shard over {name: target}."""
    slots = {}
    for name in entries:
        slots.setdefault(murmur3(name.encode()).to_bytes(8, "big")[level], []).append(name)
    links = []
    for slot, names in sorted(slots.items()):
        if len(names) == 1:
            links.append((f"{slot:02X}{names[0]}", entries[names[0]]))
        else:
            links.append((f"{slot:02X}", shard({name: entries[name] for name in names}, level + 1)))
    bits = sum(1 << slot for slot in slots)
    bitfield = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
    data = b"\x08\x05" + field(2, bitfield) + varint(5 << 3) + varint(MURMUR3) + varint(6 << 3) + varint(256)
    return dag_pb(links, data)


def directory(entries, *, by_links=False):
    """A directory of {name: target}; whether it is sharded goes by its links' names and CIDs, or by its block's bytes."""
    links = sorted(entries.items(), key=lambda entry: entry[0].encode())
    plain = dag_pb(links, b"\x08\x01")
    measured = sum(len(name.encode()) + len(to.cid) for name, to in links) if by_links else plain.size
    return shard(entries) if measured > LIMIT else plain


def of_tree(path, chunk, width, *, by_links=False):
    """The node of a file, a link or a directory with all below; what UnixFS has no word for is left out."""
    path = Path(path)
    if path.is_symlink():
        return symlink(os.readlink(path).encode())
    if path.is_file():
        return root(leaves_of([path.read_bytes()], chunk), width)
    if not path.is_dir():
        return None
    entries = {name: of_tree(path / name, chunk, width, by_links=by_links) for name in os.listdir(path)}
    return directory({name: to for name, to in entries.items() if to}, by_links=by_links)


def of_directory(path, chunk, width, *, by_links=False):
    """CID of a directory as `ipfs add --recursive --hidden --cid-version=1` names it."""
    return text(of_tree(path, chunk, width, by_links=by_links))
