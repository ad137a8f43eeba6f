//! Multipart uploads: create, parts (sent or copied), list, complete, abort.

use pinfold_store::chunk::Stored;
use pinfold_store::meta::rows::{Checksum, ChecksumType};
use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::s3_types::{
    CompletePart, CompleteRequest, CreateUpload, PartSummary, PutMeta, UploadInfo,
};
use pinfold_store::types::Id;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, Initiator, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::{copy as copying, get, owner, put, with_headers};
use crate::access::{self, Access};
use crate::body::rewrite::{Span, rewrite};
use crate::body::upload::{self, Expected, MAX_BODY, to_the_end};
use crate::checksum::{self, Algorithm, PartSum, Plan, set_checksum, type_name};
use crate::convert::key::Encoding;
use crate::convert::{condition, headers, key, output, range, tags, time};
use crate::error::{
    OrS3, bad_argument, checksum_mismatch, from_store, internal, invalid_argument, invalid_request, plain,
};
use crate::service::Service;

fn upload_id(text: &str) -> S3Result<Id> {
    text.parse().map_err(|_| plain(S3ErrorCode::NoSuchUpload))
}

/// The algorithm that an upload's parts keep, and whether the object's checksum is composite.
fn algorithm(upload: &UploadInfo) -> (Algorithm, ChecksumType) {
    match &upload.checksum {
        Some((name, kind)) => match Algorithm::parse(name) {
            Some(algorithm) => (algorithm, *kind),
            None => (Algorithm::Crc64Nvme, ChecksumType::FullObject),
        },
        None => (Algorithm::Crc64Nvme, ChecksumType::FullObject),
    }
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
    if asked.is_none() && input.checksum_type.is_some() {
        return Err(invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        ));
    }
    let kept = asked.unwrap_or(Algorithm::Crc64Nvme);
    let kind = kept.upload_type(input.checksum_type.as_ref().map(|t| t.as_str()))?;
    let (object_headers, posix) = headers::read(&sent, input.metadata)?;
    let tags = input.tagging.as_deref().map(tags::from_header).transpose()?.unwrap_or_default();
    let create = CreateUpload {
        meta: PutMeta { headers: object_headers, tags, checksum: None, posix },
        checksum: Some((kept.name().to_owned(), kind)),
    };
    let (namespace, caller) = (service.namespace.clone(), access.caller());
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let upload =
        to_the_end(async move { namespace.create_upload(&caller, &bucket, key.as_bytes(), create).await }).await?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.id.to_string()),
        checksum_algorithm: asked.map(|a| ChecksumAlgorithm::from_static(a.name())),
        checksum_type: asked.map(|_| type_name(kind).to_owned().into()),
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
    let expected = Expected {
        length: put::length(&sent, input.content_length)?,
        md5: put::md5(&sent)?,
        plan: Plan::read(&sent)?.for_upload(algorithm(&info).0)?,
        trailers,
    };
    let uploaded = upload::store(&service.namespace, &input.bucket, input.body, expected, &access.scope).await?;
    let target = Target { bucket: input.bucket, key: input.key, id, number };
    let part = put_part(service, &access, target, uploaded.stored, Some(uploaded.checksum)).await?;
    let mut answer = UploadPartOutput { e_tag: Some(ETag::Strong(part.etag.0)), ..UploadPartOutput::default() };
    set_checksum!(answer, &part.checksum);
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
    let (input, sent) = (request.input, request.headers);
    headers::refuse_unsupported(&sent)?;
    let number = range::check_part_number(input.part_number)?;
    let id = upload_id(&input.upload_id)?;
    let upload = service.namespace.upload(&input.bucket, input.key.as_bytes(), id).or_s3()?;
    let expected_owner = input.expected_source_bucket_owner.as_deref();
    let source = copying::source(service, &access, input.copy_source, expected_owner)?;
    let (from, reader) =
        service.namespace.get(&access.caller(), &source.bucket, source.key.as_bytes()).await.or_s3()?;
    // A copy's conditions know no 304: what does not hold is 412.
    get::check(&from, &condition::of_copy_source(&sent)).map_err(|_| plain(S3ErrorCode::PreconditionFailed))?;
    let (start, end) = range::copy_source(input.copy_source_range.as_deref(), from.size)?;
    if end - start > MAX_BODY {
        return Err(invalid_request(format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {MAX_BODY}"
        )));
    }
    let span = Span { start, end };
    let (stored, checksum) = rewrite(&service.namespace, &input.bucket, reader, span, algorithm(&upload).0).await?;
    let target = Target { bucket: input.bucket, key: input.key, id, number };
    let part = put_part(service, &access, target, stored, Some(checksum)).await?;
    let mut result = CopyPartResult {
        e_tag: Some(ETag::Strong(part.etag.0)),
        last_modified: Some(time::to_s3(part.last_modified)),
        ..CopyPartResult::default()
    };
    set_checksum!(result, &part.checksum);
    Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() }))
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
    let after = u32::try_from(marker)
        .map_err(|_| invalid_argument("Argument part-number-marker must be an integer between 0 and 2147483647"))?;
    let info = service.namespace.upload(&input.bucket, input.key.as_bytes(), id).or_s3()?;
    let (parts, more) = match max {
        0 => (Vec::new(), false),
        max => service.namespace.parts(&input.bucket, input.key.as_bytes(), id, after, max).or_s3()?,
    };
    let (kept, kind) = algorithm(&info);
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: Some(marker),
        next_part_number_marker: parts.last().filter(|_| more).map(|p| p.number as i32),
        max_parts: Some(max as i32),
        is_truncated: Some(more),
        parts: Some(parts.iter().map(show_part).collect()),
        initiator: Some(initiator(&info.initiator)),
        owner: Some(owner(&access.bucket()?.owner)),
        storage_class: Some(info.storage_class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
        checksum_algorithm: Some(ChecksumAlgorithm::from_static(kept.name())),
        checksum_type: Some(type_name(kind).to_owned().into()),
        ..ListPartsOutput::default()
    }))
}

