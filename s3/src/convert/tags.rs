//! Tags: AWS's rules, and the two forms they come in (`x-amz-tagging` and XML).

use pinfold_store::namespace::s3_limits::{MAX_OBJECT_TAGS, is_system_tag, is_tag_key, is_tag_value};
use s3s::dto::{Tag, Tagging};
use s3s::xml::{Deserialize, Deserializer};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::key::{percent_decode, url_encode};
use crate::error::{bad_argument, fail, plain};

/// Most tags of a bucket.
const MAX_BUCKET_TAGS: usize = 50;

/// Tags in the store's form.
pub(crate) type Tags = Vec<(String, String)>;

/// What is tagged: the limits differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// An object.
    Object,
    /// A bucket.
    Bucket,
}

/// Reads `x-amz-tagging`.
pub(crate) fn from_header(text: &str) -> S3Result<Tags> {
    let wrong = || {
        bad_argument(
            "x-amz-tagging",
            text,
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag \
             name duplicates.",
        )
    };
    let mut tags = Tags::new();
    for pair in text.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_decode(name, true).filter(|n| !n.is_empty()).ok_or_else(wrong)?;
        let value = percent_decode(value, true).ok_or_else(wrong)?;
        if tags.iter().any(|(n, _)| *n == name) {
            return Err(wrong());
        }
        tags.push((name, value));
    }
    check(&tags, Of::Object)?;
    Ok(tags)
}

/// Reads the XML form.
pub(crate) fn from_xml(set: Vec<Tag>, of: Of) -> S3Result<Tags> {
    let mut tags = Tags::with_capacity(set.len());
    for tag in set {
        let name = tag.key.ok_or_else(|| invalid_tag("The TagKey you have provided is invalid"))?;
        tags.push((name, tag.value.unwrap_or_default()));
    }
    check(&tags, of)?;
    Ok(tags)
}

/// Tags in the body of a CreateBucket, which s3s 0.14.1 does not read.
#[derive(Clone)]
pub(crate) struct NewBucketTags(pub(crate) Tags);

impl NewBucketTags {
    /// `None` if there are none or the body is no such document (s3s says so then).
    pub(crate) fn read(xml: &[u8]) -> S3Result<Option<Self>> {
        let mut found: Vec<Tag> = Vec::new();
        let mut document = Deserializer::new(xml);
        let read = document.named_element("CreateBucketConfiguration", |document| {
            document.for_each_element(|document, name| match name {
                b"Tags" => document.for_each_element(|document, _| {
                    found.push(document.content()?);
                    Ok(())
                }),
                _ => document.for_each_element(|_, _| Ok(())).or_else(|_| document.text(|_| Ok(()))),
            })
        });
        if read.is_err() && found.is_empty() {
            return Ok(None);
        }
        let tags = from_xml(found, Of::Bucket)?;
        Ok((!tags.is_empty()).then_some(Self(tags)))
    }
}

/// Reads a `Tagging` document of an object.
pub(crate) fn from_document(xml: &[u8]) -> S3Result<Tags> {
    let mut document = Deserializer::new(xml);
    let read = Tagging::deserialize(&mut document).and_then(|tagging| {
        document.expect_eof()?;
        Ok(tagging)
    });
    from_xml(read.map_err(|_| plain(S3ErrorCode::MalformedXML))?.tag_set, Of::Object)
}

/// As `x-amz-tagging` has them.
pub(crate) fn to_header(tags: &[(String, String)]) -> String {
    let encode = |text: &str| url_encode(text.as_bytes()).replace('/', "%2F");
    tags.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

/// The XML form.
pub(crate) fn to_xml(tags: &[(String, String)]) -> Vec<Tag> {
    tags.iter().map(|(k, v)| Tag { key: Some(k.clone()), value: Some(v.clone()) }).collect()
}

fn invalid_tag(message: &'static str) -> S3Error {
    fail(S3ErrorCode::InvalidTag, message)
}

fn check(tags: &[(String, String)], of: Of) -> S3Result<()> {
    let bad_request = |message| fail(S3ErrorCode::Custom("BadRequest".into()), message);
    let too_many = match of {
        Of::Object if tags.len() > MAX_OBJECT_TAGS => Some("Object tags cannot be greater than 10"),
        Of::Bucket if tags.len() > MAX_BUCKET_TAGS => Some("Bucket tag count cannot be greater than 50"),
        _ => None,
    };
    if let Some(message) = too_many {
        let mut error = bad_request(message);
        error.set_status_code(hyper::StatusCode::BAD_REQUEST);
        return Err(error);
    }
    for (i, (name, value)) in tags.iter().enumerate() {
        if !is_tag_key(name) {
            return Err(invalid_tag("The TagKey you have provided is invalid"));
        }
        if is_system_tag(name) {
            return Err(invalid_tag("System tags cannot be added/updated by requester"));
        }
        if !is_tag_value(value) {
            return Err(invalid_tag("The TagValue you have provided is invalid"));
        }
        if tags[..i].iter().any(|(other, _)| other == name) {
            return Err(invalid_tag("Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: S3Result<Tags>) -> String {
        result.map_or_else(|e| e.code().as_str().to_owned(), |_| "ok".to_owned())
    }

    #[test]
    fn headers_are_decoded_and_checked() {
        assert_eq!(
            from_header("a=1&b%20c=x+y&d").unwrap(),
            [("a", "1"), ("b c", "x y"), ("d", "")].map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        assert_eq!(code(from_header("a=1&a=2")), "InvalidArgument");
        assert_eq!(code(from_header("a=%zz")), "InvalidArgument");
        assert_eq!(code(from_header("aws:x=1")), "InvalidTag");
        assert_eq!(code(from_header("a=%3C")), "InvalidTag");
        assert_eq!(code(from_header(&format!("{}=1", "k".repeat(128)))), "ok");
        assert_eq!(code(from_header(&format!("{}=1", "k".repeat(129)))), "InvalidTag");
        assert_eq!(code(from_header(&format!("k={}", "v".repeat(257)))), "InvalidTag");
        let eleven: Vec<String> = (0..11).map(|i| format!("k{i}=v")).collect();
        assert_eq!(code(from_header(&eleven.join("&"))), "BadRequest");
    }

    #[test]
    fn xml_rules() {
        let tag = |k: Option<&str>, v: &str| Tag { key: k.map(str::to_owned), value: Some(v.to_owned()) };
        assert_eq!(code(from_xml(vec![tag(Some("a"), "1"), tag(Some("a"), "2")], Of::Object)), "InvalidTag");
        assert_eq!(code(from_xml(vec![tag(None, "1")], Of::Object)), "InvalidTag");
        let many: Vec<Tag> = (0..50).map(|i| tag(Some(&format!("k{i}")), "v")).collect();
        assert_eq!(code(from_xml(many, Of::Bucket)), "ok");
    }
}
