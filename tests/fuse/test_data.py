"""open, read, write, append, truncate, fallocate, seek, copy, sync."""

import errno
import mmap
import os
import random
import threading

import pytest

from harness import s3 as s3c
from harness import settings
from harness.data import noise
from harness.node import Node
from harness.syscalls import (
    FALLOC_COLLAPSE_RANGE,
    FALLOC_KEEP_SIZE,
    FALLOC_PUNCH_HOLE,
    FALLOC_ZERO_RANGE,
    fails,
    fallocate,
    opened,
    read_file,
    syncfs,
    write_file,
)

MIB = settings.MIB
SIZES = [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, MIB - 1, MIB, MIB + 1, 3 * MIB + 17]


@pytest.mark.parametrize("size", SIZES)
def test_sizes(fs, size):
    data = noise(size, size)
    write_file(fs / "f", data)
    assert os.stat(fs / "f").st_size == size
    assert read_file(fs / "f") == data
    with opened(fs / "f", os.O_RDONLY) as fd:
        assert os.pread(fd, 100, size) == b"" and os.pread(fd, 100, size + 1000) == b""
        assert os.pread(fd, 10, max(0, size - 5)) == data[max(0, size - 5) :]


def test_writes_anywhere(fs):
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.pwrite(fd, b"end", 3 * MIB)
        assert os.fstat(fd).st_size == 3 * MIB + 3
        os.pwrite(fd, b"mid", MIB - 1)
        os.pwrite(fd, b"start", 0)
    data = read_file(fs / "f")
    expected = bytearray(3 * MIB + 3)
    expected[:5], expected[MIB - 1 : MIB + 2], expected[3 * MIB :] = b"start", b"mid", b"end"
    assert data == expected


def test_rewriting_a_closed_file(fs):
    """What was sealed at close is opened for writing again."""
    data = bytearray(noise(2 * MIB + 100, 1))
    write_file(fs / "f", data)
    for turn in range(5):
        with opened(fs / "f", os.O_RDWR) as fd:
            at = turn * 400_000
            os.pwrite(fd, b"turn %d" % turn, at)
            data[at : at + 6] = b"turn %d" % turn
            assert os.pread(fd, len(data) + 1, 0) == data
        assert read_file(fs / "f") == data


def test_append(fs):
    write_file(fs / "f", b"one")
    with opened(fs / "f", os.O_WRONLY | os.O_APPEND) as a, opened(fs / "f", os.O_WRONLY | os.O_APPEND) as b:
        os.write(a, b" two")
        os.write(b, b" three")
        os.lseek(a, 0, os.SEEK_SET)
        os.write(a, b" four")
    assert read_file(fs / "f") == b"one two three four"
    write_file(fs / "f", b" five", os.O_WRONLY | os.O_APPEND)
    assert read_file(fs / "f") == b"one two three four five"


def test_appenders_at_once_lose_nothing(fs):
    write_file(fs / "log", b"")

    def work(i):
        with opened(fs / "log", os.O_WRONLY | os.O_APPEND) as fd:
            for turn in range(100):
                assert os.write(fd, b"%02d %03d %s\n" % (i, turn, b"x" * 40)) == 48

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = read_file(fs / "log").splitlines()
    assert len(lines) == 800 and {len(line) for line in lines} == {47}
    for i in range(8):
        mine = [line for line in lines if line.startswith(b"%02d " % i)]
        assert mine == sorted(mine) and len(mine) == 100


def test_o_trunc(fs):
    write_file(fs / "f", noise(100_000))
    write_file(fs / "f", b"short")
    assert read_file(fs / "f") == b"short"
    with opened(fs / "f", os.O_RDWR | os.O_TRUNC):
        assert os.stat(fs / "f").st_size == 0
    assert read_file(fs / "f") == b""


