//! The binary from outside: exit codes, the lock, what a terminal-less start says, the commands over the socket.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pinfold_node::admin::wire;

const DEADLINE: Duration = Duration::from_secs(60);

fn pinfold(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|n| n.to_string_lossy().starts_with("PINFOLD_"));
    ours.for_each(|name| {
        command.env_remove(name);
    });
    // A configuration of this machine must not be read.
    let empty = data.parent().unwrap().join("empty.toml");
    std::fs::write(&empty, "").unwrap();
    // Whatever runs these tests: the daemon is started by hand.
    command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    command.env("PINFOLD_CONFIG", empty).env("PINFOLD_DATA", data).stdin(Stdio::null());
    command
}

struct Daemon {
    child: Child,
    data: PathBuf,
}

impl Daemon {
    fn start(data: &Path) -> Self {
        Self::start_with(data, "memory")
    }

    fn start_with(data: &Path, engine: &str) -> Self {
        Self::start_in(data, engine, &[])
    }

    fn start_in(data: &Path, engine: &str, env: &[(&str, &str)]) -> Self {
        let mut command = pinfold(data);
        command.envs(env.iter().copied());
        command.args(["serve", "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--engine", engine, "--reserve", "0"]);
        let log = std::fs::File::create(data.with_extension("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut daemon = Self { child, data: data.to_owned() };
        let end = Instant::now() + DEADLINE;
        while !daemon.run(&["status"]).status.success() {
            assert!(daemon.child.try_wait().unwrap().is_none(), "it ended: {}", daemon.log());
            assert!(Instant::now() < end, "it does not serve: {}", daemon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn run(&self, args: &[&str]) -> Output {
        pinfold(&self.data).args(args).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that must end with `code`.
    fn fails(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    fn stop(mut self) -> String {
        self.signal(rustix::process::Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        self.log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Harmless if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn life_of_a_daemon() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let daemon = Daemon::start(&data);

    // Keys were made: in a private file, and nowhere else without a terminal.
    let file = data.join("root-credentials");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = text.lines().find_map(|l| l.strip_prefix("PINFOLD_ROOT_SECRET_KEY=")).unwrap().to_owned();
    let access = text.lines().find_map(|l| l.strip_prefix("PINFOLD_ROOT_ACCESS_KEY=")).unwrap().to_owned();
    assert!(!daemon.log().contains(&secret), "the log shows the secret");

    // One daemon a directory, and no maintenance beside it.
    let second = daemon.fails(&["serve", "--s3", "off", "--admin", "off"], 75);
    assert!(second.contains(&format!("in use by process {}", daemon.child.id())), "{second}");
    daemon.fails(&["fsck"], 75);
    daemon.fails(&["meta", "rebuild"], 75);

    // Buckets.
    daemon.ok(&["bucket", "create", "pics"]);
    let again = daemon.fails(&["bucket", "create", "pics"], 1);
    assert!(again.contains("exist"), "{again}");
    daemon.fails(&["bucket", "create", "Not-A-Name"], 1);
    daemon.fails(&["bucket", "create", "owned", "--owner", "nobody"], 1);
    let buckets: Vec<wire::Bucket> = serde_json::from_str(&daemon.ok(&["bucket", "list", "--json"])).unwrap();
    assert_eq!(buckets.len(), 1);
    assert_eq!((buckets[0].name.as_str(), &buckets[0].owner), ("pics", &access));
    assert!(daemon.ok(&["bucket", "stat", "pics"]).contains("unixfs-v1-2025"));
    daemon.fails(&["bucket", "stat", "nothing"], 1);
    daemon.fails(&["stat", "pics/nothing"], 1);
    daemon.fails(&["stat", "pics"], 1);

    // Accounts: the secret is shown when it is made, never again.
    let made: wire::CreateUser = serde_json::from_str(
        &daemon.ok(&["user", "create", "--access", "alice", "--role", "userplus", "--uid", "7", "--json"]),
    )
    .unwrap();
    assert_eq!((made.user.role, made.user.uid), (wire::Role::UserPlus, 7));
    daemon.fails(&["user", "create", "--access", "alice"], 1);
    daemon.fails(&["user", "create", "--access", &access], 1);
    let changed: wire::NewSecret = serde_json::from_str(&daemon.ok(&["user", "passwd", "alice", "--json"])).unwrap();
    assert!(changed.secret != made.secret);
    let listed = daemon.ok(&["user", "list"]);
    assert!(listed.contains("alice") && !listed.contains(changed.secret.expose()), "{listed}");
    daemon.fails(&["user", "passwd", "nobody"], 1);
    daemon.fails(&["user", "delete", &access], 1);
    daemon.ok(&["bucket", "create", "owned", "--owner", "alice"]);
    daemon.ok(&["bucket", "delete", "owned"]);
    daemon.ok(&["user", "delete", "alice"]);
    assert!(!daemon.ok(&["user", "list"]).contains("alice"));

    // VersityGW's users file: the same again changes nothing, --replace does.
    let users = data.join("users.json");
    let account = |secret: &str, role: &str| {
        format!(
            r#"{{"accessAccounts":{{"carol":{{"access":"carol","secret":"{secret}","role":"{role}","userID":5,
                "groupID":6,"projectID":7}}}}}}"#
        )
    };
    std::fs::write(&users, account("s1", "userplus")).unwrap();
    let users_file = users.to_str().unwrap();
    let import = |args: &[&str]| -> wire::ImportedUsers {
        serde_json::from_str(&daemon.ok(&[&["user", "import", users_file, "--json"], args].concat())).unwrap()
    };
    assert_eq!(import(&[]).created, ["carol"]);
    assert_eq!(import(&[]).kept, ["carol"]);
    std::fs::write(&users, account("s2", "user")).unwrap();
    assert_eq!(import(&["--replace"]).replaced, ["carol"]);
    let listed: Vec<wire::User> = serde_json::from_str(&daemon.ok(&["user", "list", "--json"])).unwrap();
    assert_eq!((listed[0].role, listed[0].uid, listed[0].gid, listed[0].project), (wire::Role::User, 5, 6, 7));
    std::fs::write(&users, "{}").unwrap();
    assert!(daemon.fails(&["user", "import", users_file], 1).contains("users file"));
    std::fs::write(&users, account("", "user")).unwrap();
    daemon.fails(&["user", "import", users_file], 1);
    std::fs::remove_file(&users).unwrap();
    daemon.ok(&["user", "delete", "carol"]);

    // Reload takes the level from the environment it was started with: nothing changes, nothing breaks.
    daemon.ok(&["reload"]);
    daemon.signal(rustix::process::Signal::HUP);
    let status: wire::Status = serde_json::from_str(&daemon.ok(&["status", "--json"])).unwrap();
    assert_eq!((status.state.as_str(), status.buckets, status.pid), ("serving", 1, daemon.child.id()));
    daemon.ok(&["meta", "checkpoint"]);

    let log = daemon.stop();
    assert!(log.contains("stopped") && log.contains("log level applied"), "{log}");
    assert!(!log.contains("TLS"), "there is no certificate to read again: {log}");
    assert!(!data.join("admin.sock").exists());

    // The next start finds the same keys and the same bucket.
    let daemon = Daemon::start(&data);
    assert!(daemon.ok(&["bucket", "list"]).contains("pics"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    daemon.stop();

    // Maintenance of a stopped node.
    let fsck = pinfold(&data).args(["fsck", "--verify"]).output().unwrap();
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stderr));
    assert!(String::from_utf8_lossy(&fsck.stdout).contains("the metadata is in order"));

    // The same for programs.
    let fsck = pinfold(&data).args(["fsck", "--verify", "--json"]).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&fsck.stdout).unwrap();
    assert!(fsck.status.success() && found["log"]["head"].as_u64() > Some(0), "{found}");
    assert_eq!((&found["problems"], &found["contents"]["damaged_objects"]), (&serde_json::json!([]), &0.into()));

    // A replica of another engine is a matter of configuration: no restart makes it better.
    let run = |args: &[&str], engine: &str| pinfold(&data).args(args).env("PINFOLD_ENGINE", engine).output().unwrap();
    assert!(run(&["meta", "rebuild"], "fjall").status.success());
    let refused = run(&["serve", "--s3", "off", "--admin", "off"], "sled");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(78) && text.contains("pinfold meta convert"), "{text}");
    assert!(run(&["meta", "convert", "--to", "sled"], "fjall").status.success());
    let fsck = run(&["fsck", "--verify"], "sled");
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stderr));
}

