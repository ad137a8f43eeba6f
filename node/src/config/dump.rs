//! What the table of settings is turned into: the configuration in force, the reference (docs/CONFIGURATION.md) and
//! the commented sample (packaging/pinfold.toml).

use std::fmt::Write as _;

use super::settings::{Group, Kind, OTHER_ENV, SETTINGS};
use super::source::{Origin, RawMap};

/// The configuration in force as TOML: it can be used as a configuration file. A value that is not the default's says
/// where it came from. There are no secrets in it, since none are settings.
pub fn effective_toml(effective: &RawMap) -> String {
    let mut out = String::new();
    for group in Group::ALL {
        let _ = writeln!(out, "{}# {}", if out.is_empty() { "" } else { "\n" }, group.title());
        for setting in SETTINGS.iter().filter(|s| s.group == group) {
            let _ = match effective.get(setting.name) {
                Some(raw) => {
                    let value = toml_value(setting.kind, &raw.texts);
                    let origin = match &raw.origin {
                        Origin::Default => String::new(),
                        other => format!(" # {other}"),
                    };
                    writeln!(out, "{} = {value}{origin}", setting.name)
                }
                None => writeln!(out, "# {} is not set", setting.name),
            };
        }
    }
    out
}

/// The configuration in force as JSON: an object of texts and lists of texts.
pub fn effective_json(effective: &RawMap) -> serde_json::Value {
    let mut map = serde_json::Map::new();
    for setting in SETTINGS {
        let value = match effective.get(setting.name) {
            Some(raw) if setting.kind.is_list() => raw.texts.clone().into(),
            Some(raw) => raw.texts.last().cloned().into(),
            None => serde_json::Value::Null,
        };
        map.insert(setting.name.to_owned(), value);
    }
    map.into()
}

/// docs/CONFIGURATION.md.
pub fn reference_markdown() -> String {
    let mut out = String::from(REFERENCE_HEAD);
    for group in Group::ALL {
        let _ = write!(out, "\n## {}\n", group.title());
        for s in SETTINGS.iter().filter(|s| s.group == group) {
            let _ = write!(out, "\n### `{}`\n\n{}", s.name, s.help);
            if !s.details.is_empty() {
                let _ = write!(out, " {}", s.details);
            }
            let _ = write!(
                out,
                "\n\n| file | environment | flag | value | default | reload |\n|---|---|---|---|---|---|\n\
                 | `{}` | `{}` | `--{} {}` | {} | {} | {} |\n",
                s.name,
                s.env(),
                s.flag(),
                s.kind.placeholder(),
                describe(s.kind),
                s.default.map_or_else(|| "none".to_owned(), |d| format!("`{d}`")),
                if s.reload { "SIGHUP" } else { "restart" },
            );
        }
    }
    out.push_str("\n## Variables that are not settings\n\n| variable | what it is |\n|---|---|\n");
    for (name, what) in OTHER_ENV {
        let _ = writeln!(out, "| `{name}` | {what} |");
    }
    out.push_str("| `PINFOLD_TEST_*` | Used by the test suites only. The daemon ignores them. |\n");
    out
}

const REFERENCE_HEAD: &str = "\
# Configuration

<!-- Made by `pinfold config reference`; a test checks that this page is what it prints. Edit node/src/config/settings.rs. -->

Every setting has one name in three spellings: a key of the configuration file (TOML), an environment variable, a flag of
`pinfold serve`. A flag wins over the environment, the environment over the file, the file over the default; a list given
in one place replaces the list of the next. The file is `--config`, else `PINFOLD_CONFIG`, else `/etc/pinfold/pinfold.toml`
if it is there.

- A name that is not known is refused, in the file and in the environment (`PINFOLD_*`) alike, with the nearest one that is.
  (Kubernetes puts `PINFOLD_SERVICE_HOST` and the like into pods when a service is called `pinfold`: set
  `enableServiceLinks: false`.)
