//! HeadObject, GetObjectAcl.

use pinfold_store::namespace::check_customer;
use s3s::dto::{GetObjectAclInput, GetObjectAclOutput, HeadObjectInput, HeadObjectOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::{full_control, get, owner, with_headers};
use crate::access;
use crate::convert::output::Overrides;
use crate::convert::{condition, headers, key, output, range, sse, version};
use crate::error::OrS3;
use crate::service::Service;

/// HeadObject.
pub(crate) async fn head(
    service: &Service,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
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
    let info =
        service.namespace.head_version(&access.caller(), &input.bucket, input.key.as_bytes(), version).await.or_s3()?;
    check_customer(info.seal.as_deref(), customer.as_ref()).or_s3()?;
    get::check(&info, &precondition)?;
    let range =
        input.range.filter(|_| condition::range_holds(&request.headers, &info.meta.etag.0, info.meta.last_modified));
    let slice = range::resolve(info.size, &info.meta.parts, range, input.part_number)?;
    let with_checksum = input.checksum_mode.is_some_and(|m| m.as_str().eq_ignore_ascii_case("ENABLED"));
    let (metadata, missing) = output::metadata(&info);
    let answer = HeadObjectOutput {
        metadata: Some(metadata),
        missing_meta: i32::try_from(missing).ok().filter(|n| *n > 0),
        ..HeadObjectOutput::default()
    };
    let mut map = output::object(&info, &slice, &overrides, with_checksum);
    sse::show(&mut map, info.seal.as_deref().map(|seal| &seal.key), &request.headers);
    get::show_version(service, access.bucket()?, &info, version.is_none(), &mut map)?;
    Ok(with_headers(answer, map))
}

/// GetObjectAcl: an object belongs to its bucket's owner, and nobody else may do anything with it.
pub(crate) async fn acl(
    service: &Service,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let version = version::parse(input.version_id.as_deref())?;
    key::check(&input.key)?;
    service.namespace.head_version(&access.caller(), &input.bucket, input.key.as_bytes(), version).await.or_s3()?;
    let access_key = &access.bucket()?.owner;
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(vec![full_control(access_key)]),
        owner: Some(owner(access_key)),
        request_charged: None,
    }))
}
