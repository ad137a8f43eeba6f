//! The three sources of settings, each read into the same raw form with its origin, so that every message can say
//! where a value came from. Unknown names are refused here, with the nearest valid one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{self, ENV_PREFIX, Kind, OTHER_ENV, SETTINGS, Setting, TEST_ENV_PREFIX};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Env(String),
    /// A line of the configuration file.
    File(PathBuf, usize),
    /// The table of settings.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag --{flag}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path, line) => write!(f, "{} line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value in text form (one text, or a list's texts) with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// One text for a plain setting, any number for a list.
    pub texts: Vec<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// Values by setting's name.
pub type RawMap = BTreeMap<&'static str, Raw>;

/// Everything that is wrong, one message each.
pub type Problems = Vec<String>;

/// Reads `PINFOLD_*` variables out of `vars` (the whole environment).
pub fn from_env(vars: impl IntoIterator<Item = (OsString, OsString)>, problems: &mut Problems) -> RawMap {
    let mut map = RawMap::new();
    for (name, value) in vars {
        let Some(name) = name.to_str().filter(|n| n.starts_with(ENV_PREFIX)) else { continue };
        if name.starts_with(TEST_ENV_PREFIX) || OTHER_ENV.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|s| s.env() == name) else {
            problems.push(unknown("environment variable", name, None, env_names()));
            continue;
        };
        let Some(value) = value.to_str() else {
            problems.push(format!("environment variable {name} is not UTF-8"));
            continue;
        };
        let texts = if setting.kind.is_list() { split_list(value) } else { vec![value.to_owned()] };
        map.insert(setting.name, Raw { texts, origin: Origin::Env(name.to_owned()) });
    }
    map
}

/// Reads a configuration file's text.
pub fn from_file(path: &Path, text: &str, problems: &mut Problems) -> RawMap {
    let mut map = RawMap::new();
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            problems.push(format!("{} is not TOML: {}", path.display(), error.to_string().trim_end()));
            return map;
        }
    };
    for (key, value) in table.get_ref() {
        let line = 1 + text[..key.span().start].matches('\n').count();
        let origin = Origin::File(path.to_owned(), line);
        let name: &str = key.get_ref();
        let Some(setting) = settings::find(name) else {
            let names = SETTINGS.iter().map(|s| s.name.to_owned());
            problems.push(unknown("setting", name, Some(&origin), names));
            continue;
        };
        match file_texts(setting, value) {
            Ok(texts) => drop(map.insert(setting.name, Raw { texts, origin })),
            Err(why) => problems.push(format!("{name} ({origin}): {why}")),
        }
    }
    map
}

/// A TOML value in text form, if its type fits the setting.
fn file_texts(setting: &Setting, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if matches!(setting.kind, Kind::Size | Kind::Count) => Ok(number.to_string()),
        other => Err(format!("a string is wanted here, not {}", type_name(other))),
    };
    match value.get_ref() {
        DeValue::Array(items) if setting.kind.is_list() => items.iter().map(|item| text(item.get_ref())).collect(),
        other if setting.kind.is_list() => {
            Err(format!("a list is wanted here, such as [\"…\"], not {}", type_name(other)))
        }
        one => text(one).map(|text| vec![text]),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Splits a list of the environment at `;` that no backslash escapes. The backslashes stay for the value's parser,
/// except before `;`, where only mounts would know them.
fn split_list(value: &str) -> Vec<String> {
    let mut texts = vec![String::new()];
    let mut escaped = false;
    for c in value.chars() {
        if c == ';' && !escaped {
            texts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = texts.last_mut() {
            last.push(c);
        }
    }
    texts.retain(|text| !text.is_empty());
    texts
}

fn env_names() -> impl Iterator<Item = String> {
    let fixed = OTHER_ENV.iter().map(|(name, _)| (*name).to_owned());
    SETTINGS.iter().map(Setting::env).chain(fixed)
}

/// "unknown … `x`": with the nearest valid name if one is near.
fn unknown(what: &str, name: &str, origin: Option<&Origin>, valid: impl Iterator<Item = String>) -> String {
    let place = origin.map(|o| format!(" ({o})")).unwrap_or_default();
    let nearest = valid
        .map(|candidate| (strsim::damerau_levenshtein(name, &candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()).div_ceil(2));
    match nearest {
        Some((_, candidate)) => format!("unknown {what} `{name}`{place}: did you mean `{candidate}`?"),
        None => format!("unknown {what} `{name}`{place}: `pinfold config dump` lists the valid ones"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, from_env, from_file};
    use std::ffi::OsString;
    use std::path::Path;

    fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(n, v)| (OsString::from(n), OsString::from(v))).collect()
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest_valid_one() {
        let mut problems = Vec::new();
        from_env(env(&[("PINFOLD_S3_REGOIN", "x"), ("PINFOLD_ROOT_ACESS_KEY", "x"), ("HOME", "/")]), &mut problems);
        assert_eq!(
            problems,
            [
                "unknown environment variable `PINFOLD_S3_REGOIN`: did you mean `PINFOLD_S3_REGION`?",
                "unknown environment variable `PINFOLD_ROOT_ACESS_KEY`: did you mean `PINFOLD_ROOT_ACCESS_KEY`?",
            ]
        );
        let mut problems = Vec::new();
        from_file(
            Path::new("p.toml"),
            "data = \"/d\"\n\ncomit_interval = \"1s\"\nzzzzzzzzzzzzzzzzzz = 1\n",
            &mut problems,
        );
        problems.sort();
        assert_eq!(
            problems,
            [
                "unknown setting `comit_interval` (p.toml line 3): did you mean `commit_interval`?",
                "unknown setting `zzzzzzzzzzzzzzzzzz` (p.toml line 4): `pinfold config dump` lists the valid ones",
            ]
        );
    }

    #[test]
    fn names_of_the_test_suites_and_fixed_names_are_not_settings() {
        let mut problems = Vec::new();
        let map = from_env(
            env(&[("PINFOLD_BIN", "x"), ("PINFOLD_TEST_SEED", "1"), ("PINFOLD_ROOT_SECRET_KEY", "s")]),
            &mut problems,
        );
        assert!(problems.is_empty() && map.is_empty(), "{problems:?}");
    }

    #[test]
    fn lists_in_the_environment() {
        let mut problems = Vec::new();
        let map = from_env(env(&[("PINFOLD_MOUNT", r"/a=b;/c\;d:ro;")]), &mut problems);
        assert_eq!(map["mount"].texts, ["/a=b", r"/c\;d:ro"]);
        assert!(problems.is_empty());
    }

    #[test]
    fn types_in_the_file() {
        let mut problems = Vec::new();
        let text = "cache = 1048576\ncommit_interval = 1\nmount = \"/a\"\ns3 = true\nlog_level = \"info\"\ns3_domain = [\"a\", \"b\"]\n";
        let map = from_file(Path::new("p"), text, &mut problems);
        assert_eq!(map["cache"].texts, ["1048576"]);
        assert_eq!(map["s3_domain"].texts, ["a", "b"]);
        assert_eq!(map["log_level"].origin, Origin::File("p".into(), 5));
        problems.sort();
        assert_eq!(
            problems,
            [
                "commit_interval (p line 2): a string is wanted here, not an integer",
                "mount (p line 3): a list is wanted here, such as [\"…\"], not a string",
                "s3 (p line 4): a string is wanted here, not a boolean",
            ]
        );
        let mut problems = Vec::new();
        from_file(Path::new("p"), "a = [", &mut problems);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("p is not TOML"), "{problems:?}");
    }
}
