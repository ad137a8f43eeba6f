"""Logs: rotation by rename and by copy while programs write."""

import re
import sys

from harness.programs import environment, finish, many, need, run
from harness.wait import until

#: Appends numbered lines; a signal makes it open the name again, as daemons do.
WRITER = """
import os, signal, sys, time
again = True
def hup(*_):
    global again
    again = True
signal.signal(signal.SIGHUP, hup)
with open("writer.pid", "w") as file:
    file.write(str(os.getpid()))
fd, number = -1, 0
while not os.path.exists("stop"):
    if again:
        again = False
        if fd >= 0:
            os.close(fd)
        fd = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    os.write(fd, b"%08d %s\\n" % (number, b"x" * (number % 200)))
    number += 1
    time.sleep(0.0005)
print(number)
"""

#: Renames a whole row of files at each turn.
HANDLER = """
import logging, logging.handlers, sys
handler = logging.handlers.RotatingFileHandler("app.log", maxBytes=20_000, backupCount=500)
log = logging.getLogger()
log.addHandler(handler)
for number in range(4000):
    log.warning("%08d", number)
"""


def numbers(path):
    return [int(n) for n in re.findall(r"^(\d{8}) x*$", path.read_text(), flags=re.M)]


def test_rename_and_open_again(fs, local):
    """logrotate renames, tells the writer by a signal, and compresses; no line is lost or doubled."""
    need("logrotate")
    rules = "rotate 20\ncompress\ndelaycompress\ncreate 640 root root\npostrotate\nkill -HUP $(cat writer.pid)\nendscript"
    (local / "rules").write_text(f"su root root\n{fs}/log {{\n{rules}\n}}\n")
    with many([[sys.executable, "-c", WRITER]], fs, env=environment(local)) as running:
        until((fs / "log").exists, "the writer begins", 120)
        for _ in range(5):
            until(lambda: (fs / "log").stat().st_size > 20_000, "the log grows", 120)
            run(["logrotate", "-f", "-s", local / "state", local / "rules"], fs, env=environment(local))
            until((fs / "log").exists, "a new log", 120)
        (fs / "stop").touch()
        written = int(finish(running)[0])
    run("gunzip log.*.gz", fs)
    assert len(list(fs.glob("log.*"))) == 5
    found = [n for path in sorted(fs.glob("log*")) for n in numbers(path)]
    assert sorted(found) == list(range(written))


def test_copy_and_truncate(fs, local):
    """`copytruncate`: lines between the two are lost by design; what is there is whole, and the file begins anew at 0."""
    need("logrotate")
    (local / "rules").write_text(f"su root root\n{fs}/log {{\n rotate 9\n copytruncate\n}}\n")
    with many([[sys.executable, "-c", WRITER]], fs, env=environment(local)) as running:
        until((fs / "log").exists, "the writer begins", 120)
        for _ in range(4):
            until(lambda: (fs / "log").stat().st_size > 20_000, "the log grows", 120)
            run(["logrotate", "-f", "-s", local / "state", local / "rules"], fs, env=environment(local))
        (fs / "stop").touch()
        written = int(finish(running)[0])
    logs = [fs / f"log.{n}" for n in (4, 3, 2, 1)] + [fs / "log"]
    found = [n for path in logs for n in numbers(path)]
    assert found == sorted(set(found)) and found[0] == 0 and found[-1] == written - 1
    for path in logs:
        data = path.read_bytes()
        assert b"\0" not in data, f"{path.name}: no hole where the old bytes were"
        # Only the first line may be cut: copying and truncating meet writes between them.
        assert len(numbers(path)) >= data.count(b"\n") - 1


def test_handlers_of_python(fs, local):
    with many([[sys.executable, "-c", HANDLER]], fs, env=environment(local)) as running:
        finish(running)
    found = []
    logs = sorted(fs.glob("app.log*"), key=lambda p: -int(p.suffix[1:]) if p.suffix[1:].isdigit() else 1)
    for path in logs:
        assert path.stat().st_size <= 20_000
        found += [int(line) for line in path.read_text().split()]
    assert found == list(range(4000))
