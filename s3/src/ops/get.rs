//! GetObject, and what it shares with HeadObject.

use http::HeaderMap;
use pinfold_store::namespace::check_read;
use pinfold_store::namespace::s3_types::{BucketInfo, ObjectInfo, Precondition, ReadVerdict};
use s3s::dto::{GetObjectInput, GetObjectOutput};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::with_headers;
use crate::access;
use crate::body::download;
use crate::convert::output::Overrides;
use crate::convert::{condition, headers, key, lock, output, range, sse, version};
use crate::error::{OrS3, plain, with_detail};
use crate::lifecycle;
use crate::service::Service;

/// GetObject.
pub(crate) async fn get(
    service: &Service,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let access = access::of(&request)?;
    headers::refuse_unsupported(&request.headers)?;
    sse::refuse_managed(&request.headers)?;
    let customer = sse::customer(&request.headers)?;
    let precondition = condition::of_read(&request.headers);
    let overrides = Overrides::read(&request.uri);
    let input = request.input;
    let version = version::parse(input.version_id.as_deref())?;
    key::check(&input.key)?;
    input.part_number.map(range::check_part_number).transpose()?;
    let (caller, key) = (access.caller(), input.key.as_bytes());
    let found = service.namespace.get_with_key(&caller, &input.bucket, key, version, customer.as_ref());
    let (info, reader) = found.await.or_s3()?;
    check(&info, &precondition)?;
    let range =
        input.range.filter(|_| condition::range_holds(&request.headers, &info.meta.etag.0, info.meta.last_modified));
    let slice = range::resolve(info.size, &info.meta.parts, range, input.part_number)?;
    let with_checksum = input.checksum_mode.is_some_and(|m| m.as_str().eq_ignore_ascii_case("ENABLED"));
    let body = download::body(reader, slice.start, slice.end).await?;
    let (metadata, missing) = output::metadata(&info);
    let answer = GetObjectOutput {
        body: Some(body),
        content_range: slice.content_range(info.size),
        metadata: Some(metadata),
        missing_meta: i32::try_from(missing).ok().filter(|n| *n > 0),
        ..GetObjectOutput::default()
    };
    let mut map = output::object(&info, &slice, &overrides, with_checksum);
    sse::show(&mut map, info.seal.as_deref().map(|seal| &seal.key), &request.headers);
    show_version(service, access.bucket()?, &info, version.is_none(), &mut map)?;
    Ok(with_headers(answer, map))
}

/// Which version an answer shows, what locks it and (of a current one) when it goes, where the bucket has such.
pub(crate) fn show_version(
    service: &Service,
    bucket: &BucketInfo,
    info: &ObjectInfo,
    current: bool,
    map: &mut HeaderMap,
) -> S3Result<()> {
    if current {
        lifecycle::set(map, &service.namespace, bucket, info)?;
    }
    output::pins(map, service.namespace.pin_view(&info.cid).or_s3()?.as_ref());
    version::set(map, bucket, info.meta.version);
    if bucket.settings.object_lock.is_some() {
        lock::set(map, &service.namespace.lock(bucket.id, &info.key, info.meta.version).or_s3()?);
    }
    Ok(())
}

/// The conditional headers of a read: `304` (with the validators) or `412`.
pub(crate) fn check(info: &ObjectInfo, precondition: &Precondition) -> S3Result<()> {
    match check_read(precondition, &info.meta.etag.0, info.meta.last_modified) {
        ReadVerdict::Proceed => Ok(()),
        ReadVerdict::Failed => {
            let which = if precondition.if_match.is_some() { "If-Match" } else { "If-Unmodified-Since" };
            Err(with_detail(plain(S3ErrorCode::PreconditionFailed), "Condition", which))
        }
        ReadVerdict::NotModified => {
            let mut unchanged = S3Error::with_message(S3ErrorCode::NotModified, "Not Modified");
            unchanged.set_headers(output::validators(info));
            Err(unchanged)
        }
    }
}
