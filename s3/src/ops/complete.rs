//! CompleteMultipartUpload.

use md5::Digest;
use pinfold_store::meta::rows::{Checksum, ChecksumType};
use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::s3_types::{CompletePart, CompleteRequest, ObjectInfo, PartSummary};
use pinfold_store::types::{Caller, Id};
use pinfold_store::{Error, ErrorKind};
use s3s::dto::{CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, ETag};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::multipart::upload_id;
use super::{put, with_headers};
use crate::access;
use crate::body::upload::to_the_end;
use crate::checksum::{self, Algorithm, PartSum, Sums, Whole, set_checksum, type_name, wire};
use crate::convert::{condition, headers, key, lock, output, range, version};
use crate::error::{OrS3, bad_argument, checksum_mismatch, fail, from_store, invalid_request, plain, with_detail};
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
    let named = named.into_iter().map(Named::read).collect::<S3Result<Vec<_>>>()?;
    check_order(&named)?;
    let asked_type = input.checksum_type.as_ref().map(|t| checksum::parse_type(t.as_str())).transpose()?;
    let whole = checksum::whole(&sent)?;
    let caller = lock::putter(&access, &input.key)?;
    let upload = match service.namespace.upload(&input.bucket, input.key.as_bytes(), id) {
        Ok(upload) => upload,
        Err(e) => {
            let info = completed(&service.namespace, &caller, &input.bucket, &input.key, &named, e).await?;
            return Ok(answer(&info, input.bucket, input.key, &host));
        }
    };
    let sums = Sums::of(&upload);
    if asked_type.is_some_and(|t| t != sums.kind) {
        return Err(invalid_request(format!(
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
            type_name(sums.kind)
        )));
    }
    let checked = stored_parts(&service.namespace, &input.bucket, &input.key, id)
        .and_then(|stored| Ok((check_parts(&named, &stored, &sums)?, stored)));
    let (object, stored) = match (checked, service.namespace.upload(&input.bucket, input.key.as_bytes(), id)) {
        (Ok(checked), _) => checked,
        (Err(e), Ok(_)) => return Err(e),
        // The same request, sent twice at once, was completed in between.
        (Err(_), Err(e)) => {
            let info = completed(&service.namespace, &caller, &input.bucket, &input.key, &named, e).await?;
            return Ok(answer(&info, input.bucket, input.key, &host));
        }
    };
    let size: u64 = named.iter().filter_map(|n| find(&stored, n.number)).map(|p| p.size).sum();
    let expected_size =
        match input.mpu_object_size {
            None => None,
            Some(n) => Some(u64::try_from(n).map_err(|_| {
                invalid_request(format!("Value for x-amz-mp-object-size header is less than zero: '{n}'"))
            })?),
        };
    if let Some(expected) = expected_size.filter(|e| *e != size) {
        // VersityGW's clients know the two in this order.
        return Err(invalid_request(format!(
            "The provided 'x-amz-mp-object-size' header value {size} does not match what was computed: {expected}"
        )));
    }
    check_whole(whole.as_ref(), &sums, object.as_ref())?;
    let precondition = condition::of_write(&sent)?;
    put::fail_early(&service.namespace, &caller, &input.bucket, &input.key, &precondition).await?;
    // Checksums are compared above: one of another algorithm than the upload's is nothing to the store.
    let part = |n: &Named| CompletePart { number: n.number, etag: n.etag.clone(), checksum: None };
    let parts = named.iter().map(part).collect();
    let complete = CompleteRequest { parts, precondition, expected_size, checksum: object };
    let (namespace, of_caller) = (service.namespace.clone(), caller.clone());
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let made =
        to_the_end(
            async move { Ok(namespace.complete_upload(&of_caller, &bucket, key.as_bytes(), id, complete).await) },
        );
    let info = match made.await? {
        Ok(info) => info,
        Err(e) => match service.namespace.upload(&input.bucket, input.key.as_bytes(), id) {
            Ok(_) => return Err(from_store(e)),
            Err(e) => completed(&service.namespace, &caller, &input.bucket, &input.key, &named, e).await?,
        },
    };
    let mut answer = answer(&info, input.bucket, input.key, &host);
    version::set_made(&mut answer.headers, access.bucket()?, info.meta.version);
    Ok(answer)
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
/// The parts' ETags make the object's, so that nothing has to be remembered to know it again. Else the error.
async fn completed(
    namespace: &Namespace,
    caller: &Caller,
    bucket: &str,
    key: &str,
    named: &[Named],
    error: Error,
) -> S3Result<ObjectInfo> {
    if error.kind() != ErrorKind::NoSuchUpload {
        return Err(from_store(error));
    }
    let mut md5 = md5::Md5::new();
    for part in named {
        md5.update(hex::decode(&part.etag).unwrap_or_default());
    }
    let etag = format!("{}-{}", hex::encode(md5.finalize()), named.len());
    match namespace.head(caller, bucket, key.as_bytes()).await {
        Ok(info) if info.meta.etag.0 == etag => Ok(info),
        _ => Err(from_store(error)),
    }
}

