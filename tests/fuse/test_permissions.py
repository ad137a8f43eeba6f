"""S13 at the mount: POSIX permissions, as seen by users who are not root."""

import errno
import os
import stat

import pytest

from harness.syscalls import as_user, fails, names, read_file, write_file

pytestmark = pytest.mark.root
ALICE, BOB, TEAM = 2001, 2002, 3001


def allowed(call):
    """Runs a call as a user: None, or the errno."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def as_alice(call, gid=ALICE, groups=()):
    return as_user(ALICE, gid, lambda: allowed(call), groups)


def as_bob(call, gid=BOB, groups=()):
    return as_user(BOB, gid, lambda: allowed(call), groups)


def test_s13_new_files_belong_to_who_makes_them(fs):
    as_user(ALICE, TEAM, lambda: write_file(fs / "f", b"x"))
    as_user(ALICE, TEAM, lambda: os.mkdir(fs / "d"))
    as_user(ALICE, TEAM, lambda: os.symlink("f", fs / "l"))
    as_user(ALICE, TEAM, lambda: os.mkfifo(fs / "p"))
    for name in ("f", "d", "l", "p"):
        at = os.lstat(fs / name)
        assert (at.st_uid, at.st_gid) == (ALICE, TEAM), name


def test_s13_mode_bits_decide(fs):
    write_file(fs / "f", b"x")
    os.chown(fs / "f", ALICE, TEAM)
    for mode, owner, group, other in ((0o600, 0, 13, 13), (0o640, 0, 0, 13), (0o604, 0, 13, 0), (0o044, 13, 0, 0)):
        os.chmod(fs / "f", mode)
        assert (as_alice(lambda: read_file(fs / "f")) or 0) == owner, oct(mode)
        assert (as_bob(lambda: read_file(fs / "f"), gid=TEAM) or 0) == group, oct(mode)
        assert (as_bob(lambda: read_file(fs / "f"), groups=[TEAM]) or 0) == group, oct(mode)
        assert (as_bob(lambda: read_file(fs / "f")) or 0) == other, oct(mode)
    os.chmod(fs / "f", 0o644)
    assert as_bob(lambda: write_file(fs / "f", b"y", os.O_WRONLY)) == errno.EACCES
    assert as_bob(lambda: os.truncate(fs / "f", 0)) == errno.EACCES
    assert as_alice(lambda: write_file(fs / "f", b"y", os.O_WRONLY)) is None
    assert read_file(fs / "f") == b"y"


def test_directories_need_x_to_pass_and_w_to_change(fs):
    os.mkdir(fs / "d", 0o755)
    write_file(fs / "d" / "f", b"x")
    os.chmod(fs / "d" / "f", 0o666)
    os.chmod(fs / "d", 0o744)
    assert as_bob(lambda: read_file(fs / "d" / "f")) == errno.EACCES
    assert as_bob(lambda: os.listdir(fs / "d")) is None
    os.chmod(fs / "d", 0o711)
    assert as_bob(lambda: read_file(fs / "d" / "f")) is None
    assert as_bob(lambda: os.listdir(fs / "d")) == errno.EACCES
    os.chmod(fs / "d", 0o755)
    for change in (
        lambda: os.unlink(fs / "d" / "f"), lambda: write_file(fs / "d" / "new", b""), lambda: os.mkdir(fs / "d" / "s"),
        lambda: os.rename(fs / "d" / "f", fs / "d" / "g"), lambda: os.link(fs / "d" / "f", fs / "d" / "h"),
        lambda: os.symlink("x", fs / "d" / "l"),
    ):
        assert as_bob(change) in (errno.EACCES, errno.EPERM)
    assert names(fs / "d") == [b"f"]


def test_sticky_directories(fs):
    """As /tmp: one may remove only what is one's own."""
    os.mkdir(fs / "tmp")
    os.chmod(fs / "tmp", 0o1777)
    as_user(ALICE, ALICE, lambda: write_file(fs / "tmp" / "alice", b"x"))
    assert as_bob(lambda: os.unlink(fs / "tmp" / "alice")) == errno.EPERM
    assert as_bob(lambda: os.rename(fs / "tmp" / "alice", fs / "tmp" / "stolen")) == errno.EPERM
    as_user(BOB, BOB, lambda: write_file(fs / "tmp" / "bob", b"x"))
    assert as_bob(lambda: os.rename(fs / "tmp" / "bob", fs / "tmp" / "alice")) == errno.EPERM
    assert as_alice(lambda: os.unlink(fs / "tmp" / "alice")) is None
    os.chown(fs / "tmp", BOB, BOB)
    as_user(ALICE, ALICE, lambda: write_file(fs / "tmp" / "a2", b"x"))
    assert as_bob(lambda: os.unlink(fs / "tmp" / "a2")) is None, "the directory's owner may"


