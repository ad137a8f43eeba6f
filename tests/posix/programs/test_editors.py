"""Editors: saving by rename, in place, with backups; what is saved is what both doors see."""

import os
import stat
import sys

import pytest

from harness.programs import environment, need, run

TEXT = "".join(f"line {n}\n" for n in range(3000))


@pytest.fixture
def file(fs):
    path = fs / "text"
    path.write_text(TEXT)
    path.chmod(0o640)
    os.chown(path, 1000, 1000)
    return path


@pytest.fixture
def edited(place, file, local):
    """Runs an editor, which must put `LINE` for the second line, and judges what is there then."""

    want = TEXT.replace("line 1\n", "LINE\n", 1)

    def call(line):
        run(line, file.parent, env=environment(local, TERM="dumb", FILE=file))
        assert file.read_text() == want
        if place.s3 is not None:
            key = str(file.relative_to(place.root))
            assert place.s3.get_object(Bucket="files", Key=key)["Body"].read().decode() == want
        return file.stat()

    return call


@pytest.mark.parametrize("how", ["no", "yes", "auto"])
def test_vim(edited, file, how):
    """By rename (`no`) a new inode; in place (`yes`) the same, and both names of a hard link."""
    need("vim")
    before = file.stat()
    options = f"set backupcopy={how} backup backupext=.bak backupdir=. directory=. fsync nomodeline"
    after = edited(f"vim -u NONE -N -es -c '{options}' -c '2s/.*/LINE/' -c 'wq' \"$FILE\"")
    assert (before.st_ino == after.st_ino) == (how == "yes" or (how == "auto" and before.st_ino == after.st_ino))
    assert stat.S_IMODE(after.st_mode) == 0o640 and (after.st_uid, after.st_gid) == (1000, 1000)
    assert file.with_name("text.bak").read_text() == TEXT
    assert sorted(os.listdir(file.parent)) == ["text", "text.bak"]


def test_vim_keeps_links(edited, file):
    need("vim")
    os.link(file, file.with_name("other"))
    file.with_name("soft").symlink_to("text")
    edited("vim -u NONE -N -es -c 'set backupcopy=auto' -c '2s/.*/LINE/' -c wq soft")
    assert file.with_name("soft").is_symlink()
    assert file.with_name("other").stat().st_ino == file.stat().st_ino


@pytest.mark.smoke
def test_sed(edited, file):
    edited("sed -i '2s/.*/LINE/' \"$FILE\"")
    assert os.listdir(file.parent) == ["text"]
    # Each by a new file that takes the name; the last puts back what was there before.
    edited("sed -i.old '3s/.*/AGAIN/' \"$FILE\"; perl -pi -e 's/line/LINE/' \"$FILE\"; mv text.old text")


@pytest.mark.smoke
def test_backup_by_rename(edited, file):
    """As Emacs saves: the file becomes the backup, a new one takes its name; then again by copy."""
    script = """
import os, shutil
os.rename("text", "text~")
with open("text", "w") as out:
    out.write(open("text~").read().replace("line 1\\n", "LINE\\n", 1))
    out.flush()
    os.fsync(out.fileno())
shutil.copystat("text~", "text")
os.symlink("me@host.1:2", ".#text")
os.unlink(".#text")
"""
    edited([sys.executable, "-c", script])
    assert file.with_name("text~").read_text() == TEXT
    assert sorted(os.listdir(file.parent)) == ["text", "text~"]


def test_write_aside_and_rename(edited, file):
    """A hundred saves, each written aside, synced and renamed over the name, while a reader always finds all of one of them."""
    script = """
import os, threading
text = open("text").read().replace("line 1\\n", "LINE\\n", 1)
stop = False
wrong = []
def read():
    while not stop:
        got = open("text").read()
        if not got.endswith("line 2999\\n") or got.count("\\n") != 3000:
            wrong.append(len(got))
reader = threading.Thread(target=read)
reader.start()
for n in range(100):
    with open(".text.new", "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.rename(".text.new", "text")
    fd = os.open(".", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
stop = True
reader.join()
assert not wrong, wrong
"""
    edited([sys.executable, "-c", script])


def test_in_place_many_times(edited, file):
    """Truncate and write again, as nano and the shell do."""
    script = "sed '2s/.*/LINE/' text > aside; for n in 1 2 3 4 5 6 7 8 9; do cat aside > text; cmp aside text; done;"
    edited(script + "echo x | tee text > /dev/null; cp aside text; rm aside")
