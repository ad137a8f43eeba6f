use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::settings::{Kind, SETTINGS};
use super::source::{Origin, Raw, RawMap};
use super::value::Listen;
use super::{Loaded, Sources, load};

fn flags(pairs: &[(&'static str, &str)]) -> RawMap {
    let mut map = RawMap::new();
    for (name, text) in pairs {
        let raw =
            map.entry(*name).or_insert_with(|| Raw { texts: Vec::new(), origin: Origin::Flag((*name).to_owned()) });
        raw.texts.push((*text).to_owned());
    }
    map
}

fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect()
}

struct Given {
    dir: tempfile::TempDir,
    flags: RawMap,
    env: Vec<(OsString, OsString)>,
}

fn given(file: &str) -> Given {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pinfold.toml"), file).unwrap();
    Given { dir, flags: RawMap::new(), env: Vec::new() }
}

impl Given {
    fn env(mut self, pairs: &[(&str, &str)]) -> Self {
        self.env = env(pairs);
        self
    }
    fn flags(mut self, pairs: &[(&'static str, &str)]) -> Self {
        self.flags = flags(pairs);
        self
    }
    fn load(self) -> Result<Loaded, String> {
        let default_file = self.dir.path().join("pinfold.toml");
        load(Sources { config_flag: None, flags: self.flags, env: self.env, default_file }).map_err(|e| e.to_string())
    }
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let file = "s3_region = \"file\"\ndata = \"/file\"\nlog_level = \"debug\"\n";
    let loaded = given(file)
        .env(&[("PINFOLD_S3_REGION", "env"), ("PINFOLD_DATA", "/env")])
        .flags(&[("data", "/flag")])
        .load()
        .unwrap();
    assert_eq!(loaded.config.data, PathBuf::from("/flag"));
    assert_eq!(loaded.config.s3.region, "env");
    assert_eq!(loaded.config.log.filter, "debug");
    assert_eq!(loaded.config.admin, Listen::At("127.0.0.1:9001".to_owned()));
    assert_eq!(loaded.effective["s3_region"].origin, Origin::Env("PINFOLD_S3_REGION".to_owned()));
    assert_eq!(loaded.effective["admin"].origin, Origin::Default);
}

#[test]
fn a_list_of_a_better_source_replaces_the_other() {
    let loaded = given("mount = [\"/a\", \"/b=bucket/x:ro\"]\n").load().unwrap();
    assert_eq!(loaded.config.mounts.len(), 2);
    assert!(loaded.config.mounts[1].read_only);
    let loaded = given("mount = [\"/a\"]\n").flags(&[("mount", "/c"), ("mount", "/d")]).load().unwrap();
    let dirs: Vec<_> = loaded.config.mounts.iter().map(|m| m.dir.to_str().unwrap().to_owned()).collect();
    assert_eq!(dirs, ["/c", "/d"]);
}

#[test]
fn a_bad_value_is_refused_even_where_a_better_source_hides_it() {
    let problem = given("cache = \"much\"\n").flags(&[("cache", "1GiB")]).load().unwrap_err();
    assert!(problem.contains("cache (") && problem.contains("line 1"), "{problem}");
}

#[test]
fn all_problems_are_told_at_once_by_name() {
    let problem = given("s3 = \"nowhere\"\nengine = \"rocksdb\"\n").env(&[("PINFOLD_COMMIT_INTERVAL", "1")]).load();
    let problem = problem.unwrap_err();
    for part in ["s3 (", "engine (", "none of sled, fjall, memory", "environment variable PINFOLD_COMMIT_INTERVAL"] {
        assert!(problem.contains(part), "{part} is not in {problem}");
    }
}

#[test]
fn what_no_value_shows_alone_is_refused_too() {
    for (flag_pairs, part) in [
        (&[("s3_tls_cert", "/c")][..], "s3_tls_key is missing"),
        (&[("s3_tls_key", "/c")], "s3_tls_cert is missing"),
        (&[("s3", "127.0.0.1:9001")], "the S3 endpoint listens there already"),
        (&[("console", "127.0.0.1:9001")], "the S3 endpoint or health and metrics listen there already"),
        (&[("console", "127.0.0.1:1"), ("s3", "off")], "which is off"),
        (&[("mount", "/m"), ("mount", "/m:ro")], "given twice"),
        (&[("data", "/d"), ("mount", "/d/m")], "contain each other"),
        (&[("data", "/d/m"), ("mount", "/d")], "contain each other"),
        (&[("mount", "/m=Not-A-Bucket")], "a bucket's name"),
        (&[("publish_after", "2m")], "shorter than publish_after"),
        (&[("inline_max", "65KiB")], "at most 64KiB"),
        (&[("commit_interval", "0s")], "between 1ms and 60s"),
        (&[("cache", "1kB")], "at least 1MiB"),
        (&[("cache", "255MiB")], "sled needs at least 256MiB; choose engine fjall for less"),
        (&[("shutdown_timeout", "10ms")], "at least 1s"),
        (&[("log_level", "lou=d=er")], "log_level"),
        (&[("s3_region", "")], "empty value"),
        (&[("s3_max_requests", "0")], "between 1 and 65536"),
        (&[("mount_threads", "65")], "between 0 and 64"),
    ] {
        let problem = given("").flags(flag_pairs).load().unwrap_err();
        assert!(problem.contains(part), "{part} is not in {problem}");
    }
}

#[test]
fn a_named_file_must_be_there_and_the_default_one_may_be() {
    let sources = |config_flag, default_file: &str| Sources {
        config_flag,
        flags: RawMap::new(),
        env: Vec::new(),
        default_file: default_file.into(),
    };
    assert!(load(sources(None, "/nonexistent/pinfold.toml")).unwrap().file.is_none());
    let problem = load(sources(Some("/nonexistent/x.toml".into()), "/nonexistent")).unwrap_err().to_string();
    assert!(problem.contains("/nonexistent/x.toml"), "{problem}");
}

#[test]
fn relative_paths_become_absolute() {
    let loaded = given("").flags(&[("data", "d"), ("mount", "m")]).load().unwrap();
    assert!(loaded.config.data.is_absolute());
    assert!(loaded.config.mounts[0].dir.is_absolute());
    assert_eq!(loaded.config.root_credentials_file, loaded.config.data.join("root-credentials"));
}

const IPFS: [(&str, &str); 2] = [("ipfs_cluster_urls", "http://c:9094"), ("ipfs_kubo_urls", "http://k:5001")];
const LDAP: [(&str, &str); 10] = [
    ("iam_ldap_url", "ldap://h"),
    ("iam_ldap_bind_dn", "cn=a"),
    ("iam_ldap_query_base", "ou=a"),
    ("iam_ldap_object_classes", "top"),
    ("iam_ldap_access_atr", "a"),
    ("iam_ldap_secret_atr", "b"),
    ("iam_ldap_role_atr", "c"),
    ("iam_ldap_user_id_atr", "d"),
    ("iam_ldap_group_id_atr", "e"),
    ("iam_ldap_project_id_atr", "f"),
];
const VAULT: [(&str, &str); 4] = [
    ("iam_vault_endpoint_url", "http://h"),
    ("iam_vault_secret_storage_path", "p"),
    ("iam_vault_client_cert", "/cert"),
    ("iam_vault_client_cert_key", "/key"),
];
const TRANSIT: [(&str, &str); 2] = [("master_key_vault_url", "http://h"), ("master_key_vault_key", "k")];

/// Every setting of the table reaches the typed configuration: changing it changes the built value.
#[test]
fn no_setting_is_without_effect() {
    for setting in SETTINGS {
        // Some mean something only beside others.
        let others: &[_] = match setting.name {
            name if name.starts_with("ipfs_") => &IPFS,
            name if name.starts_with("iam_ldap_") => &LDAP,
            name if name.starts_with("iam_vault_") => &VAULT,
            name if name.starts_with("master_key_vault_") => &TRANSIT,
            _ => &[],
        };
        let base = format!("{:?}", given("").flags(others).load().unwrap().config);
        let value = match setting.kind {
            Kind::Text | Kind::TextList => "other",
            Kind::Path | Kind::MountList => "/other",
            Kind::Address => "127.0.0.1:1",
            Kind::Size => "63KiB",
            Kind::Duration => "7s",
            Kind::Count => "7",
            Kind::Choice(words) => words.iter().find(|w| Some(**w) != setting.default).unwrap(),
            Kind::LogFilter => "trace",
        };
        let value = match setting.name {
            "cache" => "300MiB",
            "notification_target" => "arn:other=http://127.0.0.1:1/",
            "iam_ldap_url" => "ldaps://other",
            "iam_vault_endpoint_url" | "master_key_vault_url" => "https://other",
            "ipfs_cluster_urls" | "ipfs_kubo_urls" => "http://other:1",
            "ipfs_replication_min" => "2",
            "ipfs_replication_max" => "9",
            "provider_allow" => "10.0.0.0/8",
            "provider_announce" => "/ip4/10.0.0.5/tcp/9003/http",
            "iam_cache_prune" => "9000s",
            _ => value,
        };
        let mut pairs: Vec<_> = others.iter().copied().filter(|(name, _)| *name != setting.name).collect();
        pairs.push((setting.name, value));
        // The two halves of a certificate only go together.
        match setting.name {
            "s3_tls_cert" => pairs.push(("s3_tls_key", "/key")),
            "s3_tls_key" => pairs.push(("s3_tls_cert", "/cert")),
            "ipfs_replication_min" => pairs.push(("ipfs_replication_max", "9")),
            "ipfs_replication_max" => pairs.push(("ipfs_replication_min", "2")),
            "provider_tls_cert" => pairs.push(("provider_tls_key", "/key")),
            "provider_tls_key" => pairs.push(("provider_tls_cert", "/cert")),
            "provider_client_ca" => pairs.extend([("provider_tls_cert", "/cert"), ("provider_tls_key", "/key")]),
            _ => {}
        }
        let changed = format!("{:?}", given("").flags(&pairs).load().unwrap().config);
        assert_ne!(base, changed, "{} changes nothing", setting.name);
    }
}

#[test]
fn defaults_are_valid_and_durations_parse() {
    let config = given("").load().unwrap().config;
    assert_eq!(config.shutdown_timeout, Duration::from_secs(30));
    assert_eq!(config.store.cache, 256 << 20);
}

#[test]
fn a_small_cache_is_for_engines_that_can_use_one() {
    for engine in ["fjall", "memory"] {
        let config = given("cache = \"16MiB\"\n").flags(&[("engine", engine)]).load().unwrap().config;
        assert_eq!(config.store.cache, 16 << 20);
    }
}
