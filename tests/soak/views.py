"""The node at rest, and both its views compared: names, sizes, bytes."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

from harness import s3 as s3c
from harness.space import files_below
from harness.wait import until

from .options import OWN, SHARED
from .sample import metrics

#: At rest within this, in seconds: publishing, discarding, and two rounds of the collector.
REST = 180.0
PIECE = 1 << 20


def settle(node):
    """Waits until nothing is written, published, applied or collected any more; seconds are counted by the caller."""

    def left():
        """What is still to be done."""
        found = metrics(node)
        head, durable, applied = (
            int(found[f"pinfold_store_{name}"]) for name in ("log_head", "log_durable", "replica_applied"))
        waiting = {
            "files": files_below(node, "tmp", "live", "uploads")[:5],
            "records to sync": head - durable,
            "records to apply": durable - applied,
            "overlay bytes": int(found["pinfold_store_overlay_bytes"]),
            "contents to collect": int(found["pinfold_store_collect_waiting"]),
        }
        return {what: n for what, n in waiting.items() if n}

    until(lambda: not left(), lambda: f"the node at rest; left: {left()}", REST, 0.2)


def at_mount(top):
    """Files below a directory with their sizes, and the directories, by relative path."""
    files, directories = {}, set()
    for folder, inner, names in os.walk(top, onerror=_fail):
        at = os.path.relpath(folder, top)
        for name in names:
            path = os.path.join(folder, name)
            files[os.path.normpath(os.path.join(at, name))] = os.lstat(path).st_size
        directories |= {os.path.normpath(os.path.join(at, name)) for name in inner}
    return files, directories


def _fail(error):
    raise error


def md5_at_mount(path):
    digest, buffer = hashlib.md5(), bytearray(PIECE)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
    return digest.hexdigest()


def md5_over_s3(s3, bucket, key):
    digest = hashlib.md5()
    for piece in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(PIECE):
        digest.update(piece)
    return digest.hexdigest()


class Views:
    """Both views of all buckets; `wrong` says what differs. `expected` is (size, MD5) by key of what has one writer."""

    def __init__(self, node, expected):
        self.node, self.s3 = node, s3c.client(node.endpoint)
        self.keys = self.bytes = 0
        #: MD5 → size, of all contents: equal ones share their bytes.
        self.contents, self.wrong = {}, []
        for bucket, known in ((OWN, expected), (SHARED, None)):
            self._bucket(bucket, known)

    def _bucket(self, bucket, known):
        listed = {each["Key"]: each["Size"] for each in s3c.list_all(self.s3, bucket)[0]}
        markers = {key.rstrip("/") for key in listed if key.endswith("/")}
        listed = {key: size for key, size in listed.items() if not key.endswith("/")}
        files, directories = at_mount(self.node.mnt / bucket)
        self._differ(bucket, "is listed over S3 alone", set(listed) - set(files))
        self._differ(bucket, "is at the mount alone", set(files) - set(listed))
        self._differ(bucket, "is a directory at one door", markers ^ directories)
        self._differ(bucket, "has another size over S3 than at the mount",
                     {key for key in set(listed) & set(files) if listed[key] != files[key]})
        if known is not None:
            self._differ(bucket, "is there and was removed, or is not and was written", set(known) ^ set(listed))
        with ThreadPoolExecutor(4) as threads:
            for key, here, there in threads.map(lambda key: self._digests(bucket, key), sorted(set(listed) & set(files))):
                if here != there:
                    self.wrong.append(f"{bucket}/{key}: MD5 {here} over S3, {there} at the mount")
                if known is not None and key in known and known[key] != (listed[key], here):
                    self.wrong.append(f"{bucket}/{key}: {(listed[key], here)}, written was {known[key]}")
                self.contents[here] = listed[key]
        self.keys += len(listed)
        self.bytes += sum(listed.values())

    def _digests(self, bucket, key):
        return key, md5_over_s3(self.s3, bucket, key), md5_at_mount(self.node.mnt / bucket / key)

    def _differ(self, bucket, what, keys):
        self.wrong += [f"{bucket}/{key} {what}" for key in sorted(keys)]
