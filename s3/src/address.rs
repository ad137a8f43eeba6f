//! What a request's target names: a bucket and a key, as s3s will read them, for what must be known before s3s does.

use http::header::HOST;
use http::request::Parts;
use hyper::Version;
use s3s::host::S3Host;

use crate::host::Domains;

/// A request's target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The bucket's name; empty if the target is the service itself.
    pub(crate) bucket: String,
    /// The key; empty if the target is a bucket.
    pub(crate) key: String,
    /// The bucket is in the host's name and not in the path.
    pub(crate) in_host: bool,
    /// The whole path, decoded.
    pub(crate) path: String,
}

impl Address {
    /// It names a bucket and no key.
    pub(crate) fn is_bucket(&self) -> bool {
        !self.bucket.is_empty() && self.key.is_empty()
    }

    /// `None` for a path that is no UTF-8 or not absolute: s3s refuses it.
    pub(crate) fn read(head: &Parts, domains: Option<&Domains>) -> Option<Self> {
        let path = decode(head.uri.path())?;
        let rest = path.strip_prefix('/')?;
        if let Some(bucket) = domains.and_then(|domains| bucket_of(host(head)?, domains)) {
            return Some(Self { bucket, key: rest.to_owned(), in_host: true, path });
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self { bucket: bucket.to_owned(), key: key.to_owned(), in_host: false, path })
    }
}

/// `Host`, or what HTTP/2 has in its place.
pub(crate) fn host(head: &Parts) -> Option<&str> {
    match head.headers.get(HOST) {
        Some(value) => value.to_str().ok(),
        None if head.version >= Version::HTTP_2 => head.uri.authority().map(|a| a.as_str()),
        None => None,
    }
}

fn bucket_of(host: &str, domains: &Domains) -> Option<String> {
    domains.parse_host_header(host).ok()?.bucket().map(str::to_owned)
}

/// Percent-decodes as s3s does: what is no escape stays as it is.
fn decode(text: &str) -> Option<String> {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).map(|d| d as u8);
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match (bytes[i], digit(bytes.get(i + 1)), digit(bytes.get(i + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high * 16 + low);
                i += 3;
            }
            (b, _, _) => {
                out.push(b);
                i += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, host: &str) -> Option<(String, String, bool)> {
        let head = hyper::Request::builder().uri(uri).header(HOST, host).body(()).unwrap().into_parts().0;
        let domains = Domains::new(&["s3.example.com".to_owned()]);
        Address::read(&head, domains.as_ref()).map(|a| (a.bucket, a.key, a.in_host))
    }

    fn some(bucket: &str, key: &str, in_host: bool) -> Option<(String, String, bool)> {
        Some((bucket.to_owned(), key.to_owned(), in_host))
    }

    #[test]
    fn both_styles_are_read() {
        assert_eq!(read("/", "localhost"), some("", "", false));
        assert_eq!(read("/bkt", "localhost"), some("bkt", "", false));
        assert_eq!(read("/bkt/", "localhost"), some("bkt", "", false));
        assert_eq!(read("/bkt/a/b%20c?x=y", "localhost:9000"), some("bkt", "a/b c", false));
        assert_eq!(read("/bkt%2Fa%zz", "localhost"), some("bkt", "a%zz", false));
        assert_eq!(read("/bkt//a", "localhost"), some("bkt", "/a", false));
        assert_eq!(read("/", "bkt.s3.example.com"), some("bkt", "", true));
        assert_eq!(read("/a/b", "bkt.s3.example.com:9000"), some("bkt", "a/b", true));
        assert_eq!(read("/bkt/a", "s3.example.com"), some("bkt", "a", false));
        assert_eq!(read("/bkt/%FF", "localhost"), None);
    }
}