def test_truncate(fs):
    data = noise(2 * MIB)
    write_file(fs / "f", data)
    os.truncate(fs / "f", MIB + 5)
    assert read_file(fs / "f") == data[: MIB + 5]
    os.truncate(fs / "f", 3 * MIB)
    assert read_file(fs / "f") == data[: MIB + 5] + bytes(2 * MIB - 5)
    os.truncate(fs / "f", 0)
    os.truncate(fs / "f", 10)
    assert read_file(fs / "f") == bytes(10)
    with opened(fs / "f", os.O_RDWR) as fd:
        os.ftruncate(fd, 4)
        assert os.fstat(fd).st_size == 4 and os.stat(fs / "f").st_size == 4
    with opened(fs / "f", os.O_RDONLY) as fd, fails(errno.EINVAL, errno.EBADF):
        os.ftruncate(fd, 1)


def test_truncate_by_path_under_an_open_reader(fs):
    data = noise(MIB)
    write_file(fs / "f", data)
    with opened(fs / "f", os.O_RDONLY) as fd:
        assert os.pread(fd, 100, 0) == data[:100]
        os.truncate(fs / "f", 50)
        assert os.fstat(fd).st_size == 50
        assert os.pread(fd, 100, 0) == data[:50]
        os.truncate(fs / "f", 200)
        assert os.pread(fd, 300, 0) == data[:50] + bytes(150)


def test_readers_see_what_writers_write(fs):
    """Open before and after, in both orders: one file, one content."""
    write_file(fs / "f", b"0123456789")
    with opened(fs / "f", os.O_RDONLY) as reader:
        with opened(fs / "f", os.O_RDWR) as writer:
            os.pwrite(writer, b"AB", 2)
            assert os.pread(reader, 20, 0) == b"01AB456789"
            with opened(fs / "f", os.O_RDONLY) as late:
                assert os.pread(late, 20, 0) == b"01AB456789"
                os.pwrite(writer, b"more", 10)
                assert os.pread(late, 20, 0) == b"01AB456789more"
            assert os.fstat(reader).st_size == 14
        assert os.pread(reader, 20, 0) == b"01AB456789more"
    with opened(fs / "f", os.O_RDWR) as writer, opened(fs / "f", os.O_RDONLY) as reader:
        os.pwrite(writer, b"zz", 0)
        assert os.pread(reader, 4, 0) == b"zzAB"


def test_descriptors_keep_to_their_mode(fs):
    write_file(fs / "f", b"x")
    with opened(fs / "f", os.O_RDONLY) as fd, fails(errno.EBADF):
        os.write(fd, b"y")
    with opened(fs / "f", os.O_WRONLY) as fd, fails(errno.EBADF):
        os.read(fd, 1)


def test_fallocate(fs):
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        fallocate(fd, 0, 0, MIB)
        assert os.fstat(fd).st_size == MIB
        assert os.pread(fd, MIB, 0) == bytes(MIB)
        fallocate(fd, FALLOC_KEEP_SIZE, MIB, MIB)
        assert os.fstat(fd).st_size == MIB
        os.pwrite(fd, noise(MIB, 1), 0)
        fallocate(fd, 0, 0, 10)
        assert os.pread(fd, MIB, 0) == noise(MIB, 1), "allocating what is there changes nothing"


@pytest.mark.parametrize(
    "mode", [FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE, FALLOC_ZERO_RANGE]
)
def test_punch_and_zero(fs, mode):
    data = bytearray(noise(3 * MIB, 2))
    write_file(fs / "f", data)
    with opened(fs / "f", os.O_RDWR) as fd:
        for offset, length in ((0, 4096), (100, 50), (MIB - 10, MIB), (3 * MIB - 5, 5)):
            fallocate(fd, mode, offset, length)
            data[offset : offset + length] = bytes(length)
            assert os.pread(fd, len(data) + 1, 0) == data, (offset, length)
    assert read_file(fs / "f") == data
    assert os.stat(fs / "f").st_size == len(data)


def test_zero_range_beyond_the_end(fs):
    write_file(fs / "f", b"x" * 100)
    with opened(fs / "f", os.O_RDWR) as fd:
        fallocate(fd, FALLOC_ZERO_RANGE, 50, 100)
    assert read_file(fs / "f") == b"x" * 50 + bytes(100)


