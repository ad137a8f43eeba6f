"""PostgreSQL with its data on the mount: load, kill -9 of the server and of the daemon, recovery, its checks of all pages."""

import glob
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.programs import environment, finish, many, need, run, spawn, user_beside_root
from harness.wait import until

#: pgbench's own invariant: what the accounts, tellers, branches and the history say is one sum.
SUMS = (
    "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers),"
    " (select sum(bbalance) from pgbench_branches), (select coalesce(sum(delta), 0) from pgbench_history)"
)


def _status(pid):
    """State and parent of a process; `X` for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[:2]
    except OSError:
        return ["X", ""]


class Server:
    """A database cluster in `data`, reached by a socket in `local`."""

    def __init__(self, data, local):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        if not found:
            pytest.skip("needs PostgreSQL's server programs")
        self.bin, self.data, self.local = Path(found[-1]).parent, data, local
        self.user, group = user_beside_root("postgres", "nobody")
        self.env = environment(local, PGHOST=local, PGUSER="me", PGDATABASE="postgres", PGPORT="5432", PGOPTIONS="")
        data.mkdir()
        run(["chown", f"{self.user}:{group}", data, local], "/")
        self.call(["initdb", "-D", data, "-U", "me", "-A", "trust", "-k", "-E", "UTF8", "--locale=C"])
        with (data / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses = ''\nunix_socket_directories = '{local}'\nshared_buffers = 16MB\nmax_connections = 20\n"
                "wal_level = replica\nmax_wal_size = 64MB\nmin_wal_size = 32MB\ncheckpoint_timeout = 30s\nfsync = on\n"
                "full_page_writes = on\nsynchronous_commit = on\n"
            )
        self.postmaster = None

    def call(self, line, fine=(0,)):
        return run([self.bin / line[0], *line[1:]], self.local, env=self.env, user=self.user, fine=fine)

    def sql(self, text, *options):
        return self.call(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *options, "-c", text]).strip()

    def start(self):
        """Starts the server itself (not by pg_ctl, so that it is ours to kill) and waits until it serves."""
        with (self.local / "server.log").open("ab") as log:
            self.postmaster = spawn(
                [self.bin / "postgres", "-D", self.data], self.local, env=self.env, user=self.user, stdout=log, stderr=log
            )

        def ready():
            assert self.postmaster.poll() is None, (self.local / "server.log").read_text()[-4000:]
            return "accepting" in self.call(["pg_isready", "-t", "5"], fine=(0, 1, 2)).replace("rejecting", "")

        until(ready, lambda: (self.local / "server.log").read_text()[-4000:], 300)

    def stop(self):
        self.postmaster.send_signal(signal.SIGINT)
        assert self.postmaster.wait(300) == 0, (self.local / "server.log").read_text()[-4000:]

    def kill(self):
        """kill -9 of the server and of each of its processes (each has a process group of its own)."""
        pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _status(pid)[1] == str(self.postmaster.pid)]
        for pid in [self.postmaster.pid, *pids]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.postmaster.wait(60)
        # Whoever is left holds the shared memory of the old server, with which no new one starts.
        until(lambda: all(_status(pid)[0] in "ZX" for pid in pids), "its processes end", 60)

    def judge(self):
        """All pages and indexes are as they should be, and no money is lost. The server is stopped afterwards."""
        self.call(["pg_amcheck", "--all", "--install-missing", "--heapallindexed", "--parent-check", "--rootdescend"])
        sums = self.sql(SUMS).split("|")
        assert len(set(sums)) == 1, sums
        self.stop()
        self.call(["pg_checksums", "--check", "-D", self.data])


@pytest.fixture
def server(fs, local):
    need("psql")
    server = Server(fs / "pgdata", local)
    server.start()
    server.call(["pgbench", "-i", "-q", "-s", "1"])
    server.sql("create table told (writer int, number int)")
    yield server
    if server.postmaster.poll() is None:
        server.kill()


def load(server, script, transactions):
    """Command lines: pgbench with four clients, and two that write down what they were told is committed."""
    teller = (
        f"for n in $(seq {transactions}); do {server.bin}/psql -Xq -c \"insert into told values ($W, $n)\" 2>&1"
        f" && echo $n >> {server.local}/{script}-$W || exit 0; done"
    )
    bench = [server.bin / "pgbench", "-n", "-c", "4", "-j", "2", "-t", str(transactions)]
    return [bench, f"W=1; {teller}", f"W=2; {teller}"]


def told(server, script):
    """What was acknowledged in that round, as lines of `writer|number`."""
    lines = set()
    for writer in (1, 2):
        path = server.local / f"{script}-{writer}"
        lines |= {f"{writer}|{n}" for n in path.read_text().split()} if path.exists() else set()
    return lines


def busy(server, script, kill):
    """Load until some of it is acknowledged, then `kill()`."""
    server.sql("delete from told")
    with many(load(server, script, 100_000), server.local, env=server.env, user=server.user):
        until(lambda: len(told(server, script)) >= 10, "ten commits", 300)
        time.sleep(1)
        kill()


def test_load(server):
    """pgbench to its end, then a dump that reads back as the same."""
    with many(load(server, "all", 60), server.local, env=server.env, user=server.user) as running:
        said = finish(running)[0]
    assert re.search(r"transactions actually processed: 240/240", said), said
    assert int(server.sql("select count(*) from told")) == 120
    server.sql("vacuum full")
    server.sql("create database second")
    dump = server.call(["pg_dump", "--no-owner", "postgres"])
    (server.local / "dump.sql").write_text(dump)
    server.call(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", "second", "-f", server.local / "dump.sql"])
    again = server.call(["pg_dump", "--no-owner", "second"])
    def plain(text):
        # Newer versions print a random word in \restrict.
        return [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]

    assert plain(again) == plain(dump)
    server.judge()


def test_killed_server(server):
    """kill -9 of the whole server under load: it recovers, and has all that it acknowledged."""
    for turn in range(2):
        busy(server, f"server{turn}", server.kill)
        server.start()
        assert told(server, f"server{turn}") <= set(server.sql("select writer || '|' || number from told").split())
    server.judge()


def test_killed_daemon(place, server):
    """kill -9 of the daemon under load: after its new start the server recovers, and has all that it acknowledged."""
    if place.node is None:
        pytest.skip("needs a daemon to kill")
    busy(server, "daemon", place.node.kill)
    server.kill()
    place.node.start()
    server.start()
    assert told(server, "daemon") <= set(server.sql("select writer || '|' || number from told").split())
    server.judge()