def test_setgid_directories_hand_their_group_down(fs):
    os.mkdir(fs / "shared")
    os.chown(fs / "shared", ALICE, TEAM)
    os.chmod(fs / "shared", 0o2777)
    as_user(BOB, BOB, lambda: write_file(fs / "shared" / "f", b""))
    as_user(BOB, BOB, lambda: os.mkdir(fs / "shared" / "d"))
    assert os.stat(fs / "shared" / "f").st_gid == TEAM
    at = os.stat(fs / "shared" / "d")
    assert at.st_gid == TEAM and at.st_mode & stat.S_ISGID


def test_only_owners_change_modes_and_times(fs):
    write_file(fs / "f", b"x")
    os.chown(fs / "f", ALICE, ALICE)
    os.chmod(fs / "f", 0o644)
    assert as_bob(lambda: os.chmod(fs / "f", 0o777)) == errno.EPERM
    assert as_bob(lambda: os.utime(fs / "f", ns=(1, 1))) == errno.EPERM
    assert as_bob(lambda: os.utime(fs / "f")) == errno.EACCES
    assert as_alice(lambda: os.chmod(fs / "f", 0o666)) is None
    assert as_bob(lambda: os.utime(fs / "f")) is None, "who may write may set the time to now"
    assert as_alice(lambda: os.utime(fs / "f", ns=(1, 1))) is None


def test_only_root_gives_files_away(fs):
    write_file(fs / "f", b"x")
    os.chown(fs / "f", ALICE, ALICE)
    assert as_alice(lambda: os.chown(fs / "f", BOB, -1)) == errno.EPERM
    assert as_alice(lambda: os.chown(fs / "f", -1, TEAM)) == errno.EPERM
    assert as_alice(lambda: os.chown(fs / "f", -1, TEAM), groups=[TEAM]) is None
    assert os.stat(fs / "f").st_gid == TEAM


def test_setuid_goes_when_others_write_or_own(fs):
    for change in (
        lambda: write_file(fs / "f", b"y", os.O_WRONLY),
        lambda: os.truncate(fs / "f", 0),
    ):
        write_file(fs / "f", b"x")
        os.chown(fs / "f", ALICE, BOB)
        os.chmod(fs / "f", 0o6777)
        as_user(BOB, BOB, change)
        assert stat.S_IMODE(os.stat(fs / "f").st_mode) == 0o777
        os.unlink(fs / "f")
    write_file(fs / "f", b"x")
    os.chmod(fs / "f", 0o6755)
    os.chown(fs / "f", ALICE, ALICE)
    assert stat.S_IMODE(os.stat(fs / "f").st_mode) == 0o755


def test_setgid_of_a_group_one_is_not_in(fs):
    write_file(fs / "f", b"x")
    os.chown(fs / "f", ALICE, TEAM)
    assert as_alice(lambda: os.chmod(fs / "f", 0o2755)) is None
    assert not os.stat(fs / "f").st_mode & stat.S_ISGID


def test_a_closed_directory_keeps_its_files(fs):
    os.mkdir(fs / "private", 0o700)
    write_file(fs / "private" / "f", b"x")
    for call in (
        lambda: os.stat(fs / "private" / "f"), lambda: read_file(fs / "private" / "f"), lambda: os.unlink(fs / "private" / "f"),
    ):
        assert as_bob(call) == errno.EACCES


def test_an_open_descriptor_stays_open(fs):
    write_file(fs / "f", b"x")
    os.chown(fs / "f", ALICE, ALICE)

    def work():
        with open(fs / "f", "r+b", buffering=0) as file:
            os.chmod(fs / "f", 0)
            file.write(b"yz")
            file.seek(0)
            return file.read()

    assert as_user(ALICE, ALICE, work) == b"yz"
    with fails(errno.EACCES):
        as_user(ALICE, ALICE, lambda: read_file(fs / "f"))


@pytest.mark.pinfold
def test_s13_objects_put_over_s3_have_an_owner(place, fs, prefix):
    """The root account's uid and gid; what replaces a name keeps the name's owner and mode (ruling 22)."""
    place.s3.put_object(Bucket=place.bucket, Key=prefix + "new", Body=b"x")
    at = os.stat(fs / "new")
    assert (at.st_uid, at.st_gid) == (0, 0)
    os.chown(fs / "new", ALICE, TEAM)
    os.chmod(fs / "new", 0o640)
    place.s3.put_object(Bucket=place.bucket, Key=prefix + "new", Body=b"y")
    at = os.stat(fs / "new")
    assert (at.st_uid, at.st_gid, stat.S_IMODE(at.st_mode)) == (ALICE, TEAM, 0o640)
    assert as_user(ALICE, ALICE, lambda: read_file(fs / "new")) == b"y"
    assert as_bob(lambda: read_file(fs / "new")) == errno.EACCES
