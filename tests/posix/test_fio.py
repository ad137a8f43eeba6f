"""fio writes, reads back and verifies each block's checksum: orders, engines, several jobs on one file, syncs."""

import pytest

from harness.programs import need, run

#: Four jobs, each with a quarter of one file.
FOUR = "--filename=shared --size=4m --name=a --name=b --offset=4m --name=c --offset=8m --name=d --offset=12m"
#: Options of each job, beside those of all. 16 MiB a job.
JOBS = {
    "sequential": "--rw=write --bs=64k",
    "sequential-odd": "--rw=write --bsrange=512-70k --bs_unaligned",
    "random": "--rw=randwrite --bs=4k",
    "random-unaligned": "--rw=randwrite --bs=5000 --blockalign=512 --bs_unaligned",
    "mixed": "--rw=randrw --rwmixread=40 --bssplit=4k/50:16k/30:128k/20",
    "backwards": "--rw=write:-128k --bs=64k",
    "mmap": "--rw=randwrite --bs=4k --ioengine=mmap",
    "mmap-mixed": "--rw=randrw --bs=8k --ioengine=mmap --fsync=100",
    "direct": "--rw=randwrite --bs=4k --direct=1",
    "libaio": "--rw=randwrite --bs=16k --ioengine=libaio --iodepth=16 --direct=1",
    "libaio-buffered": "--rw=randrw --bs=16k --ioengine=libaio --iodepth=8",
    "io_uring": "--rw=randwrite --bs=16k --ioengine=io_uring --iodepth=16",
    "io_uring-direct": "--rw=randrw --bs=4k --ioengine=io_uring --iodepth=8 --direct=1",
    "io_uring-fixed": "--rw=randwrite --bs=16k --ioengine=io_uring --iodepth=8 --fixedbufs=1 --registerfiles=1",
    "vectors": "--rw=randwrite --bs=16k --ioengine=pvsync2",
    "splice": "--rw=write --bs=64k --ioengine=splice",
    "fsync": "--rw=randwrite --bs=4k --size=2m --fsync=4",
    "fdatasync": "--rw=write --bs=4k --size=2m --fdatasync=3 --fsync_on_close=1",
    "sync": "--rw=randwrite --bs=4k --size=1m --sync=1",
    "range": "--rw=randwrite --bs=4k --sync_file_range=write:16",
    "four-jobs": f"--rw=randwrite --bs=4k {FOUR}",
    "four-jobs-direct": f"--rw=write --bs=64k --direct=1 {FOUR}",
    "four-jobs-fsync": f"--rw=randrw --bs=4k --fsync=16 {FOUR.replace('4m', '1m')}",
    "many-files": "--rw=randwrite --bs=4k --nrfiles=64 --file_service_type=random --openfiles=16",
    "preallocated": "--rw=randwrite --bs=4k --fallocate=posix",
    "kept-size": "--rw=write --bs=16k --fallocate=keep",
    "grown": "--rw=write --bs=16k --fallocate=truncate",
    "appended": "--rw=write --bs=4k --file_append=0 --fallocate=none --unlink=0",
}
ALL = "--name=global --directory=. --size=16m --ioengine=psync --verify=crc32c --do_verify=1 --verify_fatal=1 --verify_dump=0"
ALL += " --randrepeat=1 --group_reporting --output-format=terse"


def line(options):
    return f"fio {ALL} {options}" + ("" if "--name" in options else " --name=job")


def fio(options, fs):
    return run(line(options), fs)


def permitted(options, local):
    """Skips where this machine's local disk refuses the job as well (an engine that is not built in or not permitted)."""
    tried = run(f"{line(options)} 2>&1 || echo REFUSED", local)
    if "REFUSED" in tried:
        pytest.skip(f"needs a machine whose own disk takes this: {tried.strip().splitlines()[0][:200]}")


@pytest.mark.parametrize("job", JOBS)
def test_verify(fs, local, job):
    need("fio")
    permitted(JOBS[job], local)
    fio(JOBS[job], fs)


@pytest.mark.parametrize("job", ["random", "mmap", "direct", "many-files"])
def test_verify_after_a_new_start(place, fs, job):
    """Written before the daemon stops, verified after it has started again; and after kill -9 where all was synced."""
    need("fio")
    if place.node is None:
        pytest.skip("needs a daemon to stop")
    fio(JOBS[job] + " --end_fsync=1", fs)
    place.node.restart()
    fio(JOBS[job] + " --verify_only=1", fs)
    fio(JOBS[job] + " --end_fsync=1 --randseed=77", fs)
    place.node.kill()
    place.node.start()
    fio(JOBS[job] + " --verify_only=1 --randseed=77", fs)


def test_the_check_can_fail(fs):
    """A byte that is changed behind fio's back is found."""
    need("fio")
    fio("--rw=write --bs=64k", fs)
    path = fs / "job.0.0"
    with path.open("r+b") as file:
        file.seek(5_000_000)
        byte = file.read(1)
        file.seek(5_000_000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(AssertionError, match=r"verify|crc32c|Invalid or incomplete"):
        fio("--rw=write --bs=64k --verify_only=1", fs)
