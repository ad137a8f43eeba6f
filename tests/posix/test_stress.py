"""stress-ng's file-system class, each stressor alone with its own checks; what fails on ext4 too is named and skipped."""

import re
import shutil
import tempfile
from pathlib import Path

import pytest

from harness.disks import small_disk
from harness.programs import environment, need, run

#: Those of the class that do not touch the file system they are given.
ELSEWHERE = {
    "bind-mount": "bind-mounts the root file system of the machine", "binderfs": "mounts Android's file system",
    "eventfd": "uses no file system", "procfs": "reads /proc", "ioprio": "priorities of the disk's scheduler",
}
#: Failures on the mount that ext4 does not have, with their reason; one that is here and passes is a failure too.
EXCUSED = {}
SECONDS = 5

#: Exit codes of stress-ng: done; nothing to do here (no resource, not implemented, metrics untrustworthy).
FINE, NOTHING = (0,), (3, 4, 7)
STRESSORS = [
    "access", "chattr", "chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep", "dirmany", "dnotify", "dup",
    "fallocate", "fanotify", "fcntl", "fiemap", "file-ioctl", "filename", "flock",
    "fpunch", "fsize", "fstat", "getdent", "handle", "hdd",
    "inode-flags", "inotify", "io", "iomix", "lease", "link", "locka", "lockf", "lockofd", "mknod", "open", "rename", "symlink",
    "sync-file", "touch", "utime", "verity", "xattr",
]


def stress(name, where, home):
    """Exit code and output of one stressor in that folder."""
    where.chmod(0o777)
    limits = "--hdd-bytes 32m --iomix-bytes 16m --fallocate-bytes 32m --copy-file-bytes 128m --sync-file-bytes 8m"
    limits += " --dirdeep-inodes 2000"
    line = f"stress-ng --{name} 2 -t {SECONDS} --verify --temp-path {where} {limits} --oomable 2>&1; echo EXIT $?"
    said = run(f"set +e; {line}", home, env=environment(home), timeout=300)
    code = int(re.search(r"^EXIT (\d+)$", said, flags=re.M).group(1))
    assert code != 1, f"stress-ng does not take its command line: {said}"
    return code, said


def test_the_list_is_whole(local):
    """What stress-ng calls its file-system class is what is run here or named as being elsewhere."""
    need("stress-ng")
    said = run("stress-ng --class 'filesystem?' 2>&1 || true", local)
    there = set(said.split("stressors:")[1].split())
    assert there - {*STRESSORS} - {*ELSEWHERE} == set()


@pytest.fixture(scope="module")
def ext4():
    with small_disk("ext4", 512 << 20) as disk:
        yield disk


@pytest.mark.parametrize("name", STRESSORS)
def test_stressor(place, fs, local, ext4, figures, name):
    need("stress-ng")
    code, said = stress(name, fs, local)
    # It says so itself, mostly with exit code 0, where it finds nothing to do.
    nothing = re.findall(rf"{re.escape(name)}: (.*skipping.*)", said)
    if code in NOTHING or nothing:
        pytest.skip(f"needs what stress-ng's {name} did not find: {(nothing or [f'exit code {code}'])[0][:160]}")
    if code not in FINE:
        scratch = Path(tempfile.mkdtemp(dir=ext4))
        there, also = stress(name, scratch, local)
        shutil.rmtree(scratch, ignore_errors=True)
        if there not in FINE:
            figures.append(f"stress-ng ({place.mode}): {name} fails on ext4 too")
            pytest.skip(f"needs a stressor that passes on ext4: {name} fails there too")
        if name in EXCUSED:
            figures.append(f"stress-ng ({place.mode}): {name} is excused: {EXCUSED[name]}")
            pytest.skip(f"needs {EXCUSED[name]}")
        raise AssertionError(said[-5000:] + f"\non ext4: {there}\n{also[-500:]}")
    assert name not in EXCUSED, "excused, and passes"
    assert place.root.exists()
