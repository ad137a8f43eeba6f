"""docs/FORMAT.md knows every file that a node makes, every kind of row and every magic number."""

import http.client
import os
import re
import shutil

import pytest

from harness import s3 as s3c
from harness import settings
from harness.node import Node
from harness.settings import MIB, REPO
from harness.wait import until

DOCUMENT = (REPO / "docs/FORMAT.md").read_text()
BUCKET = "things"
STORE = REPO / "store/src"
WORDS = {
    "SEQ": r"[0-9]{20}", "ID": r"[0-9a-f]{16}", "INO": r"[0-9a-f]{16}", "DIGEST": r"[0-9a-f]{64}", "FAN": r"[0-9a-f]{8}",
    "RANDOM": r"[0-9a-f]{32}", "N": r"[0-9]+", "POSITION": r"[0-9]+", "ANY": r".+",
}
#: As `x/` in the document: what is in it is named like what is in the other one.
ALIKE = {"log.damaged-N/": "log/", "replica.converting/": "replica/", "replica.damaged-N/": "replica/"}


def patterns():
    """Pattern → regular expression, of the document's list of files; folders end in `/`."""
    listing = re.search(r"```text\n(lock .*?)```", DOCUMENT, flags=re.S).group(1)
    names = [line.split()[0] for line in listing.splitlines()]
    names += [alike + name[len(of):] for alike, of in ALIKE.items() for name in names if name.startswith(of) and name != of]
    word = "|".join(sorted(WORDS, key=len, reverse=True))
    word = re.compile(rf"(?<![A-Za-z])({word})(?![A-Za-z])")
    escaped = {name: re.escape(name).replace("\\-", "-") for name in names}
    return {name: re.compile(word.sub(lambda m: WORDS[m[0]], text)) for name, text in escaped.items()}


def paths(data):
    """All files and folders of a data directory, relative; folders end in `/`."""
    for folder, folders, files in os.walk(data):
        inner = os.path.relpath(folder, data)
        for name in [f"{f}/" for f in folders] + files:
            yield os.path.normpath(os.path.join(inner, name)) + ("/" if name.endswith("/") else "")


class Seen:
    """Which patterns were met, and what met none."""

    def __init__(self, data):
        self.data, self.patterns, self.met, self.strange = data, patterns(), set(), set()

    def look(self):
        for path in paths(self.data):
            met = {name for name, pattern in self.patterns.items() if pattern.fullmatch(path)}
            self.met |= met
            if not met:
                self.strange.add(path)


def test_the_check_for_files_can_fail():
    table = patterns()
    assert table["log/SEQ.seg"].fullmatch("log/00000000000000000001.seg")
    assert table["chunks/content/FAN/ID-DIGEST"].fullmatch(f"chunks/content/00000000/{1:016x}-{'a' * 64}")
    assert table["replica.damaged-N/data/ANY"].fullmatch("replica.damaged-1/data/db")
    for strange in ("log/1.seg", "log", "chunks/new", "chunks/slabs/1.slab", "replica.new/data/db", "locks"):
        assert not any(p.fullmatch(strange) for p in table.values()), strange


def hang_in_a_put(node):
    """A connection with a PUT half of whose body has arrived."""
    url = s3c.client(node.endpoint).generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "half"})
    connection = http.client.HTTPConnection("127.0.0.1", node.s3_port, timeout=30)
    connection.putrequest("PUT", url.removeprefix(node.endpoint), skip_host=False)
    connection.putheader("Content-Length", str(64 * MIB))
    connection.endheaders()
    connection.send(os.urandom(32 * MIB))
    return connection


def busy(node, seen, s3):
    """Bodies of every size, an upload, a PUT on its way, files of the mount open and closed: looks while they are."""
    s3.create_bucket(Bucket=BUCKET)
    for size in (0, 100, 100_000, 3 * MIB):
        s3.put_object(Bucket=BUCKET, Key=f"size-{size}", Body=os.urandom(size))
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    part = os.urandom(5 * MIB)
    s3.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=1, Body=part)
    s3.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=2, Body=part[::-1])
    connection = hang_in_a_put(node)
    until(lambda: seen.look() or "chunks/tmp/RANDOM" in seen.met, "the body of a PUT lies in chunks/tmp")
    connection.close()
    if node.mnt:
        with (node.mnt / BUCKET / "open").open("wb") as file:
            file.write(os.urandom(2 * MIB))
            file.flush()
            seen.look()
            assert "chunks/live/INO" in seen.met
        for n in range(3):
            (node.mnt / BUCKET / f"closed-{n}").write_bytes(os.urandom(10_000))
    node.cli("meta", "checkpoint", "--data", node.data)
    again(s3)
    seen.look()


