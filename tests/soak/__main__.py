"""`python3 -m soak` within tests/; tests/soak/run calls it."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from harness.settings import DISK_ENGINES

from . import page
from .options import Options, say
from .soak import Soak


def options(words):
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/soak/run", description="Hours of mixed load at both doors of one node.")
    parser.add_argument("--minutes", type=float, default=120.0, help="of load (default 120); the pauses come on top")
    parser.add_argument("--engine", choices=DISK_ENGINES, default=DISK_ENGINES[0], help="of the replica (default sled)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--passthrough", action="store_true", help="the kernel reads and writes whole files (default)")
    mode.add_argument("--daemon", action="store_true", help="the daemon does")
    parser.add_argument("--out", type=Path, help="folder of the results (default: a new one, which is named)")
    parser.add_argument("--page", action="store_true", help="write the section and the pictures into docs/")
    parser.add_argument("--seed", default=str(int(time.time())), help="of the load's random numbers")
    given = parser.parse_args(words)
    out = given.out or Path(tempfile.mkdtemp(prefix="pinfold-soak-out-"))
    return Options(
        minutes=given.minutes, engine=given.engine, passthrough=not given.daemon, out=out.resolve(), page=given.page,
        seed=given.seed, words=words,
    )


def ended(*_):
    """Whoever ends this ends the node and the mount with it; a second signal does not disturb that."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    sys.exit("ended by a signal")


def main():
    chosen = options(sys.argv[1:])
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, ended)
    say(f"{chosen.minutes:g} minutes, {chosen.engine}, {chosen.mode}, seed {chosen.seed}; results in {chosen.out}")
    soak = Soak(chosen)
    soak.run()
    for path in page.write(soak):
        say(f"wrote {path}")
    for problem in soak.problems:
        print(f"FAILED: {problem}")
    if soak.left:
        print(f"the node's folder is kept: {soak.left}")
    print("failed" if soak.problems else "passed", f"({soak.steps} operations, {len(soak.pauses)} pauses)")
    sys.exit(1 if soak.problems else 0)


if __name__ == "__main__":
    main()
