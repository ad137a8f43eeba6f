"""Directories at both doors: S1, S3, S4, S5, and names around the slash."""

import errno
import os
import threading

from harness import s3 as s3c
from harness.syscalls import RENAME_EXCHANGE, fails, names, opened, read_file, rename2, write_file

AROUND = ["a", "a-", "a-b", "a.", "a.b", "a0", "aa", "b"]


def put(both, key, data=b"x"):
    both.s3.put_object(Bucket=both.bucket, Key=key, Body=data)


def keys(both, **how):
    return s3c.keys(both.s3, both.bucket, **how)


def test_s1_paths_are_keys(both):
    put(both, "a/b/c.txt", b"one")
    assert read_file(both.dir / "a" / "b" / "c.txt") == b"one"
    os.makedirs(both.dir / "x" / "y")
    write_file(both.dir / "x" / "y" / "z.txt", b"two")
    assert s3c.body(both.s3, both.bucket, "x/y/z.txt") == b"two"


def test_s3_an_implicit_directory_goes_with_its_last_key(both):
    put(both, "i/j/k")
    assert os.path.isdir(both.dir / "i" / "j")
    both.s3.delete_object(Bucket=both.bucket, Key="i/j/k")
    assert names(both.dir) == [] and keys(both) == []


def test_s3_one_of_many_keys(both):
    put(both, "i/a")
    put(both, "i/j/k")
    both.s3.delete_object(Bucket=both.bucket, Key="i/j/k")
    assert names(both.dir / "i") == [b"a"]


def test_s3_the_mount_never_removes_a_parent(both):
    """Unlinking the last entry makes the parent explicit first."""
    put(both, "i/j/k")
    os.unlink(both.dir / "i" / "j" / "k")
    assert os.path.isdir(both.dir / "i" / "j")
    assert keys(both) == ["i/j/"]
    os.rmdir(both.dir / "i" / "j")
    assert os.path.isdir(both.dir / "i")
    assert keys(both) == ["i/"]


def test_s3_moving_the_last_entry_away_makes_explicit(both):
    put(both, "i/k")
    os.rename(both.dir / "i" / "k", both.dir / "k")
    assert keys(both) == ["i/", "k"]


def test_s3_mkdir_is_explicit(both):
    os.mkdir(both.dir / "d")
    head = both.s3.head_object(Bucket=both.bucket, Key="d/")
    assert head["ContentLength"] == 0 and head["ContentType"] == "application/x-directory"
    assert keys(both) == ["d/"]
    put(both, "d/f")
    both.s3.delete_object(Bucket=both.bucket, Key="d/f")
    assert os.path.isdir(both.dir / "d") and keys(both) == ["d/"]


def test_s3_putting_a_marker_is_mkdir(both):
    put(both, "d/e/", b"")
    assert os.path.isdir(both.dir / "d" / "e") and names(both.dir / "d" / "e") == []
    assert keys(both) == ["d/e/"]
    both.s3.delete_object(Bucket=both.bucket, Key="d/e/")
    assert names(both.dir) == []


def test_s3_deleting_the_marker_of_a_full_directory(both):
    """The directory becomes implicit: it stays for its keys, and goes with the last."""
    put(both, "d/", b"")
    put(both, "d/f")
    both.s3.delete_object(Bucket=both.bucket, Key="d/")
    assert keys(both) == ["d/f"] and os.path.isdir(both.dir / "d")
    both.s3.delete_object(Bucket=both.bucket, Key="d/f")
    assert names(both.dir) == []


def test_ruling24_what_makes_a_directory_explicit(both):
    for i, change in enumerate(
        (lambda p: os.chmod(p, 0o700), lambda p: os.chown(p, 1, 1), lambda p: os.setxattr(p, "user.a", b"1"))
    ):
        put(both, f"i{i}/f")
        change(both.dir / f"i{i}")
        both.s3.delete_object(Bucket=both.bucket, Key=f"i{i}/f")
        assert os.path.isdir(both.dir / f"i{i}"), i
        assert f"i{i}/" in keys(both)


def test_s3_ruling24_an_implicit_directory_that_is_held(both):
    """It leaves the namespace at once; who has it open keeps an unlinked directory, as after rmdir."""
    put(both, "i/k")
    with opened(both.dir / "i", os.O_RDONLY | os.O_DIRECTORY) as held:
        both.s3.delete_object(Bucket=both.bucket, Key="i/k")
        assert names(both.dir) == [] and keys(both) == []
        assert os.listdir(held) == []
        with fails(errno.ENOENT):
            os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=held)
        put(both, "i/again")
        assert os.listdir(both.dir / "i") == ["again"]
        assert os.listdir(held) == [], "the one of that name is another directory"
    assert read_file(both.dir / "i" / "again") == b"x"


