"""A source tree of 40 MiB to unpack: always the same one, made here."""

import io
import random
import tarfile

SIZE = 40 << 20
#: Of a source tree: most files are a few KiB, a few are large (log-normal, median 5 KiB).
MEDIAN, SPREAD, LARGEST = 5_000, 1.25, 2 << 20


def write(path, size=SIZE):
    """Writes the archive; the answer is its number of files."""
    rng = random.Random("a source tree")
    folders = ["src"]
    while len(folders) < 250:
        folders.append(f"{rng.choice(folders)}/{rng.choice(['net', 'fs', 'drivers', 'lib', 'core', 'doc'])}{len(folders)}")
    noise = rng.randbytes(LARGEST)
    count = written = 0
    with tarfile.open(path, "w") as tar:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, 1_700_000_000
            tar.addfile(entry)
        while written < size:
            length = min(int(rng.lognormvariate(0, SPREAD) * MEDIAN), LARGEST)
            entry = tarfile.TarInfo(f"{rng.choice(folders)}/file_{count:05}.c")
            entry.size, entry.mode, entry.mtime = length, 0o644, 1_700_000_000 + count
            start = rng.randrange(LARGEST - length + 1)
            tar.addfile(entry, io.BytesIO(noise[start : start + length]))
            count, written = count + 1, written + length
    return count
