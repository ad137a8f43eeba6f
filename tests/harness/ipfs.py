"""The real Kubo and IPFS Cluster (`tests/rigs`): three peers in a network namespace that has nothing but a loopback."""

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request

from .node import new_base
from .settings import REPO
from .wait import until

RIGS = REPO / "tests/rigs"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def programs():
    """The folder with the real programs, or None where they are not built (`tests/rigs/ipfs-install` builds them)."""
    done = subprocess.run([RIGS / "ipfs-install", "--if-built"], capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr
    return done.stdout.strip() or None


@contextlib.contextmanager
def namespace(name):
    """This thread, and whatever it starts, is in a network namespace of its own. Needs root."""
    subprocess.run([RIGS / "ipfs-stack", "enter", "true"], env={**os.environ, "NETNS": name}, check=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{name}") as away:
        enter(away.fileno())
        try:
            yield
        finally:
            enter(home.fileno())
            subprocess.run(["ip", "netns", "delete", name], check=True)


def enter(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Stack:
    """Some peers, each a Kubo and an IPFS Cluster service."""

    def __init__(self, binaries, peers=3, ports=15000):
        self.base = new_base("stack")
        self.peers, self.ports = peers, ports
        #: Where the Kubos ask for blocks that they do not have: a node's provider, once a test starts one there.
        self.router = ports + 9
        self.env = {**os.environ, "PORT_BASE": str(ports), "ROUTER": f"http://127.0.0.1:{self.router}"}
        self.env |= {"KUBO_BIN": f"{binaries}/ipfs", "CLUSTER_BIN": f"{binaries}/ipfs-cluster-service"}

    def run(self, *args):
        done = subprocess.run(
            [RIGS / "ipfs-stack", *map(str, args)], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, f"ipfs-stack {args}: {done.stdout}{done.stderr}"

    def __enter__(self):
        try:
            self.run("up", self.base, self.peers)
            for peer in range(self.peers):
                self.until_known(peer)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.run("down", self.base)
        shutil.rmtree(self.base, ignore_errors=True)

    def until_known(self, peer):
        """Waits until a peer has heard of all: before that it thinks that a pin is whole when it holds it alone."""
        def pings():
            heard = json.loads(ask("GET", f"{self.cluster(peer)}/monitor/metrics/ping")) or []
            return sum(ping["valid"] for ping in heard) == self.peers
        until(pings, f"peer {peer} has heard of all")

    def kill(self, peer):
        """kill -9, its Kubo and its cluster service."""
        self.run("kill", self.base, peer)

    def start(self, peer):
        self.run("start", self.base, peer)

    def kubo(self, peer):
        return f"http://127.0.0.1:{self.ports + 10 * peer + 1}"

    def cluster(self, peer):
        return f"http://127.0.0.1:{self.ports + 10 * peer + 4}"

    def kubos(self):
        return ",".join(self.kubo(peer) for peer in range(self.peers))

    def clusters(self):
        return ",".join(self.cluster(peer) for peer in range(self.peers))

    def pins(self, peer=0):
        """The cluster's set as a peer sees it: CID to pin."""
        lines = ask("GET", f"{self.cluster(peer)}/allocations?filter=pin").splitlines()
        return {pin["cid"]: pin for pin in map(json.loads, lines)}

    def statuses(self, cid, peer=0):
        """Of each peer, by name, how far a pin is there."""
        info = json.loads(ask("GET", f"{self.cluster(peer)}/pins/{cid}"))
        return {view["peername"]: view["status"] for view in info["peer_map"].values()}

    def until_pinned(self, cid, peers=None):
        """Waits until these peers (all) say that they hold it, and proves that the first of them has the bytes."""
        wanted = [f"peer{n}" for n in (range(self.peers) if peers is None else peers)]
        asked = int(wanted[0][4:])
        until(lambda: all(self.statuses(cid, asked).get(name) == "pinned" for name in wanted),
              lambda: f"{cid} is pinned at {wanted}: {self.statuses(cid, asked)}")

    def until_set(self, cids, peer=0):
        """Waits until the cluster's set is exactly this."""
        until(lambda: set(self.pins(peer)) == set(cids), lambda: f"{set(self.pins(peer))} becomes {set(cids)}")

    def cat(self, cid, peer):
        """The bytes of a file as a peer's Kubo has them, without asking others."""
        return ask("POST", f"{self.kubo(peer)}/api/v0/cat?arg={cid}&offline=true", raw=True)


def ask(method, url, raw=False):
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        body = answer.read()
    return body if raw else body.decode()
