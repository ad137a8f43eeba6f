"""Extended attributes: the user's own, and what Pinfold shows of an object (S11)."""

import errno
import os

import pytest

from harness import cid, settings
from harness import s3 as s3c
from harness.data import md5, noise
from harness.syscalls import as_user, fails, opened, write_file

NOBODY = 65534


@pytest.fixture
def f(fs):
    write_file(fs / "f", b"content")
    return fs / "f"


def own(path):
    """Names that are not Pinfold's."""
    return sorted(n for n in os.listxattr(path) if not n.startswith(("user.pinfold.", "user.s3.", "security.", "system.")))


def test_set_get_list_remove(f):
    os.setxattr(f, "user.one", b"1")
    os.setxattr(f, "user.two", b"\x00\xff binary")
    os.setxattr(f, "user.empty", b"")
    assert own(f) == ["user.empty", "user.one", "user.two"]
    assert os.getxattr(f, "user.two") == b"\x00\xff binary"
    assert os.getxattr(f, "user.empty") == b""
    os.setxattr(f, "user.one", b"changed")
    assert os.getxattr(f, "user.one") == b"changed"
    os.removexattr(f, "user.one")
    with fails(errno.ENODATA):
        os.getxattr(f, "user.one")
    with fails(errno.ENODATA):
        os.removexattr(f, "user.one")
    assert own(f) == ["user.empty", "user.two"]


def test_create_and_replace(f):
    with fails(errno.ENODATA):
        os.setxattr(f, "user.a", b"1", os.XATTR_REPLACE)
    os.setxattr(f, "user.a", b"1", os.XATTR_CREATE)
    with fails(errno.EEXIST):
        os.setxattr(f, "user.a", b"2", os.XATTR_CREATE)
    os.setxattr(f, "user.a", b"3", os.XATTR_REPLACE)
    assert os.getxattr(f, "user.a") == b"3"


def test_on_directories_and_descriptors(fs, f):
    os.mkdir(fs / "d")
    os.setxattr(fs / "d", "user.a", b"dir")
    assert os.getxattr(fs / "d", "user.a") == b"dir"
    with opened(f, os.O_RDWR) as fd:
        os.setxattr(fd, "user.fd", b"x")
        assert os.getxattr(fd, "user.fd") == b"x"
    os.symlink("f", fs / "l")
    with fails(errno.EPERM):
        os.setxattr(fs / "l", "user.a", b"x", follow_symlinks=False)


def test_sizes(f):
    os.setxattr(f, "user.big", noise(3000))
    assert os.getxattr(f, "user.big") == noise(3000)
    with fails(errno.ERANGE, errno.ENAMETOOLONG):
        os.setxattr(f, "user." + "n" * 251, b"x")
    with fails(errno.E2BIG, errno.ENOSPC):
        os.setxattr(f, "user.toobig", bytes(65537))


def test_a_class_is_no_name(f):
    for call in (lambda: os.setxattr(f, "user.", b"x"), lambda: os.getxattr(f, "user."), lambda: os.removexattr(f, "user.")):
        with fails(errno.EINVAL):
            call()


def test_they_move_with_the_file(fs, f):
    os.setxattr(f, "user.a", b"1")
    os.rename(f, fs / "g")
    os.link(fs / "g", fs / "h")
    assert os.getxattr(fs / "h", "user.a") == b"1"
    write_file(fs / "h", b"rewritten")
    assert os.getxattr(fs / "g", "user.a") == b"1"


@pytest.mark.root
def test_trusted(f):
    os.setxattr(f, "trusted.a", b"1")
    assert os.getxattr(f, "trusted.a") == b"1"
    assert "trusted.a" in os.listxattr(f)
    assert "trusted.a" not in as_user(NOBODY, NOBODY, lambda: os.listxattr(f))


# ---- what Pinfold shows
@pytest.fixture
def put(place, fs, prefix):
    """An object put over S3 with everything: (its path, its key)."""
    place.s3.put_object(
        Bucket=place.bucket, Key=prefix + "o", Body=b"object", ContentType="text/x-test", Metadata={"colour": "green"},
        Tagging="team=storage",
    )
    return fs / "o", prefix + "o"


@pytest.mark.pinfold
def test_s11_s3_metadata_as_attributes(put):
    path, _ = put
    assert os.getxattr(path, settings.XATTR_CONTENT_TYPE) == b"text/x-test"
    assert os.getxattr(path, settings.XATTR_META + "colour") == b"green"
    assert os.getxattr(path, settings.XATTR_TAG + "team") == b"storage"
    listed = os.listxattr(path)
    for name in (settings.XATTR_CONTENT_TYPE, settings.XATTR_META + "colour", settings.XATTR_TAG + "team"):
        assert name in listed