fn initiator(access: &str) -> Initiator {
    Initiator { display_name: Some(access.to_owned()), id: Some(access.to_owned()) }
}

fn show_part(part: &PartSummary) -> Part {
    let mut shown = Part {
        e_tag: Some(ETag::Strong(part.etag.0.clone())),
        last_modified: Some(time::to_s3(part.last_modified)),
        part_number: Some(part.number as i32),
        size: i64::try_from(part.size).ok(),
        ..Part::default()
    };
    set_checksum!(shown, &part.checksum);
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
    let after = (!key_marker.is_empty()).then(|| (key_marker.clone().into_bytes(), id_marker));
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

fn show_upload(upload: &UploadInfo, encoding: Encoding, access: &Access) -> S3Result<MultipartUpload> {
    let (kept, kind) = algorithm(upload);
    Ok(MultipartUpload {
        key: Some(encoding.show(&upload.key)),
        upload_id: Some(upload.id.to_string()),
        initiated: Some(time::to_s3(upload.created)),
        initiator: Some(initiator(&upload.initiator)),
        owner: Some(owner(&access.bucket()?.owner)),
        storage_class: Some(upload.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned()).into()),
        checksum_algorithm: Some(ChecksumAlgorithm::from_static(kept.name())),
        checksum_type: Some(type_name(kind).to_owned().into()),
    })
}

