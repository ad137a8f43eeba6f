"""What mount(8) and umount(8) run for `fuse.pinfold`, and mounts that outlast the daemon.

mount(8) itself is in the package's test, since its helpers have their place in the system.
"""

import os
import subprocess

import pytest

from harness import settings
from harness.node import Node
from harness.wait import until

#: mount(8): not mounted, or not unmounted.
MOUNT_FAILED = 32


@pytest.fixture
def node():
    with Node("mount-helper") as node:
        (node.mnt / "pics").mkdir()
        (node.mnt / "pics/2026").mkdir()
        (node.mnt / "pics/2026/a").write_text("a")
        yield node


def environment(node):
    """Where the helpers look for the daemon: as the configuration would say it."""
    return {**node.environment(), "PINFOLD_DATA": str(node.data)}


def helper(node, command, *args):
    """Runs it as mount(8) would: (exit code, what it complained of)."""
    command = [settings.BIN, command, *map(str, args)]
    done = subprocess.run(command, env=environment(node), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def listed(node):
    """What the daemon says it has mounted."""
    return node.cli("mount", "--list", "--data", node.data).stdout


def table():
    """Mount point → (source, options) of the kernel's table."""
    lines = [line.split() for line in open("/proc/self/mounts")]
    return {line[1]: (line[0], line[3].split(",")) for line in lines}


def test_a_prefix_is_mounted_by_its_source_and_unmounted(node):
    place = node.base / "one"
    source = "pinfold:pics/2026"
    assert helper(node, "mount-helper", source, place, "-o", "ro,_netdev,x-systemd.automount") == (0, "")
    assert os.listdir(place) == ["a"]
    assert table()[str(place)][0] == source and "ro" in table()[str(place)][1]
    with pytest.raises(OSError):
        (place / "b").touch()
    # As `mount -a` does it: what is there already is no mistake, something else at the place is.
    assert helper(node, "mount-helper", source, place, "-o", "ro") == (0, "")
    code, said = helper(node, "mount-helper", "pinfold", place)
    assert code == MOUNT_FAILED and str(place) in said, said

    with open(place / "a"):
        code, said = helper(node, "umount-helper", place)
        assert code == MOUNT_FAILED and "busy" in said, said
        assert (place / "a").read_text() == "a", "what is refused changes nothing"
    assert helper(node, "umount-helper", place) == (0, "")
    assert str(place) not in table()
    assert str(place) not in listed(node)
    assert helper(node, "mount-helper", source, place) == (0, ""), "and again"


def test_what_was_written_is_published_when_umount_returns(node):
    place = node.base / "one"
    assert helper(node, "mount-helper", "pinfold:pics", place) == (0, "")
    (place / "written").write_text("w" * 100_000)
    assert helper(node, "umount-helper", place) == (0, "")
    assert not list((node.data / "chunks/live").iterdir())


def test_a_remount_makes_it_read_only_and_writable_again(node):
    place = node.base / "one"
    assert helper(node, "mount-helper", "pinfold:pics", place) == (0, "")
    assert helper(node, "mount-helper", "pinfold:pics", place, "-o", "remount,ro") == (0, "")
    with pytest.raises(OSError):
        (place / "b").touch()
    options = table()[str(place)][1]
    assert {"ro", "nosuid", "nodev"} <= set(options), options
    assert helper(node, "mount-helper", "pinfold:pics", place, "-o", "remount,rw") == (0, "")
    (place / "b").touch()
    code, said = helper(node, "mount-helper", "pinfold", node.base, "-o", "remount,ro")
    assert code == MOUNT_FAILED and str(node.base) in said, said


@pytest.mark.parametrize(("args", "named", "code"), [
    (["pics", "DIR"], "pics", 1),
    (["pinfold", "DIR", "-o", "rw,allow_other"], "allow_other", 1),
    (["pinfold", "DIR", "-o", "suid"], "suid", 1),
    (["pinfold", "DIR", "-o", "wait=soon"], "soon", 1),
    (["pinfold:nobody-has-it", "DIR"], "nobody-has-it", MOUNT_FAILED),
    (["pinfold:pics/2026/a", "DIR"], "pics/2026/a", MOUNT_FAILED),
])
def test_what_cannot_be_is_refused_by_name(node, args, named, code):
    place = node.base / "one"
    found, said = helper(node, "mount-helper", *[place if arg == "DIR" else arg for arg in args])
    assert found == code and named in said, said
    assert str(place) not in table()


def test_without_a_daemon_it_says_so_and_waits_if_told_to(node):
    place = node.base / "one"
    node.stop()
    code, said = helper(node, "mount-helper", "pinfold:pics", place)
    assert code == MOUNT_FAILED and "daemon" in said, said
    command = [settings.BIN, "mount-helper", "pinfold:pics", place, "-o", "wait=1m"]
    waiting = subprocess.Popen(command, env=environment(node))
    node.start()
    assert waiting.wait(60) == 0
    assert os.listdir(place) == ["2026"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_daemon_that_starts_again_has_them_again(node, end):
    kept, gone, outside = (node.base / name for name in ("kept", "gone", "outside"))
    for place in (kept, gone, outside):
        assert helper(node, "mount-helper", "pinfold:pics", place) == (0, "")
    assert helper(node, "umount-helper", gone) == (0, "")
    subprocess.run(["umount", "-i", outside], check=True)
    until(lambda: str(outside) not in listed(node), "the daemon sees that it is gone")
    getattr(node, end)()
    node.start()
    assert os.listdir(kept) == ["2026"]
    assert str(gone) not in table() and str(outside) not in table()
