"""S14: kill -9 at random moments with both doors busy, modes in turn. 10 rounds on each engine; 200 with --long
(`--rounds N`)."""

import os
import random
import signal
import threading

import pytest

from harness import mounts, settings
from harness import s3 as s3c
from harness.data import noise
from harness.node import Node
from harness.rawhttp import Raw
from harness.space import check_space, unfinished
from harness.syscalls import held, opened, read_file, write_file
from harness.wait import until
from harness.workload import KINDS

MIB = settings.MIB
BUCKET = "bucket"


@pytest.mark.root
@pytest.mark.timeout(2 * 3600)
@pytest.mark.parametrize("engine", settings.DISK_ENGINES)
def test_s14_no_acknowledged_write_is_missing_or_torn(request, engine):
    option = request.config.option
    rounds = option.rounds or (200 if option.long else 10)
    rng = random.Random(f"{option.seed}/kill/{engine}")
    node, fine = Node(f"kill-{engine}", engine=engine), False
    try:
        node.start()
        s3c.client(node.endpoint).create_bucket(Bucket="crash")
        writers = [
            kind(f"{kind.__name__.lower()}{i}", node, "crash", random.Random(f"{option.seed}/{i}"))
            for i, kind in enumerate(KINDS)
        ]
        for turn in range(rounds):
            mode = node.passthrough
            try:
                one_round(node, writers, rng.uniform(0.05, 3.0), turn)
            except BaseException as error:
                error.add_note(f"round {turn} of {rounds}, {'passthrough' if mode else 'daemon'} mode")
                raise
        check_space(node)
        node.stop()
        node.cli("fsck", "--verify", "--data", node.data)
        node.start()
        for writer in writers:
            writer.check()
        fine = True
    finally:
        node.close(keep=not fine)


def one_round(node, writers, seconds, turn):
    """Writes, kills, checks. What is checked in between is the dead daemon's data directory, or a stopped one's: the next
    crash meets what the last one left every other time."""
    stop = threading.Event()
    for writer in writers:
        writer.start(stop)
    # Not a wait for something: the length is the random moment.
    stop.wait(seconds)
    node.kill()
    stop.set()
    for writer in writers:
        writer.thread.join(60)
        assert not writer.thread.is_alive(), f"{writer.name} hangs on a dead daemon"
    if turn % 2 == 0:
        node.fsck()
    node.passthrough = turn % 2 == 1
    node.start()
    assert mounts.is_mounted(node.mnt), "the mount comes back at the same place"
    for writer in writers:
        writer.check()
    if turn % 2 == 1:
        node.stop()
        node.fsck()
        assert unfinished(node) == []
        node.start()


@pytest.fixture(params=[True, False], ids=["passthrough", "daemon"])
def node(request):
    with Node("crash", passthrough=request.param) as node:
        s3c.client(node.endpoint).create_bucket(Bucket=BUCKET)
        yield node


def test_s14_one_thing_of_each_kind(node):
    """Put, multipart, fsynced file, mkdir, rename, delete: each acknowledged, then kill -9 at once."""
    s3 = s3c.client(node.endpoint)
    for size in (0, 100, 30_000, 3 * MIB):
        s3.put_object(Bucket=BUCKET, Key=f"put{size}", Body=noise(size), Metadata={"a": "1"}, Tagging="t=1")
    s3.put_object(Bucket=BUCKET, Key="deleted", Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="deleted")
    top = node.mnt / BUCKET
    os.makedirs(top / "d" / "e")
    write_file(top / "d" / "e" / "old", b"content")
    os.rename(top / "d" / "e" / "old", top / "d" / "new")
    os.symlink("t", top / "link")
    os.link(top / "d" / "new", top / "hard")
    os.setxattr(top / "d" / "new", "user.a", b"1")
    os.chmod(top / "d", 0o711)
    with held(top / "synced", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, noise(2 * MIB, 7))
        os.fsync(fd)
        with opened(top, os.O_RDONLY | os.O_DIRECTORY) as directory:
            os.fsync(directory)
        number = os.fstat(fd).st_ino
        node.kill()
    node.start()
    for size in (0, 100, 30_000, 3 * MIB):
        head = s3.head_object(Bucket=BUCKET, Key=f"put{size}")
        assert head["Metadata"] == {"a": "1"}
        assert s3c.body(s3, BUCKET, f"put{size}") == noise(size)
    assert s3c.absent(s3, BUCKET, "deleted")
    assert read_file(top / "d" / "new") == read_file(top / "hard") == b"content"
    assert os.stat(top / "hard").st_nlink == 2 and os.readlink(top / "link") == "t"
    assert os.getxattr(top / "d" / "new", "user.a") == b"1" and os.stat(top / "d").st_mode & 0o777 == 0o711
    assert read_file(top / "synced") == noise(2 * MIB, 7) and os.stat(top / "synced").st_ino == number
    assert not os.path.exists(top / "d" / "e" / "old") and os.path.isdir(top / "d" / "e")


