"""cargo: a small crate is built, built again, changed, tested and cleaned, offline."""

import os

import pytest

from harness.programs import need, run

MANIFEST = """[package]
name = "small"
version = "0.1.0"
edition = "2021"
[workspace]
members = ["inner"]
[dependencies]
inner = { path = "inner" }
"""
INNER = '[package]\nname = "inner"\nversion = "0.1.0"\nedition = "2021"\nbuild = "build.rs"\n'
BUILD = """fn main() {
    let out = std::path::Path::new(&std::env::var("OUT_DIR").unwrap()).join("made.rs");
    std::fs::write(out, "pub const MADE: u32 = 41;").unwrap();
    println!("cargo:rerun-if-changed=build.rs");
}
"""
LIB = """include!(concat!(env!("OUT_DIR"), "/made.rs"));
pub fn more(n: u32) -> u32 { n + 1 }
#[test]
fn adds() { assert_eq!(more(MADE), 42); }
"""
MAIN = 'fn main() { println!("{}", inner::more(inner::MADE)); }\n'


@pytest.fixture
def cargo(fs):
    need("cargo", "cc")
    for name, text in {
        "Cargo.toml": MANIFEST, "src/main.rs": MAIN,
        "inner/Cargo.toml": INNER, "inner/build.rs": BUILD, "inner/src/lib.rs": LIB,
    }.items():
        path = fs / "small" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    # The toolchain is found by the caller's home; nothing else of its settings counts.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CARGO_", "RUST")) or k in ("CARGO_HOME", "RUSTUP_HOME")}
    env |= {"CARGO_TERM_COLOR": "never", "CARGO_INCREMENTAL": "1"}
    return lambda *words: run(["cargo", *words, "--offline"], fs / "small", env=env), fs / "small"


def test_build(cargo, place):
    call, folder = cargo
    first = call("build", "-v")
    assert "Compiling inner" in first and "Compiling small" in first
    assert run([folder / "target/debug/small"], folder) == "42\n"
    again = call("build", "-v")
    assert "Compiling" not in again and again.count("Fresh") == 2, again
    assert "test result: ok. 1 passed" in call("test", "--workspace")

    main = folder / "src/main.rs"
    main.write_text(MAIN.replace("inner::MADE", "inner::MADE + 1"))
    changed = call("build", "-v")
    assert "Fresh inner" in changed and "Compiling small" in changed, changed
    assert run([folder / "target/debug/small"], folder) == "43\n"

    if place.node is not None:
        # Times and inode numbers outlive the daemon: nothing is built again.
        place.node.restart()
        after = call("build", "-v")
        assert "Compiling" not in after and "Dirty" not in after, after
        assert run([folder / "target/debug/small"], folder) == "43\n"
    call("clean")
    assert not (folder / "target").exists()
    assert sorted(os.listdir(folder)) == ["Cargo.lock", "Cargo.toml", "inner", "src"]
