"""pjdfstest (the Rust rewrite): on ext4 and on the mount, case by case; what passes there must pass here."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import mounts
from harness.disks import small_disk
from harness.programs import environment, need, run, user_beside_root

#: Cases that pass on ext4 and fail on the mount, each with its reason. One that is here and passes is a failure too.
EXCUSED = {
    "link::link_count_max": "skips itself: the C library knows _PC_LINK_MAX of a few file systems and gives 127 (unknown) here",
}

CONFIGURATION = """
[features]
posix_fallocate = {{}}
rename_ctime = {{}}
utime_now = {{}}
utimensat = {{}}

[settings]
naptime = 0.02
allow_remount = {remount}
expected_failures = []

[dummy_auth]
entries = [ [{one}], [{two}] ]
"""


def results(place, second, scratch, remount):
    """The state of each case in that folder: `ok`, `FAILED` or `skipped`; and all that was printed."""
    users = [user_beside_root("nobody"), user_beside_root("daemon", "games", "mail")]
    one, two = (", ".join(f'"{word}"' for word in user) for user in users)
    # Cases that remount run by themselves: others leave files open, with which no file system becomes read-only.
    runs = [("all", "false", [])] + ([("remounts", "true", ["erofs"])] if remount else [])
    for name, allowed, _ in runs:
        (scratch / f"{name}.toml").write_text(CONFIGURATION.format(remount=allowed, one=one, two=two))
    # mount(8) gives a remount of any FUSE to the type's helper, which starts file systems only; the kernel can change them.
    shim = scratch / "bin" / "mount"
    shim.parent.mkdir()
    shim.write_text('#!/bin/sh\nexec /bin/mount -i "$@"\n')
    shim.chmod(0o755)
    env = environment(scratch, PATH=f"{shim.parent}:{os.environ['PATH']}")
    # The address of a socket has 108 bytes: a path that is long by accident fails for that.
    short = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    short.chmod(0o755)
    (short / "d").mkdir()
    # No symbolic link: the cases of EROFS look for the mount point by its name.
    subprocess.run(["mount", "--bind", place, short / "d"], check=True)
    before = os.umask(0o022)
    try:
        said = ""
        for name, _, words in runs:
            line = ["pjdfstest", "-c", scratch / f"{name}.toml", "-p", short / "d", "-s", second, *words]
            said += run(line, scratch, env=env, timeout=1500, fine=(0, 1))
    finally:
        os.umask(before)
        mounts.clear(short)
        shutil.rmtree(short)
    said = re.sub(r"\x1b\[[0-9;]*m", "", said)
    found = dict(re.findall(r"^(\S+::\S+)\s+(ok|FAILED|skipped)\s*$", said, flags=re.M))
    assert len(found) > 300, f"{len(found)} cases only:\n{said[-3000:]}"
    return found, said


@pytest.fixture(scope="module")
def on_ext4(tmp_path_factory):
    need("pjdfstest")
    with small_disk("ext4", 512 << 20) as disk:
        (disk / "p").mkdir()
        yield results(disk / "p", "/dev/shm", tmp_path_factory.mktemp("ext4"), remount=True)[0]


def test_what_passes_on_ext4_passes_here(on_ext4, place, figures, tmp_path):
    shutil.rmtree(place.root / "p", ignore_errors=True)
    (place.root / "p").mkdir()
    here, said = results(place.root / "p", "/dev/shm", tmp_path, remount=place.node is not None)
    fine = [case for case, state in on_ext4.items() if state == "ok"]
    others = ", ".join(f"{case} ({state})" for case, state in sorted(on_ext4.items()) if state != "ok")
    bad = sorted(case for case in fine if here.get(case) != "ok")
    not_here = ", ".join(f"{case} ({here.get(case)})" for case in bad)
    figures.append(f"pjdfstest ({place.mode}): {len(fine) - len(bad)} of the {len(fine)} cases that pass on ext4 pass here")
    figures.append(f"    not here: {not_here or 'none'}; not on ext4: {others or 'none'}")
    details = {case: said.split(case, 1)[1][:600] for case in bad if case in said}
    if place.node is not None:
        assert {*bad} == {*EXCUSED}, "\n".join(f"{case}{details.get(case)}" for case in sorted({*bad} ^ {*EXCUSED}))
    else:
        assert not bad, details


def test_nothing_is_left_mounted_read_only(place):
    """The cases of EROFS mount the place again; afterwards it can be written."""
    (place.root / "after").write_text("x")
    assert subprocess.run(["cat", place.root / "after"], capture_output=True, check=True).stdout == b"x"
