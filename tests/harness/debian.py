"""Programs of Debian packages for tests, unpacked into the cache: nothing is installed, no service is started."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def program(name, *packages):
    """(path of `name`, environment to run it in): this machine's, or that of the packages; skips without both."""
    if found := shutil.which(name):
        return found, dict(os.environ)
    cache = Path(os.environ.get("PINFOLD_TEST_CACHE", "~/.cache/pinfold")).expanduser() / "debian" / name
    if not cache.is_dir():
        fetch(name, packages, cache)
    libraries = ":".join(str(path) for path in cache.glob("usr/lib/*-linux-gnu*"))
    for folder in ("usr/bin", "usr/sbin"):
        if (cache / folder / name).is_file():
            return str(cache / folder / name), {**os.environ, "LD_LIBRARY_PATH": libraries}
    return pytest.skip(f"needs {name}")


def fetch(name, packages, cache):
    """Unpacks the packages below `cache`, whole or not at all."""
    with tempfile.TemporaryDirectory() as scratch:
        # apt's own user must be able to write here.
        os.chmod(scratch, 0o777)
        try:
            subprocess.run(["apt-get", "-q", "download", *packages], cwd=scratch, check=True, capture_output=True, timeout=300)
            for package in Path(scratch).glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", package, f"{scratch}/root"], check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            pytest.skip(f"needs {name}")
        cache.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(f"{scratch}/root", cache)
