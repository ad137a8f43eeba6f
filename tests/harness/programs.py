"""Real programs on a mount: running them with a deadline, and comparing the trees that they leave."""

import grp
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

#: Seconds that a program may take on a machine that does much else: against hanging, never a measure.
DEADLINE = 600
#: How much of a program's output a message shows.
_TAIL = 6000
#: Both streams of a program as one text.
_CAPTURED = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
#: For scripts: the command after it must fail (`!` alone would not end a script under `set -e`).
_REFUSES = 'refuses() { if "$@"; then echo "went well: $*"; exit 1; fi; }\n'


def need(*programs):
    """Skips the test, aloud, where a program is missing; a word with a slash is a file."""
    for program in programs:
        there = os.path.exists(program) if "/" in program else shutil.which(program)
        if not there:
            pytest.skip(f"needs {program}")


def environment(home, **more):
    """A program's environment: nothing of the caller's settings but the path."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC", "TMPDIR": str(home)}
    return env | {name: str(value) for name, value in more.items()}


def spawn(line, cwd, *, env=None, user=None, **more):
    """Starts a program (a list) or a script of bash (a string) in a process group of its own."""
    if isinstance(line, str):
        line = ["bash", "-euo", "pipefail", "-c", _REFUSES + line]
    if user is not None:
        account = pwd.getpwnam(user)
        more |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return subprocess.Popen(
        [str(word) for word in line], cwd=cwd, env=env, stdin=subprocess.DEVNULL, start_new_session=True, **more
    )


def end(process):
    """kill -9 of a whole process group that `spawn` has made, and waits for its first process."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)


def run(line, cwd, *, env=None, user=None, timeout=DEADLINE, fine=(0,)):
    """Runs it to its end and hands back what it printed (both streams); an exit code that is not `fine` fails the test."""
    process = spawn(line, cwd, env=env, user=user, **_CAPTURED)
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        end(process)
        raise AssertionError(f"{line}: still running after {timeout} s") from None
    assert process.returncode in fine, f"{line}: exit code {process.returncode}\n{said[-_TAIL:]}"
    return said


@contextmanager
def many(lines, cwd, *, env=None, user=None):
    """Starts all of them at once; ends at the block's end what still runs. Their output comes by `finish`."""
    running = [spawn(line, cwd, env=env, user=user, **_CAPTURED) for line in lines]
    try:
        yield running
    finally:
        for process in running:
            if process.poll() is None:
                end(process)
            process.stdout.close()


def finish(running, timeout=DEADLINE):
    """Waits for all; each must end with 0. Hands back what they printed."""
    said = []
    deadline = time.monotonic() + timeout
    for process in running:
        try:
            output, _ = process.communicate(timeout=max(1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{process.args}: still running after {timeout} s") from None
        assert process.returncode == 0, f"{process.args}: exit code {process.returncode}\n{output[-_TAIL:]}"
        said.append(output)
    return said


def user_beside_root(*wanted):
    """The first of these users that this machine has, with its main group."""
    for name in wanted:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return name, grp.getgrgid(account.pw_gid).gr_name
    pytest.skip(f"needs a user {' or '.join(wanted)}")


def _xattrs(path):
    """A file's own attributes: not those by which the product shows what it knows."""
    names = sorted(n for n in os.listxattr(path, follow_symlinks=False) if n.startswith("user."))
    ours = ("user.pinfold.", "user.s3.")
    return {n: os.getxattr(path, n, follow_symlinks=False) for n in names if not n.startswith(ours)}


def fingerprint(root, *, times=True, owners=True):
    """All that a copy must keep of a tree, by relative path: kinds, modes, owners, times, sizes, links, attributes, bytes."""
    root, found, first = Path(root), {}, {}
    for path in sorted(root.rglob("*")):
        name, at = str(path.relative_to(root)), path.lstat()
        seen = {"mode": oct(at.st_mode)}
        if owners:
            seen["owner"] = (at.st_uid, at.st_gid)
        if times:
            seen["mtime"] = at.st_mtime_ns
        if stat.S_ISREG(at.st_mode):
            with path.open("rb") as file:
                seen |= {"size": at.st_size, "sum": hashlib.file_digest(file, "sha256").hexdigest(), "links": at.st_nlink}
            # Names of one inode are named after the first of them.
            seen["first"] = first.setdefault(at.st_ino, name)
        if stat.S_ISLNK(at.st_mode):
            seen["target"] = os.readlink(path)
        else:
            seen["attributes"] = _xattrs(path)
        found[name] = seen
    return found


def assert_same(left, right):
    """Two fingerprints agree; else the first differences by name."""
    differ = [name for name in sorted({*left, *right}) if left.get(name) != right.get(name)]
    said = "\n".join(f"{name}: {left.get(name)} / {right.get(name)}" for name in differ[:10])
    assert not differ, f"{len(differ)} names differ:\n{said}"


def make_tree(root, rng, files=120):
    """A tree of all that a program may meet: links, holes, times before 1970, odd names, attributes, empty files."""
    root = Path(root)
    folders = [root]
    for number in range(12):
        folder = rng.choice(folders) / f"d{number}"
        folder.mkdir(parents=True)
        folders.append(folder)
    made = []
    for number in range(files):
        name = rng.choice(["f", "with space ", "ümläut-", "-dash", "new\nline"])
        path = rng.choice(folders) / f"{name}{number}"
        size = rng.choice([0, 1, 100, 4096, 5000, 70_000, 300_000])
        path.write_bytes(rng.randbytes(size))
        path.chmod(rng.choice([0o644, 0o600, 0o755, 0o444, 0o4755, 0o2755]))
        if rng.random() < 0.2:
            os.setxattr(path, "user.note", rng.randbytes(20))
        made.append(path)
    for number, path in enumerate(rng.sample(made, 12)):
        os.link(path, rng.choice(folders) / f"hard{number}")
        (rng.choice(folders) / f"soft{number}").symlink_to(os.path.relpath(path, root))
    (root / "dangling").symlink_to("nowhere/at all")
    with (root / "sparse").open("wb") as file:
        file.truncate(3_000_000)
        file.seek(1_000_000)
        file.write(b"data in the middle")
    os.mkfifo(root / "fifo")
    for path in made:
        os.utime(path, ns=(10**18, rng.randrange(-(10**18), 17 * 10**17)))
    # rsync compares with what it has just made by whole seconds: nothing here is of now.
    for path in root.rglob("*"):
        if not path.is_dir() and path.lstat().st_mtime_ns > 17 * 10**17:
            os.utime(path, ns=(10**18, rng.randrange(10**18, 15 * 10**17)), follow_symlinks=False)
    for folder in reversed(folders[1:]):
        folder.chmod(rng.choice([0o755, 0o700, 0o1777]))
        os.utime(folder, ns=(10**18, rng.randrange(10**18, 17 * 10**17)))
    return root
