"""A real Kubo, whose only way to find blocks is the delegated routing of nodes that a test names."""

import http.client
import json
import os
import shutil
import subprocess
import urllib.parse
from pathlib import Path

from .node import free_port, new_base
from .wait import until

#: Where the rig's programs are kept, and the version that the tests are written for.
VERSION = "0.43.0"
CACHE = Path(os.environ.get("PINFOLD_RIGS") or Path.home() / ".cache/pinfold-rigs/bin")


def program():
    """Path of the Kubo that the tests drive; none if there is none."""
    named = os.environ.get("KUBO_BIN")
    for path in [named] if named else [CACHE / f"ipfs-v{VERSION}", CACHE / "ipfs", shutil.which("ipfs")]:
        if path and os.access(path, os.X_OK):
            return str(path)
    return None


def is_alone():
    """Whether there is no way out of this network namespace: no route but the loopback's."""
    with open("/proc/net/route", encoding="ascii") as routes:
        return len(routes.readlines()) <= 1


class Kubo:
    """One daemon with an empty repository. `routers` are base URLs of delegated routing."""

    def __init__(self, name, routers, *, settings=()):
        self.base = new_base(f"kubo-{name}")
        self.repo = self.base / "repo"
        self.log = self.base / "kubo.log"
        self.rpc_port, self.gateway_port, self.swarm_port = free_port(), free_port(), free_port()
        self.routers = list(routers)
        self.settings = dict(settings)
        self.process = None

    def _environment(self):
        return {**os.environ, "IPFS_PATH": str(self.repo), "IPFS_TELEMETRY": "off", "HOME": str(self.base)}

    def _run(self, *args):
        done = subprocess.run([program(), *args], env=self._environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"ipfs {args}: {done.stderr}"

    def _configure(self):
        """An empty repository that knows nobody."""
        self._run("init", "--empty-repo")
        path = self.repo / "config"
        config = json.loads(path.read_text())
        calls = ("find-providers", "find-peers", "get-ipns", "put-ipns", "provide")
        methods = {name: {"RouterName": "parallel"} for name in calls}
        routers = {f"r{i}": {"Type": "http", "Parameters": {"Endpoint": url}} for i, url in enumerate(self.routers)}
        members = [{"RouterName": name, "IgnoreErrors": True, "Timeout": "30s"} for name in routers]
        routers["parallel"] = {"Type": "parallel", "Parameters": {"Routers": members, "Timeout": "60s"}}
        config["Routing"] = {"Type": "custom", "Methods": methods, "Routers": routers, "DelegatedRouters": []}
        config["Bootstrap"] = []
        config["Addresses"]["API"] = f"/ip4/127.0.0.1/tcp/{self.rpc_port}"
        config["Addresses"]["Gateway"] = f"/ip4/127.0.0.1/tcp/{self.gateway_port}"
        config["Addresses"]["Swarm"] = [f"/ip4/127.0.0.1/tcp/{self.swarm_port}"]
        config["AutoConf"] = {"Enabled": False}
        config["AutoTLS"] = {"Enabled": False}
        config["DNS"] = {"Resolvers": {}}
        config["Ipns"] = {"DelegatedPublishers": []}
        config["Discovery"]["MDNS"]["Enabled"] = False
        config["Swarm"]["DisableNatPortMap"] = True
        config["Provide"] = {"Enabled": False}
        for name, value in self.settings.items():
            config[name] = value
        path.write_text(json.dumps(config))

    def start(self):
        """Starts and waits until its RPC answers."""
        if not self.repo.exists():
            self._configure()
        with self.log.open("ab") as log:
            line = [program(), "daemon", "--migrate=false"]
            self.process = subprocess.Popen(
                line, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._answers, lambda: f"Kubo answers\n{self.log_tail()}", 120)
        return self

    def _answers(self):
        assert self.process.poll() is None, f"Kubo ended:\n{self.log_tail()}"
        try:
            self.call("id")
        except OSError:
            return False
        return True

    def call(self, what, *, timeout=120, body=None, headers=None, **query):
        """POSTs to the RPC: the answer's bytes. RuntimeError with Kubo's own message."""
        pairs = [(k.replace("_", "-"), v) for k, v in query.items() if v is not None]
        connection = http.client.HTTPConnection("127.0.0.1", self.rpc_port, timeout=timeout)
        try:
            path = f"/api/v0/{what}?{urllib.parse.urlencode(pairs, doseq=True)}"
            connection.request("POST", path, body=body, headers=headers or {})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{what}: {answer.status} {data.decode(errors='replace')}")
        return data

    def pin(self, cid, timeout=180):
        """Pins recursively: all blocks are pulled. TimeoutError if they do not come."""
        answer = json.loads(self.call("pin/add", arg=cid, recursive="true", progress="false", timeout=timeout))
        assert answer["Pins"] == [cid], answer

    def cat(self, path):
        """The bytes of a file, from this Kubo's own blocks."""
        return self.call("cat", arg=path, offline="true")

    def listed(self, path):
        """Names and CIDs in a directory."""
        links = json.loads(self.call("ls", arg=path, offline="true"))["Objects"][0]["Links"]
        return {link["Name"]: link["Hash"] for link in links}

    def log_tail(self, lines=30):
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def close(self, keep=False):
        """Ends it and removes its folder."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        if not keep:
            shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close(keep=True)
            raise

    def __exit__(self, kind, *_):
        self.close(keep=kind is not None)
