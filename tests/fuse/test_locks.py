"""Advisory locks between processes, and programs that rely on them."""

import errno
import fcntl
import os
import sqlite3
import struct
import threading

from harness.syscalls import as_user, opened, write_file

F_OFD_SETLK = 37


def other_process(call):
    """None, or the errno that the call gets in another process."""
    def work():
        try:
            call()
        except OSError as error:
            return error.errno
        return None

    return as_user(os.getuid(), os.getgid(), work)


def try_flock(path, kind):
    with opened(path, os.O_RDWR) as fd:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)


def try_lockf(path, start, length):
    with opened(path, os.O_RDWR) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)


def test_flock(fs):
    write_file(fs / "f", b"")
    with opened(fs / "f", os.O_RDWR) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert other_process(lambda: try_flock(fs / "f", fcntl.LOCK_SH)) == errno.EWOULDBLOCK
        fcntl.flock(fd, fcntl.LOCK_SH)
        assert other_process(lambda: try_flock(fs / "f", fcntl.LOCK_SH)) is None
        assert other_process(lambda: try_flock(fs / "f", fcntl.LOCK_EX)) == errno.EWOULDBLOCK
    assert other_process(lambda: try_flock(fs / "f", fcntl.LOCK_EX)) is None


def test_byte_ranges(fs):
    write_file(fs / "f", b"0123456789")
    with opened(fs / "f", os.O_RDWR) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX, 5, 0)
        assert other_process(lambda: try_lockf(fs / "f", 3, 2)) in (errno.EACCES, errno.EAGAIN)
        assert other_process(lambda: try_lockf(fs / "f", 5, 5)) is None
        fcntl.lockf(fd, fcntl.LOCK_UN, 5, 0)
        assert other_process(lambda: try_lockf(fs / "f", 0, 10)) is None


def test_open_file_description_locks(fs):
    write_file(fs / "f", b"")
    lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with opened(fs / "f", os.O_RDWR) as one, opened(fs / "f", os.O_RDWR) as two:
        fcntl.fcntl(one, F_OFD_SETLK, lock)
        try:
            fcntl.fcntl(two, F_OFD_SETLK, lock)
            raise AssertionError("two descriptions hold one lock")
        except OSError as error:
            assert error.errno in (errno.EAGAIN, errno.EACCES)


def test_sqlite_with_many_writers(fs):
    """A database in rollback and in WAL mode (a mapped index): no transaction lost, integrity whole."""
    for mode in ("DELETE", "WAL"):
        path = fs / f"{mode}.db"
        with sqlite3.connect(path) as db:
            assert db.execute(f"PRAGMA journal_mode={mode}").fetchone()[0].upper() == mode
            db.execute("CREATE TABLE t (who INTEGER, turn INTEGER)")
        problems = []

        def work(i, path=path, problems=problems):
            try:
                db = sqlite3.connect(path, timeout=120)
                db.execute("PRAGMA synchronous=NORMAL")
                for turn in range(25):
                    with db:
                        db.execute("INSERT INTO t VALUES (?, ?)", (i, turn))
                db.close()
            except Exception as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, mode
        with sqlite3.connect(path) as db:
            assert db.execute("SELECT count(*) FROM t").fetchone() == (100,)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
