"""Mail: concurrent deliveries into a Maildir and an mbox, while a reader files what comes."""

import hashlib
import mailbox
import os
import sys

import pytest

from harness.programs import environment, finish, many

WRITERS, MESSAGES = 4, 50

#: The classic delivery: tmp, fsync, link into new (or rename), unlink.
DELIVER = """
import hashlib, os, random, sys
folder, writer, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rng = random.Random(writer)
for number in range(int(sys.argv[4])):
    body = rng.randbytes(rng.choice([50, 4000, 70_000])).hex()
    text = f"From: {writer}@example.org\\nX-Number: {number}\\nX-Sum: {hashlib.sha256(body.encode()).hexdigest()}\\n\\n{body}"
    name = f"1700000000.M{number}P{writer}.host"
    fd = os.open(f"{folder}/tmp/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, text.encode())
    os.fsync(fd)
    os.close(fd)
    if how == "link":
        os.link(f"{folder}/tmp/{name}", f"{folder}/new/{name}")
        os.unlink(f"{folder}/tmp/{name}")
    else:
        os.rename(f"{folder}/tmp/{name}", f"{folder}/new/{name}")
"""

#: Moves what is new to cur, as a mail reader does, until it has seen all.
READ = """
import os, sys, time
folder, wanted, seen = sys.argv[1], int(sys.argv[2]), 0
until = time.monotonic() + 500
while seen < wanted:
    assert time.monotonic() < until, f"only {seen} of {wanted}"
    for name in os.listdir(f"{folder}/new"):
        os.rename(f"{folder}/new/{name}", f"{folder}/cur/{name}:2,S")
        with open(f"{folder}/cur/{name}:2,S") as file:
            assert file.read().startswith("From: "), name
        seen += 1
"""

#: Python's mbox: a lock by fcntl and by a dot file, a message appended.
APPEND = """
import mailbox, sys
writer = sys.argv[2]
for number in range(int(sys.argv[3])):
    box = mailbox.mbox(sys.argv[1])
    while True:
        try:
            box.lock()
            break
        except mailbox.ExternalClashError:
            pass
    box.add(f"From: {writer}@example.org\\nX-Number: {number}\\n\\n" + f"{writer} {number}\\n" * 200)
    box.flush()
    box.unlock()
    box.close()
"""


def judge(messages):
    seen = set()
    for message in messages:
        body = message.get_payload()
        assert hashlib.sha256(body.encode()).hexdigest() == message["X-Sum"]
        seen.add((message["From"], message["X-Number"]))
    assert len(seen) == len(messages) == WRITERS * MESSAGES


@pytest.mark.parametrize("how", ["link", "rename"])
def test_maildir(fs, local, how):
    box = fs / "Maildir"
    for name in ("tmp", "new", "cur"):
        (box / name).mkdir(parents=True)
    lines = [[sys.executable, "-c", DELIVER, box, w, how, MESSAGES] for w in range(WRITERS)]
    lines.append([sys.executable, "-c", READ, box, WRITERS * MESSAGES])
    with many(lines, local, env=environment(local)) as running:
        finish(running)
    assert os.listdir(box / "tmp") == os.listdir(box / "new") == []
    assert {os.stat(path).st_nlink for path in (box / "cur").iterdir()} == {1}
    mail = mailbox.Maildir(box, create=False)
    judge(list(mail))
    mail.clear()
    assert os.listdir(box / "cur") == []


def test_mbox(fs, local):
    lines = [[sys.executable, "-c", APPEND, fs / "mbox", w, 12] for w in range(WRITERS)]
    with many(lines, local, env=environment(local)) as running:
        finish(running)
    messages = list(mailbox.mbox(fs / "mbox", create=False))
    want = {(f"{w}@example.org", str(n)) for w in range(WRITERS) for n in range(12)}
    assert len(messages) == len(want) and {(m["From"], m["X-Number"]) for m in messages} == want
    assert all(m.get_payload().count("\n") in (200, 201) for m in messages)
    assert os.listdir(fs) == ["mbox"]
