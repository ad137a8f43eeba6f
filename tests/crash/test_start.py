"""Starting: on data that was hurt, on data that is in use, on a port that is taken, with settings that are wrong."""

import os
import shutil
import socket
import stat
import subprocess

import pytest

from harness import s3 as s3c
from harness import settings
from harness.data import noise
from harness.node import Node
from harness.syscalls import opened, read_file, write_file

MIB = settings.MIB
BUCKET = "bucket"


@pytest.fixture
def node():
    with Node("start") as node:
        s3c.client(node.endpoint).create_bucket(Bucket=BUCKET)
        yield node


def refused(node, *words, code=None):
    """A second start must end by itself with an error that says what is wrong."""
    done = subprocess.run(
        node.command(), env=node.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    if code:
        assert done.returncode == code, said
    for word in words:
        assert word.lower() in said.lower(), f"the message must say {word!r}:\n{said}"
    assert "panicked" not in said, said
    return said


def twin(node, **how):
    """Another node on the same data directory."""
    other = Node("twin", mount=False, **how)
    other.data = node.data
    return other


def fill(node):
    """Objects and files of every kind; returns a function that checks them all."""
    s3 = s3c.client(node.endpoint)
    for i in range(40):
        s3.put_object(Bucket=BUCKET, Key=f"d{i % 4}/k{i}", Body=noise(i * 2000, i), Metadata={"n": str(i)})
    s3.put_object(Bucket=BUCKET, Key="big", Body=noise(5 * MIB, "big"))
    top = node.mnt / BUCKET
    write_file(top / "file", noise(MIB, "file"))
    os.link(top / "file", top / "link")
    os.symlink("t", top / "symlink")
    os.mkfifo(top / "fifo")
    os.mkdir(top / "empty")
    os.setxattr(top / "file", "user.a", b"1")
    s3.delete_object(Bucket=BUCKET, Key="d0/k0")
    os.rename(top / "d1", top / "moved")
    with opened(top, os.O_RDONLY | os.O_DIRECTORY) as fd:
        os.fsync(fd)  # what the mount did is durable from here on, whatever the test does to the daemon
    listing = s3c.list_all(s3, BUCKET)[0]

    def check():
        again = s3c.list_all(s3c.client(node.endpoint), BUCKET)[0]
        assert [(o["Key"], o["Size"], o["ETag"], o["LastModified"]) for o in again] == [
            (o["Key"], o["Size"], o["ETag"], o["LastModified"]) for o in listing
        ]
        for i in range(1, 40):
            where = "moved" if i % 4 == 1 else f"d{i % 4}"
            assert read_file(top / where / f"k{i}") == noise(i * 2000, i)
        assert s3c.body(s3, BUCKET, "big") == noise(5 * MIB, "big")
        assert read_file(top / "link") == noise(MIB, "file") and os.stat(top / "file").st_nlink == 2
        assert os.readlink(top / "symlink") == "t" and stat.S_ISFIFO(os.stat(top / "fifo").st_mode)
        assert os.getxattr(top / "link", "user.a") == b"1" and os.listdir(top / "empty") == []

    check()
    return check


def replica_of(node):
    found = node.data / settings.REPLICA_FOLDER
    assert found.is_dir(), f"{settings.REPLICA_FOLDER} is in the data directory"
    return found


@pytest.mark.root
def test_deleting_the_replica_loses_nothing(node):
    check = fill(node)
    node.stop()
    shutil.rmtree(replica_of(node))
    node.start()
    check()
    node.kill()
    shutil.rmtree(replica_of(node))
    node.start()
    check()


@pytest.mark.root
def test_a_damaged_replica_is_set_aside_and_rebuilt(node):
    check = fill(node)
    node.stop()
    for folder, _, files in os.walk(replica_of(node)):
        for name in files:
            path = os.path.join(folder, name)
            size = os.path.getsize(path)
            with open(path, "r+b") as file:
                for at in range(0, size, 4096):
                    file.seek(at)
                    file.write(noise(min(512, size - at), at))
    node.start()
    check()
    node.stop()
    node.fsck()


@pytest.mark.root
def test_rebuild_and_convert(node):
    check = fill(node)
    node.stop()
    node.cli("meta", "rebuild", "--data", node.data)
    node.start()
    check()
    node.stop()
    node.cli("meta", "convert", "--to", "fjall", "--data", node.data)
    node.env["PINFOLD_ENGINE"] = "fjall"
    node.start()
    check()
    node.stop()
    node.fsck()


@pytest.mark.root
def test_ruling3_damage_in_the_middle_of_the_log_is_refused(node):
    """Below what was synced it is damage, not a torn tail: refused with its position, and nothing is cut."""
    fill(node)
    node.kill()
    segments = sorted((node.data / settings.LOG_FOLDER).glob("*.seg"))
    assert segments
    size = segments[0].stat().st_size
    with open(segments[0], "r+b") as file:
        file.seek(3000)
        byte = file.read(1)
        file.seek(3000)
        file.write(bytes([byte[0] ^ 0xFF]))
    shutil.rmtree(replica_of(node))
    refused(node, "log", "fsck")
    assert segments[0].stat().st_size == size, "a refused log is left as it is"


@pytest.mark.root
def test_ruling3_a_torn_tail_is_cut(node):
    check = fill(node)
    node.kill()
    newest = max((node.data / settings.LOG_FOLDER).glob("*.seg"))
    content = newest.read_bytes()
    # docs/FORMAT.md: a header of 64 bytes, then groups of 40 bytes and what their third word says.
    end = 64
    while content[end : end + 4] == b"PGRP":
        end += 40 + int.from_bytes(content[end + 8 : end + 12], "little")
    assert end > 64
    with open(newest, "r+b") as file:
        file.seek(end)
        file.write(b"PGRP" + noise(777))
    node.start()
    check()


def test_two_daemons_on_one_data_directory(node):
    other = twin(node)
    try:
        refused(other, "in use", str(node.data), code=75)
    finally:
        other.close()
    assert s3c.keys(s3c.client(node.endpoint), BUCKET) == []


def test_commands_on_data_that_is_in_use(node):
    for command in (("fsck",), ("meta", "rebuild"), ("meta", "convert", "--to", "fjall")):
        done = node.cli(*command, "--data", node.data, check=False)
        assert done.returncode == 75, done.stderr
        assert "in use" in done.stderr


@pytest.mark.parametrize("which", ["s3", "admin"])
def test_a_port_that_is_taken(which):
    node = Node("port", mount=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        setattr(node, f"{which}_port", taken.getsockname()[1])
        try:
            refused(node, "in use", str(taken.getsockname()[1]))
        finally:
            node.close()


def test_a_mount_point_that_is_a_file():
    node = Node("mountfile")
    node.mnt.rmdir()
    node.mnt.write_text("a file")
    try:
        refused(node, str(node.mnt))
        assert node.mnt.read_text() == "a file"
    finally:
        node.close()


def test_unknown_settings_are_refused_by_name():
    node = Node("typo", mount=False, env={"PINFOLD_S3_REGOIN": "x"})
    try:
        refused(node, "PINFOLD_S3_REGOIN", "PINFOLD_S3_REGION", code=78)
    finally:
        node.close()


def test_credentials_are_made_once_and_kept():
    """Without any given, the first start makes them: a file that only the owner reads, and the keys open the door."""
    node = Node("first", mount=False)
    node.environment_without = (settings.ENV_ROOT_ACCESS, settings.ENV_ROOT_SECRET)
    plain = node.environment
    node.environment = lambda: {k: v for k, v in plain().items() if k not in node.environment_without}
    try:
        node.start()
        file = node.data / "root-credentials"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        text = file.read_text()
        node.restart()
        assert file.read_text() == text
        lines = [line.replace('"', "") for line in text.splitlines() if "=" in line and not line.startswith("#")]
        values = {k.strip().lower(): v.strip() for k, v in (line.split("=", 1) for line in lines)}
        access = next(v for k, v in values.items() if "access" in k)
        secret = next(v for k, v in values.items() if "secret" in k)
        s3 = s3c.client(node.endpoint, access=access, secret=secret)
        assert s3.list_buckets()["Buckets"] == []
        assert secret not in node.log_text(), "the secret goes to the file, not to a log"
    finally:
        node.close()


def test_health_and_metrics(node):
    assert node.admin(settings.READY)[0] == 200 and node.admin(settings.LIVE)[0] == 200
    status, text = node.admin(settings.METRICS)
    assert status == 200
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert names and all(name.startswith(("pinfold_", "process_")) for name in names), names


def test_data_survives_many_restarts(node):
    s3 = s3c.client(node.endpoint)
    for turn in range(8):
        s3.put_object(Bucket=BUCKET, Key=f"k{turn}", Body=noise(100_000, turn))
        write_file(node.mnt / BUCKET / f"f{turn}", noise(50_000, turn))
        node.restart()
        for before in range(turn + 1):
            assert s3c.body(s3, BUCKET, f"k{before}") == noise(100_000, before)
            assert read_file(node.mnt / BUCKET / f"f{before}") == noise(50_000, before)
