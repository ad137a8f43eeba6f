"""Runs groups of VersityGW's suite, each against a node of its own, and tells what failed.

The suite's traps: it calls `./versitygw` for its admin steps, so that it runs in a folder with the binary; what a failed
case leaves behind fails the next ones, so that each group has an empty node, and a failed
case one more try by itself on another.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import settings
from harness.node import Node

#: Cases that contradict AWS itself, with the reason. More than five are a failure.
EXCUSED = {
    "PutObject_invalid_object_names": "AWS takes keys with `//`, `./` and `/.`, and so does the mount (S2)",
    "PostObject_invalid_object_names": "the same in a form",
    "Versioning_GetObjectAttributes_delete_marker": "AWS documents 405 MethodNotAllowed for a delete marker's id",
    "WORMProtection_bucket_object_lock_configuration_compliance_mode": "it gives an object whose retention is the bucket's\
 default a shorter one; AWS makes the default the object's own when it is written, and compliance is not shortened",
    "ListMultipartUploads_delimiter_truncated": "its second page repeats a common prefix of the first",
}
#: Cases that ask 501 of what Pinfold serves; with the test that shows it.
SERVED = {
    "PublicBucket_public_object_policy": "GetObjectAcl (tests/s3/test_refused.py::test_acls_are_off)",
}
WEBSITE = "sites.test"
#: Name → arguments of the suite, environment of the node.
GROUPS = {
    "plain": (["full-flow"], {"PINFOLD_S3_VERSIONING": "off"}),
    "versioning": (["full-flow", "-vs"], {}),
    "access-control": (["access-control"], {"PINFOLD_S3_VERSIONING": "off"}),
    "gw-iam": (["gw-iam"], {}),
    "website-hosting": (["website-hosting", "--domain", WEBSITE], {"PINFOLD_WEBSITE_DOMAIN": WEBSITE}),
}
TIMEOUT = 1800


def resolving(folder):
    """A command's prefix under which the hosts of all buckets that the suite makes are this one (as root)."""
    if os.geteuid() != 0:
        return []
    hosts = folder / "hosts"
    names = [WEBSITE, f"nested.bucket.{WEBSITE}", *(f"test-bucket-{n}.{WEBSITE}" for n in range(100))]
    hosts.write_text(Path("/etc/hosts").read_text() + "".join(f"127.0.0.1 {name}\n" for name in names))
    return ["unshare", "--mount", "sh", "-c", 'mount --bind hosts /etc/hosts && exec "$@"', "sh"]


def output(suite, arguments, environment):
    """What the suite prints on a fresh node."""
    node = Node("compat", mount=False, env=environment)
    folder = Path(tempfile.mkdtemp(prefix="pinfold-compat-"))
    try:
        shutil.copy(suite, folder / "versitygw")
        node.start()
        words = ["test", "-a", settings.ROOT_ACCESS, "-s", settings.ROOT_SECRET, "-e", node.endpoint, *arguments]
        if "website-hosting" in arguments:
            words += ["--port", str(node.s3_port)]
        env = {k: v for k, v in os.environ.items() if k != "AWS_CA_BUNDLE"}
        done = subprocess.run(
            [*resolving(folder), "./versitygw", *words], cwd=folder, env=env, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False,
        )
    finally:
        node.close()
        shutil.rmtree(folder)
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def run(suite, arguments, environment):
    """(cases run, failed ones with their messages, those of them that pass by themselves) of one group."""
    text = output(suite, arguments, environment)
    failed = dict(re.findall(r"^FAIL +(\w+): *(.*)", text, flags=re.M))
    counted = re.search(r"RAN: (\d+) PASS: (\d+) FAIL: (\d+)", text)
    if not counted or int(counted[1]) == 0 or int(counted[3]) != len(failed):
        raise RuntimeError(f"the suite did not come to its end: {text[-2000:]}")
    alone = set()
    for case in sorted(failed.keys() - EXCUSED.keys() - SERVED.keys()):
        again = output(suite, [case, *arguments[1:]], environment)
        if re.search(rf"^PASS +{case}$", again, flags=re.M):
            alone.add(case)
    return int(counted[1]), failed, alone


def verdict(case, message, alone):
    """What is to be said of a failed case."""
    if case in alone:
        return "passes on a node of its own: what an excused case left behind was in its way"
    if case in EXCUSED:
        return f"excused: {EXCUSED[case]}"
    return f"served: {SERVED[case]}" if case in SERVED else message[:300]


def main():
    suite, *groups = sys.argv[1:]
    unknown = set(groups) - set(GROUPS)
    if unknown:
        sys.exit(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    rows, bad, excused = [], 0, set()
    for name in groups or GROUPS:
        count, failed, alone = run(suite, *GROUPS[name])
        for case, message in sorted(failed.items()):
            print(f"{name}: {case}: {verdict(case, message, alone)}")
        left = failed.keys() - alone
        allowed = left & (EXCUSED.keys() | SERVED.keys())
        rows.append((name, count, count - len(left), len(allowed)))
        bad += len(left - allowed)
        excused |= left & EXCUSED.keys()
    print(f"\n{'group':18}{'cases':>8}{'passed':>8}{'excused':>9}")
    for name, count, passed, allowed in rows:
        print(f"{name:18}{count:8}{passed:8}{allowed:9}")
    sys.exit(1 if bad or len(excused) > 5 else 0)


if __name__ == "__main__":
    main()
