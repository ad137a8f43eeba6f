"""A pseudo-terminal for a program's standard error, as a person at a terminal has it."""

import os
import pty
import re
import select
import subprocess

from . import settings
from .wait import until

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def at_terminal(args, env, timeout=120):
    """Runs `pinfold ARGS` with standard error on a terminal; returns (exit code, standard output, what the terminal got)."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(settings.BIN), *map(str, args)],
        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, text=True,
    )
    os.close(theirs)
    got = bytearray()

    def read_all():
        """True at the end: the terminal's other side is closed."""
        while select.select([ours], [], [], 0)[0]:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                return True
            if not piece:
                return True
            got.extend(piece)
        return False

    try:
        until(read_all, "the command lets go of its terminal", timeout)
        out, _ = process.communicate(timeout=timeout)
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode, out, got.decode(errors="replace")


def shown(text):
    """The states of the terminal's line one after another, without colours and movements."""
    return [line for line in (ESCAPES.sub("", part).strip() for part in re.split(r"[\r\n]", text)) if line]
