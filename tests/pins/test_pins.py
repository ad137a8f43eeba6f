"""Pins on real peers: what either door holds is pinned, no longer than it is held, through deaths of daemon and peers."""

import os
import subprocess

import pytest

from harness import cid, settings
from harness import s3 as s3c
from harness.data import noise
from harness.node import Node
from harness.settings import MIB, REPO
from harness.wait import until

BUCKET = "pinned"
STATUS, REPLICAS = "x-pinfold-pin-status", "x-pinfold-pin-replicas"


@pytest.fixture
def node(stack):
    """A node that pins through the stack and pushes to it, and nothing pinned before."""
    yield from pinning(stack, {"PINFOLD_IPFS_KUBO_URLS": stack.kubos()})


@pytest.fixture
def pulled(stack):
    """A node that pins through the stack, whose peers pull from it, and nothing pinned before."""
    yield from pinning(stack, {"PINFOLD_IPFS_BYTES": "pull", "PINFOLD_PROVIDER": f"127.0.0.1:{stack.router}"})


def pinning(stack, how):
    for peer_cid in stack.pins():
        pytest.fail(f"{peer_cid} is left of another test")
    env = {
        "PINFOLD_IPFS_CLUSTER_URLS": stack.clusters(), "PINFOLD_IPFS_RECONCILE_INTERVAL": "5s",
        "PINFOLD_PUBLISH_AFTER": "200ms", **how,
    }
    with Node("pins", env=env) as running:
        running.s3 = s3c.client(running.endpoint)
        running.s3.create_bucket(Bucket=BUCKET)
        yield running
        for entry in running.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            running.s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
        stack.until_set([])


def put(node, key, data):
    answer = node.s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    root = answer["ResponseMetadata"]["HTTPHeaders"][settings.HEADER_CID]
    assert root == cid.of_bytes(data)
    return root


def headers(node, key):
    return node.s3.head_object(Bucket=BUCKET, Key=key)["ResponseMetadata"]["HTTPHeaders"]


def until_shown(node, key, status="pinned", replicas="3/3"):
    """Waits until HEAD says so."""
    def shown():
        found = headers(node, key)
        return (found[STATUS], found.get(REPLICAS)) == (status, replicas)
    until(shown, lambda: f"{key} is {status} {replicas}: {headers(node, key)}\n{node.log_tail()}")


