"""Ranges and part numbers of GET and HEAD."""

import pytest

from harness import s3 as s3c
from harness import settings
from harness.data import noise
from harness.s3 import refused

SIZE = 3 * settings.MIB + 123
DATA = noise(SIZE, "range")


@pytest.fixture(scope="module")
def there(s3):
    bucket = s3c.fresh_name("range")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=DATA)
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    return bucket


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0), ("bytes=0-9", 0, 9), ("bytes=5-", 5, SIZE - 1), ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-100", SIZE - 100, SIZE - 1), (f"bytes=-{SIZE + 10}", 0, SIZE - 1), (f"bytes=0-{SIZE + 10}", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1), ("bytes=1048575-1048576", 1048575, 1048576),
        ("bytes=1048576-2097151", 1048576, 2097151), ("bytes=4095-1052673", 4095, 1052673),
    ],
)
def test_ranges(s3, there, header, first, last):
    got = s3.get_object(Bucket=there, Key="k", Range=header)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {first}-{last}/{SIZE}"
    assert got["Body"].read() == DATA[first : last + 1]
    head = s3.head_object(Bucket=there, Key="k", Range=header)
    assert head["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert head["ContentLength"] == last - first + 1


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
def test_ranges_outside(s3, there, header):
    with refused("InvalidRange", status=416):
        s3.get_object(Bucket=there, Key="k", Range=header)


@pytest.mark.parametrize("header", ["bytes=5-4", "bytes=a-b", "lines=0-4", "bytes", "0-4"])
def test_what_is_no_range_is_ignored(s3, there, header):
    got = s3.get_object(Bucket=there, Key="k", Range=header)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["ContentLength"] == SIZE


def test_an_empty_object_has_no_range(s3, there):
    with refused("InvalidRange", status=416):
        s3.get_object(Bucket=there, Key="empty", Range="bytes=0-")


def test_random_ranges(s3, there, rng):
    for _ in range(60):
        first = rng.randrange(SIZE)
        last = rng.randrange(first, SIZE)
        assert s3c.body(s3, there, "k", Range=f"bytes={first}-{last}") == DATA[first : last + 1], (first, last)


def test_part_number_of_a_plain_object(s3, there):
    got = s3.get_object(Bucket=there, Key="k", PartNumber=1)
    assert got["Body"].read() == DATA
    with refused("InvalidPartNumber", "InvalidPart", "InvalidRange", status=416):
        s3.get_object(Bucket=there, Key="k", PartNumber=2)


def test_range_with_if_match(s3, there):
    etag = s3.head_object(Bucket=there, Key="k")["ETag"]
    assert s3c.body(s3, there, "k", Range="bytes=1-3", IfMatch=etag) == DATA[1:4]
    with refused("PreconditionFailed"):
        s3.get_object(Bucket=there, Key="k", Range="bytes=1-3", IfMatch='"nope"')
