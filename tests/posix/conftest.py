"""Where the programs work: two buckets on a mount (passthrough, then daemon), or two plain directories (--fs-dir)."""

import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import s3 as s3c
from harness.node import Node, new_base

FIGURES = pytest.StashKey[list]()


@pytest.fixture(scope="module", params=["passthrough", "daemon"])
def place(request):
    """`root` and `other` (two buckets), `node`, `s3`, `mode`; a clean stop and an empty fsck at the end."""
    plain = request.config.option.fs_dir
    if plain:
        if request.param == "daemon":
            pytest.skip("a plain directory has one mode")
        base = Path(tempfile.mkdtemp(prefix="posix-", dir=plain))
        for name in ("files", "other"):
            (base / name).mkdir(mode=0o777)
        yield SimpleNamespace(root=base / "files", other=base / "other", node=None, s3=None, mode="plain")
        shutil.rmtree(base, ignore_errors=True)
        return
    before = request.session.testsfailed
    node = Node(f"posix-{request.param}", passthrough=request.param == "passthrough")
    try:
        node.start()
        for name in ("files", "other"):
            (node.mnt / name).mkdir()
        yield SimpleNamespace(
            root=node.mnt / "files", other=node.mnt / "other", node=node, s3=s3c.client(node.endpoint), mode=request.param
        )
        node.stop()
        node.fsck()
    except BaseException:
        node.close(keep=True)
        raise
    node.close(keep=request.session.testsfailed > before)


@pytest.fixture
def fs(place):
    """A fresh directory there, open to everybody."""
    path = Path(tempfile.mkdtemp(prefix="t-", dir=place.root))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def local():
    """A fresh directory on the local disk, open to everybody."""
    path = new_base("local")
    path.chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def figures(request):
    """A list whose lines are printed at the end of the run."""
    return request.config.stash.setdefault(FIGURES, [])


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)
