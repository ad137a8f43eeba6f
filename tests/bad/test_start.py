"""Starts that cannot be: each ends by itself, says what is wrong in a line for people, and leaves everything as it was."""

import os
import shutil
import socket
import subprocess

import pytest

from harness import mounts, settings
from harness import s3 as s3c
from harness.data import noise
from harness.node import Node
from harness.syscalls import as_user

BUCKET = "bucket"
#: Exit codes (docs/OPERATIONS.md).
FAILED, USAGE, IN_USE, CONFIG = 1, 2, 75, 78
OTHER_USER = 12345


@pytest.fixture
def node():
    """A node that has not been started."""
    node = Node("bad", mount=False)
    yield node
    subprocess.run(["chmod", "-R", "u+rwX", node.base], check=True)
    node.close()


def refused(node, code, *words, command=None, env=None):
    """The start ends with this exit code, and its words have these."""
    done = subprocess.run(
        command or node.command(), env=env or node.environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, f"exit {done.returncode}, not {code}:\n{said}"
    for word in words:
        assert str(word).lower() in said.lower(), f"the message must say {word!r}:\n{said}"
    assert "panicked" not in said and "RUST_BACKTRACE" not in said, said
    if node.mnt:
        assert not mounts.is_mounted(node.mnt)
    return said


def listing(folder):
    """Every file below with its bytes, but the lock's: what a refused start must not change."""
    found = {}
    for top, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(top, name)
            if name not in ("lock", "admin.sock"):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, folder)] = hash(file.read())
    return found


def filled(node):
    """Starts it, puts something in, stops it."""
    node.start()
    s3 = s3c.client(node.endpoint)
    s3.create_bucket(Bucket=BUCKET)
    for size in (0, 100, 100_000, 3 * settings.MIB):
        s3.put_object(Bucket=BUCKET, Key=str(size), Body=noise(size))
    node.stop()


def check(node):
    """All of it is there."""
    node.start()
    s3 = s3c.client(node.endpoint)
    for size in (0, 100, 100_000, 3 * settings.MIB):
        assert s3c.body(s3, BUCKET, str(size)) == noise(size)
    node.stop()
    node.fsck()


# ---- the data directory
def test_two_daemons_name_the_first_and_the_directory(node):
    node.start()
    other = Node("twin", mount=False)
    other.data = node.data
    try:
        said = refused(other, IN_USE, str(node.data), f"process {node.process.pid}")
        assert "one daemon a directory" in said
        assert s3c.client(node.endpoint).list_buckets()["Buckets"] == []
        # A killed holder's number is still in the file: the lock is what counts.
        node.kill()
        other.start()
        other.stop()
    finally:
        other.close()


