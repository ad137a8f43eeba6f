"""docs/S3-COMPATIBILITY.md says what the tests show: every action, and no test that is not there."""

import gzip
import importlib.util
import json
import re
from pathlib import Path

import botocore

from harness.settings import REPO

PAGE = (REPO / "docs/S3-COMPATIBILITY.md").read_text()
HERE = Path(__file__).parent


def rows():
    """Action → its state."""
    return dict(re.findall(r"^\| ([A-Z]\w+) \| (done|off|501(?:, later)?) \|", PAGE, flags=re.M))


def test_the_compatibility_page_has_every_action():
    spec = importlib.util.spec_from_file_location("refused_actions", HERE / "test_refused.py")
    refused = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(refused)
    folder = Path(botocore.__file__).parent / "data/s3/2006-03-01"
    known = set(json.loads(gzip.decompress((folder / "service-2.json.gz").read_bytes()))["operations"])
    assert set(rows()) | refused.SAME_AS == known
    assert {name for name, state in rows().items() if state in ("done", "off")} == refused.SERVED


def test_the_compatibility_page_names_tests_that_exist():
    files = [*HERE.glob("test_*.py"), *HERE.parent.glob("bad/test_*.py")]
    there = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(), flags=re.M)}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named and not named - there, named - there
    for section in PAGE.split("\n## ")[1:-1]:
        assert "\nTests: `test_" in section, f"a section without a test: {section.splitlines()[0]}"
