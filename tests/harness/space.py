"""What unfinished and deleted writes held is given back."""

import contextlib
import os

from . import s3 as s3c
from . import settings
from .wait import until

BLOCK = 4096
#: Most that the replica's own files take in these tests, and most that is set aside: for the replica, and for open slabs.
REPLICA, ASIDE = 32 * settings.MIB, 80 * settings.MIB
#: Most that fjall's journals take: it writes a table when they reach 64 MiB.
JOURNALS = 96 * settings.MIB


def _files(folder):
    """The state of every file below a folder; those that go meanwhile are not there."""
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(os.path.join(at, name))


def folder_size(path):
    """Bytes that a folder takes on the disk."""
    return sum(file.st_blocks * 512 for file in _files(path))


def files_below(node, *folders):
    """Files in folders of the chunk store."""
    at = node.data / "chunks"
    return sorted(os.path.join(f, n) for folder in folders for f, _, names in os.walk(at / folder) for n in names)


def unfinished(node):
    """What a stopped node may never leave: unfinished bodies, and files that were written and are not published."""
    return files_below(node, "tmp", "live")


def set_aside(node):
    """Bytes of blocks beyond the ends of files: what a full disk leaves the replica and the open slabs to write into."""
    return sum(max(0, file.st_blocks * 512 - -(-file.st_size // BLOCK) * BLOCK) for file in _files(node.data))


def journals(node):
    """Bytes of the replica's journals."""
    return sum(file.stat().st_size for file in (node.data / settings.REPLICA_FOLDER).rglob("*.jnl"))


def check_space(node, bucket="crash"):
    """The disk holds the live bytes, a tenth more, the replica's own and the log; nothing of uploads and of files that were
    written remains. What is set aside, and the replica's journals, are bounded by
    themselves. Every upload must have ended, every file be closed."""
    live = sum(o["Size"] for o in s3c.list_all(s3c.client(node.endpoint), bucket)[0])

    def over():
        """What is too much, or None."""
        log, aside = folder_size(node.data / settings.LOG_FOLDER), set_aside(node)
        journal = journals(node)
        used = node.disk_use() - aside - log - journal
        if used <= live * 11 // 10 + REPLICA and aside <= ASIDE and journal <= JOURNALS:
            return None
        parts = (
            ("on disk", used), ("live", live), ("set aside", aside), ("of journals", journal), ("of log beside", log),
        )
        return ", ".join(f"{size >> 20} MiB {what}" for what, size in parts)

    until(lambda: over() is None, over, 120, 0.2)
    folders = ("tmp", "live", "uploads")
    until(lambda: not files_below(node, *folders), lambda: files_below(node, *folders), 120, 0.2)
