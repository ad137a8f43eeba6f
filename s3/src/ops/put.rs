//! PutObject.

use http::HeaderMap;
use pinfold_store::ErrorKind;
use pinfold_store::namespace::s3_types::{Precondition, PutMeta, PutRequest, ReadVerdict};
use pinfold_store::namespace::{Namespace, check_read};
use pinfold_store::types::{Caller, ETag};
use s3s::dto::{PutObjectInput, PutObjectOutput};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, TrailingHeaders};

use super::{rename, with_headers};
use crate::access;
use crate::body::upload::{self, Expected, MAX_BODY, to_the_end};
use crate::checksum::{Plan, set_checksum, type_name};
use crate::convert::{condition, headers, key, lock, output, sse, tags, version};
use crate::error::{OrS3, from_store, plain, with_detail};
use crate::form::FormFile;
use crate::lifecycle;
use crate::service::Service;

/// PutObject.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    if rename::is_asked(&request.uri) {
        return rename::rename(service, request).await;
    }
    let access = access::of(&request)?;
    let trailers = trailers(&request);
    let of_form = request.extensions.get::<FormFile>().is_some();
    let (input, sent) = (request.input, request.headers);
    key::check_new(&input.key)?;
    headers::refuse_unsupported(&sent)?;
    let encrypt = sse::wanted(&sent)?;
    let mut expected = Expected {
        length: if of_form { None } else { Some(length(&sent, input.content_length)?) },
        md5: md5(&sent)?,
        plan: Plan::read(&sent)?,
        trailers,
        part: None,
        sealing: None,
    };
    let (object_headers, posix) = headers::read(&sent, input.metadata)?;
    let tags = input.tagging.as_deref().map(tags::from_header).transpose()?.unwrap_or_default();
    let precondition = condition::of_write(&sent)?;
    let lock = lock::read(&sent, access.bucket()?)?;
    let caller = lock::putter(&access, &input.key)?;
    fail_early(&service.namespace, &caller, &input.bucket, &input.key, &precondition).await?;
    expected.sealing = service.namespace.sealing(&caller, &input.bucket, &encrypt).await.or_s3()?;
    let uploaded = upload::store(&service.namespace, &input.bucket, input.body, expected, &access.scope).await?;
    let put = PutRequest {
        content: uploaded.stored,
        etag: ETag(hex::encode(uploaded.md5)),
        meta: PutMeta { headers: object_headers, tags, checksum: Some(uploaded.checksum), posix, lock },
        precondition,
    };
    let (namespace, bucket, key) = (service.namespace.clone(), input.bucket, input.key);
    let info = to_the_end(async move { namespace.put(&caller, &bucket, key.as_bytes(), put).await }).await?;
    let mut answer = PutObjectOutput {
        e_tag: Some(s3s::dto::ETag::Strong(info.meta.etag.0.clone())),
        size: i64::try_from(info.size).ok(),
        checksum_type: info.meta.checksum.as_ref().map(|c| type_name(c.kind).to_owned().into()),
        ..PutObjectOutput::default()
    };
    set_checksum!(answer, &info.meta.checksum);
    let mut map = output::cid(&info);
    sse::show(&mut map, info.seal.as_deref().map(|seal| &seal.key), &sent);
    version::set_made(&mut map, access.bucket()?, info.meta.version);
    lifecycle::set(&mut map, &service.namespace, access.bucket()?, &info)?;
    Ok(with_headers(answer, map))
}

/// Where a body's trailers appear: with s3s's request, or handed on by `route`.
pub(crate) fn trailers<T>(request: &S3Request<T>) -> Option<TrailingHeaders> {
    request.trailing_headers.clone().or_else(|| request.extensions.get::<TrailingHeaders>().cloned())
}

/// The body's length: it must be said and at most 5 GiB.
pub(crate) fn length(headers: &HeaderMap, content_length: Option<i64>) -> S3Result<u64> {
    let decoded = headers.get("x-amz-decoded-content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let said = decoded.or_else(|| content_length.and_then(|n| u64::try_from(n).ok()));
    match said {
        None => Err(plain(S3ErrorCode::MissingContentLength)),
        Some(n) if n > MAX_BODY => {
            let error = with_detail(plain(S3ErrorCode::EntityTooLarge), "ProposedSize", &n.to_string());
            Err(with_detail(error, "MaxSizeAllowed", &MAX_BODY.to_string()))
        }
        Some(n) => Ok(n),
    }
}

/// `Content-MD5`, decoded; InvalidDigest if it is none.
pub(crate) fn md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    use base64::Engine;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    // Some clients leave the last bits as they happen to be.
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let bytes = GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(value.as_bytes()).ok();
    match bytes.and_then(|b| <[u8; 16]>::try_from(b).ok()) {
        Some(md5) => Ok(Some(md5)),
        None => {
            let said = String::from_utf8_lossy(value.as_bytes());
            Err(with_detail(plain(S3ErrorCode::InvalidDigest), "Content-MD5", &said))
        }
    }
}

/// A condition that does not hold now will hardly hold after gigabytes were sent: says so first. What counts is
/// decided again with the commit.
pub(crate) async fn fail_early(
    namespace: &Namespace,
    caller: &Caller,
    bucket: &str,
    key: &str,
    precondition: &Precondition,
) -> S3Result<()> {
    if !condition::is_any(precondition) {
        return Ok(());
    }
    let holds = match namespace.head(caller, bucket, key.as_bytes()).await {
        Ok(info) => check_read(precondition, &info.meta.etag.0, info.meta.last_modified) == ReadVerdict::Proceed,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            // AWS: If-Match on a key that is not there is 404, not 412.
            if precondition.if_match.is_some() {
                return Err(from_store(e));
            }
            true
        }
        Err(e) => return Err(e).or_s3(),
    };
    if holds {
        return Ok(());
    }
    let which = if precondition.if_match.is_some() { "If-Match" } else { "If-None-Match" };
    Err(with_detail(plain(S3ErrorCode::PreconditionFailed), "Condition", which))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn lengths_are_said_and_bounded() {
        let none = HeaderMap::new();
        assert_eq!(length(&none, Some(5)).unwrap(), 5);
        assert_eq!(length(&none, Some(5 << 30)).unwrap(), 5 << 30);
        assert_eq!(length(&none, Some((5 << 30) + 1)).unwrap_err().code(), &S3ErrorCode::EntityTooLarge);
        assert_eq!(length(&none, None).unwrap_err().code(), &S3ErrorCode::MissingContentLength);
        assert_eq!(length(&map(&[("x-amz-decoded-content-length", "7")]), Some(99)).unwrap(), 7);
    }

    #[test]
    fn md5_is_sixteen_bytes_of_base64() {
        assert_eq!(md5(&HeaderMap::new()).unwrap(), None);
        assert!(md5(&map(&[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")])).unwrap().is_some());
        for bad in ["", "YWJj", "not base64"] {
            assert_eq!(md5(&map(&[("content-md5", bad)])).unwrap_err().code(), &S3ErrorCode::InvalidDigest, "{bad}");
        }
    }
}
