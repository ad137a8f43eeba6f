"""What encryption costs: PUT and GET of 64 MiB in a plain and an encrypted bucket, one after the other, over loopback.

    cd tests; PINFOLD_BIN=… python3 -m bench.encryption [--rounds N] [--size MIB]

Presigned requests from one connection, so that the client costs little; a body of its own for each PUT, so that nothing is
shared; rounds of both kinds interleaved, so that what else the machine does meets both. Elapsed time is the client's,
processor time the daemon's.
"""

import argparse
import http.client
import os
import statistics
import time

from harness import s3 as s3c
from harness.node import Node

MIB = 1 << 20
BUCKETS = {"plain": None, "encrypted": "bucket"}


def processor(pid):
    """Seconds of processor time that a process has had."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def request(node, s3, method, bucket, body=None):
    """Seconds on the clock and of the daemon's processor for one request."""
    url = s3.generate_presigned_url(f"{method.lower()}_object", Params={"Bucket": bucket, "Key": "k"})
    connection = http.client.HTTPConnection("127.0.0.1", node.s3_port, timeout=600)
    cpu, began = processor(node.process.pid), time.perf_counter()
    connection.request(method, url.removeprefix(node.endpoint), body=body)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    while answer.read(MIB):
        pass
    elapsed = time.perf_counter() - began
    connection.close()
    return elapsed, processor(node.process.pid) - cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=64, help="MiB")
    args = parser.parse_args()
    took = {}
    with Node("encryption", mount=False) as node:
        s3 = s3c.client(node.endpoint)
        for bucket, mode in BUCKETS.items():
            s3.create_bucket(Bucket=bucket)
            if mode:
                node.cli("key", "encrypt", bucket, "--mode", mode, "--data", node.data)
        for n in range(args.rounds + 1):
            for bucket in BUCKETS if n % 2 else reversed(BUCKETS):
                for method in ("PUT", "GET"):
                    body = os.urandom(args.size * MIB) if method == "PUT" else None
                    once = request(node, s3, method, bucket, body)
                    if n:  # the first round warms up
                        took.setdefault((method, bucket), []).append(once)
    print(f"| {args.size} MiB, median of {args.rounds} | plain | encrypted | encrypted / plain |\n|---|---|---|---|")
    for method in ("PUT", "GET"):
        for what, name in enumerate(("MiB/s", "processor ms")):
            median = {bucket: statistics.median(once[what] for once in took[method, bucket]) for bucket in BUCKETS}
            shown = {b: args.size / t if what == 0 else 1000 * t for b, t in median.items()}
            ratio = shown["encrypted"] / shown["plain"]
            print(f"| {method}, {name} | {shown['plain']:.0f} | {shown['encrypted']:.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
