"""S2: keys that POSIX cannot hold are shown escaped with `%@`, and the escape works in both directions."""

import errno
import os

import pytest

from harness import s3 as s3c
from harness.rawhttp import Raw, encode
from harness.syscalls import fails, names, read_file, rename2, write_file

pytestmark = pytest.mark.pinfold

#: (key below the test's prefix, path on the mount): every row of S2's table, and rows in each other's way.
TABLE = [
    ("a//b", "a/%@empty/b"),
    ("a///b", "a/%@empty/%@empty/b"),
    ("/lead", "%@empty/lead"),
    ("./x", "%@dot/x"),
    ("../x", "%@dotdot/x"),
    ("a/.", "a/%@dot"),
    ("a/..", "a/%@dotdot"),
    ("%@x", "%@%@x"),
    ("%@", "%@%@"),
    ("%@empty", "%@%@empty"),
    ("%@dot/y", "%@%@dot/y"),
    ("%@object:a", "%@%@object:a"),
    ("%@self", "%@%@self"),
    ("%@%@", "%@%@%@"),
    ("%", "%"),
    ("@%@", "@%@"),
    ("...", "..."),
]
IDS = [key for key, _ in TABLE]


@pytest.fixture
def raw(place):
    """Hand-made requests: SDKs would tidy `.` and `..` away."""
    return Raw("127.0.0.1", place.node.s3_port)


@pytest.fixture
def at(place, prefix):
    """Request path of a key below the test's prefix."""
    return lambda key: f"/{place.bucket}/{encode(prefix + key)}"


def listed(place, prefix):
    return [k[len(prefix) :] for k in s3c.keys(place.s3, place.bucket, Prefix=prefix) if k != prefix]


@pytest.mark.parametrize(("key", "path"), TABLE, ids=IDS)
def test_s2_from_s3_to_the_mount(place, fs, prefix, raw, at, key, path):
    assert raw.request("PUT", at(key), body=b"from S3").status == 200
    where = f"{fs}/{path}"
    assert read_file(where) == b"from S3"
    first = path.split("/")[0]
    assert os.listdir(fs) == [first]
    write_file(where, b"from the mount, by the escaped name")
    assert raw.request("GET", at(key)).body == b"from the mount, by the escaped name"
    os.unlink(where)
    assert raw.request("GET", at(key)).code == "NoSuchKey"


@pytest.mark.parametrize(("key", "path"), TABLE, ids=IDS)
def test_s2_from_the_mount_to_s3(place, fs, prefix, raw, at, key, path):
    where = f"{fs}/{path}"
    os.makedirs(os.path.dirname(where), exist_ok=True)
    write_file(where, b"created by the escaped name")
    assert raw.request("GET", at(key)).body == b"created by the escaped name"
    assert key in listed(place, prefix)
    assert raw.request("DELETE", at(key)).status == 204
    with fails(errno.ENOENT):
        os.stat(where)


@pytest.mark.parametrize(("key", "path"), TABLE, ids=IDS)
def test_s2_renaming_to_and_from_escapes(fs, raw, at, key, path):
    where = f"{fs}/{path}"
    os.makedirs(os.path.dirname(where), exist_ok=True)
    write_file(fs / "plain", b"moved")
    os.rename(fs / "plain", where)
    assert raw.request("GET", at(key)).body == b"moved"
    assert raw.request("GET", at("plain")).code == "NoSuchKey"
    os.rename(where, fs / "plain")
    assert raw.request("GET", at("plain")).body == b"moved"


def test_s2_an_object_beside_a_directory(place, fs, prefix, raw, at):
    """The directory keeps the name, the object is `%@object:NAME`: in either order of coming."""
    for order in (("a", "a/b"), ("a/b", "a")):
        for key in order:
            assert raw.request("PUT", at(key), body=key.encode()).status == 200
        assert names(fs) == [b"%@object:a", b"a"]
        assert os.path.isdir(fs / "a")
        assert read_file(fs / "%@object:a") == b"a"
        assert read_file(fs / "a" / "b") == b"a/b"
        assert raw.request("DELETE", at("a/b")).status == 204
        assert names(fs) == [b"a"], "the implicit directory is gone, the object has its name back"
        assert read_file(fs / "a") == b"a"
        assert read_file(fs / "%@object:a") == b"a", "the escape names the object whether or not a directory is there"
        assert raw.request("DELETE", at("a")).status == 204
        assert names(fs) == []


