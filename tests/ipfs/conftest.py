"""A node that serves its blocks to IPFS, and a real Kubo that knows of nobody else. Both live in a network namespace with
nothing but a loopback (`tests/run ipfs` makes it; by hand: `unshare --net sh -c 'ip link set lo up; pytest ipfs'`)."""

from types import SimpleNamespace

import pytest

from harness import kubo as rig
from harness import s3 as s3c
from harness.provider import providing


@pytest.fixture(scope="session")
def peer():
    """A node whose blocks IPFS may have: `node`, `s3`, `port` of the provider."""
    with providing("ipfs") as node:
        yield SimpleNamespace(node=node, s3=s3c.client(node.endpoint), port=node.provider)


@pytest.fixture
def stored(peer):
    """Puts objects in a fresh bucket: `stored(key, bytes)` answers their CID."""
    name = s3c.fresh_name()
    peer.s3.create_bucket(Bucket=name)

    def put(key, data, **how):
        peer.s3.put_object(Bucket=name, Key=key, Body=data, **how)
        head = peer.s3.head_object(Bucket=name, Key=key)
        return head["ResponseMetadata"]["HTTPHeaders"]["x-pinfold-cid"]

    put.bucket = name
    return put


@pytest.fixture(scope="session")
def needs_kubo():
    """Skips, aloud, where the real program is not there or could look for a way out."""
    if not rig.program():
        pytest.skip(f"needs Kubo {rig.VERSION} (KUBO_BIN, or built into {rig.CACHE})")
    if not rig.is_alone():
        pytest.skip("needs Kubo in a network namespace of its own: tests/run ipfs")


@pytest.fixture
def kubo(needs_kubo, peer):
    """A Kubo with nothing in it, which asks the node."""
    with rig.Kubo("peer", [f"http://127.0.0.1:{peer.port}"]) as daemon:
        yield daemon