/// CompleteMultipartUpload.
pub(crate) async fn complete(
    service: &Service,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let access = access::of(&request)?;
    let host = request.headers.get("host").and_then(|h| h.to_str().ok()).unwrap_or_default().to_owned();
    let (input, sent) = (request.input, request.headers);
    headers::refuse_unsupported(&sent)?;
    let id = upload_id(&input.upload_id)?;
    let named = input.multipart_upload.and_then(|m| m.parts).unwrap_or_default();
    let upload = service.namespace.upload(&input.bucket, input.key.as_bytes(), id).or_s3()?;
    let (kept, kind) = algorithm(&upload);
    if let Some(asked) = input.checksum_type.as_ref().filter(|t| t.as_str() != type_name(kind)) {
        return Err(invalid_request(format!(
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
            if asked.as_str() == "COMPOSITE" { "FULL_OBJECT" } else { "COMPOSITE" }
        )));
    }
    let named = named.into_iter().map(read_part).collect::<S3Result<Vec<_>>>()?;
    check_order(&named)?;
    let stored = stored_parts(&service.namespace, &input.bucket, &input.key, id)?;
    let object = check_parts(&named, &stored, kept, kind)?;
    let size: u64 = named.iter().filter_map(|n| find(&stored, n.number)).map(|p| p.size).sum();
    let expected_size =
        match input.mpu_object_size {
            None => None,
            Some(n) => Some(u64::try_from(n).map_err(|_| {
                invalid_request(format!("Value for x-amz-mp-object-size header is less than zero: '{n}'"))
            })?),
        };
    if let Some(expected) = expected_size.filter(|e| *e != size) {
        return Err(invalid_request(format!(
            "The provided 'x-amz-mp-object-size' header value {expected} does not match what was computed: {size}"
        )));
    }
    check_whole(&sent, kept, object.as_ref())?;
    let precondition = condition::of_write(&sent)?;
    let caller = access.caller();
    put::fail_early(&service.namespace, &caller, &input.bucket, &input.key, &precondition).await?;
    let complete = CompleteRequest { parts: named, precondition, expected_size, checksum: object };
    let namespace = service.namespace.clone();
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let info =
        to_the_end(async move { namespace.complete_upload(&caller, &bucket, key.as_bytes(), id, complete).await })
            .await?;
    let location = format!("http://{host}/{}/{}", input.bucket, key::url_encode(input.key.as_bytes()));
    let mut answer = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        location: Some(location),
        e_tag: Some(ETag::Strong(info.meta.etag.0.clone())),
        checksum_type: info.meta.checksum.as_ref().map(|c| type_name(c.kind).to_owned().into()),
        ..CompleteMultipartUploadOutput::default()
    };
    set_checksum!(answer, &info.meta.checksum);
    Ok(with_headers(answer, output::cid(&info)))
}

/// One part of the request's list.
fn read_part(part: CompletedPart) -> S3Result<CompletePart> {
    let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else {
        return Err(plain(S3ErrorCode::MalformedXML));
    };
    let number = match u32::try_from(number) {
        Ok(n) if n >= 1 => n,
        _ => return Err(bad_argument("PartNumber", &number.to_string(), "PartNumber must be >= 1")),
    };
    let sums =
        [part.checksum_crc32, part.checksum_crc32c, part.checksum_crc64nvme, part.checksum_sha1, part.checksum_sha256];
    let mut sums = sums.into_iter().flatten();
    let checksum = sums.next();
    if sums.next().is_some() {
        return Err(bad_argument("Checksum", "", "Invalid Base64 or multiple checksums present in request"));
    }
    Ok(CompletePart { number, etag: etag.into_value(), checksum })
}

fn check_order(named: &[CompletePart]) -> S3Result<()> {
    if named.is_empty() {
        return Err(plain(S3ErrorCode::MalformedXML));
    }
    if named.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(plain(S3ErrorCode::InvalidPartOrder));
    }
    Ok(())
}

fn stored_parts(namespace: &Namespace, bucket: &str, key: &str, id: Id) -> S3Result<Vec<PartSummary>> {
    let mut all: Vec<PartSummary> = Vec::new();
    loop {
        let after = all.last().map_or(0, |p| p.number);
        let (page, more) = namespace.parts(bucket, key.as_bytes(), id, after, 1000).or_s3()?;
        let stuck = page.is_empty();
        all.extend(page);
        if !more || stuck {
            return Ok(all);
        }
    }
}

fn find(stored: &[PartSummary], number: u32) -> Option<&PartSummary> {
    stored.binary_search_by_key(&number, |p| p.number).ok().map(|i| &stored[i])
}

/// Every named part must be there with the named ETag and checksum; the object's checksum of them.
fn check_parts(
    named: &[CompletePart],
    stored: &[PartSummary],
    kept: Algorithm,
    kind: ChecksumType,
) -> S3Result<Option<Checksum>> {
    let mut sums = Vec::with_capacity(named.len());
    for part in named {
        let Some(found) = find(stored, part.number) else { return Err(plain(S3ErrorCode::InvalidPart)) };
        let other_sum = match (&part.checksum, &found.checksum) {
            // A checksum of another algorithm than the upload's was verified with the part and not kept.
            (Some(said), Some(stored)) => kept.decode(said).is_some() && *said != stored.value,
            _ => false,
        };
        if found.etag.0 != part.etag || other_sum {
            return Err(plain(S3ErrorCode::InvalidPart));
        }
        let sum = found.checksum.as_ref().filter(|c| c.algorithm == kept.name()).and_then(|c| kept.decode(&c.value));
        sums.extend(sum.map(|value| PartSum { value, size: found.size }));
    }
    if sums.len() != named.len() {
        return Ok(None);
    }
    Ok(checksum::of_parts(kept, kind, &sums))
}