/// One part of the request's list.
struct Named {
    number: u32,
    etag: String,
    sum: Option<Whole>,
}

impl Named {
    fn read(part: CompletedPart) -> S3Result<Self> {
        let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else {
            return Err(plain(S3ErrorCode::MalformedXML));
        };
        if number < 1 {
            return Err(bad_argument("PartNumber", &number.to_string(), "PartNumber must be >= 1"));
        }
        let number = range::part_number("PartNumber", number)?;
        let sums = [
            (Algorithm::Crc32, part.checksum_crc32),
            (Algorithm::Crc32c, part.checksum_crc32c),
            (Algorithm::Crc64Nvme, part.checksum_crc64nvme),
            (Algorithm::Sha1, part.checksum_sha1),
        ];
        let sums = sums.into_iter().filter_map(|(algorithm, value)| Some(Whole { algorithm, value: value? }));
        let mut sums = sums.chain(part.checksum_sha256.map(wire::read));
        let sum = sums.next();
        if sums.next().is_some() {
            return Err(bad_argument("Checksum", "", BAD_PART_SUM));
        }
        Ok(Self { number, etag: etag.into_value(), sum })
    }
}

const BAD_PART_SUM: &str = "Invalid Base64 or multiple checksums present in request";

fn check_order(named: &[Named]) -> S3Result<()> {
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
fn check_parts(named: &[Named], stored: &[PartSummary], sums: &Sums) -> S3Result<Option<Checksum>> {
    let mut values = Vec::with_capacity(named.len());
    for part in named {
        let Some(found) = find(stored, part.number).filter(|found| found.etag.0 == part.etag) else {
            return Err(invalid_part(part));
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

fn invalid_part(part: &Named) -> S3Error {
    let error = with_detail(plain(S3ErrorCode::InvalidPart), "PartNumber", &part.number.to_string());
    with_detail(error, "ETag", &part.etag)
}

/// A part's checksum as the request says it: it must be there for a composite one, and right.
fn check_part(part: &Named, kept: Option<&Checksum>, sums: &Sums) -> S3Result<()> {
    match (&part.sum, kept) {
        (None, _) if sums.kind == ChecksumType::Composite => Err(invalid_request(format!(
            "The upload was created using a {} checksum. The complete request must include the checksum for each \
             part. It was missing for part {} in the request.",
            sums.kept.name().to_lowercase(),
            part.number
        ))),
        (Some(said), _) if said.algorithm.decode(&said.value).is_none() => {
            Err(bad_argument("Checksum", &said.value, BAD_PART_SUM))
        }
        (Some(said), _) if said.algorithm != sums.kept => Err(fail(
            S3ErrorCode::BadDigest,
            format!(
                "The {} you specified for part {} did not match what we received.",
                said.algorithm.name().to_lowercase(),
                part.number
            ),
        )),
        (Some(said), Some(kept)) if said.value != kept.value => Err(invalid_part(part)),
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
    use crate::checksum::Hasher;
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

    fn named(number: u32) -> Named {
        Named { number, etag: format!("tag{number}"), sum: None }
    }

    const SUMS: Sums = Sums { kept: Algorithm::Crc32, kind: ChecksumType::FullObject, asked: true };

    fn check(named: &[Named], parts: &[PartSummary], sums: &Sums) -> Result<Option<Checksum>, String> {
        check_parts(named, parts, sums).map_err(|e| e.code().as_str().to_owned())
    }

    fn said(part: u32, algorithm: Algorithm, value: &str) -> Named {
        Named { sum: Some(Whole { algorithm, value: value.to_owned() }), ..named(part) }
    }

    #[test]
    fn parts_must_be_there_and_the_same() {
        let parts = [stored(1, b"1234"), stored(3, b"56789")];
        let whole = check(&[named(1), named(3)], &parts, &SUMS).unwrap().unwrap();
        assert_eq!(whole.value, "y/Q5Jg==");
        assert_eq!(check(&[named(2)], &parts, &SUMS), Err("InvalidPart".to_owned()));
        let other = Named { etag: "other".to_owned(), ..named(1) };
        assert_eq!(check(&[other], &parts, &SUMS), Err("InvalidPart".to_owned()));
        assert_eq!(check(&[said(1, Algorithm::Crc32, "AAAAAA==")], &parts, &SUMS), Err("InvalidPart".to_owned()));
        let foreign = said(1, Algorithm::Crc32c, "AAAAAA==");
        assert_eq!(check(&[foreign], &parts, &SUMS), Err("BadDigest".to_owned()));
        assert_eq!(check(&[said(1, Algorithm::Crc32, "AAAA")], &parts, &SUMS), Err("InvalidArgument".to_owned()));
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
        let whole = check(&[said(1, Algorithm::Crc32, &value)], &parts, &composite).unwrap().unwrap();
        assert!(whole.value.ends_with("-1"));
        let unasked = Sums { asked: false, ..SUMS };
        assert!(check(&[said(1, Algorithm::Sha1, "anything")], &parts, &unasked).unwrap().is_some());
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
