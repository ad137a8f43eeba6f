"""The shape of the repository: what the architecture says can be falsified by reading files, is."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from harness.settings import REPO

#: A module of the store uses those before it.
STORE_ORDER = [
    "error", "types", "clock", "worker", "crypto", "iam", "audit", "unixfs", "meta", "chunk", "ipfs", "pin", "namespace",
]
#: Suites and fakes that are compiled for tests only.
STORE_FREE = {"testkit"}
TOP_LEVEL = {
    "Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "fuse", "node", "s3", "store", "packaging", "tests", "docs",
}
FOREIGN_TO_STORE = r"\b(s3s|fuser|hyper|hyper_util|axum|http|tower|rustls|pinfold_s3|pinfold_fuse)::"
ASKS_FOR_A_REASON, REFUSED = 500, 800
#: How a file of more than 500 lines says why.
REASON = "over 500 lines because"


def tracked(*patterns):
    """Files under version control, and new ones that are not ignored."""
    command = ["git", "-C", REPO, "ls-files", "-co", "--exclude-standard", "--", *patterns]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [REPO / line for line in done.stdout.splitlines() if (REPO / line).exists()]


def code(path):
    """A Rust file without comments, strings and what follows `#[cfg(test)]`."""
    text = path.read_text().split("#[cfg(test)]\nmod tests {")[0]
    text = re.sub(r'r#".*?"#|"(?:\\.|[^"\\])*"', '""', text, flags=re.S)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def module_of(path):
    """The store's top module that a file belongs to."""
    return path.relative_to(REPO / "store/src").parts[0].removesuffix(".rs")


def uses_of(path):
    """Top modules of the store that a file names: by `crate::x`, in `use crate::{…}`, or re-exported from the root."""
    text = code(path)
    found = set(re.findall(r"\bcrate::([a-z_]+)\b", text))
    for group in re.findall(r"\bcrate::\{([^;]*?)\};", text, flags=re.S):
        depth, word = 0, ""
        for letter in group + ",":
            if letter in "{}":
                depth += 1 if letter == "{" else -1
            elif letter == "," and depth == 0:
                found.add(word.strip().split("::")[0])
                word = ""
                continue
            if depth == 0:
                word += letter
    return found & {*STORE_ORDER, *STORE_FREE}


def store_files():
    files = tracked("store/src/**/*.rs", "store/src/*.rs")
    return [p for p in files if "tests" not in p.parts and p.name not in ("lib.rs", "tests.rs")]


def test_the_store_has_no_back_edges():
    wrong = []
    for path in store_files():
        module = module_of(path)
        if module in STORE_FREE:
            continue
        assert module in STORE_ORDER, f"{module} has no place in the order {STORE_ORDER}"
        allowed = set(STORE_ORDER[: STORE_ORDER.index(module) + 1])
        wrong += [f"{path.relative_to(REPO)} uses {used}" for used in sorted(uses_of(path) - allowed)]
    assert not wrong, "\n".join(wrong)


def test_the_check_for_back_edges_can_fail(tmp_path):
    """The reading above sees each form of a use."""
    file = tmp_path / "x.rs"
    file.write_text("use crate::{chunk::{Cid, store}, namespace};\nfn f() { crate::meta::open() } // crate::unixfs\n")
    assert uses_of(file) == {"chunk", "namespace", "meta"}


def manifest(crate):
    return tomllib.loads((REPO / crate / "Cargo.toml").read_text())


def test_crates_depend_in_one_direction():
    ours = {}
    for crate in ("store", "s3", "fuse", "node"):
        ours[crate] = {d for d in manifest(crate).get("dependencies", {}) if d.startswith("pinfold")}
    assert ours["store"] == set()
    assert ours["s3"] == ours["fuse"] == {"pinfold-store"}
    assert ours["node"] >= {"pinfold-store", "pinfold-s3", "pinfold-fuse"}