- A value that does not parse is refused with its place, even where a better source hides it. Nothing is corrected silently.
- `pinfold check-config` checks without starting; `pinfold config dump` prints what is in force and where it came from.
- Lists: repeat the flag; separate by `;` in the environment; use an array in the file.
- Sizes: a number with `B`, `kB`/`MB`/`GB`/`TB` (powers of 1000) or `KiB`/`MiB`/`GiB`/`TiB` (powers of 1024); none means bytes.
  Times: numbers with `ms`, `s`, `m`, `h`, as in `1m30s`.
";

/// packaging/pinfold.toml: every setting, commented out, at its default.
pub fn sample_toml() -> String {
    let mut out = String::from(
        "# Pinfold's configuration. Every line that is commented out shows the default.\n\
         # What each setting means: docs/CONFIGURATION.md, or `pinfold serve --help`.\n\
         # Check a change before you restart: pinfold check-config\n",
    );
    for group in Group::ALL {
        let _ = write!(out, "\n## {}\n", group.title());
        for s in SETTINGS.iter().filter(|s| s.group == group) {
            out.push('\n');
            for line in wrap(&format!("{} {}", s.help, s.details), 100) {
                let _ = writeln!(out, "# {line}");
            }
            let _ = match (s.default, s.kind) {
                (Some(default), kind) => writeln!(out, "#{} = {}", s.name, toml_value(kind, &[default.to_owned()])),
                (None, Kind::MountList) => writeln!(out, "#{} = [\"/srv/pinfold\"]", s.name),
                (None, kind) if kind.is_list() => writeln!(out, "#{} = []", s.name),
                (None, _) => writeln!(out, "#{} = \"\"", s.name),
            };
        }
    }
    out
}

fn describe(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Address => "`HOST:PORT` or `off`".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Duration => "time".to_owned(),
        Kind::Count => "whole number".to_owned(),
        Kind::Choice(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        Kind::LogFilter => "`error`, `warn`, `info`, `debug`, `trace`, or a filter".to_owned(),
        Kind::TextList => "list of texts".to_owned(),
        Kind::MountList => "list of `DIR[=BUCKET[/PREFIX]][:ro]`".to_owned(),
    }
}

fn toml_value(kind: Kind, texts: &[String]) -> String {
    let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
    if kind.is_list() {
        format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(", "))
    } else {
        texts.last().map(quoted).unwrap_or_default()
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{effective_toml, reference_markdown, sample_toml};
    use crate::config::source::{Origin, Raw, RawMap, from_file};
    use crate::config::{Sources, load};
    use std::path::Path;

    fn repository_file(path: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
    }

    #[test]
    fn the_reference_page_is_current() {
        assert!(
            repository_file("docs/CONFIGURATION.md") == reference_markdown(),
            "docs/CONFIGURATION.md is not what `pinfold config reference` prints: write it anew"
        );
    }

    #[test]
    fn the_sample_is_current_and_valid_when_uncommented() {
        let sample = sample_toml();
        assert!(
            repository_file("packaging/pinfold.toml") == sample,
            "packaging/pinfold.toml is not what `pinfold config sample` prints: write it anew"
        );
        let lines = sample.lines().filter_map(|l| l.strip_prefix('#')).filter(|l| !l.starts_with([' ', '#']));
        let lines: Vec<_> = lines.filter(|l| !l.ends_with("\"\"")).collect();
        let mut problems = Vec::new();
        let map = from_file(Path::new("sample"), &lines.join("\n"), &mut problems);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(map.len(), lines.len());
    }

    #[test]
    fn what_is_dumped_loads_to_the_same() {
        let mut flags = RawMap::new();
        let mounts = vec!["/m\"x".to_owned(), r"/n\==bucket:ro".to_owned()];
        flags.insert("mount", Raw { texts: mounts, origin: Origin::Flag("mount".to_owned()) });
        let sources = |flags, default_file| Sources { config_flag: None, flags, env: Vec::new(), default_file };
        let first = load(sources(flags, "/nonexistent".into())).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("dumped.toml");
        std::fs::write(&file, effective_toml(&first.effective)).unwrap();
        let second = load(sources(RawMap::new(), file)).unwrap();
        assert_eq!(format!("{:?}", first.config), format!("{:?}", second.config));
    }
}
