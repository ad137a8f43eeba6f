"""`python3 -m bench` within tests/; tests/bench/run calls it."""

import argparse
import sys

from . import costs, files, page, s3, space
from .system import Options, clear, say

PARTS = {"s3": s3.measure, "files": files.measure, "space": space.measure, "costs": costs.measure}
WRITE = {"s3": page.s3, "files": page.files, "space": page.space, "costs": page.costs}


def options(words):
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="Measures Pinfold beside its peers.")
    parser.add_argument("--quick", action="store_true", help="one or two minutes, to see that it runs")
    parser.add_argument("--long", action="store_true", help="space: a million small objects")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part (repeat for more)")
    parser.add_argument("--pairs", type=int, help="interleaved rounds (default 5; 1 with --quick)")
    parser.add_argument("--seconds", type=float, help="of one measure of requests (default 2; 0.5 with --quick)")
    parser.add_argument("--busy", action="store_true", help="the machine does other work: say so on the page")
    parser.add_argument("--dry", action="store_true", help="print the parts, leave the page as it is")
    parser.add_argument("--peer", action="append", default=[], help=argparse.SUPPRESS)  # NAME=PROGRAM, from tests/bench/run
    given = parser.parse_args(words)
    peers = dict(each.split("=", 1) for each in given.peer)
    return Options(
        quick=given.quick, long=given.long, pairs=given.pairs or (1 if given.quick else 5),
        seconds=given.seconds or (0.5 if given.quick else 2.0), busy=given.busy, dry=given.dry,
        only=tuple(part for part in PARTS if part in (given.only or PARTS)), peers=peers,
    )


def main():
    words = sys.argv[1:]
    chosen = options(words)
    said = [word for at, word in enumerate(words) if word != "--peer" and (at == 0 or words[at - 1] != "--peer")]
    for part in chosen.only:
        say(f"{part} …")
        try:
            WRITE[part](chosen, said, *PARTS[part](chosen))
        finally:
            clear(chosen)
    say("printed" if chosen.dry else f"written to {page.PAGE}")


if __name__ == "__main__":
    main()
