"""Every rule of docs/SEMANTICS.md is the name of a test, and every test it names is there."""

import re

import pytest

from harness.settings import REPO

RULES = [f"S{i}" for i in range(1, 21)]
#: What the document says of a rule that is not kept yet.
LATER = "not in this release"
DOCUMENT = REPO / "docs/SEMANTICS.md"


def all_tests():
    """Names of all tests, in Python and in Rust."""
    found = set()
    for path in REPO.glob("tests/**/test_*.py"):
        found |= set(re.findall(r"^\s*def (test_\w+)", path.read_text(), flags=re.M))
    for crate in ("store", "s3", "fuse", "node"):
        for path in (REPO / crate).rglob("*.rs"):
            found |= set(re.findall(r"#\[(?:tokio::)?test[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)", path.read_text()))
    return found


def paragraphs():
    """Rule → its text in the document."""
    text = DOCUMENT.read_text()
    pieces = re.split(r"^- \*\*(S\d+)\*\*", text, flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_the_name_of_a_test(rule):
    number = rule[1:]
    named = [t for t in all_tests() if re.search(rf"(^|_)s{number}(_|$)", t)]
    assert named or LATER in paragraphs()[rule], f"no test is named after {rule}"


def test_the_document_has_all_rules():
    assert list(paragraphs()) == RULES


@pytest.mark.parametrize("rule", RULES)
def test_the_document_names_tests_that_exist(rule):
    text, tests = paragraphs()[rule], all_tests()
    named = re.findall(r"`(test_\w+|s\d+_\w+|ruling\d+_\w+)`", text)
    missing = [name for name in named if name not in tests]
    assert not missing, f"{rule} names tests that are not there: {missing}"
    if LATER not in text:
        assert named, f"{rule} names no test"
