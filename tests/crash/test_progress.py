"""Long work says how far it is: with a bar on a terminal, elsewhere with a line now and then."""

import os
import re
import subprocess

import pytest

from harness import s3 as s3c
from harness import settings
from harness.data import noise
from harness.node import Node
from harness.terminal import at_terminal, shown
from harness.wait import until

MIB = settings.MIB
OBJECTS = 30


@pytest.fixture
def node():
    """A stopped node with a checkpoint and some objects."""
    with Node("progress", mount=False) as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="pics")
        for n in range(OBJECTS):
            s3.put_object(Bucket="pics", Key=f"k{n}", Body=noise(20_000 if n else 40 * MIB, n))
        code, out, said = at_terminal(["meta", "checkpoint", "--data", node.data], node.environment())
        assert (code, out.split()[0]) == (0, "checkpoint")
        assert any(re.fullmatch(r"\S checkpoint: \d+s", line) for line in shown(said)), said
        node.stop()
        yield node


#: Commands and what is to be seen: a bar has a rate and the time that is left, a spinner a count and a rate.
LONG = [
    (("fsck", "--verify"), {
        "verification of the commit log": r"[█░▉▊▋▌▍▎▏▓▒]* +\d+% \d+/\d+ segments, \S+, \S+ left",
        "verification of the replica": r": [\d,]+ rows, \S+, \S+",
        "reading what is stored": r"[█░▉▊▋▌▍▎▏▓▒]* +\d+% \S+ [KM]?i?B/\S+ MiB, \S+ \S+, \S+ left",
        "reading all names": r": \d+ objects, \S+, \S+",
    }),
    (("meta", "rebuild"), {"replica from the checkpoint": r"[█░▉▊▋▌▍▎▏▓▒]* +\d+% [\d,]+/[\d,]+ rows, \S+, \S+ left"}),
    (("meta", "convert", "--to", "fjall"), {
        "reading the replica": r": [\d,]+ rows, \S+, \S+",
        "copying the replica": r"[█░▉▊▋▌▍▎▏▓▒]* +\d+% [\d,]+/[\d,]+ rows, \S+, \S+ left",
    }),
]


@pytest.mark.parametrize(("command", "tasks"), LONG, ids=[" ".join(c) for c, _ in LONG])
def test_long_work_on_a_terminal(node, command, tasks):
    code, out, said = at_terminal([*command, "--data", node.data], node.environment())
    assert code == 0, out + said
    lines = shown(said)
    for task, figures in tasks.items():
        assert any(re.fullmatch(r"(\S )?" + re.escape(task) + r" ?" + figures, line) for line in lines), (task, lines)
    assert "\x1b" not in out and "%" not in out, "the bar is no output"
    # The last thing on the terminal is the empty line that takes the bar off it.
    assert said.rstrip("\r").endswith("\x1b[2K"), said[-200:]


@pytest.mark.parametrize("command", [c for c, _ in LONG], ids=[" ".join(c) for c, _ in LONG])
def test_long_work_without_a_terminal(node, command):
    done = node.cli(*command, "--data", node.data)
    assert "\x1b" not in done.stdout + done.stderr and "\r" not in done.stdout + done.stderr
    assert all(re.fullmatch(r"[\w ]+ \(\w+\): \d+( of \d+)?", line) for line in done.stderr.splitlines()), done.stderr
    assert "of" not in done.stdout.split(), "lines are no output either"


def test_a_problem_has_a_line_of_its_own(node):
    """What is found meanwhile goes to standard output whole, whatever the bar does."""
    found = [path for path in (node.data / "chunks" / "content").rglob("*") if path.is_file() and path.suffix != ".idx"]
    for path in found:
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.write(b"rot")
    code, out, said = at_terminal(["fsck", "--verify", "--data", node.data], node.environment())
    assert code == 1 and found
    problems = [line for line in out.splitlines() if line.startswith("PROBLEM: ")]
    assert any("pics/k" in line for line in problems), out
    assert "damaged objects" in shown(said)[-1] and shown(said)[-1].startswith("pinfold: "), said


def test_lines_of_work_that_goes_on():
    """A stream has no end to wait for: after a while there is a line, of what was read by then."""
    process = subprocess.Popen(
        [str(settings.BIN), "cid", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.set_blocking(process.stderr.fileno(), False)
    said = bytearray()

    def told():
        process.stdin.write(bytes(4 * MIB))
        process.stdin.flush()
        said.extend(process.stderr.read() or b"")
        return said.count(b"\n") >= 1

    until(told, "a line about the bytes that were read", 60)
    process.stdin.close()
    out = process.stdout.read()
    assert process.wait(60) == 0 and out.endswith(b"  -\n")
    first = said.decode().splitlines()[0]
    assert re.fullmatch(r"hashing \(bytes\): [1-9]\d*", first), first
    process.stdout.close()
    process.stderr.close()
