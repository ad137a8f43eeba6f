//! Multipart uploads: create, parts (sent or copied), list, abort. (`complete` has a file of its own.)

use pinfold_store::ErrorKind;
use pinfold_store::chunk::Stored;
use pinfold_store::meta::rows::Checksum;
use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::s3_types::{CreateUpload, PartSummary, PutMeta, UploadInfo};
use pinfold_store::types::Id;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, CommonPrefix, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, Initiator, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::{copy as copying, get, owner, put};
use crate::access::{self, Access};
use crate::body::rewrite::{Span, rewrite};
use crate::body::upload::{self, Expected, MAX_BODY, PartOf, to_the_end};
use crate::checksum::{self, Algorithm, Plan, Sums, set_checksum, type_name};
use crate::convert::key::Encoding;
use crate::convert::{condition, headers, key, lock, range, tags, time, version};
use crate::error::{OrS3, bad_argument, from_store, invalid_request, plain, with_detail};
use crate::service::Service;

pub(super) fn upload_id(text: &str) -> S3Result<Id> {
    text.parse().map_err(|_| with_detail(plain(S3ErrorCode::NoSuchUpload), "UploadId", text))
}

/// The algorithm as answers show it: only if it was asked for.
fn shown_algorithm(sums: &Sums) -> Option<ChecksumAlgorithm> {
    sums.asked.then(|| ChecksumAlgorithm::from_static(sums.kept.name()))
}

/// And its type.
fn shown_type(sums: &Sums) -> Option<s3s::dto::ChecksumType> {
    sums.asked.then(|| type_name(sums.kind).to_owned().into())
}

/// CreateMultipartUpload.
pub(crate) async fn create(
    service: &Service,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let access = access::of(&request)?;
    let (input, sent) = (request.input, request.headers);
    key::check_new(&input.key)?;
    headers::refuse_unsupported(&sent)?;
    let asked = input.checksum_algorithm.as_ref().map(|a| Algorithm::require(a.as_str())).transpose()?;
    let asked_type = input.checksum_type.as_ref().map(|t| checksum::parse_type(t.as_str())).transpose()?;
    if asked.is_none() && asked_type.is_some() {
        return Err(invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        ));
    }
    let asked = asked.map(|kept| kept.upload_type(asked_type).map(|kind| (kept, kind))).transpose()?;
    let (object_headers, posix) = headers::read(&sent, input.metadata)?;
    let tags = input.tagging.as_deref().map(tags::from_header).transpose()?.unwrap_or_default();
    let create = CreateUpload {
        meta: PutMeta {
            headers: object_headers,
            tags,
            checksum: None,
            posix,
            lock: lock::read(&sent, access.bucket()?)?,
        },
        checksum: asked.map(|(kept, kind)| (kept.name().to_owned(), kind)),
    };
    let (namespace, caller) = (service.namespace.clone(), access.caller());
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let upload =
        to_the_end(async move { namespace.create_upload(&caller, &bucket, key.as_bytes(), create).await }).await?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.id.to_string()),
        checksum_algorithm: asked.map(|(kept, _)| ChecksumAlgorithm::from_static(kept.name())),
        checksum_type: asked.map(|(_, kind)| type_name(kind).to_owned().into()),
        ..CreateMultipartUploadOutput::default()
    }))
}

/// UploadPart.
pub(crate) async fn upload(
    service: &Service,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let access = access::of(&request)?;
    let trailers = put::trailers(&request);
    let (input, sent) = (request.input, request.headers);
    headers::refuse_unsupported(&sent)?;
    let number = range::check_part_number(input.part_number)?;
    let id = upload_id(&input.upload_id)?;
    let info = service.namespace.upload(&input.bucket, input.key.as_bytes(), id).or_s3()?;
    let sums = Sums::of(&info);
    let expected = Expected {
        length: Some(put::length(&sent, input.content_length)?),
        md5: put::md5(&sent)?,
        plan: Plan::read(&sent)?.for_part(&sums)?,
        trailers,
        part: Some(PartOf { upload: id, number }),
    };
    let uploaded = upload::store(&service.namespace, &input.bucket, input.body, expected, &access.scope).await?;
    let target = Target { bucket: input.bucket, key: input.key, id, number };
    let part = put_part(service, &access, target, uploaded.stored, Some(uploaded.checksum)).await?;
    let mut answer = UploadPartOutput { e_tag: Some(ETag::Strong(part.etag.0)), ..UploadPartOutput::default() };
    // What the client sent comes back, and what the upload asked for; not the default.
    set_checksum!(answer, &uploaded.sent.or(part.checksum.filter(|_| sums.asked)));
    Ok(S3Response::new(answer))
}

/// Where a part goes.
struct Target {
    bucket: String,
    key: String,
    id: Id,
    number: u32,
}