@pytest.mark.pinfold
def test_s11_attributes_as_s3_metadata(place, put):
    path, key = put
    os.setxattr(path, settings.XATTR_CONTENT_TYPE, b"image/png")
    os.setxattr(path, settings.XATTR_META + "colour", b"blue")
    os.setxattr(path, settings.XATTR_META + "size", b"xl")
    os.setxattr(path, settings.XATTR_TAG + "team", b"mount")
    os.setxattr(path, settings.XATTR_TAG + "new", b"")
    os.setxattr(path, "user.private", b"not for S3")
    head = place.s3.head_object(Bucket=place.bucket, Key=key)
    assert head["ContentType"] == "image/png"
    assert {k: v for k, v in head["Metadata"].items() if k in ("colour", "size")} == {"colour": "blue", "size": "xl"}
    assert "private" not in head["Metadata"]
    tags = place.s3.get_object_tagging(Bucket=place.bucket, Key=key)["TagSet"]
    assert {t["Key"]: t["Value"] for t in tags} == {"team": "mount", "new": ""}
    os.removexattr(path, settings.XATTR_META + "colour")
    os.removexattr(path, settings.XATTR_TAG + "team")
    head = place.s3.head_object(Bucket=place.bucket, Key=key)
    assert "colour" not in head["Metadata"]
    tags = place.s3.get_object_tagging(Bucket=place.bucket, Key=key)["TagSet"]
    assert [t["Key"] for t in tags] == ["new"]


@pytest.mark.pinfold
def test_s11_room_for_metadata(place, put):
    """2 KiB of names and values, as over S3; what does not fit changes nothing."""
    path, key = put
    used = len("colour" + "green") + len("big")
    os.setxattr(path, settings.XATTR_META + "big", b"v" * (2048 - used))
    for name, value in (("more", b""), ("big", b"v" * (2049 - used)), ("colour", b"greenish")):
        with fails(errno.ENOSPC):
            os.setxattr(path, settings.XATTR_META + name, value)
    metadata = place.s3.head_object(Bucket=place.bucket, Key=key)["Metadata"]
    assert (metadata["colour"], metadata["big"]) == ("green", "v" * (2048 - used)) and "more" not in metadata
    os.setxattr(path, settings.XATTR_META + "big", "\u00fc".encode() * 100)  # bytes are counted
    with fails(errno.ENOSPC):
        os.setxattr(path, settings.XATTR_META + "rest", "\u00fc".encode() * 1000)
    os.removexattr(path, settings.XATTR_META + "big")
    os.setxattr(path, settings.XATTR_META + "rest", "\u00fc".encode() * 1000)
    # What can be had at the mount can be put over S3, and the other way round.
    place.s3.copy_object(
        Bucket=place.bucket, Key=key + "2", CopySource={"Bucket": place.bucket, "Key": key},
    )
    with fails(errno.ENOSPC):
        os.setxattr(path.with_name(path.name + "2"), settings.XATTR_META + "more", b"v" * 100)


@pytest.mark.pinfold
def test_s11_room_for_tags(place, put):
    path, key = put
    for n in range(9):
        os.setxattr(path, f"{settings.XATTR_TAG}t{n}", b"v")
    with fails(errno.ENOSPC):
        os.setxattr(path, settings.XATTR_TAG + "eleventh", b"v")
    os.setxattr(path, settings.XATTR_TAG + "t0", "\u00fc".encode() * 256)
    tags = place.s3.get_object_tagging(Bucket=place.bucket, Key=key)["TagSet"]
    assert len(tags) == 10 and {"Key": "t0", "Value": "\u00fc" * 256} in tags
    place.s3.put_object_tagging(Bucket=place.bucket, Key=key, Tagging={"TagSet": tags})
    os.removexattr(path, settings.XATTR_TAG + "team")
    os.setxattr(path, settings.XATTR_TAG + "k" * 128, b"v")


@pytest.mark.pinfold
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k" * 129, b"v"), ("", b"v"), ("a<b", b"v"), ("aws:cloudformation", b"v"), ("a\nb", b"v"),
        ("k", b"v" * 257), ("k", b"<"), ("k", b"a\nb"), ("k", b"\xff"),
    ],
    ids=["long-key", "no-key", "key", "aws", "key-line", "long-value", "value", "value-line", "not-utf8"],
)
def test_s11_tags_that_s3_could_not_have(place, put, key, value):
    path, s3_key = put
    with fails(errno.EINVAL):
        os.setxattr(path, settings.XATTR_TAG + key, value)
    tags = place.s3.get_object_tagging(Bucket=place.bucket, Key=s3_key)["TagSet"]
    assert tags == [{"Key": "team", "Value": "storage"}]