def test_s4_names_around_the_slash(both):
    """Listing order and readdir, with files and directories made by either door."""
    for i, name in enumerate(AROUND):
        if i % 2:
            put(both, f"{name}/below")
        else:
            write_file(both.dir / name, b"x")
    put(both, "a/below")
    expected = sorted([n if not i % 2 else f"{n}/below" for i, n in enumerate(AROUND)] + ["a/below"], key=str.encode)
    assert keys(both) == expected
    assert sorted(names(both.dir)) == sorted([n.encode() for n in AROUND] + [b"%@object:a"])
    objects, prefixes = s3c.list_all(both.s3, both.bucket, Delimiter="/")
    assert [o["Key"] for o in objects] == [k for k in expected if "/" not in k]
    assert prefixes == sorted({k.split("/")[0] + "/" for k in expected if "/" in k}, key=str.encode)
    for start in expected:
        assert keys(both, StartAfter=start) == [k for k in expected if k.encode() > start.encode()]


def test_s5_renaming_a_directory_moves_all_keys_at_once(both):
    for i in range(300):
        put(both, f"old/{i % 7}/{i}", b"%d" % i)
    os.rename(both.dir / "old", both.dir / "new")
    listed = keys(both)
    assert len(listed) == 300 and all(k.startswith("new/") for k in listed)
    assert s3c.body(both.s3, both.bucket, "new/3/101") == b"101"
    assert s3c.absent(both.s3, both.bucket, "old/3/101")
    os.rename(both.dir / "new", both.dir / "old")
    assert s3c.body(both.s3, both.bucket, "old/3/101") == b"101"


def test_s5_rename_over_an_empty_directory(both):
    put(both, "a/f", b"1")
    os.mkdir(both.dir / "b")
    os.rename(both.dir / "a", both.dir / "b")
    assert keys(both) == ["b/f"]


def test_s5_rename_is_never_seen_half_done(both):
    """Listings during renames show all keys under one name."""
    for i in range(100):
        put(both, f"d0/{i:03}")
    stop, problems = threading.Event(), []

    def look():
        while not stop.is_set():
            listed = keys(both)
            prefixes = {k.split("/")[0] for k in listed}
            if len(prefixes) != 1 or len(listed) != 100:
                problems.append((prefixes, len(listed)))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(100):
            os.rename(both.dir / f"d{turn}", both.dir / f"d{turn + 1}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems, problems[:3]


def test_exchange_of_a_directory_and_a_file(both):
    put(both, "d/x/y", b"deep")
    put(both, "f", b"file")
    rename2(both.dir / "d", both.dir / "f", RENAME_EXCHANGE)
    assert keys(both) == ["d", "f/x/y"]
    assert s3c.body(both.s3, both.bucket, "d") == b"file"


def test_ruling27_a_directory_with_nothing_visible(both):
    """Only a FIFO below: S3 shows the explicit directory's own key, and no prefix of nothing."""
    os.makedirs(both.dir / "d" / "e")
    os.mkfifo(both.dir / "d" / "e" / "fifo")
    assert keys(both) == ["d/", "d/e/"]
    both.s3.delete_object(Bucket=both.bucket, Key="d/e/")
    both.s3.delete_object(Bucket=both.bucket, Key="d/")
    _, prefixes = s3c.list_all(both.s3, both.bucket, Delimiter="/")
    assert prefixes == [] and keys(both) == []
    assert os.path.exists(both.dir / "d" / "e" / "fifo"), "what S3 does not list, S3 does not remove"
    put(both, "d/e/k")
    put(both, "z")
    page = both.s3.list_objects_v2(Bucket=both.bucket, Delimiter="/", MaxKeys=1)
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["d/"] and page["IsTruncated"]
    both.s3.delete_object(Bucket=both.bucket, Key="d/e/k")
    page = both.s3.list_objects_v2(Bucket=both.bucket, Delimiter="/", MaxKeys=1)
    assert [k["Key"] for k in page["Contents"]] == ["z"] and "CommonPrefixes" not in page and not page["IsTruncated"]


def test_a_put_below_a_file(both):
    """`f` and `f/x` coexist: the directory takes the name on the mount."""
    write_file(both.dir / "f", b"file")
    put(both, "f/x", b"below")
    assert keys(both) == ["f", "f/x"]
    assert read_file(both.dir / "f" / "x") == b"below"
    assert read_file(both.dir / "%@object:f") == b"file"


def test_a_put_below_a_file_that_is_open(both):
    with opened(both.dir / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"open")
        put(both, "f/x", b"below")
        os.write(fd, b" on")
    assert s3c.body(both.s3, both.bucket, "f") == b"open on"
    assert s3c.body(both.s3, both.bucket, "f/x") == b"below"


def test_deleting_a_tree_over_s3_while_it_is_walked(both):
    for i in range(50):
        put(both, f"t/{i % 5}/{i}")
    walker = os.walk(both.dir / "t")
    next(walker)
    for key in keys(both):
        both.s3.delete_object(Bucket=both.bucket, Key=key)
    list(walker)
    assert names(both.dir) == []
