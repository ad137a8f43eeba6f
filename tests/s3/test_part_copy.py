"""UploadPartCopy."""

import pytest

from harness import s3 as s3c
from harness import settings, sums
from harness.data import composite_etag, md5, noise
from harness.s3 import refused

PART = settings.MIN_PART
SIZE = 3 * PART + 4321


@pytest.fixture
def source(s3, bucket):
    data = noise(SIZE, "source")
    s3.put_object(Bucket=bucket, Key="from/caf\u00e9 +%.bin", Body=data)
    return {"Bucket": bucket, "Key": "from/caf\u00e9 +%.bin"}, data


def test_whole_and_ranges(s3, bucket, upload, source):
    at, data = source
    up = upload()
    assert s3c.etag(up.copy(1, at)) == md5(data)
    up.copy(2, at, CopySourceRange=f"bytes=100-{100 + PART - 1}")
    up.part(3, b"and bytes of its own")
    up.complete()
    parts = [data, data[100 : 100 + PART], b"and bytes of its own"]
    assert s3c.body(s3, bucket, "k") == b"".join(parts)
    assert s3c.etag(s3.head_object(Bucket=bucket, Key="k")) == composite_etag(parts)


@pytest.mark.parametrize("algorithm", sorted(sums.RAW))
def test_checksums_of_copied_parts(s3, bucket, upload, source, algorithm):
    """A part that is copied has the checksum that the upload asked for, computed here."""
    at, data = source
    kind = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    up = upload(ChecksumAlgorithm=algorithm, ChecksumType=kind)
    parts = [data[:PART], data[PART : PART + 99]]
    for number, (first, part) in enumerate(zip((0, PART), parts, strict=True), 1):
        answer = up.copy(number, at, CopySourceRange=f"bytes={first}-{first + len(part) - 1}")
        assert answer[sums.parameter(algorithm)] == sums.value(algorithm, part)
    done = up.complete(up.listed(with_sums=True))
    whole = sums.value(algorithm, b"".join(parts)) if kind == "FULL_OBJECT" else sums.composite(algorithm, parts) + "-2"
    assert (done[sums.parameter(algorithm)], done["ChecksumType"]) == (whole, kind)


def test_copying_an_object_in_aligned_parts(s3, bucket, upload, source):
    at, data = source
    up, parts = upload(), []
    for number, first in enumerate(range(0, SIZE, PART), 1):
        last = min(first + PART, SIZE) - 1
        up.copy(number, at, CopySourceRange=f"bytes={first}-{last}")
        parts.append(data[first : last + 1])
    up.complete()
    assert s3c.body(s3, bucket, "k") == data
    assert s3c.etag(s3.head_object(Bucket=bucket, Key="k")) == composite_etag(parts)


def test_the_source_may_go_before_complete(s3, bucket, upload, source):
    at, data = source
    up = upload()
    up.copy(1, at)
    s3.delete_object(**at)
    up.complete()
    assert s3c.body(s3, bucket, "k") == data


@pytest.mark.parametrize("bad", [f"bytes=0-{SIZE}", f"bytes={SIZE}-{SIZE + 1}", "bytes=5-1", "0-5", "bytes=-5"])
def test_bad_ranges(upload, source, bad):
    with refused("InvalidArgument", "InvalidRange", "InvalidRequest"):
        upload().copy(1, source[0], CopySourceRange=bad)


def test_conditions_on_the_source(s3, upload, source):
    at, data = source
    up = upload()
    with refused("PreconditionFailed", status=412):
        up.copy(1, at, CopySourceIfMatch='"nope"')
    with refused("304", status=304):
        up.copy(1, at, CopySourceIfNoneMatch=f'"{md5(data)}"')
    up.copy(1, at, CopySourceIfMatch=f'"{md5(data)}"')
    up.complete()


def test_a_source_that_is_not_there(bucket, upload):
    with refused("NoSuchKey", status=404):
        upload().copy(1, {"Bucket": bucket, "Key": "none"})
    with refused("NoSuchBucket", status=404):
        upload().copy(1, {"Bucket": s3c.fresh_name("none"), "Key": "none"})
