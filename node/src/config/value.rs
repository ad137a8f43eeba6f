//! Values in text form: sizes, times, addresses, mounts. Each parser says what it wanted; none corrects anything.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why a text is not a value of its kind: lower case, without the setting's name (the loader adds it).
pub type Parsed<T> = Result<T, String>;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// `HOST:PORT`; port 0 lets the system choose.
    At(String),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => f.write_str(address),
        }
    }
}

/// The source of a mount of all buckets.
const SOURCE: &str = "pinfold";

/// One mount: where, and which part of the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSpec {
    /// Mount point.
    pub dir: PathBuf,
    /// The bucket to show; none shows the root of all buckets.
    pub bucket: Option<String>,
    /// The directory within the bucket, without leading or trailing `/`; empty shows the whole bucket.
    pub prefix: String,
    /// Refuse writes.
    pub read_only: bool,
}

impl MountSpec {
    /// What is shown, as components from the namespace's root.
    pub fn components(&self) -> Vec<&[u8]> {
        let bucket = self.bucket.iter().map(|b| b.as_bytes());
        bucket.chain(self.prefix.split('/').filter(|c| !c.is_empty()).map(str::as_bytes)).collect()
    }

    /// What the mount table calls it, and fstab(5): `pinfold`, or `pinfold:BUCKET[/PREFIX]`.
    pub fn source(&self) -> String {
        match (&self.bucket, self.prefix.as_str()) {
            (None, _) => SOURCE.to_owned(),
            (Some(bucket), "") => format!("{SOURCE}:{bucket}"),
            (Some(bucket), prefix) => format!("{SOURCE}:{bucket}/{prefix}"),
        }
    }

    /// The bucket and prefix of a source, the counterpart.
    pub fn parse_source(text: &str) -> Parsed<(Option<String>, String)> {
        let wanted =
            || format!("`{text}` is no source: write `{SOURCE}` for all buckets, or `{SOURCE}:BUCKET[/PREFIX]`");
        let rest = text.strip_prefix(SOURCE).ok_or_else(wanted)?;
        if rest.is_empty() {
            return Ok((None, String::new()));
        }
        let (bucket, prefix) =
            rest.strip_prefix(':').map(|r| r.split_once('/').unwrap_or((r, ""))).ok_or_else(wanted)?;
        if bucket.is_empty() {
            return Err(wanted());
        }
        Ok((Some(bucket.to_owned()), prefix.trim_matches('/').to_owned()))
    }
}

/// Bytes: a number with an optional unit (`B`, `k`/`M`/`G`/`T` with `B` for powers of 1000 or `iB` for powers of 1024).
pub fn size(text: &str) -> Parsed<u64> {
    let wanted = || format!("`{text}` is not a size: write a number and a unit, such as 64MiB, 1.5GB or 4096");
    let (number, unit) = split_number(text).ok_or_else(wanted)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wanted()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let too_large = || format!("`{text}` is larger than any disk");
    let mut bytes = whole.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(too_large)?;
    if !fraction.is_empty() {
        // Exact decimal arithmetic: 0.1 of a unit has no float's noise. More than 9 digits mean nothing here.
        let digits = fraction.get(..9).unwrap_or(fraction);
        let numerator: u128 = digits.parse().map_err(|_| wanted())?;
        let part = numerator * u128::from(factor) / 10u128.pow(digits.len() as u32);
        bytes = bytes.checked_add(part as u64).ok_or_else(too_large)?;
    }
    Ok(bytes)
}

/// A length of time: numbers with units (`ms`, `s`, `m`, `h`), largest first, as in `1m30s`.
pub fn duration(text: &str) -> Parsed<Duration> {
    let wanted = || format!("`{text}` is not a length of time: write a number and a unit, such as 500ms, 5s or 1m30s");
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest).ok_or_else(wanted)?;
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let millis: u64 = match &tail[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wanted()),
        };
        if millis >= last {
            return Err(wanted());
        }
        last = millis;
        let count: u64 = number.parse().map_err(|_| wanted())?;
        let part = count.checked_mul(millis).filter(|ms| *ms <= 366 * 24 * 3_600_000);
        total += Duration::from_millis(part.ok_or_else(|| format!("`{text}` is longer than a year"))?);
        rest = &tail[end..];
    }
    if last == u64::MAX { Err(wanted()) } else { Ok(total) }
}

/// A whole number.
pub fn count(text: &str) -> Parsed<u64> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number"))
}

/// `HOST:PORT`, `[V6]:PORT` or `off`.
pub fn listen(text: &str) -> Parsed<Listen> {
    if text == "off" {
        return Ok(Listen::Off);
    }
    let wanted =
        || format!("`{text}` is not an address: write HOST:PORT, such as 127.0.0.1:9000 or [::1]:9000, or `off`");
    let (host, port) = text.rsplit_once(':').ok_or_else(wanted)?;
    let host_ok = if let Some(v6) = host.strip_prefix('[') {
        v6.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())
    } else {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
    };
    if !host_ok || port.parse::<u16>().is_err() {
        return Err(wanted());
    }
    Ok(Listen::At(text.to_owned()))
}

