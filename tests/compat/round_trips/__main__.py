"""Runs the round trips, prints what failed and the table, writes the page."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from . import page
from .awscli import AwsCli
from .boto import Boto
from .duck import Duck
from .excused import EXCUSED
from .javascript import JavaScript
from .mc import Mc
from .parquet import PyArrow
from .rclone import Rclone
from .restic import Restic
from .rust_sdk import RustSdk
from .s3cmd import S3cmd
from .s5cmd import S5cmd
from .servers import Servers

TRIPS = (AwsCli, Boto, S3cmd, Rclone, Mc, S5cmd, Restic, JavaScript, RustSdk, PyArrow, Duck)


def judge(result):
    """Prints what went wrong in one round trip; whether it is a failure."""
    bad = False
    if result.skipped:
        print(f"skipped: {result.client}: {result.skipped}")
    for title, needs in result.left_out.items():
        print(f"skipped: {result.client}: {title}: {needs}")
    for title, message in result.failed.items():
        why = EXCUSED.get((result.client, title))
        bad = bad or why is None
        print(f"{result.client}: {title}: {'excused: ' + why if why else 'FAILED: ' + message}")
    for title in result.passed:
        if (result.client, title) in EXCUSED:
            bad = True
            print(f"{result.client}: {title}: FAILED: excused, but it passes")
    return bad


def main():
    parser = argparse.ArgumentParser(prog="tests/compat/clients", description="Round trips with real S3 clients.")
    parser.add_argument("client", nargs="*")
    parser.add_argument("--page", action="store_true", help="write the table into docs/S3-COMPATIBILITY.md")
    parser.add_argument("--list", action="store_true", help="the clients")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{trip.name:12}{trip.title}" for trip in TRIPS))
        return
    unknown = set(options.client) - {trip.name for trip in TRIPS}
    if unknown:
        parser.error(f"no such client: {', '.join(sorted(unknown))}; there are {', '.join(trip.name for trip in TRIPS)}")
    chosen = [trip for trip in TRIPS if not options.client or trip.name in options.client]
    results, bad = [], False
    with tempfile.TemporaryDirectory(prefix="pinfold-clients-", dir=os.environ.get("PINFOLD_TEST_DIR", "/var/tmp")) as base:
        servers = Servers(Path(base))
        try:
            many = servers.many()
            for trip in chosen:
                folder = Path(base) / trip.name
                folder.mkdir()
                result = trip(servers, folder, many).go()
                bad = judge(result) or bad
                results.append(result)
                print(page.line(result), flush=True)
            servers.stop()
        finally:
            servers.close()
    if options.page:
        page.write(results)
    failed = sum(len(result.failed) for result in results)
    passed = sum(len(result.passed) for result in results)
    skipped = sum(bool(result.skipped) + len(result.left_out) for result in results)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if bad or not passed else 0)


if __name__ == "__main__":
    main()
