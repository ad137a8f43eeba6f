//! Algorithms that s3s 0.14.1 has no fields for. Such a checksum travels through s3s in the field of SHA-256 as
//! `NAME:VALUE` (base64 knows no colon) and gets its own header or element on the outer side.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use pinfold_store::meta::rows::Checksum;

use super::{Algorithm, Whole};

/// The value of SHA-256's field for a checksum of any of these algorithms.
pub(crate) fn carried(checksum: &Checksum) -> String {
    format!("{}:{}", checksum.algorithm, checksum.value)
}

/// What SHA-256's field of a request holds.
pub(crate) fn read(value: String) -> Whole {
    match value.split_once(':').and_then(|(name, value)| Some((Algorithm::parse(name)?, value))) {
        Some((algorithm, value)) => Whole { algorithm, value: value.to_owned() },
        None => Whole { algorithm: Algorithm::Sha256, value },
    }
}

/// A request's XML as s3s can read it.
pub(crate) fn request(xml: &str) -> Cow<'_, str> {
    let mut xml = Cow::Borrowed(xml);
    for algorithm in Algorithm::UNKNOWN_TO_S3S {
        let name = algorithm.name();
        let start = format!("<Checksum{name}>");
        if xml.contains(&start) {
            let read = xml.replace(&start, &format!("<ChecksumSHA256>{name}:"));
            xml = Cow::Owned(read.replace(&format!("</Checksum{name}>"), "</ChecksumSHA256>"));
        }
    }
    xml
}

/// An answer's XML as S3 has it; `None` if it is that already.
pub(crate) fn answer(xml: &str) -> Option<String> {
    const START: &str = "<ChecksumSHA256>";
    const END: &str = "</ChecksumSHA256>";
    let mut out = String::new();
    let mut rest = xml;
    while let Some(at) = rest.find(START) {
        let (before, value) = (&rest[..at], &rest[at + START.len()..]);
        let end = value.find(END)?;
        let whole = read(value[..end].to_owned());
        out.push_str(before);
        let name = whole.algorithm.name();
        out.push_str(&format!("<Checksum{name}>{}</Checksum{name}>", whole.value));
        rest = &value[end + END.len()..];
    }
    if out.is_empty() {
        return None;
    }
    out.push_str(rest);
    Some(out)
}

/// An answer's headers, likewise.
pub(crate) fn headers(map: &mut HeaderMap) {
    let field = Algorithm::Sha256.header();
    let carried = map.get(field).and_then(|v| v.to_str().ok()).filter(|v| v.contains(':')).map(str::to_owned);
    let Some(whole) = carried.map(read) else { return };
    map.remove(field);
    if let Ok(value) = HeaderValue::try_from(whole.value) {
        map.insert(whole.algorithm.header(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let client = "<P><ChecksumSHA512>AA==</ChecksumSHA512></P><P><ChecksumSHA256>BB==</ChecksumSHA256></P>";
        let inner = request(client);
        assert_eq!(
            inner,
            "<P><ChecksumSHA256>SHA512:AA==</ChecksumSHA256></P><P><ChecksumSHA256>BB==</ChecksumSHA256></P>"
        );
        assert_eq!(answer(&inner).as_deref(), Some(client));
        assert_eq!(answer("<P>x</P>"), None);
        assert_eq!(request("<P>x</P>"), "<P>x</P>");
        assert_eq!(read("XXHASH3:v".to_owned()).algorithm, Algorithm::XxHash3);
        assert_eq!(read("what:v".to_owned()).value, "what:v");
    }

    #[test]
    fn headers_get_their_names() {
        let mut map = HeaderMap::new();
        map.insert("x-amz-checksum-sha256", HeaderValue::from_static("MD5:kAFQmDzST7DWlj99KOF/cg=="));
        headers(&mut map);
        assert_eq!(map.len(), 1);
        assert_eq!(map["x-amz-checksum-md5"], "kAFQmDzST7DWlj99KOF/cg==");
        let mut map = HeaderMap::new();
        map.insert("x-amz-checksum-sha256", HeaderValue::from_static("AA=="));
        headers(&mut map);
        assert_eq!(map["x-amz-checksum-sha256"], "AA==");
    }
}
