//! ListObjects, V1 and V2.

use pinfold_store::namespace::s3_types::{ListItem, ListPage, ListRequest, ObjectInfo};
use s3s::dto::{
    CommonPrefix, ETag, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object, Owner,
};
use s3s::{S3Request, S3Response, S3Result};

use super::owner;
use crate::access::{self, Access};
use crate::checksum::type_name;
use crate::convert::key::{self, Encoding};
use crate::convert::time;
use crate::error::OrS3;
use crate::service::Service;

/// ListObjectsV2.
pub(crate) async fn v2(
    service: &Service,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let access = access::of(&request)?;
    let input = request.input;
    let encoding = Encoding::parse(input.encoding_type.as_ref().map(|e| e.as_str()))?;
    let max = key::limit("max-keys", input.max_keys)?;
    let token = input.continuation_token.as_deref().filter(|t| !t.is_empty()).map(key::parse_token).transpose()?;
    // Start-after may be a prefix of an earlier answer, as V1's marker may: what rolls up to it has been shown.
    let after = token.unwrap_or_default().max(input.start_after.clone().unwrap_or_default().into_bytes());
    let page = page(service, &access, &input.bucket, &input.prefix, &input.delimiter, after, max).await?;
    let with_owner = match input.fetch_owner {
        Some(true) => Some(owner(&access.bucket()?.owner)),
        _ => None,
    };
    let next = last(&page).map(key::token);
    let shown = show(page, encoding, with_owner.as_ref());
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: shown_text(input.prefix, encoding),
        delimiter: input.delimiter.map(|d| encoding.show(d.as_bytes())),
        start_after: input.start_after.map(|s| encoding.show(s.as_bytes())),
        encoding_type: input.encoding_type,
        continuation_token: input.continuation_token,
        max_keys: Some(max as i32),
        key_count: Some((shown.objects.len() + shown.prefixes.len()) as i32),
        is_truncated: Some(next.is_some()),
        next_continuation_token: next,
        contents: Some(shown.objects),
        common_prefixes: Some(shown.prefixes),
        request_charged: None,
    }))
}

/// A parameter of the request as the answer repeats it, if there was one.
fn shown_text(text: Option<String>, encoding: Encoding) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(|text| encoding.show(text.as_bytes()))
}

/// ListObjects.
pub(crate) async fn v1(
    service: &Service,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let encoding = Encoding::parse(input.encoding_type.as_ref().map(|e| e.as_str()))?;
    let max = key::limit("max-keys", input.max_keys)?;
    let after = input.marker.clone().unwrap_or_default().into_bytes();
    let page = page(service, &access, &input.bucket, &input.prefix, &input.delimiter, after, max).await?;
    let with_owner = owner(&access.bucket()?.owner);
    let truncated = page.truncated;
    // AWS leaves it out where there is no delimiter (it is the last key then); some clients look for it anyway.
    let next = last(&page).map(|last| encoding.show(last));
    let shown = show(page, encoding, Some(&with_owner));
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: shown_text(input.prefix, encoding),
        marker: shown_text(input.marker, encoding),
        delimiter: input.delimiter.map(|d| encoding.show(d.as_bytes())),
        encoding_type: input.encoding_type,
        max_keys: Some(max as i32),
        is_truncated: Some(truncated),
        next_marker: next,
        contents: Some(shown.objects),
        common_prefixes: Some(shown.prefixes),
        request_charged: None,
    }))
}

async fn page(
    service: &Service,
    access: &Access,
    bucket: &str,
    prefix: &Option<String>,
    delimiter: &Option<String>,
    after: Vec<u8>,
    max: usize,
) -> S3Result<ListPage> {
    if max == 0 {
        return Ok(ListPage::default());
    }
    let bytes = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
    let request = ListRequest { prefix: bytes(prefix), delimiter: bytes(delimiter), after, max };
    service.namespace.list(&access.caller(), bucket, request).await.or_s3()
}

/// Where the next page goes on, if there is one.
fn last(page: &ListPage) -> Option<&[u8]> {
    match page.items.last().filter(|_| page.truncated)? {
        ListItem::Object(info) => Some(&info.key),
        ListItem::Prefix(prefix) => Some(prefix),
    }
}

struct Shown {
    objects: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
}

fn show(page: ListPage, encoding: Encoding, owner: Option<&Owner>) -> Shown {
    let mut shown = Shown { objects: Vec::new(), prefixes: Vec::new() };
    for item in page.items {
        match item {
            ListItem::Object(info) => shown.objects.push(object(&info, encoding, owner)),
            ListItem::Prefix(prefix) => {
                shown.prefixes.push(CommonPrefix { prefix: Some(encoding.show(&prefix)) });
            }
        }
    }
    shown
}

fn object(info: &ObjectInfo, encoding: Encoding, owner: Option<&Owner>) -> Object {
    let class = info.meta.headers.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned());
    Object {
        key: Some(encoding.show(&info.key)),
        size: i64::try_from(info.size).ok(),
        e_tag: Some(ETag::Strong(info.meta.etag.0.clone())),
        last_modified: Some(time::to_s3(info.meta.last_modified)),
        owner: owner.cloned(),
        checksum_algorithm: info.meta.checksum.as_ref().map(|c| vec![c.algorithm.clone().into()]),
        checksum_type: info.meta.checksum.as_ref().map(|c| type_name(c.kind).to_owned().into()),
        storage_class: Some(class.into()),
        restore_status: None,
    }
}
