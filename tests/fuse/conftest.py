"""Where the file-system suite works: a bucket on a mount (passthrough, then daemon), or a plain directory (--fs-dir)."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import s3 as s3c
from harness.node import Node


@pytest.fixture(scope="session", params=["passthrough", "daemon"])
def place(request):
    """A bucket's directory on a mount in one of the two modes: `root`, `node`, `s3`, `bucket`, `mode`."""
    plain = request.config.option.fs_dir
    if plain:
        if request.param == "daemon":
            pytest.skip("a plain directory has one mode")
        yield SimpleNamespace(root=Path(plain), node=None, s3=None, bucket=None, mode="plain")
        return
    with Node(f"fuse-{request.param}", passthrough=request.param == "passthrough") as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="files")
        yield SimpleNamespace(root=node.mnt / "files", node=node, s3=s3, bucket="files", mode=request.param)


@pytest.fixture
def fs(place):
    """A fresh directory there, open to everybody."""
    path = Path(tempfile.mkdtemp(prefix="t-", dir=place.root))
    path.chmod(0o777)
    return path


@pytest.fixture
def prefix(place, fs):
    """That directory as an S3 prefix."""
    return fs.name + "/"
