//! Tells the binary what it was built from: commit, compiler, target, profile.

use std::env;
use std::path::Path;
use std::process::Command;

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

fn main() {
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    for path in ["HEAD", "logs/HEAD"] {
        // A path that is not there would make cargo run this script every time.
        if let Some(path) = output("git", &["rev-parse", "--git-path", path]).filter(|p| Path::new(p).exists()) {
            set("rerun-if-changed", &path);
        }
    }
    set("rerun-if-changed", "build.rs");
    let rustc = env::var("RUSTC").ok().and_then(|rustc| output(&rustc, &["--version"]));
    for (name, value) in [
        ("COMMIT", commit),
        ("RUSTC", rustc),
        ("TARGET", env::var("TARGET").ok()),
        ("PROFILE", env::var("PROFILE").ok()),
    ] {
        let value = value.unwrap_or_else(|| "unknown".to_owned());
        set("rustc-env", &format!("PINFOLD_BUILD_{name}={value}"));
    }
}

#[allow(clippy::print_stdout)] // how a build script talks to cargo
fn set(key: &str, value: &str) {
    println!("cargo:{key}={value}");
}