def test_s14_close_is_durable_within_the_commit_interval(node):
    """Without fsync: after commit_interval (and a margin for a busy machine) it survives."""
    top = node.mnt / BUCKET
    write_file(top / "f", noise(MIB, 1))
    os.mkdir(top / "d")
    # The rule's own bound, not a wait for something that could be asked for.
    threading.Event().wait(settings.COMMIT_INTERVAL + 2)
    node.kill()
    node.start()
    assert read_file(top / "f") == noise(MIB, 1) and os.path.isdir(top / "d")


@pytest.mark.parametrize("published", [False, True])
def test_s14_a_file_that_is_being_written_anew(node, published):
    """Until it is closed its old content holds; a new file is there, empty."""
    top = node.mnt / BUCKET
    write_file(top / "f", noise(300_000, 1))
    if published:
        assert s3c.body(s3c.client(node.endpoint), BUCKET, "f") == noise(300_000, 1)
    with (
        held(top / "f", os.O_WRONLY | os.O_TRUNC) as old,
        held(top / "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL) as new,
        held(top / "synced", os.O_WRONLY | os.O_CREAT | os.O_EXCL) as synced,
    ):
        for fd in (old, new, synced):
            os.write(fd, noise(1000, 2))
        os.fsync(synced)
        node.kill()
    node.start()
    assert read_file(top / "f") == noise(300_000, 1)
    assert read_file(top / "new") == b"" and read_file(top / "synced") == noise(1000, 2)
    write_file(top / "f", noise(200_000, 3))
    with opened(top, os.O_RDONLY | os.O_DIRECTORY) as directory:
        os.fsync(directory)
    node.kill()
    node.start()
    assert read_file(top / "f") == noise(200_000, 3)


def test_s14_o_sync(node):
    with held(node.mnt / BUCKET / "f", os.O_WRONLY | os.O_CREAT | os.O_SYNC) as fd:
        for i in range(50):
            os.write(fd, b"%05d\n" % i)
        node.kill()
    node.start()
    assert read_file(node.mnt / BUCKET / "f") == b"".join(b"%05d\n" % i for i in range(50))


def test_s14_the_dead_mount_is_cleared(node):
    """Programs that hold the dead mount do not keep the next start from mounting there."""
    write_file(node.mnt / BUCKET / "f", b"x")
    folder = os.O_RDONLY | os.O_DIRECTORY
    with held(node.mnt / BUCKET / "f", os.O_RDONLY), held(node.mnt / BUCKET, folder):
        node.kill()
        with pytest.raises(OSError, match="not connected"):
            os.listdir(node.mnt)
        node.start()
        assert len(mounts.mounted_below(node.mnt)) == 1
        assert os.listdir(node.mnt) == [BUCKET]


def test_s14_killed_again_and_again_while_starting(node):
    s3 = s3c.client(node.endpoint)
    for i in range(50):
        s3.put_object(Bucket=BUCKET, Key=f"k{i}", Body=noise(10_000, i))
    node.kill()
    for wait in (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5):
        node.launch()
        threading.Event().wait(wait)
        node.kill()
    node.start()
    for i in range(50):
        assert s3c.body(s3, BUCKET, f"k{i}") == noise(10_000, i)


def test_an_acknowledged_delete_does_not_come_back(node):
    s3 = s3c.client(node.endpoint)
    for i in range(20):
        s3.put_object(Bucket=BUCKET, Key=f"k{i}", Body=noise(100_000, i))
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": f"k{i}"} for i in range(0, 20, 2)]})
    node.kill()
    node.start()
    assert s3c.keys(s3, BUCKET) == sorted(f"k{i}" for i in range(1, 20, 2))


def test_sigterm_publishes_and_unmounts(node):
    """A clean stop with files open and dirty: everything is published, the mount is gone, the exit code 0."""
    top = node.mnt / BUCKET
    write_file(top / "closed", noise(MIB, 1))
    fd = os.open(top / "open", os.O_RDWR | os.O_CREAT)
    os.write(fd, noise(MIB, 2))
    node.stop()
    try:
        os.close(fd)
    except OSError as error:
        assert error.strerror in ("Transport endpoint is not connected", "Software caused connection abort"), error
    node.fsck()
    node.start()
    s3 = s3c.client(node.endpoint)
    assert s3c.body(s3, BUCKET, "closed") == noise(MIB, 1)
    assert s3c.body(s3, BUCKET, "open") == noise(MIB, 2)


def test_sigterm_lets_a_put_finish(node):
    """A request that is under way when SIGTERM comes is answered, and its object is there afterwards."""
    raw, path, data = Raw("127.0.0.1", node.s3_port), f"/{BUCKET}/slow", noise(MIB, 3)
    headers = raw.signer().headers("PUT", raw.authority, path, payload="UNSIGNED-PAYLOAD")
    headers |= {"content-length": str(len(data)), "connection": "close"}
    with raw.connect() as connection:
        connection.sendall(raw.head_bytes("PUT", path, headers) + data[: MIB // 2])
        until(lambda: s3c.keys(s3c.client(node.endpoint), BUCKET) == [], "the daemon answers")
        process = node.process
        process.send_signal(signal.SIGTERM)
        connection.sendall(data[MIB // 2 :])
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    node.process = None
    assert process.wait(60) == 0
    node.start()
    assert s3c.body(s3c.client(node.endpoint), BUCKET, "slow") == data