async fn put_part(
    service: &Service,
    access: &Access,
    target: Target,
    stored: Stored,
    checksum: Option<Checksum>,
) -> S3Result<PartSummary> {
    let (namespace, caller) = (service.namespace.clone(), access.caller());
    to_the_end(async move {
        let Target { bucket, key, id, number } = target;
        namespace.put_part(&caller, &bucket, key.as_bytes(), id, number, stored, checksum).await
    })
    .await
}

/// UploadPartCopy: reads the range and writes it as a part.
pub(crate) async fn copy(
    service: &Service,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let access = access::of(&request)?;
    let (input, sent, long) = (request.input, request.headers, request.extensions.get().cloned());
    headers::refuse_unsupported(&sent)?;
    let number = range::check_part_number(input.part_number)?;
    let id = upload_id(&input.upload_id)?;
    let expected_owner = input.expected_source_bucket_owner.as_deref();
    let source = copying::source(service, &access, input.copy_source, long, expected_owner)?;
    let sums = Sums::of(&service.namespace.upload(&input.bucket, input.key.as_bytes(), id).or_s3()?);
    let (of_key, version) = (source.key.as_bytes(), source.version);
    let (from, reader) =
        service.namespace.get_version(&access.caller(), &source.bucket, of_key, version).await.or_s3()?;
    let copy_source_version_id = match (&source.info, version) {
        (Some(bucket), Some(version)) => version::shown(bucket, version),
        _ => None,
    };
    get::check(&from, &condition::of_copy_source(&sent))?;
    let (start, end) = range::copy_source(input.copy_source_range.as_deref(), from.size)?;
    if end - start > MAX_BODY {
        return Err(invalid_request(format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {MAX_BODY}"
        )));
    }
    let span = Span { start, end };
    let part = Some(PartOf { upload: id, number });
    let (stored, checksum) = rewrite(&service.namespace, &input.bucket, reader, span, sums.kept, part).await?;
    let target = Target { bucket: input.bucket, key: input.key, id, number };
    let part = put_part(service, &access, target, stored, Some(checksum)).await?;
    let mut result = CopyPartResult {
        e_tag: Some(ETag::Strong(part.etag.0)),
        last_modified: Some(time::to_s3(part.last_modified)),
        ..CopyPartResult::default()
    };
    set_checksum!(result, &part.checksum.filter(|_| sums.asked));
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id,
        ..UploadPartCopyOutput::default()
    }))
}

/// ListParts.
pub(crate) async fn list_parts(
    service: &Service,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let id = upload_id(&input.upload_id)?;
    let max = key::limit("max-parts", input.max_parts)?;
    let marker = input.part_number_marker.unwrap_or(0);
    let after = u32::try_from(marker).map_err(|_| {
        let what = format!("Argument {marker} must be an integer between 0 and 2147483647");
        bad_argument("part-number-marker", &marker.to_string(), what)
    })?;
    let info = service.namespace.upload(&input.bucket, input.key.as_bytes(), id).or_s3()?;
    let (parts, more) = match max {
        0 => (Vec::new(), false),
        max => service.namespace.parts(&input.bucket, input.key.as_bytes(), id, after, max).or_s3()?,
    };
    let sums = Sums::of(&info);
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: Some(marker),
        next_part_number_marker: parts.last().filter(|_| more).map(|p| p.number as i32),
        max_parts: Some(max as i32),
        is_truncated: Some(more),
        parts: Some(parts.iter().map(|p| show_part(p, &sums)).collect()),
        initiator: Some(initiator(&info.initiator)),
        owner: Some(owner(&access.bucket()?.owner)),
        storage_class: Some(info.storage_class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
        checksum_algorithm: Some(shown_algorithm(&sums).unwrap_or(ChecksumAlgorithm::from_static("null"))),
        checksum_type: Some(shown_type(&sums).unwrap_or(s3s::dto::ChecksumType::from_static("null"))),
        ..ListPartsOutput::default()
    }))
}

fn initiator(access: &str) -> Initiator {
    Initiator { display_name: Some(access.to_owned()), id: Some(access.to_owned()) }
}

fn show_part(part: &PartSummary, sums: &Sums) -> Part {
    let mut shown = Part {
        e_tag: Some(ETag::Strong(part.etag.0.clone())),
        last_modified: Some(time::to_s3(part.last_modified)),
        part_number: Some(part.number as i32),
        size: i64::try_from(part.size).ok(),
        ..Part::default()
    };
    set_checksum!(shown, part.checksum.as_ref().filter(|_| sums.asked));
    shown
}

