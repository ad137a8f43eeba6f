//! A bucket's versioning, and ListObjectVersions.

use pinfold_store::meta::rows::Versioning;
use pinfold_store::namespace::s3_types::{ObjectInfo, VersionItem, VersionPage, VersionsRequest};
use s3s::dto::{
    BucketVersioningStatus, CommonPrefix, DeleteMarkerEntry, ETag, GetBucketVersioningInput, GetBucketVersioningOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion, Owner, PutBucketVersioningInput,
    PutBucketVersioningOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::{change_settings, owner};
use crate::access;
use crate::checksum::type_name;
use crate::convert::key::{self, Encoding};
use crate::convert::{time, version};
use crate::error::{OrS3, bad_argument, custom, fail, plain};
use crate::service::Service;

/// Refuses what needs versions where they are turned off for the whole server.
pub(crate) fn require(service: &Service) -> S3Result<()> {
    if service.versioning {
        return Ok(());
    }
    Err(custom("VersioningNotConfigured", hyper::StatusCode::NOT_IMPLEMENTED))
}

/// GetBucketVersioning: nothing where it was never enabled.
pub(crate) async fn get(
    service: &Service,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let access = access::of(&request)?;
    require(service)?;
    let status = match access.bucket()?.settings.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
        Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
    };
    Ok(S3Response::new(GetBucketVersioningOutput { status, ..GetBucketVersioningOutput::default() }))
}

/// PutBucketVersioning.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let access = access::of(&request)?;
    require(service)?;
    let status = request.input.versioning_configuration.status;
    let versioning = match status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => return Err(plain(S3ErrorCode::MalformedXML)),
    };
    if versioning == Versioning::Suspended && access.bucket()?.settings.object_lock.is_some() {
        return Err(fail(
            S3ErrorCode::InvalidBucketState,
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        ));
    }
    change_settings(service, &access, move |settings| settings.versioning = versioning).await?;
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}

/// ListObjectVersions.
pub(crate) async fn list(
    service: &Service,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let encoding = Encoding::parse(input.encoding_type.as_ref().map(|e| e.as_str()))?;
    if let Some(negative) = input.max_keys.filter(|max| *max < 0) {
        return Err(bad_argument("maxKeys", &negative.to_string(), "max-keys cannot be negative"));
    }
    let max = key::limit("max-keys", input.max_keys)?;
    let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
    let version_marker = version::parse(input.version_id_marker.as_deref())?;
    let bytes = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
    let asked = VersionsRequest {
        prefix: bytes(&input.prefix),
        delimiter: bytes(&input.delimiter),
        after: key_marker.map(|key| (key.into_bytes(), version_marker)),
        max,
    };
    let page = service.namespace.list_versions(&access.caller(), &input.bucket, asked).await.or_s3()?;
    let of_bucket = owner(&access.bucket()?.owner);
    let next = page.items.last().filter(|_| page.truncated).map(|item| match item {
        VersionItem::Object(info, _) => (encoding.show(&info.key), Some(version::show(info.meta.version))),
        VersionItem::Marker(marker, _) => (encoding.show(&marker.key), Some(version::show(marker.version))),
        VersionItem::Prefix(prefix) => (encoding.show(prefix), None),
    });
    let (next_key_marker, next_version_id_marker) = next.unzip();
    let truncated = page.truncated;
    let mut answer = show(page, encoding, &of_bucket);
    answer.name = Some(input.bucket);
    answer.prefix = Some(encoding.show(&bytes(&input.prefix)));
    answer.delimiter = input.delimiter.map(|d| encoding.show(d.as_bytes()));
    answer.key_marker = Some(encoding.show(&bytes(&input.key_marker)));
    answer.version_id_marker = Some(input.version_id_marker.unwrap_or_default());
    answer.encoding_type = input.encoding_type;
    answer.max_keys = Some(max as i32);
    answer.is_truncated = Some(truncated);
    answer.next_key_marker = next_key_marker;
    answer.next_version_id_marker = next_version_id_marker.flatten();
    Ok(S3Response::new(answer))
}

fn show(page: VersionPage, encoding: Encoding, owner: &Owner) -> ListObjectVersionsOutput {
    let (mut versions, mut markers, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
    for item in page.items {
        match item {
            VersionItem::Object(info, latest) => versions.push(object(&info, latest, encoding, owner)),
            VersionItem::Marker(marker, latest) => markers.push(DeleteMarkerEntry {
                is_latest: Some(latest),
                key: Some(encoding.show(&marker.key)),
                last_modified: Some(time::to_s3(marker.made)),
                owner: Some(owner.clone()),
                version_id: Some(version::show(marker.version)),
            }),
            VersionItem::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(encoding.show(&prefix)) }),
        }
    }
    ListObjectVersionsOutput {
        versions: Some(versions),
        delete_markers: Some(markers),
        common_prefixes: Some(prefixes),
        ..ListObjectVersionsOutput::default()
    }
}

fn object(info: &ObjectInfo, latest: bool, encoding: Encoding, owner: &Owner) -> ObjectVersion {
    let class = info.meta.headers.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned());
    ObjectVersion {
        checksum_algorithm: info.meta.checksum.as_ref().map(|c| vec![c.algorithm.clone().into()]),
        checksum_type: info.meta.checksum.as_ref().map(|c| type_name(c.kind).to_owned().into()),
        e_tag: Some(ETag::Strong(info.meta.etag.0.clone())),
        is_latest: Some(latest),
        key: Some(encoding.show(&info.key)),
        last_modified: Some(time::to_s3(info.meta.last_modified)),
        owner: Some(owner.clone()),
        restore_status: None,
        size: i64::try_from(info.size).ok(),
        storage_class: Some(class.into()),
        version_id: Some(version::show(info.meta.version)),
    }
}
