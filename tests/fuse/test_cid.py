"""S18 at the mount: CIDs of files against the published fixtures and an independent builder, at every boundary."""

import os

import pytest

from harness import cid, settings
from harness import s3 as s3c
from harness.data import noise
from harness.syscalls import opened, write_file

MIB, GIB = settings.MIB, settings.GIB
EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
BOUNDARIES = [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1, 5 * MIB - 1]
#: 1,024 links fill one node: a level more begins at 1024 MiB + 1.
SPARSE = [1023 * MIB, 1024 * MIB - 1, 1024 * MIB, 1024 * MIB + 1, 1025 * MIB, 2048 * MIB + 1]


def cid_of(path):
    return os.getxattr(path, settings.XATTR_CID).decode()


def test_s18_the_independent_builder_is_right():
    """It reproduces IPIP-499's published CIDs, so that what follows compares with the truth."""
    for seed, size, expected in cid.FIXTURES:
        assert cid.of_stream(cid.fixture_stream(seed, size)) == expected, (seed, size)
    assert cid.of_bytes(b"") == EMPTY
    for size in (0, 1, MIB, MIB + 1, 3 * MIB):
        assert cid.of_zeros(size) == cid.of_bytes(bytes(size))


@pytest.mark.pinfold
@pytest.mark.parametrize("size", BOUNDARIES)
def test_s18_cids_at_boundaries(place, fs, prefix, size):
    data = noise(size, size)
    write_file(fs / "f", data)
    expected = cid.of_bytes(data)
    assert cid_of(fs / "f") == expected
    head = place.s3.head_object(Bucket=place.bucket, Key=prefix + "f")
    assert s3c.cid(head) == expected, "HEAD and getfattr agree"
    place.s3.put_object(Bucket=place.bucket, Key=prefix + "g", Body=data)
    assert cid_of(fs / "g") == expected, "whichever door it came by"


@pytest.mark.pinfold
@pytest.mark.parametrize(("seed", "size", "expected"), cid.FIXTURES[:2])
def test_s18_published_fixtures(fs, seed, size, expected):
    write_file(fs / "f", b"".join(cid.fixture_stream(seed, size)))
    assert cid_of(fs / "f") == expected


@pytest.mark.pinfold
@pytest.mark.parametrize(("seed", "size", "expected"), cid.FIXTURES[2:])
def test_s18_published_fixtures_of_a_gib(fs, seed, size, expected):
    with opened(fs / "f", os.O_WRONLY | os.O_CREAT) as fd:
        for piece in cid.fixture_stream(seed, size):
            assert os.write(fd, piece) == len(piece)
    assert cid_of(fs / "f") == expected
    os.unlink(fs / "f")


@pytest.mark.pinfold
@pytest.mark.parametrize("size", SPARSE)
def test_s18_s20_sparse_files(place, fs, prefix, size):
    with opened(fs / "f", os.O_WRONLY | os.O_CREAT) as fd:
        os.ftruncate(fd, size)
    assert cid_of(fs / "f") == cid.of_zeros(size)
    head = place.s3.head_object(Bucket=place.bucket, Key=prefix + "f")
    assert (s3c.cid(head), head["ContentLength"]) == (cid.of_zeros(size), size)


@pytest.mark.pinfold
def test_s20_data_amid_holes(fs):
    """The CID is that of the zeros."""
    with opened(fs / "f", os.O_WRONLY | os.O_CREAT) as fd:
        os.ftruncate(fd, 64 * MIB + 3)
        os.pwrite(fd, noise(100, 1), 10 * MIB - 50)
        os.pwrite(fd, noise(100, 2), 50 * MIB)
    data = bytearray(64 * MIB + 3)
    data[10 * MIB - 50 : 10 * MIB + 50] = noise(100, 1)
    data[50 * MIB : 50 * MIB + 100] = noise(100, 2)
    assert cid_of(fs / "f") == cid.of_bytes(bytes(data))


@pytest.mark.pinfold
def test_s18_the_cid_follows_every_change(fs, rng):
    data = bytearray(noise(3 * MIB + 11, 7))
    write_file(fs / "f", data)
    for _ in range(12):
        at = rng.randrange(len(data))
        piece = rng.randbytes(rng.randrange(1, 3000))
        with opened(fs / "f", os.O_RDWR) as fd:
            os.pwrite(fd, piece, at)
        if at + len(piece) > len(data):
            data += bytes(at + len(piece) - len(data))
        data[at : at + len(piece)] = piece
        assert cid_of(fs / "f") == cid.of_bytes(bytes(data))


@pytest.mark.pinfold
def test_s18_the_command_agrees(place, fs):
    """`pinfold cid FILE` gives what the mount gives."""
    data = noise(2 * MIB + 1, "command")
    write_file(fs / "f", data)
    path = place.node.base / "outside"
    path.write_bytes(data)
    assert cid.of_bytes(data) in place.node.cli("cid", path).stdout
    assert cid_of(fs / "f") == cid.of_bytes(data)
