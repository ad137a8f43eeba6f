"""Reading directories: complete, in one piece while they change, large."""

import os
import stat
import threading

import pytest

from harness.syscalls import names, opened, write_file


def test_kinds_of_entries(fs):
    write_file(fs / "file", b"")
    os.mkdir(fs / "dir")
    os.symlink("x", fs / "link")
    os.mkfifo(fs / "fifo")
    kinds = {}
    for entry in os.scandir(fs):
        kinds[entry.name] = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
        assert entry.is_dir(follow_symlinks=False) == (entry.name == "dir")
        assert entry.is_symlink() == (entry.name == "link")
        assert entry.inode() == os.lstat(fs / entry.name).st_ino
    assert kinds == {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK, "fifo": stat.S_IFIFO}


@pytest.mark.parametrize("count", [0, 1, 100, 3000])
def test_all_entries_once(fs, count):
    expected = sorted(f"entry {i:05} {'n' * (i % 120)}" for i in range(count))
    for name in expected:
        write_file(fs / name, b"")
    listed = os.listdir(fs)
    assert len(listed) == count
    assert sorted(listed) == expected
    assert {e.name: e.stat().st_size for e in os.scandir(fs)} == dict.fromkeys(expected, 0)


def test_removing_while_reading(fs):
    """rm -r: every entry that was there comes once, though its neighbours go."""
    for i in range(2000):
        write_file(fs / f"{i:04}", b"")
    seen = []
    with os.scandir(fs) as entries:
        for entry in entries:
            seen.append(entry.name)
            os.unlink(entry.path)
    assert sorted(seen) == [f"{i:04}" for i in range(2000)]
    assert names(fs) == []


def test_what_stays_is_seen_whatever_changes(fs):
    """While entries come and go, every reading shows each of the entries that stay, once."""
    stay = {f"stay {i:03}" for i in range(200)}
    for name in stay:
        write_file(fs / name, b"")
    stop = threading.Event()

    def churn(tag):
        turn = 0
        while not stop.is_set():
            name = fs / f"{tag} {turn % 50:02}"
            write_file(name, b"")
            os.rename(name, fs / f"{tag} moved {turn % 50:02}")
            if turn >= 25:
                os.unlink(fs / f"{tag} moved {(turn - 25) % 50:02}")
            turn += 1

    threads = [threading.Thread(target=churn, args=(tag,)) for tag in ("aaa", "stay 05", "zzz")]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            listed = os.listdir(fs)
            found = [name for name in listed if name in stay]
            assert len(found) == len(stay) == len(set(found))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_reading_again_from_the_start(fs):
    write_file(fs / "a", b"")
    with opened(fs, os.O_RDONLY | os.O_DIRECTORY) as fd:
        assert os.listdir(fd) == ["a"]
        write_file(fs / "b", b"")
        os.unlink(fs / "a")
        assert os.listdir(fd) == ["b"]


def test_two_readers(fs):
    for i in range(500):
        write_file(fs / f"{i:03}", b"")
    with os.scandir(fs) as one, os.scandir(fs) as two:
        pairs = list(zip(one, two, strict=True))
    assert [a.name for a, _ in pairs] == [b.name for _, b in pairs]
    assert len(pairs) == 500


def test_deep_trees(fs):
    path = fs
    for i in range(60):
        path = path / f"d{i}"
        os.mkdir(path)
        write_file(path / "f", b"%d" % i)
    assert sum(len(files) for _, _, files in os.walk(fs)) == 60
    for folder, _, files in os.walk(fs, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        if folder != str(fs):
            os.rmdir(folder)
    assert names(fs) == []


def test_many_threads_in_one_directory(fs):
    """Creates, renames and unlinks by eight threads: what is left is what each left."""
    def work(i):
        for turn in range(60):
            write_file(fs / f"{i}-{turn}", b"x")
            if turn % 3 == 0:
                os.rename(fs / f"{i}-{turn}", fs / f"{i}-{turn}-moved")
            if turn % 3 == 1:
                os.unlink(fs / f"{i}-{turn}")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"{i}-{t}" + ("-moved" if t % 3 == 0 else "") for i in range(8) for t in range(60) if t % 3 != 1}
    assert {n.decode() for n in names(fs)} == expected


def test_exclusive_creation_has_one_winner(fs):
    for turn in range(20):
        wins, start = [], threading.Barrier(6)

        def create(i, turn=turn, wins=wins, start=start):
            start.wait()
            try:
                os.close(os.open(fs / f"lock{turn}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                wins.append(i)
            except FileExistsError:
                pass

        threads = [threading.Thread(target=create, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 1