def again(s3):
    """Some more groups in the log's newest segment."""
    for n in range(8):
        s3.put_object(Bucket=BUCKET, Key=f"again-{n}", Body=b"again")


def hurt_log(data):
    """Turns a byte in the middle of the log's newest segment."""
    segment = max((data / "log").glob("*.seg"))
    bytes_ = segment.read_bytes()
    groups = [m.start() for m in re.finditer(b"PGRP", bytes_)]
    with segment.open("r+b") as file:
        file.seek(groups[len(groups) // 2] + 45)
        file.write(bytes([bytes_[groups[len(groups) // 2] + 45] ^ 0xFF]))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("engine", ["sled", "fjall"])
def test_every_file_of_a_node_is_described(engine):
    """A node busy, stopped, hurt, repaired: each file it makes on the way has its line in FORMAT.md."""
    env = {settings.ENV_PASSTHROUGH: "auto", "PINFOLD_ENGINE": engine}
    node = Node("format", mount=os.geteuid() == 0, env=env)
    seen = Seen(node.data)
    try:
        node.start()
        busy(node, seen, s3c.client(node.endpoint))
        node.stop()
        seen.look()

        # The log is hurt: begun anew from the replica. Hurt again, with no replica: cut.
        hurt_log(node.data)
        node.cli("fsck", "--repair", "--data", node.data)
        seen.look()
        node.start()
        again(s3c.client(node.endpoint))
        node.stop()
        hurt_log(node.data)
        shutil.rmtree(node.data / "replica")
        node.cli("fsck", "--repair", "--accept-loss", "--data", node.data)
        seen.look()

        # The replica is hurt: set aside and built anew.
        node.cli("meta", "rebuild", "--data", node.data)
        seen.look()
        (node.data / "replica/engine").write_text("none")
        node.start()
        seen.look()
        node.stop()

        # The checkpoint is hurt: set aside.
        node.start()
        node.cli("meta", "checkpoint", "--data", node.data)
        node.stop()
        checkpoint = max((node.data / "checkpoint").glob("*.pck"))
        with checkpoint.open("r+b") as file:
            file.seek(80)
            file.write(b"\xff\xff\xff\xff")
        node.cli("fsck", "--repair", "--data", node.data)
        seen.look()
    finally:
        node.close()
    assert not seen.strange, f"FORMAT.md does not know {sorted(seen.strange)}"
    met = ["log/SEQ.seg", "log/spare.tmp", "log/cut-N/SEQ.seg.from-POSITION", "log.damaged-N/SEQ.seg", "replica/data/ANY",
           "replica/unindexed", "replica.damaged-N/engine", "checkpoint/checkpoint-SEQ.pck", "chunks/slabs/ID.slab",
           "checkpoint/checkpoint-SEQ.damaged", "chunks/content/FAN/ID-DIGEST", "chunks/content/FAN/ID-DIGEST.idx"]
    missed = set(met) - seen.met
    assert not missed, f"the node was to make these, too: {sorted(missed)}"


@pytest.mark.parametrize("file", ["meta/schema.rs", "chunk/index.rs"])
def test_every_kind_of_row_is_described(file):
    table = re.findall(r"^//! \| (`\w+`(?:, `\w+`)*)(?: [^|]*)? \|", (STORE / file).read_text(), flags=re.M)
    kinds = {kind for cell in table for kind in re.findall(r"`(\w+)`", cell)}
    assert kinds >= ({"B", "E", "a"} if file.startswith("meta") else {"b", "fc", "ft"})
    described = set(re.findall(r"^\| `(\w+)`", DOCUMENT, flags=re.M))
    # `f` of the schema stands for all of the index's.
    missing = {kind for kind in kinds if kind not in described and not any(d.startswith(kind) for d in described)}
    assert not missing, f"FORMAT.md has no rows {sorted(missing)}"


def test_every_setting_is_described():
    sources = [p.read_text().split("#[cfg(test)]\nmod tests {")[0] for p in STORE.rglob("*.rs")]
    names = {n for text in sources for n in re.findall(r'\bsetting\((?:&format!\()?"([a-z-]+/?)', text)}
    assert "stream/" in names
    missing = sorted(n for n in names if f"`{n}`" not in DOCUMENT)
    assert not missing, f"FORMAT.md has no settings {missing}"


def test_every_magic_number_is_described():
    sources = [p.read_text().split("#[cfg(test)]\nmod tests {")[0] for p in STORE.rglob("*.rs")]
    magic = {m for text in sources for m in re.findall(r'b"(PF\w+|PGRP|pinfold[A-Z])(?:\\n)?"', text)}
    assert {"PGRP", "pinfoldL", "PFSLAB1", "PFINDEX1"} <= magic
    missing = sorted(m for m in magic if m not in DOCUMENT)
    assert not missing, f"FORMAT.md does not have {missing}"
