"""SQLite: several processes write one database, in each journal mode; kill -9 of the writers and of the daemon between."""

import hashlib
import sqlite3
import sys
import time

import pytest

from harness.programs import environment, finish, many

#: Moves money between accounts and writes each transfer down; says what is committed only after it is.
WRITER = """
import hashlib, os, random, sqlite3, sys
path, journal, writer, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = random.Random(writer)
base = sqlite3.connect(path, timeout=300, isolation_level=None)
assert base.execute(f"pragma journal_mode={journal}").fetchone()[0] == journal.lower()
# EXTRA: the directory is synced after the journal was unlinked, which is what commits in DELETE mode.
base.execute("pragma synchronous=extra")
for number in range(count):
    base.execute("begin immediate")
    one, two, money = rng.randrange(100), rng.randrange(100), rng.randrange(50)
    base.execute("update account set money = money - ? where id = ?", (money, one))
    base.execute("update account set money = money + ? where id = ?", (money, two))
    note = rng.randbytes(rng.choice([10, 500, 9000]))
    base.execute("insert into done values (?, ?, ?, ?)", (writer, number, note, hashlib.sha256(note).digest()))
    base.execute("commit")
    print(number, flush=True)
"""

JOURNALS = ["delete", "truncate", "persist", "wal"]


@pytest.fixture
def database(fs, local):
    """A new database: its path, and a command line for a writer."""
    path = fs / "base.db"
    base = sqlite3.connect(path)
    base.execute("create table account (id integer primary key, money integer)")
    base.execute("create table done (writer, number, note blob, sum blob, primary key (writer, number))")
    base.executemany("insert into account values (?, 1000)", [(n,) for n in range(100)])
    base.commit()
    base.close()
    return path, lambda journal, writer, count: [sys.executable, "-c", WRITER, path, journal, writer, count]


def judge(path):
    """The database is whole, no money is lost and no note is hurt; hands back the transfers that are there."""
    base = sqlite3.connect(path, timeout=300)
    try:
        assert base.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert base.execute("select sum(money) from account").fetchone() == (100_000,)
        found = base.execute("select writer, number, note, sum from done").fetchall()
        assert all(hashlib.sha256(note).digest() == digest for _, _, note, digest in found)
        return {(writer, number) for writer, number, _, _ in found}
    finally:
        base.close()


@pytest.mark.smoke
@pytest.mark.parametrize("journal", JOURNALS)
def test_many_writers(database, local, journal):
    path, writer = database
    with many([writer(journal, w, 25) for w in range(4)], local, env=environment(local)) as running:
        finish(running)
    assert judge(path) == {(w, n) for w in range(4) for n in range(25)}


def acknowledged(running):
    """What writers that are gone had been told is committed."""
    said = set()
    for writer, process in running:
        lines = process.stdout.read().split("\n")
        # The last piece may be cut in the middle of a number, or be a traceback of a daemon that went away.
        said |= {(writer, int(line)) for line in lines[:-1] if line.isdigit()}
    return said


def under_load(database, local, journal, first, kill):
    """Writers run until some transfers are in; then `kill(their processes)`; hands back what they were told."""
    path, writer = database
    with many([writer(journal, first + w, 100_000) for w in range(3)], local, env=environment(local)) as running:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            base = sqlite3.connect(path, timeout=300)
            there = base.execute("select count(*) from done where writer >= ?", (first,)).fetchone()[0]
            base.close()
            if there >= 15:
                break
            assert all(p.poll() is None for p in running), [p.stdout.read() for p in running if p.poll() is not None]
            time.sleep(0.05)
        kill(running)
        for process in running:
            process.kill()
            process.wait(120)
        return acknowledged(zip(range(first, first + 3), running, strict=True))


@pytest.mark.parametrize("journal", JOURNALS)
def test_killed_writers(database, local, journal):
    path, _ = database
    told = set()
    for turn in range(3):
        told |= under_load(database, local, journal, 10 * turn, lambda running: [p.kill() for p in running])
        assert told and told <= judge(path)


@pytest.mark.parametrize("journal", JOURNALS)
def test_killed_daemon(place, database, local, journal):
    """kill -9 of the daemon under load, a new start: the database is whole and has all that was committed."""
    if place.node is None:
        pytest.skip("needs a daemon to kill")
    path, _ = database
    told = set()
    for turn in range(2):
        told |= under_load(database, local, journal, 10 * turn, lambda _: place.node.kill())
        place.node.start()
        assert told and told <= judge(path)


def test_one_program_uses_it_all(fs, local):
    """Memory-mapped reads, VACUUM, VACUUM INTO, backup, attached databases: the same content everywhere."""
    paths = {where: where / "a.db" for where in (fs, local)}
    dumps = []
    for where, path in paths.items():
        base = sqlite3.connect(path, isolation_level=None)
        base.execute("pragma page_size=8192")
        base.execute("pragma journal_mode=wal")
        base.execute("pragma mmap_size=67108864")
        base.execute("create table t (a integer primary key, b text)")
        base.execute("create index i on t (b)")
        base.execute("begin")
        base.executemany("insert into t values (?, ?)", [(n, f"{n * 7919 % 10007:05} " * 20) for n in range(5000)])
        base.execute("commit")
        base.execute("delete from t where a % 3 = 0")
        base.execute("vacuum")
        base.execute("vacuum into ?", (str(where / "b.db"),))
        with sqlite3.connect(where / "c.db") as copy:
            base.backup(copy)
        base.execute("attach ? as other", (str(where / "b.db"),))
        base.execute("begin")
        base.execute("insert into other.t select a + 100000, b from main.t")
        base.execute("update main.t set b = b || '!' where a < 100")
        base.execute("commit")
        for name in ("main", "other"):
            assert base.execute(f"pragma {name}.integrity_check").fetchall() == [("ok",)]
        base.execute("detach other")
        base.execute("pragma wal_checkpoint(truncate)")
        base.close()
        for name in ("a.db", "b.db", "c.db"):
            again = sqlite3.connect(where / name)
            dumps.append((name, hash("\n".join(again.iterdump()))))
            again.close()
    assert dumps[:3] == dumps[3:]