/// ListMultipartUploads.
pub(crate) async fn list(
    service: &Service,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let encoding = Encoding::parse(input.encoding_type.as_ref().map(|e| e.as_str()))?;
    let max = key::limit("max-uploads", input.max_uploads)?;
    let key_marker = input.key_marker.clone().unwrap_or_default();
    let id_marker = match input.upload_id_marker.as_deref().filter(|m| !m.is_empty() && !key_marker.is_empty()) {
        None => None,
        Some(text) => {
            Some(text.parse::<Id>().map_err(|_| bad_argument("upload-id-marker", text, "Invalid uploadId marker"))?)
        }
    };
    let after = match id_marker {
        Some(id) => Some((key_of_marker(&service.namespace, &input.bucket, key_marker.as_bytes(), id)?, Some(id))),
        None => (!key_marker.is_empty()).then(|| (key_marker.clone().into_bytes(), None)),
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    let delimiter = input.delimiter.clone().unwrap_or_default();
    let page = match max {
        0 => Default::default(),
        max => service.namespace.uploads(&input.bucket, prefix.as_bytes(), delimiter.as_bytes(), after, max).or_s3()?,
    };
    // Uploads and prefixes come in one order, so that the later of the two lasts is where the page ends.
    let last_upload = page.uploads.last().map(|u| (u.key.as_slice(), Some(u.id)));
    let last_prefix = page.prefixes.last().map(|p| (p.as_slice(), None));
    let next = [last_upload, last_prefix].into_iter().flatten().max_by_key(|(key, _)| *key).filter(|_| page.truncated);
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        key_marker: Some(encoding.show(key_marker.as_bytes())),
        upload_id_marker: input.upload_id_marker,
        next_key_marker: next.map(|(key, _)| encoding.show(key)),
        next_upload_id_marker: next.map(|(_, id)| id.map(|id| id.to_string()).unwrap_or_default()),
        prefix: Some(encoding.show(prefix.as_bytes())),
        delimiter: input.delimiter.map(|d| encoding.show(d.as_bytes())),
        encoding_type: input.encoding_type,
        max_uploads: Some(max as i32),
        is_truncated: Some(page.truncated),
        uploads: Some(page.uploads.iter().map(|u| show_upload(u, encoding, &access)).collect::<S3Result<_>>()?),
        common_prefixes: Some(page.prefixes.iter().map(|p| CommonPrefix { prefix: Some(encoding.show(p)) }).collect()),
        request_charged: None,
    }))
}

/// The key of the upload that a page begins after. The id is that of an upload of the key marker, if that has any;
/// otherwise, as with VersityGW, of one of the next.
fn key_of_marker(namespace: &Namespace, bucket: &str, key: &[u8], id: Id) -> S3Result<Vec<u8>> {
    let missing = match namespace.upload(bucket, key, id) {
        Ok(_) => return Ok(key.to_owned()),
        Err(e) if e.kind() == ErrorKind::NoSuchUpload => id.to_string(),
        Err(e) => return Err(from_store(e)),
    };
    let page = namespace.uploads(bucket, key, b"", None, 1).or_s3()?;
    if page.uploads.first().is_some_and(|first| first.key == key) {
        return Err(bad_argument("upload-id-marker", &missing, "Invalid uploadId marker"));
    }
    let next = namespace.uploads(bucket, b"", b"", Some((key.to_owned(), None)), key::MOST).or_s3()?;
    Ok(next.uploads.into_iter().find(|upload| upload.id == id).map_or_else(|| key.to_owned(), |upload| upload.key))
}

fn show_upload(upload: &UploadInfo, encoding: Encoding, access: &Access) -> S3Result<MultipartUpload> {
    let sums = Sums::of(upload);
    Ok(MultipartUpload {
        key: Some(encoding.show(&upload.key)),
        upload_id: Some(upload.id.to_string()),
        initiated: Some(time::to_s3(upload.created)),
        initiator: Some(initiator(&upload.initiator)),
        owner: Some(owner(&access.bucket()?.owner)),
        storage_class: Some(upload.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned()).into()),
        checksum_algorithm: shown_algorithm(&sums),
        checksum_type: shown_type(&sums),
    })
}

/// AbortMultipartUpload, plain or if the upload was begun at the time that the client says.
pub(crate) async fn abort(
    service: &Service,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let id = upload_id(&input.upload_id)?;
    if let Some(begun) = input.if_match_initiated_time.as_ref().map(time::from_s3) {
        let upload = service.namespace.upload(&input.bucket, input.key.as_bytes(), id).or_s3()?;
        // A date to come is no condition, as on AWS.
        let past = begun.secs <= pinfold_store::types::Timestamp::from(std::time::SystemTime::now()).secs;
        if past && upload.created.secs != begun.secs {
            return Err(with_detail(plain(S3ErrorCode::PreconditionFailed), "Condition", "If-Match-Initiated-Time"));
        }
    }
    let (namespace, caller) = (service.namespace.clone(), access.caller());
    to_the_end(async move { namespace.abort_upload(&caller, &input.bucket, input.key.as_bytes(), id).await }).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}