def test_s2_writing_the_object_beside_a_directory(place, fs, prefix, raw, at):
    os.mkdir(fs / "a")
    write_file(fs / "a" / "b", b"below")
    write_file(fs / "%@object:a", b"beside")
    assert raw.request("GET", at("a")).body == b"beside"
    assert names(fs) == [b"%@object:a", b"a"]
    write_file(fs / "%@object:a", b" more", os.O_WRONLY | os.O_APPEND)
    assert raw.request("GET", at("a")).body == b"beside more"
    os.rename(fs / "%@object:a", fs / "c")
    assert raw.request("GET", at("a")).code == "NoSuchKey"
    assert raw.request("GET", at("c")).body == b"beside more"
    os.rename(fs / "c", fs / "%@object:a")
    os.unlink(fs / "%@object:a")
    assert names(fs) == [b"a"]
    assert read_file(fs / "a" / "b") == b"below"


def test_s2_an_object_of_an_escaped_name_beside_a_directory(fs, raw, at):
    """`%@object:` takes the raw name (ruling 26)."""
    raw.request("PUT", at("%@x"), body=b"object")
    raw.request("PUT", at("%@x/below"), body=b"below")
    assert names(fs) == [b"%@%@x", b"%@object:%@x"]
    assert read_file(fs / "%@object:%@x") == b"object"
    assert read_file(fs / "%@%@x" / "below") == b"below"


def test_s2_the_content_of_a_marker(place, fs, prefix, raw, at):
    assert raw.request("PUT", at("d/"), body=b"").status == 200
    assert names(fs / "d") == [], "a marker without content is just the directory"
    assert raw.request("PUT", at("d/"), body=b"content of the marker").status == 200
    assert names(fs / "d") == [b"%@self"]
    assert read_file(fs / "d" / "%@self") == b"content of the marker"
    with fails(errno.ENOTEMPTY):
        os.rmdir(fs / "d")
    write_file(fs / "d" / "%@self", b"written on the mount")
    assert raw.request("GET", at("d/")).body == b"written on the mount"
    os.unlink(fs / "d" / "%@self")
    assert os.path.isdir(fs / "d")
    assert listed(place, prefix) in ([], ["d/"])
    os.rmdir(fs / "d")
    assert listed(place, prefix) == []


def test_s2_making_a_marker_on_the_mount(fs, raw, at):
    os.mkdir(fs / "d")
    write_file(fs / "d" / "%@self", b"new content")
    answer = raw.request("GET", at("d/"))
    assert (answer.status, answer.body) == (200, b"new content")


def test_ruling26_unknown_escapes(fs):
    write_file(fs / "f", b"")
    for name in ("%@x", "%@", "%@Empty", "%@empty2", "%@object", "%@object:"):
        for call in (
            lambda p: write_file(p, b""), os.mkdir, lambda p: os.symlink("x", p), lambda p: os.rename(fs / "f", p),
            lambda p: os.link(fs / "f", p),
        ):
            with fails(errno.EINVAL):
                call(fs / name)
        with fails(errno.ENOENT):
            os.stat(fs / name)
    assert names(fs) == [b"f"]


def test_s2_directories_of_escaped_names(fs, raw, at):
    for name, key in (("%@empty", "/in"), ("%@dot", "./in"), ("%@dotdot", "../in"), ("%@%@q", "%@q/in")):
        os.mkdir(fs / name)
        write_file(fs / name / "in", b"x")
        assert raw.request("GET", at(key)).body == b"x", key
        os.rename(fs / name, fs / "plain")
        assert raw.request("GET", at("plain/in")).body == b"x"
        rename2(fs / "plain", fs / name, 0)
        os.unlink(fs / name / "in")
        os.rmdir(fs / name)
    assert names(fs) == []


def test_s2_nothing_is_hidden_and_nothing_collides(place, fs, prefix, raw, at, rng):
    """Random keys of nasty components: as many files on the mount as keys, each with its key's bytes."""
    parts = ["", ".", "..", "%@", "%@empty", "%@object:a", "a", "b", "%@self", "%", "a-", "a.", "a0"]
    keys = set()
    while len(keys) < 60:
        key = "/".join(rng.choice(parts) for _ in range(rng.randrange(1, 5)))
        # A trailing slash makes a marker, whose content shows as %@self: that is in the table above.
        if key and not key.endswith("/"):
            keys.add(key)
    for key in sorted(keys, key=lambda k: rng.random()):
        assert raw.request("PUT", at(key), body=key.encode()).status == 200, key
    found = {read_file(os.path.join(folder, name)).decode() for folder, _, files in os.walk(fs) for name in files}
    assert found == keys
    assert sum(len(files) for _, _, files in os.walk(fs)) == len(keys)
    for folder, _, files in os.walk(fs, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        if folder != str(fs):
            os.rmdir(folder)
    assert listed(place, prefix) == []


def test_s2_long_keys_are_served_as_they_are(place, fs, prefix, raw, at):
    for size in (256, 700, 1024 - len(prefix)):
        key = "k" * size
        assert raw.request("PUT", at(key), body=b"long").status == 200
        assert names(fs) == [key.encode()]
        assert read_file(fs / key) == b"long"
        os.unlink(fs / key)
        assert listed(place, prefix) == []
