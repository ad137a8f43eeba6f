"""tar, rsync, cp and mv: a tree with all that a file system has comes through whole, from the local disk and back."""

import os
import random

import pytest

from harness.programs import assert_same, environment, fingerprint, make_tree, need, run


@pytest.fixture
def tree(local):
    """The same tree each time, on the local disk, and its fingerprint."""
    root = make_tree(local / "tree", random.Random(7))
    return root, fingerprint(root)


@pytest.fixture
def call(fs, local):
    return lambda line, cwd=fs, fine=(0,): run(line, cwd, env=environment(local), fine=fine)


@pytest.mark.smoke
def test_tar(call, tree, fs, local):
    root, seen = tree
    (fs / "out").mkdir()
    call(f"tar -C {root} --xattrs -cpf - . | tar -C out --xattrs --xattrs-include='*' -xpf -")
    assert_same(seen, fingerprint(fs / "out"))
    call("tar -C out --xattrs -cpf kept.tar .; mkdir again; tar -C again --xattrs --xattrs-include='*' -xpf kept.tar")
    assert_same(seen, fingerprint(fs / "again"))
    call("tar -C again --compare -f kept.tar")
    (local / "back").mkdir()
    call(f"tar -C out --sparse --xattrs -czpf {local}/back.tgz .")
    call(f"tar -C {local}/back --xattrs --xattrs-include='*' -xzpf {local}/back.tgz")
    assert_same(seen, fingerprint(local / "back"))
    call(f"diff -r --no-dereference {root} out > said || true; refuses grep -v 'is a fifo' said")


def test_rsync(call, tree, fs, local):
    need("rsync")
    root, seen = tree
    copy = "rsync -aHAX --checksum --delete --itemize-changes"
    assert call(f"{copy} {root}/ out/")
    assert_same(seen, fingerprint(fs / "out"))
    assert call(f"{copy} {root}/ out/") == ""
    assert call(f"rsync -aHAX --delete --itemize-changes {root}/ out/") == "", "by size and time"
    call(f"{copy} out/ {local}/back/")
    assert_same(seen, fingerprint(local / "back"))
    assert call(f"{copy} {local}/back/ out/") == ""
    # Changes arrive, in place and by rename, and what is gone is gone.
    big = root / "sparse"
    with big.open("r+b") as file:
        file.seek(2_000_000)
        file.write(b"changed")
    os.unlink(root / "dangling")
    for how in ("--inplace --no-whole-file", "--sparse", "--partial --delay-updates", "--append-verify"):
        call(f"{copy} {how} {root}/ out/")
        assert_same(fingerprint(root), fingerprint(fs / "out"))
        with big.open("ab") as file:
            file.write(b"more" * 5000)
    call(f"{copy} --link-dest=$PWD/out {root}/ linked/")
    for path, twin in ((path, fs / "linked" / path.relative_to(root)) for path in root.rglob("*")):
        assert path.is_symlink() or not path.is_file() or path.read_bytes() == twin.read_bytes()
    inodes = {p.lstat().st_ino for p in (fs / "out").rglob("*") if not p.is_dir()}
    assert {p.lstat().st_ino for p in (fs / "linked").rglob("*") if not p.is_dir()} & inodes, "what is unchanged is linked"
    assert call(f"{copy} --dry-run {root}/ linked/") == ""


@pytest.mark.smoke
def test_cp(call, tree, fs, place):
    root, seen = tree
    call(f"cp -a --reflink=auto {root} one; cp -a --reflink=auto one two; cp -a two {place.other}/three")
    for where in (fs / "one", fs / "two", place.other / "three"):
        assert_same(seen, fingerprint(where))
    call("cp --sparse=always one/sparse holes; cp --sparse=never one/sparse full; cmp holes full; cmp holes one/sparse")
    # Without reflinks the program is told so, and leaves nothing wrong behind.
    call("cp --reflink=always one/sparse wanted || [ ! -s wanted ]; if [ -s wanted ]; then cmp wanted one/sparse; fi")
    call("cp -al two links; cp -as $PWD/two soft; cp -u -a one/. two/")
    call("cp --backup=numbered -f one/sparse holes; test -e holes.~1~")
    call(f"rm -r {place.other}/three")


def test_acl(call, fs):
    """POSIX ACLs, where the mount has them: what was set is there after a copy; else the program is told."""
    need("setfacl", "getfacl")
    call("mkdir d; touch d/f")
    said = call("setfacl -m u:nobody:rw,g:daemon:r d/f 2>&1 && setfacl -d -m u:nobody:rwx d 2>&1", fine=(0, 1))
    if "not supported" in said:
        pytest.skip("needs POSIX ACLs, which this mount does not have")
    call("cp -a d e; tar --acls -cf t.tar d; mkdir x; tar --acls -C x -xf t.tar")
    acls = [call(f"cd {where}; getfacl -R . | sort") for where in ("d", "e", "x/d")]
    assert "user:nobody:rw" in acls[0] and acls[0] == acls[1] == acls[2]


def test_mv(call, tree, fs, place, local):
    """Directories move within a bucket, to another, and to and from another file system; each time all is there."""
    root, seen = tree
    call(f"cp -a {root} a; mkdir -p deep/er; mv a deep/er/b; mv deep shallow; mv shallow/er/b c")
    assert_same(seen, fingerprint(fs / "c"))
    inode = os.stat(fs / "c").st_ino
    call("mv c d; mv d c")
    assert os.stat(fs / "c").st_ino == inode, "a rename"
    call(f"mv c {place.other}/c")
    assert not (fs / "c").exists()
    assert_same(seen, fingerprint(place.other / "c"))
    call(f"mv {place.other}/c {local}/c")
    assert not (place.other / "c").exists()
    assert_same(seen, fingerprint(local / "c"))
    call(f"mv {local}/c back; test ! -e {local}/c")
    assert_same(seen, fingerprint(fs / "back"))
    call("mkdir -p full/x; touch full/x/y; mkdir new; refuses mv -T new full; mkdir empty; mv -T full empty; test -e empty/x/y")
    call("refuses mv empty empty/x/below; test -e empty/x/y")
    call("mv -n empty/x/y back; mv -T empty/x back/x; test -e back/y -a ! -e back/x/y")
