"""Multipart uploads beside the data directory and the mount (ruling 15)."""

import contextlib
import random

from harness import cid
from harness import s3 as s3c
from harness.syscalls import read_file

MIB = 1 << 20


def inodes(both, folder):
    """Of all files in a folder of the chunk store; some go while we look."""
    found = set()
    for path in (both.node.data / "chunks" / folder).rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found.add(path.stat().st_ino)
    return found


def send(both, key, numbers, sizes, seed=1):
    """Uploads these parts in this order; the bytes of each by number, and what Complete wants."""
    upload = both.s3.create_multipart_upload(Bucket=both.bucket, Key=key)["UploadId"]
    where = {"Bucket": both.bucket, "Key": key, "UploadId": upload}
    bodies, parts = {}, {}
    for number in numbers:
        bodies[number] = random.Random(f"{seed}/{number}").randbytes(sizes[number])
        got = both.s3.upload_part(**where, PartNumber=number, Body=bodies[number])
        parts[number] = {"PartNumber": number, "ETag": got["ETag"]}
    return where, bodies, [parts[number] for number in sorted(parts)]


def test_ruling15_complete_links_the_file_of_the_parts(both):
    """The file that the parts were written to is the object's content file: no byte is copied."""
    before = inodes(both, "uploads")
    where, bodies, parts = send(both, "big", [1, 3, 2], {1: 6 * MIB, 2: 6 * MIB, 3: 5 * MIB + 77})
    written = inodes(both, "uploads") - before
    assert len(written) == 1, "all parts lie in one file"
    both.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    whole = bodies[1] + bodies[2] + bodies[3]
    assert inodes(both, "content") & written == written, "the same inode"
    assert s3c.body(both.s3, both.bucket, "big") == whole
    assert read_file(both.dir / "big") == whole
    head = both.s3.head_object(Bucket=both.bucket, Key="big")
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-pinfold-cid"] == cid.of_bytes(whole)


def test_ruling15_parts_that_do_not_fit_are_copied(both):
    """Odd sizes, parts that came again, parts left out: the same bytes and the canonical CID."""
    where, bodies, parts = send(both, "odd", [1, 2, 3, 4], {1: 5 * MIB + 1, 2: 7 * MIB, 3: 5 * MIB, 4: 100})
    again = random.Random("again").randbytes(8 * MIB)
    got = both.s3.upload_part(**where, PartNumber=2, Body=again)
    chosen = [parts[0], {"PartNumber": 2, "ETag": got["ETag"]}, parts[3]]
    both.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": chosen})
    whole = bodies[1] + again + bodies[4]
    assert s3c.body(both.s3, both.bucket, "odd") == whole and read_file(both.dir / "odd") == whole
    head = both.s3.head_object(Bucket=both.bucket, Key="odd")
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-pinfold-cid"] == cid.of_bytes(whole)


def test_ruling15_a_copied_part_has_its_place_too(both):
    source = random.Random(5).randbytes(12 * MIB)
    both.s3.put_object(Bucket=both.bucket, Key="source", Body=source)
    upload = both.s3.create_multipart_upload(Bucket=both.bucket, Key="copy")["UploadId"]
    where = {"Bucket": both.bucket, "Key": "copy", "UploadId": upload}
    parts = []
    for number, start in enumerate((6 * MIB, 0), start=1):
        source_range = f"bytes={start}-{start + 6 * MIB - 1}"
        got = both.s3.upload_part_copy(
            **where, PartNumber=number, CopySource=f"{both.bucket}/source", CopySourceRange=source_range
        )
        parts.append({"PartNumber": number, "ETag": got["CopyPartResult"]["ETag"]})
    both.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert read_file(both.dir / "copy") == source[6 * MIB :] + source[: 6 * MIB]
