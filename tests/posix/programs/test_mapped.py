"""Programs that write by shared mappings, several at once, and what readers by other ways see."""

import hashlib
import sys

import pytest

from harness.programs import environment, finish, many

#: Counts in a shared page under a lock, and fills pages of its own; half of them flush.
WRITER = """
import fcntl, mmap, os, struct, sys
path, writer, writers, pages = sys.argv[1], *map(int, sys.argv[2:])
fd = os.open(path, os.O_RDWR)
mapped = mmap.mmap(fd, 4096 * (1 + writers * pages))
for turn in range(300):
    fcntl.lockf(fd, fcntl.LOCK_EX)
    count, = struct.unpack_from("<Q", mapped, 0)
    struct.pack_into("<Q", mapped, 0, count + 1)
    fcntl.lockf(fd, fcntl.LOCK_UN)
for page in range(pages):
    at = 4096 * (1 + page * writers + writer)
    mapped[at:at + 4096] = bytes([writer * 16 + page % 16]) * 4096
    if page % 50 == 0:
        mapped.flush(at, 4096)
if writer % 2:
    mapped.flush()
mapped.close()
"""


@pytest.mark.parametrize("writers", [2, 5])
def test_shared_counter_and_own_pages(fs, local, place, writers):
    path, pages = fs / "mapped", 200
    with path.open("wb") as file:
        file.truncate(4096 * (1 + writers * pages))
    lines = [[sys.executable, "-c", WRITER, path, w, writers, pages] for w in range(writers)]
    with many(lines, local, env=environment(local)) as running:
        finish(running)
    want = (300 * writers).to_bytes(8, "little") + bytes(4088)
    want += b"".join(bytes([w * 16 + page % 16]) * 4096 for page in range(pages) for w in range(writers))
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(want).digest()
    if place.s3 is not None:
        assert place.s3.get_object(Bucket="files", Key=str(path.relative_to(place.root)))["Body"].read() == want
        place.node.restart()
        assert path.read_bytes() == want


def test_a_mapping_outlives_its_name(fs, local):
    """The descriptor is closed, the name gone and taken by another file: the mapping is still the old file's."""
    script = """
import mmap, os
fd = os.open("f", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 1 << 20)
mapped = mmap.mmap(fd, 1 << 20)
os.close(fd)
mapped[:5] = b"first"
os.unlink("f")
with open("f", "wb") as file:
    file.write(b"second")
mapped[1 << 19:(1 << 19) + 4] = b"more"
mapped.flush()
assert mapped[:5] == b"first" and open("f", "rb").read() == b"second"
mapped.close()
"""
    with many([[sys.executable, "-c", script]], fs, env=environment(local)) as running:
        finish(running)
    assert (fs / "f").read_bytes() == b"second"
