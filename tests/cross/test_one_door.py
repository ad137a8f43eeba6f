"""What only one door has (S10), and attributes that travel (S11)."""

import errno
import os
import stat

import pytest

from harness import s3 as s3c
from harness.s3 import refused
from harness.syscalls import fails, names, read_file, write_file


def keys(both):
    return s3c.keys(both.s3, both.bucket)


def head(both, key="f"):
    return both.s3.head_object(Bucket=both.bucket, Key=key)


def test_s10_a_symlink_is_an_object(both):
    write_file(both.dir / "target", b"not followed")
    os.symlink("target", both.dir / "link")
    got = both.s3.get_object(Bucket=both.bucket, Key="link")
    assert got["Body"].read() == b"target"
    assert got["ContentType"] == "inode/symlink"
    row = {r["Key"]: r for r in both.s3.list_objects_v2(Bucket=both.bucket)["Contents"]}["link"]
    assert row["Size"] == len("target")
    os.symlink("/etc/passwd", both.dir / "out")
    assert s3c.body(both.s3, both.bucket, "out") == b"/etc/passwd"
    os.mkdir(both.dir / "d")
    write_file(both.dir / "d" / "f", b"x")
    os.symlink("d", both.dir / "to-d")
    assert s3c.absent(both.s3, both.bucket, "to-d/f"), "S3 never follows"
    both.s3.delete_object(Bucket=both.bucket, Key="link")
    assert not os.path.lexists(both.dir / "link") and read_file(both.dir / "target") == b"not followed"


def test_s10_a_symlink_put_over_s3(both):
    both.s3.put_object(Bucket=both.bucket, Key="link", Body=b"some/target", ContentType="inode/symlink")
    assert os.readlink(both.dir / "link") == "some/target"
    both.s3.copy_object(Bucket=both.bucket, Key="copy", CopySource={"Bucket": both.bucket, "Key": "link"})
    assert os.readlink(both.dir / "copy") == "some/target"
    both.s3.put_object(Bucket=both.bucket, Key="link", Body=b"a file now")
    assert read_file(both.dir / "link") == b"a file now" and not os.path.islink(both.dir / "link")


def test_s10_hard_links_are_keys_of_one_inode(both):
    write_file(both.dir / "a", b"shared")
    os.mkdir(both.dir / "d")
    os.link(both.dir / "a", both.dir / "d" / "b")
    assert keys(both) == ["a", "d/", "d/b"]
    assert s3c.body(both.s3, both.bucket, "d/b") == b"shared"
    write_file(both.dir / "a", b"changed")
    assert s3c.body(both.s3, both.bucket, "d/b") == b"changed"
    assert head(both, "a")["ETag"] == head(both, "d/b")["ETag"]
    both.s3.delete_object(Bucket=both.bucket, Key="a")
    assert read_file(both.dir / "d" / "b") == b"changed" and os.stat(both.dir / "d" / "b").st_nlink == 1


