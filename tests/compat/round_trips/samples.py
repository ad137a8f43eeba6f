"""What is stored: names that clients get wrong, sizes that they treat differently."""

import functools
import hashlib
import os

from harness.data import noise

MIB = 1 << 20
#: Above every client's threshold for uploads in parts.
LARGE = 40 * MIB
#: A whole second in the past, so that tools that compare times see no difference.
MTIME = 1_700_000_000
#: More keys than one page of a listing holds.
MANY = 1_050

#: Names that are legal in a file system and in S3 and need escaping somewhere.
NAMES = [
    "empty", "five", "with space.txt", "  two  spaces ", "plus+sign", "a+b c%20d", "100%.txt", "%2F", "it's", 'say "so"',
    "<tag>&amp;", "semi;colon", "what?x=1&y=2", "#hash", "[brackets]", "{braces}", "(paren)", "tilde~", "comma,", "at@sign",
    "dollar$HOME", "bang!", "equals=", "colon:", "pipe|", "caret^", "back`tick", "-dash", "...dots", "caf\u00e9", "cafe\u0301",
    "\u65e5\u672c\u8a9e.txt", "\u0440\u0443\u0441\u0441\u043a\u0438\u0439",
    "\U0001f389 emoji \U0001f468\u200d\U0001f469.txt", "n" * 200,
    "dir/deep/er/file", "dir/\u00fcber/5 %", "dir.d/x", "dir-e/x",
]


@functools.cache
def large():
    """40 MiB that do not compress."""
    return noise(LARGE, "round trip")


@functools.cache
def tree():
    """{name: bytes}: the empty one, the one of five bytes, small ones under all the names."""
    found = {name: f"the bytes of {name}".encode() for name in NAMES}
    return found | {"empty": b"", "five": b"12345"}


def plain():
    """The part of `tree` whose names nobody gets wrong."""
    return {name: data for name, data in tree().items() if name.replace("/", "").replace(".", "").isalnum() and name.isascii()}


def sums(files):
    """{name: hex SHA-256}."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def write(folder, files):
    """Writes the files below a new folder, all of one time."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (MTIME, MTIME))
    return folder


def read(folder):
    """{name: hex SHA-256} of all files below a folder."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return sums(found)


def difference(got, wanted):
    """What differs between two {name: sum}, in words; empty where nothing does."""
    said = []
    for what, names in (
        ("missing", wanted.keys() - got.keys()),
        ("unexpected", got.keys() - wanted.keys()),
        ("other bytes", {name for name in got.keys() & wanted.keys() if got[name] != wanted[name]}),
    ):
        if names:
            said.append(f"{what}: {', '.join(map(repr, sorted(names)[:8]))}{' …' if len(names) > 8 else ''}")
    return "; ".join(said)
