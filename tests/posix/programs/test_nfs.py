"""Re-export by the kernel's NFS server."""

from pathlib import Path

import pytest


def test_re_export():
    if "nodev\tnfsd\n" not in Path("/proc/filesystems").read_text():
        pytest.skip("needs an NFS server in the kernel (CONFIG_NFSD), which this one is built without")
    pytest.skip("needs to be written: no kernel with an NFS server was at hand to try it on")