@pytest.mark.pinfold
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("meta.Colour", b"v"), ("meta.", b"v"), ("meta.a b", b"v"), ("meta.gr\u00fcn", b"v"),
        ("meta.k", b"a\r\nx-amz-meta-l: v"), ("meta.k", b"a\x00"), ("meta.k", b"\xff"),
        ("content-type", b""), ("content-type", b"a/b\nc: d"), ("content-type", b"\xc3\xbc"), ("content-type", b"a" * 2049),
    ],
    ids=["upper", "no-name", "space", "not-ascii", "lines", "nul", "not-utf8", "no-type", "type-lines", "type", "long-type"],
)
def test_s11_metadata_that_s3_could_not_have(place, put, name, value):
    path, key = put
    with fails(errno.EINVAL):
        os.setxattr(path, "user.s3." + name, value)
    head = place.s3.head_object(Bucket=place.bucket, Key=key)
    assert head["ContentType"] == "text/x-test" and head["Metadata"]["colour"] == "green"
    assert not {"k", "l", "a b", "Colour"} & set(head["Metadata"])


@pytest.mark.pinfold
def test_s11_what_is_left_of_metadata_is_served(place, put):
    """Other control characters and letters of any script come over S3 as they went in, encoded (RFC 2047)."""
    path, key = put
    for value in ("\x01\x7f", "\u2603", "\t", "=?UTF-8?B?Z3I=?="):
        os.setxattr(path, settings.XATTR_META + "k", value.encode())
        place.s3.head_object(Bucket=place.bucket, Key=key)
        assert place.s3.get_object(Bucket=place.bucket, Key=key)["Body"].read() == b"object"
        assert os.getxattr(path, settings.XATTR_META + "k") == value.encode()


@pytest.mark.pinfold
def test_s11_create_and_replace_of_s3_attributes(put):
    path, _ = put
    for name in ("content-type", "meta.colour", "tag.team"):
        with fails(errno.EEXIST):
            os.setxattr(path, "user.s3." + name, b"a", os.XATTR_CREATE)
        os.setxattr(path, "user.s3." + name, b"a", os.XATTR_REPLACE)
        os.removexattr(path, "user.s3." + name)
        with fails(errno.ENODATA):
            os.setxattr(path, "user.s3." + name, b"a", os.XATTR_REPLACE)
        os.setxattr(path, "user.s3." + name, b"b", os.XATTR_CREATE)
        assert os.getxattr(path, "user.s3." + name) == b"b"


@pytest.mark.pinfold
def test_s11_read_only_attributes(place, put):
    path, key = put
    head = place.s3.head_object(Bucket=place.bucket, Key=key)
    assert os.getxattr(path, settings.XATTR_CID).decode() == cid.of_bytes(b"object") == s3c.cid(head)
    assert os.getxattr(path, settings.XATTR_ETAG).decode().strip('"') == md5(b"object")
    assert os.getxattr(path, settings.XATTR_VERSION)
    assert os.getxattr(path, settings.XATTR_LOCAL) == b"6"
    os.getxattr(path, settings.XATTR_PINS)
    for name in ("cid", "etag", "version", "pins", "local"):
        with fails(errno.EPERM, errno.EACCES, errno.EOPNOTSUPP):
            os.setxattr(path, "user.pinfold." + name, b"forged")
        with fails(errno.EPERM, errno.EACCES, errno.EOPNOTSUPP):
            os.removexattr(path, "user.pinfold." + name)
    with fails(errno.ENODATA):
        os.getxattr(path, "user.pinfold.nonsense")


@pytest.mark.pinfold
def test_s11_what_is_listed_can_be_copied(place, fs, put):
    """Programs copy what is listed (`rsync -X`, `cp --preserve=xattr`): each can be read, and set on the copy."""
    long = "n" * 300  # S3 has longer names than Linux
    metadata = {long: "x", "ok": "y"}
    place.s3.put_object(Bucket=place.bucket, Key=f"{fs.name}/long", Body=b"", ContentType="a/b", Metadata=metadata)
    assert settings.XATTR_META + "ok" in os.listxattr(fs / "long")
    write_file(fs / "made", b"")
    os.setxattr(fs / "made", "user.mine", b"1")
    os.mkdir(fs / "d")
    os.setxattr(fs / "d", "user.mine", b"1")
    os.symlink("made", fs / "l")
    os.mkfifo(fs / "p")
    for path in (put[0], fs / "long", fs / "made", fs / "d", fs / "l", fs / "p"):
        for name in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, name, follow_symlinks=False)
            os.setxattr(path, name, value, follow_symlinks=False)


@pytest.mark.pinfold
def test_s12_the_cid_of_a_written_file_is_of_its_bytes_now(fs):
    """Asking for the CID publishes: never the old one after a write."""
    for turn in range(5):
        data = noise(1_500_000, turn)
        write_file(fs / "f", data)
        assert os.getxattr(fs / "f", settings.XATTR_CID).decode() == cid.of_bytes(data)
        assert os.getxattr(fs / "f", settings.XATTR_ETAG).decode().strip('"') == cid.mount_etag(data)
