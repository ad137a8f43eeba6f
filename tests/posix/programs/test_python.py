"""Python's own tests of what touches files, with their temporary files on the mount; what fails on a disk too is named."""

import re
from pathlib import Path

import pytest

from harness.programs import environment, need, run

PYTHON = "/usr/bin/python3"
SUITES = [
    "test_shutil", "test_tempfile", "test_mailbox", "test_pathlib", "test_glob", "test_fileio", "test_largefile", "test_mmap",
    "test_zipfile", "test_tarfile", "test_filecmp", "test_fileinput", "test_dbm_dumb", "test_shelve", "test_fcntl",
    "test_posix", "test_os", "test_genericpath",
    "test_posixpath", "test_stat", "test_py_compile",
]

#: Tests that cannot pass on the mount, with the reason.
EXCUSED = {
    "Pep383Tests": "names that are not UTF-8 get EILSEQ (S10)",
    "test_nonascii_abspath": "names that are not UTF-8 get EILSEQ (S10)",
}


def failed(suites, where, home):
    """Which tests of these suites fail in that folder, by name."""
    # Each suite makes and removes its own folder; a non-root user's view is not what is tested here.
    said = run(
        [PYTHON, "-m", "test", "-v", "--tempdir", where, "--timeout", "300", *suites],
        where, env=environment(home, TMPDIR=where), timeout=1500, fine=(0, 1, 2),
    )
    assert re.search(r"== Tests result: (SUCCESS|FAILURE)", said) or "Result: " in said, said[-3000:]
    return {f"{kind} {name}" for kind, name in re.findall(r"^(ERROR|FAIL): (\S+ \(\S+\))", said, flags=re.M)}


def test_pythons_own(fs, local, figures, place):
    need(PYTHON)
    library = Path(run([PYTHON, "-c", "import os; print(os.path.dirname(os.__file__))"], local).strip()) / "test"
    there = [s for s in SUITES if (library / f"{s}.py").exists() or (library / s).is_dir()]
    if len(there) < len(SUITES) / 2:
        pytest.skip("needs libpython3-testsuite")
    found = failed(there, fs, local)
    on_disk = failed(there, local, local) if found else set()
    both = sorted(found & on_disk) or "none"
    figures.append(f"python ({place.mode}): {len(there)} suites; failed on the local disk too: {both}")
    excused = {name for name in found if any(word in name for word in EXCUSED)}
    if excused and place.node is not None:
        figures.append(f"    excused: {len(excused)}: {', '.join(sorted(set(EXCUSED.values())))}")
        found -= excused
    assert not found - on_disk, "\n".join(sorted(found - on_disk))
