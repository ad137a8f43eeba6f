"""Options and fixtures of every suite."""

import os
import random
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from harness import s3 as s3c
from harness import settings
from harness.node import Node
from harness.rawhttp import Raw


def pytest_addoption(parser):
    group = parser.getgroup("pinfold")
    group.addoption("--seed", type=int, default=None, help="seed of every random sequence (default: a new one, printed)")
    group.addoption("--long", action="store_true", help="long runs: 10 minutes of cross, 200 kills, 100 power cuts, slow tests")
    group.addoption("--seconds", type=float, default=None, help="length of each random cross run")
    group.addoption("--rounds", type=int, default=None, help="rounds of kill -9 and of power cuts, of each engine")
    group.addoption("--s3-endpoint", help="run tests/s3 against another S3 server (checks the tests, not Pinfold)")
    group.addoption("--s3-access", default=settings.ROOT_ACCESS)
    group.addoption("--s3-secret", default=settings.ROOT_SECRET)
    group.addoption("--fs-dir", help="run tests/fuse on a plain directory (checks the tests, not Pinfold)")


def pytest_configure(config):
    if config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(1 << 32)


def pytest_report_header(config):
    return [f"pinfold: {settings.BIN}", f"seed: {config.option.seed} (repeat with --seed={config.option.seed})"]


def pytest_collection_modifyitems(config, items):
    elsewhere = config.option.s3_endpoint or config.option.fs_dir
    for item in items:
        if elsewhere and item.get_closest_marker("pinfold"):
            item.add_marker(pytest.mark.skip(reason="another server or a plain directory is under test"))
        if item.get_closest_marker("slow") and not config.option.long:
            item.add_marker(pytest.mark.skip(reason="slow; runs with --long"))
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def rng(request):
    """Random numbers of this test alone: the run's seed and the test's name."""
    return random.Random(f"{request.config.option.seed}/{request.node.nodeid}")


@pytest.fixture(scope="session")
def s3_node():
    """A node without a mount, for the S3 suite."""
    with Node("s3", mount=False) as node:
        yield node


@pytest.fixture(scope="session")
def server(request):
    """The S3 server under test: endpoint, credentials, and `node` (None if it is not Pinfold)."""
    option = request.config.option
    if option.s3_endpoint:
        at = urlsplit(option.s3_endpoint)
        return SimpleNamespace(
            endpoint=option.s3_endpoint, host=at.hostname, port=at.port,
            access=option.s3_access, secret=option.s3_secret, node=None,
        )
    node = request.getfixturevalue("s3_node")
    return SimpleNamespace(
        endpoint=node.endpoint, host="127.0.0.1", port=node.s3_port,
        access=settings.ROOT_ACCESS, secret=settings.ROOT_SECRET, node=node,
    )


@pytest.fixture(scope="session")
def s3(server):
    """A boto3 client."""
    return s3c.client(server.endpoint, access=server.access, secret=server.secret)


@pytest.fixture(scope="session")
def raw(server):
    """Hand-made requests."""
    return Raw(server.host, server.port, access=server.access, secret=server.secret)


@pytest.fixture
def bucket(s3):
    """A fresh bucket."""
    name = s3c.fresh_name()
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session", params=["passthrough", "daemon"])
def mounted(request):
    """A node with a mount, once with the kernel's passthrough, once with all bytes through the daemon."""
    with Node(f"mnt-{request.param}", passthrough=request.param == "passthrough") as node:
        node.s3 = s3c.client(node.endpoint)
        yield node


@pytest.fixture
def both(mounted):
    """A fresh bucket at both doors: `s3`, `bucket`, `dir` (its directory on the mount), `node`."""
    name = s3c.fresh_name("b")
    mounted.s3.create_bucket(Bucket=name)
    return SimpleNamespace(node=mounted, s3=mounted.s3, bucket=name, dir=mounted.mnt / name)
