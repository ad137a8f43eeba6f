//! Keys, prefixes and the opaque tokens of listings.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pinfold_store::types::MAX_KEY_LEN;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::error::{bad_argument, invalid_argument, plain, with_detail};

/// A key that names a new object: 1 to 1,024 bytes without NUL. (The mount can make longer paths; S3 cannot.)
pub(crate) fn check_new(key: &str) -> S3Result<()> {
    if key.len() > MAX_KEY_LEN {
        return Err(too_long(key.len()));
    }
    check(key)
}

/// `400 KeyTooLongError` with what AWS adds.
pub(crate) fn too_long(bytes: usize) -> S3Error {
    let error = with_detail(plain(S3ErrorCode::KeyTooLongError), "Size", &bytes.to_string());
    with_detail(error, "MaxSizeAllowed", &MAX_KEY_LEN.to_string())
}

/// A key that names an object, there or not.
pub(crate) fn check(key: &str) -> S3Result<()> {
    if key.as_bytes().contains(&0) {
        return Err(invalid_argument("Object key contains a NUL byte"));
    }
    if key.is_empty() {
        return Err(invalid_argument("Object key must not be empty"));
    }
    Ok(())
}

/// Percent-encodes all but unreserved characters and `/`, as `encoding-type=url` asks. (`%20`, not `+`, for a space:
/// every client decodes that the same way.)
pub(crate) fn url_encode(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(bytes.len() + 16);
    for &b in bytes {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'/') {
            out.push(char::from(b));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(b >> 4)]));
            out.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
    out
}

/// Undoes percent-encoding (and, for `form` data, `+` for a space); `None` if it is broken or not UTF-8.
pub(crate) fn percent_decode(text: &str, form: bool) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'%' => {
                let hex = bytes.get(i + 1..i + 3)?;
                let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
                out.push(digit(hex[0])? * 16 + digit(hex[1])?);
                i += 3;
                continue;
            }
            b'+' if form => out.push(b' '),
            b => out.push(b),
        }
        i += 1;
    }
    String::from_utf8(out).ok()
}

/// How a listing shows keys: as they are, or percent-encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    /// As they are.
    Raw,
    /// `encoding-type=url`.
    Url,
}

impl Encoding {
    /// From the query parameter; InvalidArgument for any other value than `url`.
    pub(crate) fn parse(text: Option<&str>) -> S3Result<Self> {
        match text {
            None => Ok(Self::Raw),
            Some("url") => Ok(Self::Url),
            Some(other) => Err(bad_argument("encoding-type", other, "Invalid Encoding Method specified in Request")),
        }
    }

    /// A key as this listing shows it. Keys are UTF-8 (the mount refuses other names).
    pub(crate) fn show(self, key: &[u8]) -> String {
        match self {
            Self::Raw => String::from_utf8_lossy(key).into_owned(),
            Self::Url => url_encode(key),
        }
    }
}

/// What a token begins with that is no key.
const ENCODED: char = '~';

/// Keys that are their own token.
fn is_plain(key: &[u8]) -> bool {
    !key.is_empty() && key.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/'))
}

/// A continuation token: where to go on, as VersityGW shows it if that can stand in any document and URL as it is.
pub(crate) fn token(after: &[u8]) -> String {
    match std::str::from_utf8(after) {
        Ok(key) if is_plain(after) => key.to_owned(),
        _ => format!("{ENCODED}{}", URL_SAFE_NO_PAD.encode(after)),
    }
}

/// Reads a token of [`token`]; AWS's error for one that is none.
pub(crate) fn parse_token(text: &str) -> S3Result<Vec<u8>> {
    let decoded = match text.strip_prefix(ENCODED) {
        Some(encoded) => URL_SAFE_NO_PAD.decode(encoded).ok(),
        None => is_plain(text.as_bytes()).then(|| text.as_bytes().to_vec()),
    };
    decoded.ok_or_else(|| bad_argument("continuation-token", text, "The continuation token provided is incorrect"))
}

/// The most entries of a page.
pub(crate) const MOST: usize = 1000;

/// `max-keys`, `max-parts`, `max-uploads`: 0 to 1,000, the latter when absent or larger.
pub(crate) fn limit(name: &'static str, value: Option<i32>) -> S3Result<usize> {
    match value {
        None => Ok(MOST),
        Some(n) => match usize::try_from(n) {
            Ok(n) => Ok(n.min(MOST)),
            Err(_) => {
                let what = format!("Argument {n} must be an integer between 0 and 2147483647");
                Err(bad_argument(name, &n.to_string(), what))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_without_nul() {
        assert!(check_new(&"k".repeat(1024)).is_ok());
        assert_eq!(check_new(&"k".repeat(1025)).unwrap_err().code(), &S3ErrorCode::KeyTooLongError);
        assert_eq!(check_new("a\0b").unwrap_err().code(), &S3ErrorCode::InvalidArgument);
        assert!(check(&"k".repeat(4000)).is_ok());
    }

    #[test]
    fn url_encoding_round_trips() {
        for key in ["plain/key.txt", "a b+c%d", "\u{e9}\u{1F600}/\n\u{1}", "~-_."] {
            let shown = url_encode(key.as_bytes());
            assert!(shown.is_ascii() && !shown.contains(' ') && !shown.contains('+'), "{shown}");
            assert_eq!(percent_decode(&shown, false).as_deref(), Some(key));
            assert_eq!(percent_decode(&shown, true).as_deref(), Some(key));
        }
        assert_eq!(percent_decode("%zz", false), None);
        assert_eq!(percent_decode("%f", false), None);
        assert_eq!(percent_decode("%ff", false), None);
    }

    #[test]
    fn tokens_are_checked() {
        for key in [&b"a/b \xc3\xa9"[..], b"a/b", b"~a", b"~", b"a\x01"] {
            assert_eq!(parse_token(&token(key)).unwrap(), key);
        }
        assert_eq!(token(b"a/b-1_x.y"), "a/b-1_x.y");
        for bad in ["a b", "\u{2603}", "~!", "~YQ=="] {
            assert!(parse_token(bad).is_err(), "{bad}");
        }
        assert!(parse_token("").is_err());
    }

    #[test]
    fn limits_are_clamped() {
        assert_eq!(limit("max-keys", None).unwrap(), 1000);
        assert_eq!(limit("max-keys", Some(0)).unwrap(), 0);
        assert_eq!(limit("max-keys", Some(5000)).unwrap(), 1000);
        assert!(limit("max-keys", Some(-1)).is_err());
    }
}