/// The whole object's checksum, if the request names one, must be the computed one.
fn check_whole(headers: &http::HeaderMap, kept: Algorithm, object: Option<&Checksum>) -> S3Result<()> {
    let Some(said) = headers.get(kept.header()).and_then(|v| v.to_str().ok()) else { return Ok(()) };
    match object {
        // Composite values are named with or without their "-N".
        Some(sum) if sum.value == said || sum.value.split('-').next() == Some(said) => Ok(()),
        Some(_) => Err(checksum_mismatch(kept.name())),
        None => Err(internal("an upload's parts lack their checksums", kept.name())),
    }
}

/// AbortMultipartUpload.
pub(crate) async fn abort(
    service: &Service,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let id = upload_id(&input.upload_id)?;
    let (namespace, caller) = (service.namespace.clone(), access.caller());
    let aborted =
        to_the_end(async move { Ok(namespace.abort_upload(&caller, &input.bucket, input.key.as_bytes(), id).await) })
            .await?;
    aborted.map_err(from_store)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinfold_store::types::{ETag as StoredTag, Timestamp};

    fn stored(number: u32, body: &[u8]) -> PartSummary {
        let mut hasher = checksum::Hasher::new(Algorithm::Crc32);
        hasher.update(body);
        let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hasher.finish());
        PartSummary {
            number,
            size: body.len() as u64,
            etag: StoredTag(format!("tag{number}")),
            last_modified: Timestamp::default(),
            checksum: Some(Checksum { algorithm: "CRC32".to_owned(), value, kind: ChecksumType::FullObject }),
        }
    }

    fn named(number: u32) -> CompletePart {
        CompletePart { number, etag: format!("tag{number}"), checksum: None }
    }

    fn check(named: &[CompletePart], parts: &[PartSummary]) -> Result<Option<Checksum>, String> {
        check_parts(named, parts, Algorithm::Crc32, ChecksumType::FullObject).map_err(|e| e.code().as_str().to_owned())
    }

    #[test]
    fn parts_must_be_there_and_the_same() {
        let parts = [stored(1, b"1234"), stored(3, b"56789")];
        let whole = check(&[named(1), named(3)], &parts).unwrap().unwrap();
        assert_eq!(
            whole.value,
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, 0xCBF4_3926u32.to_be_bytes())
        );
        assert_eq!(check(&[named(2)], &parts), Err("InvalidPart".to_owned()));
        let other = CompletePart { etag: "other".to_owned(), ..named(1) };
        assert_eq!(check(&[other], &parts), Err("InvalidPart".to_owned()));
        let other = CompletePart { checksum: Some("AAAAAA==".to_owned()), ..named(1) };
        assert_eq!(check(&[other], &parts), Err("InvalidPart".to_owned()));
        assert_eq!(check_order(&[named(3), named(1)]).unwrap_err().code(), &S3ErrorCode::InvalidPartOrder);
        assert_eq!(check_order(&[named(1), named(1)]).unwrap_err().code(), &S3ErrorCode::InvalidPartOrder);
        assert_eq!(check_order(&[]).unwrap_err().code(), &S3ErrorCode::MalformedXML);
    }

    #[test]
    fn the_whole_checksum_is_compared() {
        let parts = [stored(1, b"1234"), stored(3, b"56789")];
        let whole = check(&[named(1), named(3)], &parts).unwrap();
        let map = |v: &str| {
            let mut map = http::HeaderMap::new();
            map.insert("x-amz-checksum-crc32", v.parse().unwrap());
            map
        };
        assert!(check_whole(&map("y/Q5Jg=="), Algorithm::Crc32, whole.as_ref()).is_ok());
        assert!(check_whole(&map("AAAAAA=="), Algorithm::Crc32, whole.as_ref()).is_err());
        assert!(check_whole(&http::HeaderMap::new(), Algorithm::Crc32, None).is_ok());
    }

    #[test]
    fn unknown_upload_ids_are_no_such_upload() {
        assert_eq!(upload_id("nonsense").unwrap_err().code(), &S3ErrorCode::NoSuchUpload);
        assert!(upload_id(&Id::random().to_string()).is_ok());
    }
}
