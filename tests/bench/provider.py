"""How fast a real Kubo pulls blocks of 1 MiB from the provider, beside how fast it imports the same bytes by `dag/import`.

    tests/run build; cd tests; unshare --net sh -c 'ip link set lo up; python3 -m bench.provider [--mib 256] [--rounds 5]'

Paired: each round stores new bytes, pins them in one fresh Kubo by pulling, and imports the same CAR into another; which
goes first changes each round. Both write the same blocks to the same disk with the same settings. Nothing passes or fails here.
"""

import argparse
import os
import statistics
import time
import urllib.request

from harness import cid
from harness import kubo as rig
from harness import s3 as s3c
from harness.provider import providing

MIB = 1 << 20


def cpu_seconds(pid):
    """CPU time of a process so far."""
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pull(kubo, root):
    """Seconds that a pin takes."""
    began = time.monotonic()
    kubo.pin(root, timeout=600)
    return time.monotonic() - began


def push(kubo, car, root):
    """Seconds that an import with a pin takes. The CAR is in memory before."""
    boundary = "pinfold-bench"
    about = 'Content-Disposition: form-data; name="file"; filename="a.car"\r\nContent-Type: application/octet-stream'
    head = f"--{boundary}\r\n{about}\r\n\r\n"
    body = head.encode() + car + f"\r\n--{boundary}--\r\n".encode()
    began = time.monotonic()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    kubo.call("dag/import", pin_roots="true", timeout=600, body=body, headers=headers)
    took = time.monotonic() - began
    assert root in kubo.call("pin/ls", arg=root, type="recursive").decode()
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256, help="bytes of one round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not rig.program() or not rig.is_alone():
        raise SystemExit("skipped: needs Kubo in a network namespace of its own")
    pulls, pushes, ratios = [], [], []
    with providing("bench") as node:
        s3 = s3c.client(node.endpoint)
        s3.create_bucket(Bucket="b-bench")
        for turn in range(options.rounds):
            data = os.urandom(options.mib * MIB)
            root = cid.of_bytes(data)
            s3.put_object(Bucket="b-bench", Key="k", Body=data)
            car = urllib.request.urlopen(f"http://127.0.0.1:{node.provider}/ipfs/{root}?format=car", timeout=600).read()
            with rig.Kubo("pulls", [f"http://127.0.0.1:{node.provider}"]) as one, rig.Kubo("imports", []) as two:
                used = cpu_seconds(node.process.pid)
                if turn % 2 == 0:
                    pulled, pushed = pull(one, root), push(two, car, root)
                else:
                    pushed, pulled = push(two, car, root), pull(one, root)
                used = cpu_seconds(node.process.pid) - used
            pulls.append(options.mib / pulled)
            pushes.append(options.mib / pushed)
            ratios.append(pushed / pulled)
            print(f"round {turn + 1}: pulled {pulls[-1]:.0f} MiB/s, imported {pushes[-1]:.0f} MiB/s, ratio {ratios[-1]:.2f}; "
                  f"the node used {used / options.mib * 1000:.2f} ms of CPU a MiB", flush=True)
    print(f"median: pulled {statistics.median(pulls):.0f} MiB/s, imported {statistics.median(pushes):.0f} MiB/s, "
          f"ratio {statistics.median(ratios):.2f} (more than 1: pulling is faster)")


if __name__ == "__main__":
    main()