@pytest.mark.root
def test_a_read_only_file_system(node):
    """A read-only mount is refused before anything is tried on it, and what is there is served again afterwards."""
    filled(node)
    subprocess.run(["mount", "--bind", node.data, node.data], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", node.data], check=True)
        before = listing(node.data)
        refused(node, FAILED, node.data, "read-only")
        assert listing(node.data) == before
        done = node.cli("fsck", "--data", node.data, check=False)
        assert done.returncode in (0, FAILED) and "panicked" not in done.stderr, done.stderr
    finally:
        mounts.detach(node.data)
    check(node)


@pytest.mark.root
@pytest.mark.parametrize("part", ["", "log", "replica", "replica/data", "chunks", "chunks/slabs", "chunks/tmp"])
def test_a_directory_without_write_permission(node, part):
    """As another user than root, whom permissions bind."""
    filled(node)
    subprocess.run(["chown", "-R", f"{OTHER_USER}:{OTHER_USER}", node.base], check=True)
    folder = node.data / part
    folder.chmod(0o500)
    before = listing(node.data)
    command, env = node.command(), node.environment() | {"HOME": "/"}

    def start():
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    # Root's copy of the program may lie where others cannot reach it.
    shutil.copy(settings.BIN, node.base / "pinfold")
    (node.base / "pinfold").chmod(0o755)
    command[0] = str(node.base / "pinfold")
    code, said = as_user(OTHER_USER, OTHER_USER, start)
    assert code == FAILED, said
    assert "permission denied" in said.lower() and str(node.data) in said and "panicked" not in said, said
    after = {k: v for k, v in listing(node.data).items() if k in before}
    assert {k: v for k, v in after.items() if k.startswith(("log/", "chunks/"))} == {
        k: v for k, v in before.items() if k.startswith(("log/", "chunks/"))
    }
    folder.chmod(0o700)
    subprocess.run(["chown", "-R", "0:0", node.base], check=True)
    check(node)


def test_a_data_directory_that_is_none(node):
    node.data.write_text("a file")
    refused(node, FAILED, node.data)
    assert node.data.read_text() == "a file"


def test_a_data_directory_that_cannot_be_made(node):
    node.data = node.base / "file" / "data"
    (node.base / "file").write_text("in the way")
    refused(node, FAILED, node.data)


# ---- addresses
@pytest.mark.parametrize("which", ["s3", "admin"])
def test_a_port_that_is_taken(node, which):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        setattr(node, f"{which}_port", port)
        refused(node, FAILED, f"127.0.0.1:{port}", "in use", f"`{which}`")


@pytest.mark.parametrize("which", ["s3", "admin"])
def test_an_address_that_is_not_ours(node, which):
    refused(node, FAILED, "192.0.2.1:9000", f"`{which}`", command=replaced(node, which, "192.0.2.1:9000"))


def replaced(node, flag, value):
    """The command line with another value of a flag."""
    line = node.command()
    line[line.index(f"--{flag}") + 1] = value
    return line


# ---- mount points
@pytest.fixture
def mounting():
    """A node with a mount that has not been started."""
    node = Node("bad")
    yield node
    node.close()


def test_a_mount_point_that_is_a_file(mounting):
    mounting.mnt.rmdir()
    mounting.mnt.write_text("a file")
    refused(mounting, FAILED, mounting.mnt, "not a directory")
    assert mounting.mnt.read_text() == "a file"


def test_a_mount_point_below_a_file(mounting):
    mounting.mnt.rmdir()
    mounting.mnt.write_text("a file")
    refused(mounting, FAILED, mounting.mnt, "not a directory", command=replaced(mounting, "mount", f"{mounting.mnt}/below"))


@pytest.mark.root
def test_a_mount_point_that_is_in_use(mounting):
    """Somebody else's file system stays where it is."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounting.mnt], check=True)
    (mounting.mnt / "theirs").write_text("theirs")
    done = subprocess.run(
        mounting.command(), env=mounting.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == FAILED and str(mounting.mnt) in done.stderr and "tmpfs" in done.stderr, done.stderr
    assert "something else is mounted" in done.stderr
    assert (mounting.mnt / "theirs").read_text() == "theirs"


@pytest.mark.root
def test_a_mount_point_of_another_node(mounting):
    mounting.start()
    other = Node("twin", mount=False)
    try:
        refused(other, FAILED, mounting.mnt, "mounted", command=[*other.command(), "--mount", str(mounting.mnt)])
        assert os.listdir(mounting.mnt) == []
    finally:
        other.close()
    mounting.stop()


def test_a_mount_point_that_is_not_there_is_made(mounting):
    mounting.mnt.rmdir()
    mounting.start()
    assert os.listdir(mounting.mnt) == []
    mounting.stop()


@pytest.mark.parametrize("what", ["missing-bucket", "bucket/no/such"])
def test_a_mount_of_what_is_not_there(mounting, what):
    filled(mounting)
    refused(mounting, FAILED, what.split("/")[0], command=replaced(mounting, "mount", f"{mounting.mnt}={what}"))


# ---- settings
WRONG = {
    "PINFOLD_RESERVE": ["lots", "-1", "1PB of it"], "PINFOLD_CACHE": ["1MiB"], "PINFOLD_ENGINE": ["oracle"],
    "PINFOLD_S3": ["nowhere", "127.0.0.1", "127.0.0.1:99999"], "PINFOLD_COMMIT_INTERVAL": ["soon", "-1s"],
    "PINFOLD_S3_MAX_REQUESTS": ["-1", "many"], "PINFOLD_LOG_LEVEL": ["shout"], "PINFOLD_MOUNT_PASSTHROUGH": ["perhaps"],
    "PINFOLD_MOUNT": ["relative=UPPER", "/x=a..b"], "PINFOLD_S3_REGION": [""],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_settings_that_are_wrong(node, name, value):
    """Refused by name before anything is made; `check-config` says the same."""
    line = [part for part in node.command()]
    if name == "PINFOLD_S3":
        at = line.index("--s3")
        del line[at : at + 2]
    env = node.environment() | {name: value}
    setting = name.removeprefix("PINFOLD_").lower()
    said = refused(node, CONFIG, setting, command=line, env=env)
    assert name in said, said
    assert not node.data.exists(), "nothing was made"


def test_a_configuration_file_that_is_wrong(node):
    file = node.base / "pinfold.toml"
    for text, words in [
        ("reserve = ", ["pinfold.toml", "line 1"]), ("resrve = '1GiB'", ["pinfold.toml", "resrve", "reserve"]),
        ("reserve = [1]", ["pinfold.toml", "reserve"]), ("\xff", ["pinfold.toml"]),
    ]:
        file.write_bytes(text.encode("latin-1"))
        refused(node, CONFIG, *words, command=[*node.command(), "--config", str(file)])
    refused(node, CONFIG, "none.toml", command=[*node.command(), "--config", str(node.base / "none.toml")])


def openssl(folder, name, *how):
    """A key and its certificate."""
    subprocess.run(
        ["openssl", "req", "-x509", *how, "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"], check=True, capture_output=True,
    )


def test_certificates_that_do_not_fit(node):
    openssl(node.base, "one", "-newkey", "rsa:2048")
    openssl(node.base, "two", "-newkey", "rsa:2048")
    openssl(node.base, "curve", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    (node.base / "empty").write_text("")
    (node.base / "text").write_text("no certificate")
    cut = (node.base / "one.pem").read_text()[:400]
    (node.base / "cut").write_text(cut)

    def tls(cert, key):
        env = node.environment()
        pairs = {settings.ENV_TLS_CERT: cert, settings.ENV_TLS_KEY: key}
        return env | {name: str(node.base / file) for name, file in pairs.items() if file}

    for cert, key, words in [
        ("one.pem", "two.key", ["one.pem", "two.key"]), ("one.pem", "curve.key", ["one.pem", "curve.key"]),
        ("one.pem", "none.key", ["none.key"]), ("none.pem", "one.key", ["none.pem"]), ("empty", "one.key", ["empty"]),
        ("text", "one.key", ["text"]), ("cut", "one.key", ["cut"]), ("one.pem", "empty", ["empty"]),
        ("one.pem", "one.pem", ["one.pem"]), ("one.pem", "", ["s3_tls_key"]), ("", "one.key", ["s3_tls_cert"]),
    ]:
        said = refused(node, CONFIG, *words, env=tls(cert, key))
        assert "PRIVATE" not in said
        assert not node.data.exists(), "nothing was made"


def test_credentials_that_are_wrong(node):
    pairs = [("", "a-secret-of-some-length", "ACCESS"), ("root", "", "SECRET"), ("root", "short", "SECRET")]
    for access, secret, word in pairs:
        env = node.environment() | {settings.ENV_ROOT_ACCESS: access, settings.ENV_ROOT_SECRET: secret}
        said = refused(node, CONFIG, word, env=env)
        assert "a-secret-of-some-length" not in said
    file = node.base / "keys"
    file.write_text("PINFOLD_ROOT_ACCESS_KEY=root\nPINFOLD_ROOT_SECRET_KEY=a-secret-of-some-length\n")
    file.chmod(0o644)
    env = {k: v for k, v in node.environment().items() if k not in (settings.ENV_ROOT_ACCESS, settings.ENV_ROOT_SECRET)}
    said = refused(node, CONFIG, file, "chmod 600", env=env | {"PINFOLD_ROOT_CREDENTIALS_FILE": str(file)})
    assert "a-secret-of-some-length" not in said