/// A log that is damaged in its middle is refused by a start; the repair that loses nothing is the one that is offered.
#[test]
fn a_damaged_log_is_refused_and_repaired() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let run = |args: &[&str]| {
        let mut command = pinfold(&data);
        command.env("PINFOLD_RESERVE", "0").env("PINFOLD_ENGINE", "sled").args(args).output().unwrap()
    };
    let daemon = Daemon::start_with(&data, "sled");
    for n in 0..8 {
        daemon.ok(&["bucket", "create", &format!("bucket-{n}")]);
    }
    daemon.stop();

    let segment = data.join("log").join(format!("{:020}.seg", 1));
    let mut bytes = std::fs::read(&segment).unwrap();
    let groups: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, w)| w == b"PGRP").map(|(at, _)| at).collect();
    let middle = groups[groups.len() / 2];
    bytes[middle + 45] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();

    let refused = run(&["serve", "--s3", "off", "--admin", "off"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && text.contains("position") && text.contains("pinfold fsck"), "{text}");
    let found = run(&["fsck", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(1));
    assert!(report["problems"][0]["position"].as_u64().is_some(), "{report}");
    assert!(report["remedy"].as_str().unwrap().starts_with("pinfold fsck --repair: "), "{report}");
    let mended = run(&["fsck", "--repair", "--verify"]);
    assert!(mended.status.success(), "{}", String::from_utf8_lossy(&mended.stderr));
    assert!(data.join("log.damaged-1").is_dir());

    let daemon = Daemon::start_with(&data, "sled");
    let buckets: Vec<wire::Bucket> = serde_json::from_str(&daemon.ok(&["bucket", "list", "--json"])).unwrap();
    assert_eq!(buckets.len(), 8);
    daemon.stop();
}

#[test]
fn refusals_have_their_exit_codes() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let output = pinfold(&data).args(args).envs(env.iter().copied()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run(&["serve"], &[("PINFOLD_S3_REGOIN", "x")]);
    assert_eq!(code, 78);
    assert!(text.contains("PINFOLD_S3_REGOIN") && text.contains("did you mean `PINFOLD_S3_REGION`"), "{text}");
    assert!(!data.exists(), "nothing was made");
    // A certificate that cannot be used is refused before anything is made.
    let tls = [("PINFOLD_S3_TLS_CERT", "/nonexistent.crt"), ("PINFOLD_S3_TLS_KEY", "/nonexistent.key")];
    for command in ["check-config", "serve"] {
        let (code, text) = run(&[command], &tls);
        assert!(code == 78 && text.contains("/nonexistent.crt") && !data.exists(), "{text}");
    }
    let (code, text) = run(&["check-config"], &[("PINFOLD_CACHE", "much")]);
    assert!(code == 78 && text.contains("PINFOLD_CACHE"), "{text}");
    let (code, _) = run(&["check-config"], &[]);
    assert_eq!(code, 0);
    let (code, text) = run(&["serve"], &[("PINFOLD_ROOT_ACCESS_KEY", "admin")]);
    assert!(code == 78 && text.contains("PINFOLD_ROOT_SECRET_KEY is not"), "{text}");
    let (code, text) = run(&["check-config"], &[("PINFOLD_ROOT_ACCESS_KEY", "admin")]);
    assert!(code == 78 && text.contains("PINFOLD_ROOT_SECRET_KEY is not"), "{text}");
    let (code, text) = run(&["status"], &[]);
    assert!(code == 69 && text.contains("--data"), "{text}");
    let (code, _) = run(&["fsck"], &[("PINFOLD_DATA", "/nonexistent/data")]);
    assert_eq!(code, 1);
    let (code, _) = run(&["serve", "--no-such-flag"], &[]);
    assert_eq!(code, 2);
    // A file of keys that others can read.
    std::fs::create_dir_all(&data).unwrap();
    let file = data.join("root-credentials");
    std::fs::write(&file, "PINFOLD_ROOT_ACCESS_KEY=admin\nPINFOLD_ROOT_SECRET_KEY=long-enough\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, text) = run(&["serve"], &[]);
    assert!(code == 78 && text.contains("chmod 600") && !text.contains("long-enough"), "{text}");
}

/// A start that fails half-way takes down what it had put up, and says why.
#[test]
fn a_start_that_fails_half_way_cleans_up() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = |s3: &str, mount: &str| {
        let args = ["serve", "--admin", "off", "--engine", "memory", "--reserve", "0", "--s3", s3];
        let mut command = pinfold(&data);
        command.args(args);
        if !mount.is_empty() {
            command.args(["--mount", mount]);
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = serve(&address, "");
    assert!(code == Some(1) && text.contains("pinfold: ") && text.contains("stopped"), "{text}");
    assert!(!data.join("admin.sock").exists());
    let (code, text) = serve("127.0.0.1:0", &format!("{}=no-such-bucket", base.path().join("mnt").display()));
    assert!(code == Some(1) && text.contains("cannot mount") && text.contains("stopped"), "{text}");
    assert!(!data.join("admin.sock").exists());
    let fsck = pinfold(&data).arg("fsck").output().unwrap();
    assert!(fsck.status.success());
}

#[test]
fn documents_for_the_package() {
    let base = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = pinfold(&base.path().join("data")).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).contains("check-config"), "{shell}");
    }
    let man = base.path().join("man");
    run(&["man", man.to_str().unwrap()]);
    for page in ["pinfold.1", "pinfold-serve.1", "pinfold-bucket-create.1"] {
        assert!(std::fs::read_to_string(man.join(page)).unwrap().contains(".TH"), "{page}");
    }
    assert!(run(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
    assert!(run(&["config", "dump", "--s3", "off"]).contains("s3 = \"off\" # flag --s3"));
}

#[test]
fn a_start_by_hand_says_how_to_use_both_doors() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let said = Daemon::start(&data).stop();
    let file = data.join("root-credentials");
    let secret = std::fs::read_to_string(&file).unwrap();
    let secret = secret.lines().find_map(|l| l.strip_prefix("PINFOLD_ROOT_SECRET_KEY=")).unwrap();
    for part in
        ["aws --endpoint-url", "AWS_ENDPOINT_URL=http://127.0.0.1:", " mount --data ", &format!(". {}", file.display())]
    {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains(secret), "the secret is for terminals only: {said}");

    // A journal and a program that reads JSON get lines of the log, nothing else.
    for (name, value) in [("NOTIFY_SOCKET", "/nonexistent"), ("JOURNAL_STREAM", "8:1"), ("PINFOLD_LOG_FORMAT", "json")]
    {
        let said = Daemon::start_in(&data, "memory", &[(name, value)]).stop();
        assert!(said.contains("serving") && !said.contains("aws --endpoint-url"), "{name}: {said}");
    }
}
