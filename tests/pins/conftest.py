"""The real stack, once for the suite, in a network namespace of its own."""

import os

import pytest

from harness import ipfs

NEEDS = "needs Kubo and IPFS Cluster"


@pytest.fixture(scope="session")
def stack():
    binaries = ipfs.programs()
    if not binaries:
        pytest.skip(NEEDS)
    if os.geteuid() != 0:
        pytest.skip("needs root (a network namespace)")
    with ipfs.namespace(f"pinfold-{os.getpid()}"):
        with ipfs.Stack(binaries, ports=17000) as running:
            yield running