/// `DIR[=BUCKET[/PREFIX]][:OPTION[,OPTION]…]`, with a backslash before `=`, `:`, `;` or `\` that belongs to a name.
pub fn mount(text: &str) -> Parsed<MountSpec> {
    let wrong = |why: &str| format!("`{text}` is not a mount: {why}; write DIR[=BUCKET[/PREFIX]][:ro]");
    let mut parts = [String::new(), String::new(), String::new()];
    let mut at = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('=' | ':' | ';' | '\\')) => parts[at].push(next),
                _ => return Err(wrong("a backslash stands only before = : ; and \\")),
            },
            '=' if at == 0 => at = 1,
            ':' if at < 2 => at = 2,
            '=' | ':' => return Err(wrong("an = or : too many (a backslash makes it part of a name)")),
            c => parts[at].push(c),
        }
    }
    let [dir, target, options] = parts;
    if dir.is_empty() {
        return Err(wrong("there is no directory"));
    }
    let (bucket, prefix) = target.split_once('/').unwrap_or((&target, ""));
    let has_target = text_has_target(text);
    if bucket.is_empty() && has_target {
        return Err(wrong("there is no bucket after ="));
    }
    if prefix.split('/').rev().skip(1).any(str::is_empty) {
        return Err(wrong("the prefix has an empty component"));
    }
    let prefix = prefix.trim_end_matches('/');
    let mut read_only = None;
    if at == 2 {
        for option in options.split(',') {
            let value = match option {
                "ro" => true,
                "rw" => false,
                other => return Err(wrong(&format!("unknown option `{other}`, there are ro and rw"))),
            };
            if read_only.replace(value).is_some() {
                return Err(wrong("ro or rw is given twice"));
            }
        }
    }
    Ok(MountSpec {
        dir: PathBuf::from(dir),
        bucket: has_target.then(|| bucket.to_owned()),
        prefix: prefix.to_owned(),
        read_only: read_only.unwrap_or(false),
    })
}

/// Whether an unescaped `=` ends the directory.
fn text_has_target(text: &str) -> bool {
    let mut escaped = false;
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '=' => return true,
            ':' => return false,
            _ => {}
        }
    }
    false
}

impl fmt::Display for MountSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |text: &str| {
            let mut out = String::with_capacity(text.len());
            for c in text.chars() {
                if matches!(c, '=' | ':' | ';' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out
        };
        f.write_str(&escape(&self.dir.to_string_lossy()))?;
        if let Some(bucket) = &self.bucket {
            write!(f, "={}", escape(bucket))?;
            if !self.prefix.is_empty() {
                write!(f, "/{}", escape(&self.prefix))?;
            }
        }
        if self.read_only { f.write_str(":ro") } else { Ok(()) }
    }
}

/// Splits leading digits (with at most one decimal point between digits) from what follows.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let well_formed = number.split('.').count() <= 2 && number.split('.').all(|part| !part.is_empty());
    well_formed.then(|| (number, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::{Listen, MountSpec, duration, listen, mount, size};
    use std::path::PathBuf;
    use std::time::Duration;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64MiB", 64 << 20),
            ("64 MiB", 64 << 20),
            ("1kB", 1000),
            ("1.5GB", 1_500_000_000),
            ("0.1TiB", (1u64 << 40) / 10),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "12x", "-1", "1.2.3", "1.", ".5", "64M", "99999999999999999999", "20000000TiB", "1e3"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [("0s", 0), ("500ms", 500), ("5s", 5000), ("1m30s", 90_000), ("2h", 7_200_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5 parsecs", "30s1m", "1s1s", "1.5s", "9999999h", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses() {
        for text in ["127.0.0.1:9000", "[::1]:0", "localhost:80", "0.0.0.0:65535"] {
            assert_eq!(listen(text), Ok(Listen::At(text.to_owned())));
        }
        assert_eq!(listen("off"), Ok(Listen::Off));
        for text in ["", ":9000", "9000", "127.0.0.1", "127.0.0.1:65536", "::1:9000", "host:", "Off", "[::1", "a b:1"] {
            assert!(listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mounts() {
        let spec = |dir: &str, bucket: Option<&str>, prefix: &str, read_only| MountSpec {
            dir: PathBuf::from(dir),
            bucket: bucket.map(str::to_owned),
            prefix: prefix.to_owned(),
            read_only,
        };
        for (text, want, canonical) in [
            ("/mnt", spec("/mnt", None, "", false), "/mnt"),
            ("/mnt:ro", spec("/mnt", None, "", true), "/mnt:ro"),
            ("/mnt:rw", spec("/mnt", None, "", false), "/mnt"),
            ("/mnt=pics", spec("/mnt", Some("pics"), "", false), "/mnt=pics"),
            ("/mnt=pics/a/b/:ro", spec("/mnt", Some("pics"), "a/b", true), "/mnt=pics/a/b:ro"),
            (r"/m\=n\:t=b/p\\q\;r\=", spec("/m=n:t", Some("b"), r"p\q;r=", false), r"/m\=n\:t=b/p\\q\;r\="),
        ] {
            let parsed = mount(text).unwrap();
            assert_eq!(parsed, want, "{text}");
            assert_eq!(parsed.to_string(), canonical);
            assert_eq!(mount(&parsed.to_string()), Ok(parsed));
        }
        for text in [
            "", "=b", ":ro", "/m=", "/m=/p", "/m:", "/m:rx", "/m:ro,rw", "/m=a=b", "/m:ro:ro", r"/m\x", "/m=b//c",
            "/m=b//",
        ] {
            assert!(mount(text).is_err(), "{text}");
        }
    }
}
