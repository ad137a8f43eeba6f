"""What unfinished and deleted writes held is given back."""

import os

from . import s3 as s3c
from . import settings
from .wait import until


def folder_size(path):
    """Bytes that a folder takes on the disk."""
    return sum(os.lstat(os.path.join(f, n)).st_blocks * 512 for f, _, names in os.walk(path) for n in names)


def files_below(node, *folders):
    """Files in folders of the chunk store."""
    at = node.data / "chunks"
    return sorted(os.path.join(f, n) for folder in folders for f, _, names in os.walk(at / folder) for n in names)


def unfinished(node):
    """What a stopped node may never leave: unfinished bodies, and files that were written and are not published."""
    return files_below(node, "tmp", "live")


def check_space(node, bucket="crash"):
    """The disk holds the live bytes, a tenth more, the replica's own and the log; nothing of uploads and of files that were
    written remains. Every upload must have ended, every file be closed."""
    live = sum(o["Size"] for o in s3c.list_all(s3c.client(node.endpoint), bucket)[0])
    log = folder_size(node.data / settings.LOG_FOLDER)
    bound = live * 11 // 10 + log + 64 * settings.MIB
    until(
        lambda: node.disk_use() <= bound,
        lambda: f"{node.disk_use() >> 20} MiB on disk for {live >> 20} MiB live and {log >> 20} MiB of log",
        120, 0.2,
    )
    folders = ("tmp", "live", "uploads")
    until(lambda: not files_below(node, *folders), lambda: files_below(node, *folders), 120, 0.2)
