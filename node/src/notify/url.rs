//! What URLs of sinks have in common: `SCHEME://[USER:PASSWORD@]HOST[:PORT][/PATH]`.

use hyper::Uri;

/// A URL taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Host and port, to connect to.
    pub(super) at: String,
    /// Who says he is who; empty without.
    pub(super) user: String,
    /// With which password.
    pub(super) password: String,
    /// What follows the host, without its first slash.
    pub(super) path: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No password is ever shown.
        f.debug_struct("Address").field("at", &self.at).field("user", &self.user).field("path", &self.path).finish()
    }
}

impl Address {
    pub(super) fn parse(url: &str, port: u16) -> Result<Self, String> {
        // Errors do not repeat the URL: it may have a password.
        let uri: Uri = url.parse().map_err(|e| format!("that is not a URL: {e}"))?;
        let authority = uri.authority().ok_or("the URL names no host")?;
        let (user, password) = match authority.as_str().rsplit_once('@') {
            None => ("", ""),
            Some((who, _)) => who.split_once(':').unwrap_or((who, "")),
        };
        if uri.scheme().is_none() || uri.query().is_some() || authority.host().is_empty() {
            return Err("the URL has no scheme, no host, or a query".to_owned());
        }
        Ok(Self {
            at: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(port)),
            user: decode(user)?,
            password: decode(password)?,
            path: decode(uri.path().trim_start_matches('/'))?,
        })
    }
}

/// Percent-decodes.
fn decode(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let byte = match b {
            b'%' => {
                let digits = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
                hex::decode(digits).ok().and_then(|bytes| bytes.first().copied()).ok_or("a `%` begins no escape")?
            }
            b => b,
        };
        out.push(byte);
    }
    String::from_utf8(out).map_err(|_| "an escape is no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_keep_their_password() {
        let address = Address::parse("redis://ann:p%40ss@host:7/0/list", 6379).unwrap();
        assert_eq!((address.at.as_str(), address.user.as_str()), ("host:7", "ann"));
        assert_eq!((address.password.as_str(), address.path.as_str()), ("p@ss", "0/list"));
        assert!(!format!("{address:?}").contains("p@ss"));
        assert_eq!(Address::parse("nats://[::1]/a", 4222).unwrap().at, "[::1]:4222");
        for bad in ["nats:///a", "nats://h/a?b", "nats://%zz@h/a", "x"] {
            assert!(Address::parse(bad, 1).is_err(), "{bad}");
        }
    }
}
