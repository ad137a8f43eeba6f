"""A node of one's own, for tests that measure its disk or spoil its data."""

from types import SimpleNamespace

import pytest

from harness import s3 as s3c
from harness.node import Node


@pytest.fixture
def lone():
    """A fresh node with a mount and a bucket: `node`, `s3`, `bucket`, `dir`."""
    with Node("lone") as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="lone")
        yield SimpleNamespace(node=node, s3=s3, bucket="lone", dir=node.mnt / "lone")
