//! CompleteMultipartUpload.

use md5::Digest;
use pinfold_store::ErrorKind;
use pinfold_store::meta::rows::{Checksum, ChecksumType};
use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::s3_types::{CompletePart, CompleteRequest, ObjectInfo, PartSummary};
use pinfold_store::types::{Caller, Id};
use s3s::dto::{CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, ETag};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::multipart::upload_id;
use super::{put, with_headers};
use crate::access;
use crate::body::upload::to_the_end;
use crate::checksum::{self, PartSum, Sums, Whole, set_checksum, type_name};
use crate::convert::{condition, headers, key, output};
use crate::error::{OrS3, bad_argument, checksum_mismatch, from_store, invalid_request, plain, with_detail};
use crate::service::Service;

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
    let named = named.into_iter().map(read_part).collect::<S3Result<Vec<_>>>()?;
    check_order(&named)?;
    let asked_type = input.checksum_type.as_ref().map(|t| checksum::parse_type(t.as_str())).transpose()?;
    let whole = checksum::whole(&sent)?;
    let caller = access.caller();
    let upload = match service.namespace.upload(&input.bucket, input.key.as_bytes(), id) {
        Ok(upload) => upload,
        Err(e) if e.kind() == ErrorKind::NoSuchUpload => {
            let done = completed(&service.namespace, &caller, &input.bucket, &input.key, &named).await;
            return Ok(answer(&done.ok_or_else(|| from_store(e))?, input.bucket, input.key, &host));
        }
        Err(e) => return Err(from_store(e)),
    };
    let sums = Sums::of(&upload);
    if asked_type.is_some_and(|t| t != sums.kind) {
        return Err(invalid_request(format!(
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
            type_name(sums.kind)
        )));
    }
    let stored = stored_parts(&service.namespace, &input.bucket, &input.key, id)?;
    let object = check_parts(&named, &stored, &sums)?;
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
    check_whole(whole.as_ref(), &sums, object.as_ref())?;
    let precondition = condition::of_write(&sent)?;
    put::fail_early(&service.namespace, &caller, &input.bucket, &input.key, &precondition).await?;
    // Compared above: a checksum of another algorithm than the upload's is nothing to the store.
    let parts = named.into_iter().map(|part| CompletePart { checksum: None, ..part }).collect();
    let complete = CompleteRequest { parts, precondition, expected_size, checksum: object };
    let namespace = service.namespace.clone();
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let info =
        to_the_end(async move { namespace.complete_upload(&caller, &bucket, key.as_bytes(), id, complete).await })
            .await?;
    Ok(answer(&info, input.bucket, input.key, &host))
}

fn answer(info: &ObjectInfo, bucket: String, key: String, host: &str) -> S3Response<CompleteMultipartUploadOutput> {
    let mut answer = CompleteMultipartUploadOutput {
        location: Some(format!("http://{host}/{bucket}/{}", key::url_encode(key.as_bytes()))),
        bucket: Some(bucket),
        key: Some(key),
        e_tag: Some(ETag::Strong(info.meta.etag.0.clone())),
        checksum_type: info.meta.checksum.as_ref().map(|c| type_name(c.kind).to_owned().into()),
        ..CompleteMultipartUploadOutput::default()
    };
    set_checksum!(answer, &info.meta.checksum);
    with_headers(answer, output::cid(info))
}

