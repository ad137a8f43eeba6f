"""A bucket's quota at the mount: EDQUOT, and what is open is published all the same."""

import errno
import os

import pytest

from harness import s3 as s3c
from harness.syscalls import fails


def test_a_full_bucket_takes_no_new_file(mounted):
    s3, bucket = s3c.client(mounted.endpoint), s3c.fresh_name("quota")
    s3.create_bucket(Bucket=bucket)
    mounted.cli("bucket", "quota", bucket, "--bytes", "1000", "--data", mounted.data)
    at = mounted.mnt / bucket
    (at / "first").write_bytes(b"x" * 2000)
    assert s3.head_object(Bucket=bucket, Key="first")["ContentLength"] == 2000
    for name in ("second", "first"):
        with fails(errno.EDQUOT):
            os.close(os.open(at / name, os.O_WRONLY | os.O_CREAT))
    with pytest.raises(s3.exceptions.ClientError, match="QuotaExceeded"):
        s3.put_object(Bucket=bucket, Key="third", Body=b"x")
    assert (at / "first").read_bytes() == b"x" * 2000
    (at / "first").unlink()
    (at / "second").write_bytes(b"y")
    assert s3c.keys(s3, bucket) == ["second"]
