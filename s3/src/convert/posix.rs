//! POSIX attributes as S3 metadata (S11): `x-amz-meta-mode|uid|gid|mtime`.
//!
//! In: `mode` as s3fs writes it (decimal `st_mode`, `33188`) or as rclone does (octal, `0100644`, `100644`, `0644`);
//! `uid` and `gid` decimal; `mtime` seconds since 1970 with up to nine decimals (`1700000000.123456789`). A value that
//! is none of these is plain user metadata and stays as it was sent.
//! Out: s3fs's form: decimal `st_mode` with the file type, decimal ids, seconds with the fraction if there is one.

use pinfold_store::meta::rows::PosixHints;
use pinfold_store::namespace::s3_types::ObjectInfo;
use pinfold_store::types::Timestamp;

/// Takes the POSIX attributes out of user metadata.
pub(crate) fn take(user: &mut Vec<(String, String)>) -> PosixHints {
    let mut hints = PosixHints::default();
    user.retain(|(name, value)| match name.as_str() {
        "mode" => take_into(&mut hints.mode, parse_mode(value)),
        "uid" => take_into(&mut hints.uid, value.parse().ok()),
        "gid" => take_into(&mut hints.gid, value.parse().ok()),
        "mtime" => take_into(&mut hints.mtime, parse_mtime(value)),
        _ => true,
    });
    hints
}

/// Stores what could be read and says whether the metadata is to be kept.
fn take_into<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let keep = value.is_none();
    if value.is_some() {
        *slot = value;
    }
    keep
}

/// Those that are returned, as metadata of an answer.
pub(crate) fn show(info: &ObjectInfo) -> impl Iterator<Item = (&'static str, String)> {
    let shown = info.shown_posix();
    let all = [
        ("mode", shown.mode.map(|mode| mode.to_string())),
        ("uid", shown.uid.map(|uid| uid.to_string())),
        ("gid", shown.gid.map(|gid| gid.to_string())),
        ("mtime", shown.mtime.map(show_mtime)),
    ];
    all.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)))
}

fn parse_mode(text: &str) -> Option<u32> {
    const ALL: u32 = 0o177_777;
    let octal = || u32::from_str_radix(text, 8).ok().filter(|m| *m <= ALL);
    if text.starts_with('0') {
        return octal();
    }
    match text.parse::<u32>() {
        Ok(decimal) if decimal <= ALL => Some(decimal),
        _ => octal(),
    }
}

fn parse_mtime(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let secs: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = &fraction[..fraction.len().min(9)];
    let nanos = match digits {
        "" => 0,
        _ => digits.parse::<u32>().ok()? * 10u32.pow(9 - digits.len() as u32),
    };
    // "-1.5" is one and a half seconds before 1970: the store counts nanoseconds upwards from the whole second.
    if whole.starts_with('-') && nanos > 0 {
        return Some(Timestamp { secs: secs.checked_sub(1)?, nanos: 1_000_000_000 - nanos });
    }
    Some(Timestamp { secs, nanos })
}

fn show_mtime(t: Timestamp) -> String {
    match (t.secs, t.nanos) {
        (secs, 0) => secs.to_string(),
        (secs, nanos) if secs >= 0 => format!("{secs}.{nanos:09}"),
        (-1, nanos) => format!("-0.{:09}", 1_000_000_000 - nanos),
        (secs, nanos) => format!("{}.{:09}", secs + 1, 1_000_000_000 - nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_s3fs_and_rclone() {
        assert_eq!(parse_mode("33188"), Some(0o100_644));
        assert_eq!(parse_mode("0100644"), Some(0o100_644));
        assert_eq!(parse_mode("100644"), Some(0o100_644));
        assert_eq!(parse_mode("0644"), Some(0o644));
        assert_eq!(parse_mode("rw-r--r--"), None);
        assert_eq!(parse_mode("99999999"), None);
    }

    #[test]
    fn times_round_trip() {
        for (text, secs, nanos) in [
            ("1700000000", 1_700_000_000, 0),
            ("1700000000.123456789", 1_700_000_000, 123_456_789),
            ("0.000000001", 0, 1),
            ("-1", -1, 0),
            ("-0.500000000", -1, 500_000_000),
            ("-1.250000000", -2, 750_000_000),
        ] {
            let t = Timestamp { secs, nanos };
            assert_eq!(parse_mtime(text), Some(t), "{text}");
            assert_eq!(show_mtime(t), text);
        }
        assert_eq!(parse_mtime("1.5"), Some(Timestamp { secs: 1, nanos: 500_000_000 }));
        assert_eq!(parse_mtime("1.1234567891"), Some(Timestamp { secs: 1, nanos: 123_456_789 }));
        assert_eq!(parse_mtime("1.x"), None);
        assert_eq!(parse_mtime("soon"), None);
    }

    #[test]
    fn only_readable_values_are_taken() {
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        let mut user = vec![pair("mode", "33188"), pair("uid", "me"), pair("gid", "5"), pair("colour", "red")];
        let hints = take(&mut user);
        assert_eq!((hints.mode, hints.uid, hints.gid, hints.mtime), (Some(33188), None, Some(5), None));
        assert_eq!(user, [pair("uid", "me"), pair("colour", "red")]);
    }
}
