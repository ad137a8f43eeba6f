"""S18 in buckets of each profile: whichever way bytes come, their CID is that of the bucket's profile."""

import json
import os
from types import SimpleNamespace

import pytest

from harness import cid, cid_tree, settings
from harness import s3 as s3c
from harness.data import noise
from harness.syscalls import read_file, write_file

MIB = 1 << 20
#: Chunk size and links of a node, from IPIP-499's table.
PROFILES = {"unixfs-v1-2025": (MIB, 1024), "kubo-classic-v1": (MIB // 4, 174)}
#: About each profile's chunk; the last one has more leaves than one node of kubo-classic-v1 links to.
SIZES = [0, 100, 64 * 1024 + 1, MIB // 4, MIB // 4 + 1, MIB, MIB + 1, 174 * MIB // 4 + 1]


@pytest.fixture(params=PROFILES)
def profiled(request, mounted):
    """A fresh bucket of each profile, made by the command."""
    name = s3c.fresh_name("p")
    mounted.cli("bucket", "create", name, "--profile", request.param, "--data", mounted.data)
    assert request.param in mounted.cli("bucket", "stat", name, "--data", mounted.data).stdout
    return SimpleNamespace(
        node=mounted, s3=mounted.s3, bucket=name, dir=mounted.mnt / name, profile=request.param,
        cid=lambda data: cid.of_bytes(data, *PROFILES[request.param]),
    )


def cids(at, key):
    """What HEAD and the mount say."""
    head = at.s3.head_object(Bucket=at.bucket, Key=key)
    return {s3c.cid(head), os.getxattr(at.dir / key, settings.XATTR_CID).decode()}


def test_s18_each_door_gives_the_cid_of_the_buckets_profile(profiled):
    for size in SIZES:
        data = noise(size, f"profile {size}")
        profiled.s3.put_object(Bucket=profiled.bucket, Key=f"put-{size}", Body=data)
        write_file(profiled.dir / f"written-{size}", data)
        for key in (f"put-{size}", f"written-{size}"):
            assert cids(profiled, key) == {profiled.cid(data)}, key
            assert read_file(profiled.dir / key) == data
            assert s3c.body(profiled.s3, profiled.bucket, key) == data
    path = profiled.node.base / "outside"
    path.write_bytes(data)
    told = profiled.node.cli("cid", "--profile", profiled.profile, path).stdout
    assert profiled.cid(data) in told, "the command agrees"


@pytest.mark.parametrize("sizes", [[5 * MIB, 6 * MIB, 77], [5 * MIB + MIB // 4, 5 * MIB, 1], [5 * MIB + 1, 9]])
def test_s18_multipart_gives_the_cid_of_the_buckets_profile(profiled, sizes):
    """Parts of whole chunks in both profiles, in one of them, in none."""
    where = {"Bucket": profiled.bucket, "Key": "big"}
    where["UploadId"] = profiled.s3.create_multipart_upload(**where)["UploadId"]
    parts, whole = [], b""
    for number, size in enumerate(sizes, 1):
        data = noise(size, number)
        got = profiled.s3.upload_part(**where, PartNumber=number, Body=data)
        parts.append({"PartNumber": number, "ETag": got["ETag"]})
        whole += data
    profiled.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert cids(profiled, "big") == {profiled.cid(whole)}
    assert read_file(profiled.dir / "big") == whole


def test_s18_a_copy_gets_the_cid_of_its_own_buckets_profile(profiled, both):
    """`both` is a bucket of the default profile."""
    for size in (100, MIB // 4 + 1, MIB, 3 * MIB + 5):
        data = noise(size, f"copy {size}")
        both.s3.put_object(Bucket=both.bucket, Key="from", Body=data)
        source = {"Bucket": both.bucket, "Key": "from"}
        profiled.s3.copy_object(Bucket=profiled.bucket, Key="copy", CopySource=source)
        both.s3.delete_object(Bucket=both.bucket, Key="from")
        assert cids(profiled, "copy") == {profiled.cid(data)}, size
        assert s3c.body(profiled.s3, profiled.bucket, "copy") == data
        profiled.s3.copy_object(Bucket=both.bucket, Key="back", CopySource={"Bucket": profiled.bucket, "Key": "copy"})
        assert cids(both, "back") == {cid.of_bytes(data)}, size
        assert read_file(both.dir / "back") == data


def bucket_cid(at, below=""):
    """What the command says of a bucket or a directory in it."""
    told = at.node.cli("bucket", "cid", at.bucket + below, "--json", "--data", at.node.data).stdout
    return json.loads(told)


def by_hand(at, below=""):
    """The mounted directory, by the harness's own rules."""
    links = at.profile == "kubo-classic-v1"
    return cid_tree.of_directory(at.dir / below, *PROFILES[at.profile], by_links=links)


def test_s18_the_cid_of_a_bucket(profiled):
    """It is that of the mounted directory, whichever door its parts came by, and follows every change."""
    at, seen = profiled, set()

    def check(what):
        told = bucket_cid(at)["cid"]
        assert told == by_hand(at), what
        local = at.node.cli("cid", "--profile", at.profile, at.dir).stdout
        assert local.startswith(told), what
        assert told not in seen, f"{what}: the CID did not change"
        seen.add(told)

    check("empty")
    for key in ("a", "a/b/c", "a/", "x//y", ".hidden", "%@odd", "d/../e", "größer/ü"):
        at.s3.put_object(Bucket=at.bucket, Key=key, Body=key.encode())
    check("odd keys")
    write_file(at.dir / "large", noise(3 * MIB + 7, "large"))
    at.s3.put_object(Bucket=at.bucket, Key="a/larger", Body=noise(9 * MIB + 1, "larger"))
    check("files of several chunks")
    os.symlink("a/b/c", at.dir / "link")
    os.mkfifo(at.dir / "pipe")
    (at.dir / "empty").mkdir()
    os.link(at.dir / "large", at.dir / "a/again")
    # The local command names what it cannot hold instead of leaving it out.
    refused = at.node.cli("cid", "--profile", at.profile, at.dir, check=False)
    assert refused.returncode != 0
    assert "pipe" in refused.stderr
    told = bucket_cid(at)
    assert told["cid"] == by_hand(at)
    assert (told["left_out"], told["bytes"]) == (1, sum(f.stat().st_size for f in at.dir.rglob("*") if f.is_file()
                                                         and not f.is_symlink()))
    os.unlink(at.dir / "pipe")
    seen.discard(told["cid"])
    check("links and an empty directory")
    before = bucket_cid(at, "/a")["cid"]
    assert before == by_hand(at, "a")
    os.rename(at.dir / "a", at.dir / "renamed")
    check("renamed")
    assert bucket_cid(at, "/renamed")["cid"] == before
    at.s3.delete_object(Bucket=at.bucket, Key="renamed/b/c")
    check("deleted")


def test_s18_the_cid_of_a_large_directory(profiled):
    """So many entries that it is a HAMT of several levels."""
    (profiled.dir / "many").mkdir()
    for n in range(7000):
        (profiled.dir / "many" / f"{n:x}-{'n' * (n % 40)}").touch()
    assert bucket_cid(profiled)["cid"] == by_hand(profiled)


def test_s18_the_cid_of_what_is_no_directory(profiled):
    profiled.s3.put_object(Bucket=profiled.bucket, Key="file", Body=b"x")
    for below in ("/nothing", "/file"):
        directory = profiled.bucket + below
        answer = profiled.node.cli("bucket", "cid", directory, "--data", profiled.node.data, check=False)
        assert answer.returncode != 0
        assert "no such directory" in answer.stderr, answer.stderr