/// The object that this very request made before: a client whose answer was lost asks again, and the upload is gone.
/// The parts' ETags make the object's, so that nothing has to be remembered to know it again.
async fn completed(
    namespace: &Namespace,
    caller: &Caller,
    bucket: &str,
    key: &str,
    named: &[CompletePart],
) -> Option<ObjectInfo> {
    let mut md5 = md5::Md5::new();
    for part in named {
        md5.update(hex::decode(&part.etag).ok()?);
    }
    let etag = format!("{}-{}", hex::encode(md5.finalize()), named.len());
    namespace.head(caller, bucket, key.as_bytes()).await.ok().filter(|info| info.meta.etag.0 == etag)
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
fn check_parts(named: &[CompletePart], stored: &[PartSummary], sums: &Sums) -> S3Result<Option<Checksum>> {
    let mut values = Vec::with_capacity(named.len());
    for part in named {
        let Some(found) = find(stored, part.number).filter(|found| found.etag.0 == part.etag) else {
            let error = with_detail(plain(S3ErrorCode::InvalidPart), "PartNumber", &part.number.to_string());
            return Err(with_detail(error, "ETag", &part.etag));
        };
        let kept = found.checksum.as_ref().filter(|c| c.algorithm == sums.kept.name());
        if sums.asked {
            check_part(part, kept, sums)?;
        }
        let value = kept.and_then(|c| sums.kept.decode(&c.value));
        values.extend(value.map(|value| PartSum { value, size: found.size }));
    }
    if values.len() != named.len() {
        return Ok(None);
    }
    Ok(checksum::of_parts(sums.kept, sums.kind, &values))
}

/// A part's checksum as the request says it: it must be there for a composite one, and right.
fn check_part(part: &CompletePart, kept: Option<&Checksum>, sums: &Sums) -> S3Result<()> {
    match (&part.checksum, kept) {
        (None, _) if sums.kind == ChecksumType::Composite => Err(invalid_request(format!(
            "The upload was created using a {} checksum. The complete request must include the checksum for each \
             part. It was missing for part {} in the request.",
            sums.kept.name().to_lowercase(),
            part.number
        ))),
        (Some(said), _) if sums.kept.decode(said).is_none() => {
            Err(bad_argument("Checksum", said, "Invalid Base64 or multiple checksums present in request"))
        }
        (Some(said), Some(kept)) if *said != kept.value => Err(checksum_mismatch(sums.kept.name())),
        _ => Ok(()),
    }
}

/// The whole object's checksum, if the request names one, must be the computed one. One of another algorithm, and any
/// if the upload was created without, is left alone, as on AWS.
fn check_whole(said: Option<&Whole>, sums: &Sums, object: Option<&Checksum>) -> S3Result<()> {
    match (said.filter(|w| sums.asked && w.algorithm == sums.kept), object) {
        (Some(said), Some(object)) if object.value.split('-').next() != Some(&said.value) => {
            Err(checksum_mismatch(sums.kept.name()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Algorithm, Hasher};
    use pinfold_store::types::{ETag as StoredTag, Timestamp};

    fn stored(number: u32, body: &[u8]) -> PartSummary {
        let mut hasher = Hasher::new(Algorithm::Crc32);
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

    const SUMS: Sums = Sums { kept: Algorithm::Crc32, kind: ChecksumType::FullObject, asked: true };

    fn check(named: &[CompletePart], parts: &[PartSummary], sums: &Sums) -> Result<Option<Checksum>, String> {
        check_parts(named, parts, sums).map_err(|e| e.code().as_str().to_owned())
    }

    fn said(part: u32, checksum: &str) -> CompletePart {
        CompletePart { checksum: Some(checksum.to_owned()), ..named(part) }
    }

    #[test]
    fn parts_must_be_there_and_the_same() {
        let parts = [stored(1, b"1234"), stored(3, b"56789")];
        let whole = check(&[named(1), named(3)], &parts, &SUMS).unwrap().unwrap();
        assert_eq!(whole.value, "y/Q5Jg==");
        assert_eq!(check(&[named(2)], &parts, &SUMS), Err("InvalidPart".to_owned()));
        let other = CompletePart { etag: "other".to_owned(), ..named(1) };
        assert_eq!(check(&[other], &parts, &SUMS), Err("InvalidPart".to_owned()));
        assert_eq!(check(&[said(1, "AAAAAA==")], &parts, &SUMS), Err("BadDigest".to_owned()));
        assert_eq!(check(&[said(1, "AAAA")], &parts, &SUMS), Err("InvalidArgument".to_owned()));
        assert_eq!(check_order(&[named(3), named(1)]).unwrap_err().code(), &S3ErrorCode::InvalidPartOrder);
        assert_eq!(check_order(&[named(1), named(1)]).unwrap_err().code(), &S3ErrorCode::InvalidPartOrder);
        assert_eq!(check_order(&[]).unwrap_err().code(), &S3ErrorCode::MalformedXML);
    }

    #[test]
    fn composite_checksums_name_every_part() {
        let parts = [stored(1, b"1234")];
        let composite = Sums { kind: ChecksumType::Composite, ..SUMS };
        assert_eq!(check(&[named(1)], &parts, &composite), Err("InvalidRequest".to_owned()));
        let value = parts[0].checksum.as_ref().unwrap().value.clone();
        let whole = check(&[said(1, &value)], &parts, &composite).unwrap().unwrap();
        assert!(whole.value.ends_with("-1"));
        let unasked = Sums { asked: false, ..SUMS };
        assert!(check(&[said(1, "of another algorithm")], &parts, &unasked).unwrap().is_some());
    }

    #[test]
    fn the_whole_checksum_is_compared() {
        let parts = [stored(1, b"1234"), stored(3, b"56789")];
        let object = check(&[named(1), named(3)], &parts, &SUMS).unwrap();
        let whole = |algorithm, value: &str| Whole { algorithm, value: value.to_owned() };
        let right = whole(Algorithm::Crc32, "y/Q5Jg==");
        let wrong = whole(Algorithm::Crc32, "AAAAAA==");
        assert!(check_whole(Some(&right), &SUMS, object.as_ref()).is_ok());
        assert!(check_whole(Some(&wrong), &SUMS, object.as_ref()).is_err());
        assert!(check_whole(Some(&wrong), &Sums { asked: false, ..SUMS }, object.as_ref()).is_ok());
        assert!(check_whole(Some(&whole(Algorithm::Crc32c, "AAAAAA==")), &SUMS, object.as_ref()).is_ok());
        assert!(check_whole(None, &SUMS, None).is_ok());
    }

    #[test]
    fn unknown_upload_ids_are_no_such_upload() {
        assert_eq!(upload_id("nonsense").unwrap_err().code(), &S3ErrorCode::NoSuchUpload);
        assert!(upload_id(&Id::random().to_string()).is_ok());
    }
}