def test_fallocate_modes_that_are_refused(fs):
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, noise(10000))
        with fails(errno.EOPNOTSUPP, errno.EINVAL):
            fallocate(fd, FALLOC_PUNCH_HOLE, 0, 4096)
        with fails(errno.EINVAL):
            fallocate(fd, 0, 0, 0)
        with fails(errno.EOPNOTSUPP, errno.EINVAL):
            fallocate(fd, FALLOC_COLLAPSE_RANGE, 1, 5)
        assert os.pread(fd, 10001, 0) == noise(10000)


def test_s20_holes(fs):
    """SEEK_DATA and SEEK_HOLE find what is there, and a hole takes no space."""
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.ftruncate(fd, 64 * MIB)
        os.pwrite(fd, noise(MIB, 1), 16 * MIB)
        os.pwrite(fd, noise(MIB, 2), 40 * MIB)
        check_holes(fd)
        assert os.fstat(fd).st_blocks * 512 < 8 * MIB
    with opened(fs / "f", os.O_RDONLY) as fd:
        check_holes(fd)
        assert os.pread(fd, MIB, 16 * MIB) == noise(MIB, 1)
        assert os.pread(fd, 10, 20 * MIB) == bytes(10)


def check_holes(fd):
    assert os.lseek(fd, 0, os.SEEK_DATA) == 16 * MIB
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
    assert 17 * MIB <= os.lseek(fd, 16 * MIB, os.SEEK_HOLE) < 40 * MIB
    assert os.lseek(fd, 20 * MIB, os.SEEK_DATA) == 40 * MIB
    assert os.lseek(fd, 40 * MIB + 5, os.SEEK_DATA) == 40 * MIB + 5
    with fails(errno.ENXIO):
        os.lseek(fd, 50 * MIB, os.SEEK_DATA)
    with fails(errno.ENXIO):
        os.lseek(fd, 64 * MIB, os.SEEK_HOLE)


def test_copy_file_range(fs):
    data = noise(3 * MIB + 7, 3)
    write_file(fs / "from", data)
    with opened(fs / "from", os.O_RDONLY) as source, opened(fs / "to", os.O_RDWR | os.O_CREAT) as target:
        copied = 0
        while copied < len(data):
            n = os.copy_file_range(source, target, len(data) - copied, copied, copied)
            assert n > 0
            copied += n
        assert os.pread(target, len(data) + 1, 0) == data
        assert os.copy_file_range(source, target, 100, 5, 10) == 100
        assert os.pread(target, 100, 10) == data[5:105]
        assert os.copy_file_range(source, target, 100, len(data)) == 0
    assert read_file(fs / "from") == data


def test_syncs(fs):
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"x")
        os.fsync(fd)
        os.fdatasync(fd)
        syncfs(fd)
    for flag in (os.O_SYNC, os.O_DSYNC):
        with opened(fs / "f", os.O_WRONLY | flag) as fd:
            os.write(fd, b"synced")
    os.sync()
    assert read_file(fs / "f") == b"synced"


@pytest.mark.pinfold
def test_fsync_of_a_file_or_directory_makes_what_was_done_durable():
    """On a node whose log syncs by itself once a minute only: what is durable sooner was asked for."""
    with Node("syncs", args=["--commit-interval", "60s"]) as node:
        s3c.client(node.endpoint).create_bucket(Bucket="files")
        top = node.mnt / "files"
        os.mkdir(top / "d")
        assert node.metric("pinfold_store_log_durable") < node.metric("pinfold_store_log_head"), "nobody waits for a mkdir"
        with opened(top, os.O_RDONLY | os.O_DIRECTORY) as fd:
            head = node.metric("pinfold_store_log_head")
            os.fsync(fd)
            assert node.metric("pinfold_store_log_durable") >= head, "fsync of a directory"
        with opened(top / "d" / "f", os.O_WRONLY | os.O_CREAT) as fd:
            os.write(fd, b"x")
            head = node.metric("pinfold_store_log_head")
            assert node.metric("pinfold_store_log_durable") < head, "nobody waits for a create"
            os.fsync(fd)
            assert node.metric("pinfold_store_log_durable") >= head, "fsync of a file"


