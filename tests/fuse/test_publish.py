"""Where a file's bytes lie on the data disk: live files, sealing, publishing (rulings 8, 9, 12, 13)."""

import errno
import mmap
import os

import pytest

from harness import cid, settings
from harness import s3 as s3c
from harness.syscalls import opened, read_file, write_file
from harness.wait import until

pytestmark = [pytest.mark.pinfold, pytest.mark.root]

MIB = settings.MIB


def chunks(place):
    return place.node.data / "chunks"


def live_file(place, path):
    """Where the live file of a file on the mount lies, if it has one."""
    return chunks(place) / "live" / f"{os.stat(path).st_ino:016x}"


def content_files(place):
    """Local inode → path of the content files."""
    files = (p for p in (chunks(place) / "content").rglob("*") if p.is_file() and p.suffix != ".idx")
    return {os.stat(p).st_ino: p for p in files}


def publish(path):
    """Asking for the CID publishes."""
    return os.getxattr(path, settings.XATTR_CID).decode()


def opens_by(place, who):
    for line in place.node.admin(settings.METRICS)[1].splitlines():
        if line.startswith(f'pinfold_fuse_opens_total{{served_by="{who}"}}'):
            return int(float(line.split()[-1]))
    return 0


def test_ruling8_the_last_close_seals_the_live_file_itself(place, fs, rng):
    data = rng.randbytes(3 * MIB + 5)
    with opened(fs / "f", os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, data)
        live = live_file(place, fs / "f")
        local = os.stat(live).st_ino
    assert publish(fs / "f") == cid.of_bytes(data)
    assert local in content_files(place), "the bytes were copied"
    until(lambda: not live.exists(), "the live file is the content file now")
    assert read_file(fs / "f") == data


def test_ruling8_small_files_take_no_content_file(place, fs, rng):
    """Up to 64 KiB goes to a slab, and the emptied live file goes."""
    for size in (5000, 64 * settings.KIB):
        data = rng.randbytes(size)
        with opened(fs / "f", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            os.write(fd, data)
            live = live_file(place, fs / "f")
            local = os.stat(live).st_ino
        publish(fs / "f")
        assert local not in content_files(place)
        until(lambda live=live: not live.exists(), "the live file is given back")
        assert read_file(fs / "f") == data


def test_ruling8_what_may_still_be_written_to_is_not_named_by_a_cid(place, fs, prefix, rng):
    """A file that stays open is published by copy: its own bytes may change, so no other object may share them."""
    first, second = rng.randbytes(2 * MIB), rng.randbytes(2 * MIB)
    with opened(fs / "f", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, first)
        os.fsync(fd)
        assert s3c.body(place.s3, place.bucket, prefix + "f") == first
        local = os.stat(live_file(place, fs / "f")).st_ino
        assert local not in content_files(place)
        os.pwrite(fd, second, 0)
        place.s3.put_object(Bucket=place.bucket, Key=prefix + "same", Body=first)
        assert s3c.body(place.s3, place.bucket, prefix + "same") == first
        assert read_file(fs / "same") == first
    assert s3c.body(place.s3, place.bucket, prefix + "f") == second
    assert read_file(fs / "same") == first


def test_ruling9_what_is_written_past_the_daemon_is_found(place, fs, prefix, rng):
    """Single bytes by write and by mapping, anywhere in a published file; nobody tells the daemon which."""
    data = bytearray(rng.randbytes(5 * MIB + 100))
    write_file(fs / "f", data)
    for _ in range(6):
        assert publish(fs / "f") == cid.of_bytes(bytes(data))
        by_write, by_mapping = rng.randrange(len(data)), rng.randrange(len(data))
        with opened(fs / "f", os.O_RDWR) as fd, mmap.mmap(fd, 0) as mapped:
            for at in (by_write, by_mapping):
                data[at] ^= 0xFF
                if at == by_write:
                    os.pwrite(fd, data[at : at + 1], at)
                else:
                    mapped[at] = data[at]
    assert s3c.body(place.s3, place.bucket, prefix + "f") == data


def test_ruling12_a_closed_file_is_opened_again_without_a_copy(place, fs, rng):
    data = rng.randbytes(3 * MIB)
    for attempt in range(5):
        path = fs / f"f{attempt}"
        with opened(path, os.O_WRONLY | os.O_CREAT) as fd:
            os.write(fd, data)
            local = os.stat(live_file(place, path)).st_ino
        with opened(path, os.O_RDWR) as fd:
            again = os.stat(live_file(place, path)).st_ino
            os.pwrite(fd, b"again", 0)
        assert read_file(path) == b"again" + data[5:]
        if again == local:
            return
        # Else it was published between the two calls: on a busy machine that may happen, but not each time.
    pytest.fail("opening a file again that was just closed takes another live file")


def test_ruling13_a_content_file_that_was_touched_is_checked_as_a_whole(place, fs, prefix, rng):
    data = rng.randbytes(2 * MIB)
    before = set(content_files(place))
    place.s3.put_object(Bucket=place.bucket, Key=prefix + "f", Body=data)
    (content,) = (path for local, path in content_files(place).items() if local not in before)
    assert "its bytes not" not in place.node.log_text()
    os.utime(content)
    by_kernel, by_daemon = opens_by(place, "kernel"), opens_by(place, "daemon")
    assert read_file(fs / "f") == data
    assert f"root={content.name.split('-')[1]}" in place.node.log_text().replace('"', ""), "an open looks at the times"
    expected = (by_kernel + 1, by_daemon) if place.mode == "passthrough" else (by_kernel, by_daemon + 1)
    assert (opens_by(place, "kernel"), opens_by(place, "daemon")) == expected, "its bytes are what they were"


def test_ruling13_changed_bytes_with_the_old_times_are_never_served(place, fs, prefix, rng):
    data = rng.randbytes(2 * MIB)
    before = set(content_files(place))
    place.s3.put_object(Bucket=place.bucket, Key=prefix + "f", Body=data)
    (content,) = (path for local, path in content_files(place).items() if local not in before)
    times = os.stat(content)
    with open(content, "r+b") as file:
        file.seek(MIB + 77)
        file.write(bytes([data[MIB + 77] ^ 1]))
    os.utime(content, ns=(times.st_atime_ns, times.st_mtime_ns))
    with opened(fs / "f", os.O_RDONLY) as fd:
        with pytest.raises(OSError) as caught:
            os.pread(fd, 4096, MIB)
        assert caught.value.errno == errno.EIO
    place.s3.delete_object(Bucket=place.bucket, Key=prefix + "f")