@pytest.mark.parametrize(
    ("crate", "foreign"),
    [("store", FOREIGN_TO_STORE), ("s3", r"\b(fuser|pinfold_fuse)::"), ("fuse", r"\b(s3s|hyper|pinfold_s3)::")],
)
def test_crates_do_not_name_what_is_not_theirs(crate, foreign):
    wrong = [str(p.relative_to(REPO)) for p in tracked(f"{crate}/**/*.rs") if re.search(foreign, code(p))]
    assert not wrong
    names = {d.replace("-", "_") for d in manifest(crate).get("dependencies", {})}
    assert not [n for n in names if re.search(foreign, n + "::")]


def test_no_glob_imports():
    wrong = []
    for path in tracked("*.rs", "**/*.rs"):
        for number, line in enumerate(code(path).splitlines(), 1):
            if re.search(r"\buse\s[^;]*::\*\s*[;,}]", line):
                wrong.append(f"{path.relative_to(REPO)}:{number}")
    for path in tracked("*.py", "**/*.py"):
        if re.search(r"^\s*from \S+ import \*", path.read_text(), flags=re.M):
            wrong.append(str(path.relative_to(REPO)))
    assert not wrong, "\n".join(wrong)


def test_unsafe_is_explained():
    """A file with `unsafe` opts in at its top, with a reason on that line or above it."""
    wrong = []
    for path in tracked("*.rs", "**/*.rs"):
        text = code(path)
        if re.search(r"\bunsafe\b(?!_code)", text):
            head = path.read_text()[:4000]
            if not re.search(r"#!\[allow\(unsafe_code[^\]]*\]\s*//\s*\w|//[^\n]+\n#!\[allow\(unsafe_code|reason\s*=", head):
                wrong.append(str(path.relative_to(REPO)))
    assert not wrong, "\n".join(wrong)


def gives_a_reason(text):
    """Whether a long file says at its top, above its first import, why it is long."""
    head = re.split(r"^(?:use|import|from|mod|fn) ", text, maxsplit=1, flags=re.M)[0]
    return re.search(rf"^(?://[/!]?|#) {REASON} \w+", head, flags=re.M) is not None


def test_the_check_for_a_reason_can_fail():
    assert gives_a_reason("//! A job.\n\n// over 500 lines because one format.\n\nuse std::fs;\n")
    assert not gives_a_reason("//! A job.\nuse std::fs;\n// over 500 lines because one format.\n")
    assert not gives_a_reason("// over 500 lines because\nuse std::fs;\n")


def test_file_sizes():
    sizes = {p.relative_to(REPO): len(p.read_text().splitlines()) for p in tracked("*.rs", "**/*.rs", "*.py", "**/*.py")}
    long = sorted((f"{size} {path}" for path, size in sizes.items() if size > ASKS_FOR_A_REASON), reverse=True)
    silent = [line for line in long if not gives_a_reason((REPO / line.split(maxsplit=1)[1]).read_text())]
    assert not silent, f"over 500 lines without a comment “{REASON} …” at the top:\n  " + "\n  ".join(silent)
    refused = [line for line in long if int(line.split()[0]) > REFUSED]
    assert not refused, "over 800 lines:\n  " + "\n  ".join(refused)


def test_no_file_is_called_utils():
    files = tracked("*.rs", "**/*.rs", "*.py", "**/*.py")
    assert not [str(p.relative_to(REPO)) for p in files if p.stem in ("utils", "util", "helpers", "misc")]


def test_the_top_level_is_what_it_should_be():
    found = {p.relative_to(REPO).parts[0] for p in tracked()}
    unexpected = {name for name in found if not name.startswith(".")} - TOP_LEVEL
    assert not unexpected, unexpected
    assert {"Cargo.toml", "Cargo.lock", "LICENSE", "fuse", "node", "s3", "store", "tests", "docs"} <= found


def test_no_secret_and_no_machine_path_is_committed():
    wrong = []
    for path in tracked():
        if path.suffix in (".rs", ".py", ".toml", ".md", ".sh", ".service", "") and path.is_file():
            text = path.read_text(errors="replace")
            for word in ("/" + "work/", "/" + "root/", "AKIA" + "IOSFODNN"):
                if word in text:
                    wrong.append(f"{path.relative_to(REPO)}: {word}")
    assert not wrong, "\n".join(wrong)


def test_pinned_python_packages():
    for line in (Path(__file__).parents[1] / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z0-9_-]+==[0-9.]+", line), line