@pytest.mark.root
def test_s10_special_files_are_not_listed(both):
    os.mkfifo(both.dir / "fifo")
    os.mknod(both.dir / "dev", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(both.dir / "sock", stat.S_IFSOCK | 0o600)
    write_file(both.dir / "file", b"")
    assert keys(both) == ["file"]
    for name in ("fifo", "dev", "sock"):
        assert s3c.absent(both.s3, both.bucket, name)
        with refused("NoSuchKey"):
            both.s3.get_object(Bucket=both.bucket, Key=name)
    assert names(both.dir) == [b"dev", b"fifo", b"file", b"sock"]


@pytest.mark.root
def test_s10_special_files_and_writes_over_s3(both):
    """What S3 does not see it must not destroy unasked: a PUT takes the name as any PUT over a name does."""
    os.mkfifo(both.dir / "fifo")
    both.s3.delete_object(Bucket=both.bucket, Key="fifo")
    assert stat.S_ISFIFO(os.stat(both.dir / "fifo").st_mode)
    both.s3.put_object(Bucket=both.bucket, Key="fifo", Body=b"an object now")
    assert read_file(both.dir / "fifo") == b"an object now"


def test_s10_paths_over_1024_bytes(both):
    """They exist on the mount; S3 lists and reads them, and refuses to create them."""
    path, key = both.dir, ""
    for i in range(12):
        path, key = path / (f"{i:02}" + "d" * 98), key + f"{i:02}" + "d" * 98 + "/"
        os.mkdir(path)
    write_file(path / "f", b"deep")
    assert key + "f" in keys(both)
    assert s3c.body(both.s3, both.bucket, key + "f") == b"deep"
    with refused("KeyTooLongError", status=400):
        both.s3.put_object(Bucket=both.bucket, Key=key + "g", Body=b"x")


def test_s10_eilseq(both):
    with fails(errno.EILSEQ):
        write_file(os.fsencode(both.dir) + b"/\xff", b"")
    assert keys(both) == []


# ---- S11
def test_s11_posix_attributes_come_with_a_put(both):
    """As s3fs, rclone and mountpoint users write them; root is an admin, so that the owner is obeyed."""
    meta = {"mode": "33184", "uid": "1234", "gid": "5678", "mtime": "1600000000.25"}
    both.s3.put_object(Bucket=both.bucket, Key="f", Body=b"x", Metadata=meta | {"other": "kept"})
    at = os.stat(both.dir / "f")
    assert stat.S_IMODE(at.st_mode) == 0o640
    assert (at.st_uid, at.st_gid) == (1234, 5678)
    assert at.st_mtime_ns == 1_600_000_000_250_000_000
    returned = head(both)["Metadata"]
    assert returned["other"] == "kept"
    assert int(returned["mode"]) & 0o7777 == 0o640
    assert (returned["uid"], returned["gid"]) == ("1234", "5678")
    assert float(returned["mtime"]) == 1600000000.25


@pytest.mark.parametrize("mode", ["0640", "100640", "33184"])
def test_s11_forms_of_mode(both, mode):
    """Octal of the bits, octal (rclone) and decimal (s3fs) of a whole st_mode."""
    both.s3.put_object(Bucket=both.bucket, Key="f", Body=b"x", Metadata={"mode": mode})
    assert stat.S_IMODE(os.stat(both.dir / "f").st_mode) == 0o640


def test_s11_what_is_no_attribute_is_ignored_or_refused(both):
    for meta in ({"mode": "rwx"}, {"uid": "-1"}, {"mtime": "yesterday"}, {"gid": "99999999999"}):
        try:
            both.s3.put_object(Bucket=both.bucket, Key="f", Body=b"x", Metadata=meta)
        except both.s3.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        else:
            assert stat.S_ISREG(os.stat(both.dir / "f").st_mode)


def test_s11_attributes_go_out_where_the_mount_changed_them(both):
    both.s3.put_object(Bucket=both.bucket, Key="f", Body=b"x")
    assert head(both)["Metadata"] == {}, "nobody sent or changed any"
    os.chmod(both.dir / "f", 0o600)
    os.chown(both.dir / "f", 77, 88)
    os.utime(both.dir / "f", ns=(0, 1_500_000_000_000_000_000))
    returned = head(both)["Metadata"]
    assert int(returned["mode"]) in (0o600, 0o100600), "decimal, as s3fs writes it"
    assert (returned["uid"], returned["gid"]) == ("77", "88")
    assert float(returned["mtime"]) == 1500000000


def test_s11_put_keeps_what_it_does_not_say(both):
    """S7: mode, owner and POSIX-only attributes of the name stay."""
    write_file(both.dir / "f", b"old")
    os.chmod(both.dir / "f", 0o751)
    os.chown(both.dir / "f", 5, 6)
    os.setxattr(both.dir / "f", "user.mine", b"kept")
    both.s3.put_object(Bucket=both.bucket, Key="f", Body=b"new")
    at = os.stat(both.dir / "f")
    assert (stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid) == (0o751, 5, 6)
    assert os.getxattr(both.dir / "f", "user.mine") == b"kept"
    assert read_file(both.dir / "f") == b"new"


def test_s11_a_copy_carries_attributes(both):
    write_file(both.dir / "f", b"x")
    os.chmod(both.dir / "f", 0o604)
    both.s3.copy_object(Bucket=both.bucket, Key="g", CopySource={"Bucket": both.bucket, "Key": "f"})
    assert s3c.body(both.s3, both.bucket, "g") == b"x"


def test_s11_content_type_of_a_written_file(both):
    write_file(both.dir / "f", b"x")
    assert head(both)["ContentType"] == "binary/octet-stream"
    os.setxattr(both.dir / "f", "user.s3.content-type", b"text/css")
    write_file(both.dir / "f", b"rewritten")
    assert head(both)["ContentType"] == "text/css", "metadata outlives a write in place"


def test_last_modified_is_of_the_content(both):
    """`touch -d` changes mtime, not when this content came to be."""
    both.s3.put_object(Bucket=both.bucket, Key="f", Body=b"x")
    before = head(both)["LastModified"]
    os.utime(both.dir / "f", ns=(0, 0))
    assert head(both)["LastModified"] == before