@pytest.mark.timeout(1800)  # it may have to be built
def test_the_real_cluster_passes_the_conformance_suite(stack):
    """The suite that the fake of the unit tests passes, and every call of both clients, against the real programs."""
    env = {**os.environ, "PINFOLD_TEST_CLUSTER_URLS": stack.clusters(), "PINFOLD_TEST_KUBO_URLS": stack.kubos()}
    done = subprocess.run(
        # The whole workspace, as the unit tests are built: nothing has to be compiled again.
        ["cargo", "test", "--release", "--locked", "--offline", "--workspace", "--lib", "--", "--nocapture",
         "ipfs::tests::real"],
        env=env, cwd=REPO, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout and "skipped" not in done.stdout + done.stderr


@pytest.mark.root
def test_objects_of_both_doors_are_pinned_and_unpinned(stack, node):
    large, small, file = noise(3 * MIB + 5, 1), b"small", noise(300_000, 2)
    roots = [put(node, "dir/large", large), put(node, "small", small)]
    (node.mnt / BUCKET / "file").write_bytes(file)
    roots.append(cid.of_bytes(file))
    for key in ("dir/large", "small", "file"):
        until_shown(node, key)
    stack.until_set(roots)
    for root, data in zip(roots, (large, small, file), strict=True):
        stack.until_pinned(root)
        assert all(stack.cat(root, peer) == data for peer in range(3)), "each peer has the bytes itself"
    assert os.getxattr(node.mnt / BUCKET / "file", settings.XATTR_PINS) == b"pinned 3 of 3"
    got = node.s3.get_object(Bucket=BUCKET, Key="small")["ResponseMetadata"]["HTTPHeaders"]
    assert (got[STATUS], got[REPLICAS]) == ("pinned", "3/3")

    # A second key of the same bytes; then the first goes.
    node.s3.copy_object(Bucket=BUCKET, Key="again", CopySource=f"{BUCKET}/small")
    node.s3.delete_object(Bucket=BUCKET, Key="small")
    (node.mnt / BUCKET / "file").unlink()
    newer = put(node, "dir/large", b"newer")
    stack.until_set([roots[1], newer])
    until_shown(node, "again")
    stack.until_pinned(newer)


@pytest.mark.root
def test_peers_pull_what_they_are_to_pin(stack, pulled):
    """Nothing is pushed: each Kubo asks the node where blocks are and fetches them. Of encrypted buckets it gets ciphertext."""
    large, file, secret = noise(5 * MIB + 7, 6), noise(300_000, 7), noise(2 * MIB, 8)
    roots = {put(pulled, "dir/large", large): large, put(pulled, "small", b"small"): b"small"}
    (pulled.mnt / BUCKET / "file").write_bytes(file)
    roots[cid.of_bytes(file)] = file
    pulled.s3.create_bucket(Bucket="sealed")
    pulled.cli("key", "encrypt", "sealed", "--mode", "bucket", "--data", pulled.data)
    answer = pulled.s3.put_object(Bucket="sealed", Key="secret", Body=secret)
    sealed = answer["ResponseMetadata"]["HTTPHeaders"][settings.HEADER_CID]
    assert sealed != cid.of_bytes(secret)
    for key in ("dir/large", "small", "file"):
        until_shown(pulled, key)
    for root, data in roots.items():
        stack.until_pinned(root)
        assert all(stack.cat(root, peer) == data for peer in range(3))
    stack.until_pinned(sealed)
    held = stack.cat(sealed, 1)
    assert len(held) == len(secret) and held != secret
    assert pulled.s3.get_object(Bucket="sealed", Key="secret")["Body"].read() == secret
    pulled.s3.delete_object(Bucket="sealed", Key="secret")


@pytest.mark.root
def test_what_the_operator_asks_for(stack, node, tmp_path):
    root = put(node, "key", b"some bytes of an object")
    until_shown(node, "key")
    out = node.cli("pin", "status", f"{BUCKET}/key", "--data", node.data).stdout
    assert "pinned" in out and "3 of 3" in out
    node.cli("pin", "add", root, "--class", "critical", "--name", "mine", "--data", node.data)
    until(lambda: stack.pins()[root]["name"] == "mine", "the cluster has the name")
    node.s3.delete_object(Bucket=BUCKET, Key="key")
    other = put(node, "other", b"other bytes")
    until_shown(node, "other")
    stack.until_set([root, other])
    assert root in node.cli("pin", "ls", "--state", "pinned", "--data", node.data).stdout
    file = tmp_path / "batch"
    file.write_text(f"# gives back what was asked for\nrm {root}\nadd {other} background\nrm {other}\n")
    node.cli("pin", "batch", file, "--data", node.data)
    stack.until_set([other])
    lines = [line for line in (node.data / "audit").glob("*.jsonl") for line in line.read_text().splitlines()]
    assert sum('"operation":"Pin"' in line and root in line for line in lines) == 1
    assert sum('"operation":"Unpin"' in line and root in line for line in lines) == 1


@pytest.mark.root
def test_a_daemon_that_dies_in_between_goes_on(stack, node):
    kept, gone = put(node, "kept", noise(100_000, 3)), put(node, "gone", noise(100_000, 4))
    node.kill()
    node.start()
    node.s3.delete_object(Bucket=BUCKET, Key="gone")
    node.kill()
    node.start()
    stack.until_set([kept])
    assert gone not in stack.pins()
    until_shown(node, "kept")


@pytest.mark.root
@pytest.mark.slow
def test_peers_that_die_are_passed_over(stack, node):
    first = put(node, "first", b"first")
    until_shown(node, "first")
    stack.kill(0)
    try:
        second = put(node, "second", noise(200_000, 5))
        node.s3.delete_object(Bucket=BUCKET, Key="first")
        until(lambda: set(stack.pins(1)) == {second}, lambda: f"the others have the new set: {stack.pins(1)}", 120)
        stack.until_pinned(second, [1, 2])
    finally:
        stack.start(0)
    # It catches up with what it missed.
    until(lambda: set(stack.pins(0)) == {second}, lambda: f"the first peer has the new set: {stack.pins(0)}", 180)
    stack.until_pinned(second)
    until_shown(node, "second")
    assert first not in stack.pins()


@pytest.mark.root
@pytest.mark.slow
def test_what_differs_is_put_right(stack, node):
    """Somebody takes a pin away, and makes one that nobody here wants: the latter is none of our business."""
    from harness import ipfs

    root = put(node, "key", b"to be lost")
    until_shown(node, "key")
    stranger = put(node, "stranger", b"a stranger's")
    until_shown(node, "stranger")
    ipfs.ask("DELETE", f"{stack.cluster(1)}/pins/{root}")
    ipfs.ask("POST", f"{stack.cluster(1)}/pins/{stranger}?name=theirs")
    stack.until_set([stranger])
    # A pin that was told of less than a minute ago is not taken for lost: cluster peers may not have heard of it yet.
    until(lambda: root in stack.pins(), "it is pinned again", 180)
    until_shown(node, "key")
    node.s3.delete_object(Bucket=BUCKET, Key="stranger")
    node.s3.delete_object(Bucket=BUCKET, Key="key")
    stack.until_set([stranger])
    ipfs.ask("DELETE", f"{stack.cluster(1)}/pins/{stranger}")
