//! The tags in CreateBucket's body, which s3s 0.14.1 skips: read on the way in, for the operation.

use http::request::Parts;
use hyper::Method;
use hyper::http::Extensions;
use s3s::dto::Tag;
use s3s::xml::{DeResult, Deserializer};
use s3s::{Body, S3ErrorCode, S3Result};

use crate::address::Address;
use crate::error::plain;

/// Largest body: fifty tags in UTF-8, and room.
const MAX: usize = 128 * 1024;

/// A request that may be CreateBucket with a body, in its extensions.
#[derive(Clone, Copy)]
pub(crate) struct HasBody;

/// The tags of a new bucket.
#[derive(Clone)]
pub(crate) struct NewTags(pub(crate) Vec<Tag>);

/// Whether a request may be CreateBucket: no subresource makes it another operation.
pub(crate) fn is(head: &Parts, address: &Address) -> bool {
    let query = head.uri.query().unwrap_or_default();
    let plain = query.split('&').all(|p| p.is_empty() || p.starts_with("x-id=") || p.starts_with("X-Amz-"));
    head.method == Method::PUT && address.key.is_empty() && !address.bucket.is_empty() && plain
}

/// Reads the body, leaves its tags in the extensions, and gives it back for s3s.
pub(crate) async fn read(mut body: Body, extensions: &mut Extensions) -> S3Result<Body> {
    let bytes = match body.store_all_limited(MAX).await {
        Ok(bytes) => bytes,
        // s3s will meet the same, and the answer says what it was.
        Err(_) => return Err(S3ErrorCode::InternalError.into()),
    };
    if !bytes.is_empty() {
        let tags = parse(&bytes).map_err(|_| plain(S3ErrorCode::MalformedXML))?;
        extensions.insert(NewTags(tags));
    }
    Ok(Body::from(bytes))
}

fn parse(xml: &[u8]) -> DeResult<Vec<Tag>> {
    let mut d = Deserializer::new(xml);
    let tags = d.named_element("CreateBucketConfiguration", |d| {
        let mut tags = Vec::new();
        d.for_each_element(|d, name| {
            match name {
                b"Tags" => tags = d.list_content("Tag")?,
                b"Location" | b"Bucket" => d.for_each_element(|d, _| d.content::<String>().map(drop))?,
                _ => drop(d.content::<String>()?),
            }
            Ok(())
        })?;
        Ok(tags)
    })?;
    d.expect_eof()?;
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found() {
        let xml = b"<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <LocationConstraint>eu-1</LocationConstraint><Location><Name>x</Name></Location>\
            <Tags><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value></Value></Tag></Tags>\
            </CreateBucketConfiguration>";
        let tags = parse(xml).unwrap();
        let pairs: Vec<(Option<&str>, Option<&str>)> =
            tags.iter().map(|t| (t.key.as_deref(), t.value.as_deref())).collect();
        assert_eq!(pairs, [(Some("a"), Some("1")), (Some("b"), Some(""))]);
        assert!(parse(b"<CreateBucketConfiguration/>").unwrap().is_empty());
        for bad in ["<Other/>", "<CreateBucketConfiguration>", "text"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
