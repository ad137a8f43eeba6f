"""Mapped files."""

import errno
import mmap
import os
import subprocess

import pytest

from harness import settings
from harness.data import noise
from harness.syscalls import fails, opened, read_file, write_file

PAGE = 4096
MIB = settings.MIB


def test_reading_a_mapping(fs):
    data = noise(3 * MIB + 5)
    write_file(fs / "f", data)
    with opened(fs / "f", os.O_RDONLY) as fd, mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
        assert len(mapped) == len(data) and mapped[:] == data


def test_a_shared_mapping_and_descriptors_agree(fs):
    write_file(fs / "f", bytes(4 * PAGE))
    with opened(fs / "f", os.O_RDWR) as fd, mmap.mmap(fd, 0) as mapped:
        mapped[PAGE : PAGE + 6] = b"mapped"
        assert os.pread(fd, 6, PAGE) == b"mapped"
        os.pwrite(fd, b"written", 2 * PAGE)
        assert mapped[2 * PAGE : 2 * PAGE + 7] == b"written"
        with opened(fs / "f", os.O_RDONLY) as other:
            assert os.pread(other, 6, PAGE) == b"mapped"
        mapped.flush()
    assert read_file(fs / "f")[PAGE : PAGE + 6] == b"mapped"


def test_two_mappings_of_one_file(fs):
    write_file(fs / "f", bytes(2 * PAGE))
    with opened(fs / "f", os.O_RDWR) as a, opened(fs / "f", os.O_RDWR) as b:
        with mmap.mmap(a, 0) as one, mmap.mmap(b, 0) as two:
            one[0:3] = b"one"
            assert two[0:3] == b"one"
            two[PAGE : PAGE + 3] = b"two"
            assert one[PAGE : PAGE + 3] == b"two"


def test_a_mapping_and_its_own_descriptor(fs):
    """Python's mappings keep a descriptor of their own: no RELEASE before it goes (ruling 10 has its own test)."""
    write_file(fs / "f", bytes(2 * PAGE))
    fd = os.open(fs / "f", os.O_RDWR)
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    mapped[0:5] = b"after"
    assert read_file(fs / "f")[:5] == b"after"
    mapped[PAGE : PAGE + 5] = b"again"
    mapped.flush()
    mapped.close()
    assert read_file(fs / "f")[PAGE : PAGE + 5] == b"again"


def test_a_private_mapping_stays_private(fs):
    write_file(fs / "f", b"original")
    with opened(fs / "f", os.O_RDONLY) as fd, mmap.mmap(fd, 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[0:3] = b"own"
        assert os.pread(fd, 8, 0) == b"original"
    assert read_file(fs / "f") == b"original"


def test_a_shared_mapping_needs_write_access(fs):
    write_file(fs / "f", bytes(PAGE))
    with opened(fs / "f", os.O_RDONLY) as fd, fails(errno.EACCES):
        mmap.mmap(fd, 0)


def test_a_mapping_and_truncate(fs):
    write_file(fs / "f", noise(4 * PAGE))
    with opened(fs / "f", os.O_RDWR) as fd, mmap.mmap(fd, 0) as mapped:
        os.ftruncate(fd, 2 * PAGE)
        os.ftruncate(fd, 4 * PAGE)
        assert mapped[2 * PAGE :] == bytes(2 * PAGE)
        assert mapped[: 2 * PAGE] == noise(4 * PAGE)[: 2 * PAGE]


def test_programs_run(fs):
    """exec maps the file; a running program cannot be written to (ETXTBSY)."""
    with open("/bin/sleep", "rb") as program:
        write_file(fs / "sleep", program.read(), mode=0o755)
    child = subprocess.Popen([fs / "sleep", "60"])
    try:
        with fails(errno.ETXTBSY):
            os.open(fs / "sleep", os.O_WRONLY)
    finally:
        child.kill()
        child.wait()
    os.unlink(fs / "sleep")


def test_a_mapping_of_an_unlinked_file(fs):
    write_file(fs / "f", b"x" * PAGE)
    with opened(fs / "f", os.O_RDWR) as fd:
        mapped = mmap.mmap(fd, 0)
    os.unlink(fs / "f")
    mapped[0:4] = b"gone"
    assert mapped[0:5] == b"gonex"
    mapped.close()


@pytest.mark.parametrize("pages", [1, 300])
def test_many_mapped_pages(fs, pages):
    write_file(fs / "f", bytes(pages * PAGE))
    with opened(fs / "f", os.O_RDWR) as fd, mmap.mmap(fd, 0) as mapped:
        for page in range(pages):
            mapped[page * PAGE : page * PAGE + 8] = page.to_bytes(8, "big")
    data = read_file(fs / "f")
    for page in range(pages):
        assert data[page * PAGE : page * PAGE + 8] == page.to_bytes(8, "big")