def test_o_direct(fs):
    buffer = mmap.mmap(-1, 65536)
    buffer[:] = noise(65536)
    try:
        fd = os.open(fs / "f", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    except OSError as error:
        assert error.errno == errno.EINVAL
        pytest.skip("no O_DIRECT here")
    assert os.pwritev(fd, [buffer], 0) == 65536
    back = mmap.mmap(-1, 65536)
    assert os.preadv(fd, [back], 0) == 65536
    assert back[:] == buffer[:]
    os.close(fd)
    assert read_file(fs / "f") == noise(65536)


def test_far_offsets(fs):
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.pwrite(fd, b"far", 5 * settings.GIB)
        assert os.fstat(fd).st_size == 5 * settings.GIB + 3
        assert os.pread(fd, 10, 5 * settings.GIB - 3) == bytes(3) + b"far"
        os.ftruncate(fd, 0)


@pytest.mark.pinfold
def test_ruling19_beyond_5_tib(place, fs):
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        with fails(errno.EFBIG):
            os.ftruncate(fd, 5 * 1024 * settings.GIB + 1)
        with fails(errno.EFBIG):
            os.truncate(fs / "f", 5 * 1024 * settings.GIB + 1)
        with fails(errno.EFBIG):
            os.posix_fallocate(fd, 5 * 1024 * settings.GIB, 1)
        if place.mode == "daemon":
            with fails(errno.EFBIG):
                os.pwrite(fd, b"x", 5 * 1024 * settings.GIB)
        assert os.fstat(fd).st_size == 0
        os.ftruncate(fd, 5 * 1024 * settings.GIB)
        assert os.fstat(fd).st_size == 5 * 1024 * settings.GIB, "5 TiB themselves are fine"
        os.ftruncate(fd, 0)


@pytest.mark.pinfold
def test_ruling19_the_kernel_s_own_writes_beyond_5_tib(place, fs):
    """Nobody can refuse them (passthrough): such a file has no published content, and everything else goes on."""
    if place.mode != "passthrough":
        pytest.skip("the daemon refuses the write itself")
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.pwrite(fd, b"x", 5 * 1024 * settings.GIB)
    key = f"{fs.name}/f"
    with pytest.raises(place.s3.exceptions.ClientError) as caught:
        place.s3.get_object(Bucket=place.bucket, Key=key)["Body"].read()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404), caught.value
    os.truncate(fs / "f", 1)
    assert s3c.body(place.s3, place.bucket, key) == b"\0"


def test_many_open_files(fs):
    fds = []
    try:
        for i in range(400):
            fds.append(os.open(fs / str(i), os.O_RDWR | os.O_CREAT))
            os.write(fds[-1], b"%d" % i)
        for i, fd in enumerate(fds):
            assert os.pread(fd, 10, 0) == b"%d" % i
    finally:
        for fd in fds:
            os.close(fd)


def test_random_io_of_many_threads(fs, rng):
    """Six threads, each with a file of its own, write at random and read back."""
    problems = []

    def work(seed):
        mine, size = random.Random(seed), 2 * MIB
        model = bytearray(size)
        try:
            with opened(fs / f"f{seed}", os.O_RDWR | os.O_CREAT) as fd:
                os.ftruncate(fd, size)
                for _ in range(150):
                    at, n = mine.randrange(size - 1), mine.randrange(1, 70_000)
                    piece = mine.randbytes(min(n, size - at))
                    os.pwrite(fd, piece, at)
                    model[at : at + len(piece)] = piece
                    at = mine.randrange(size)
                    assert os.pread(fd, 50_000, at) == model[at : at + 50_000]
            assert read_file(fs / f"f{seed}") == model
        except BaseException as error:
            problems.append((seed, error))

    threads = [threading.Thread(target=work, args=(rng.randrange(1 << 30),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
