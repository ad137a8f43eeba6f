//! CopyObject: metadata only, no bytes move (so that there is no limit of 5 GiB here), unless another checksum than
//! the source's is asked for.

use pinfold_store::meta::rows::{Checksum, ChecksumType, ObjectHeaders};
use pinfold_store::namespace::s3_types::{BucketInfo, CopyRequest, ObjectInfo, PutMeta, PutRequest};
use pinfold_store::namespace::{Encrypt, Namespace, check_customer};
use pinfold_store::types::{Caller, ETag as StoredTag, Id};
use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, ETag};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::{bucket, get, put, with_headers};
use crate::access::{self, Access};
use crate::body::rewrite::{Span, rewrite};
use crate::body::upload::to_the_end;
use crate::checksum::{Algorithm, set_checksum, type_name};
use crate::convert::{condition, headers, key, lock, output, sse, tags, time, version};
use crate::error::{OrS3, bad_argument, internal, invalid_request, plain};
use crate::lifecycle;
use crate::longkey::LongSource;
use crate::service::Service;

/// A copy's source or target.
pub(crate) struct Source {
    /// Bucket, which the account may use.
    pub(crate) bucket: String,
    /// Key.
    pub(crate) key: String,
    /// Version; none is the current one.
    pub(crate) version: Option<Id>,
    /// The bucket as it is, for a source.
    pub(crate) info: Option<BucketInfo>,
}

/// Reads and authorises `x-amz-copy-source`.
pub(crate) fn source(
    service: &Service,
    access: &Access,
    source: CopySource,
    long: Option<LongSource>,
    expected_owner: Option<&str>,
) -> S3Result<Source> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(plain(S3ErrorCode::NotImplemented));
    };
    let mut version = version::parse(version_id.as_deref())?;
    let mut key: String = long.map_or_else(|| key.into(), |LongSource(key)| key);
    // Clients that encode the header as a whole encode the question mark, too.
    if version.is_none()
        && let Some((name, id)) = key.split_once("?versionId=")
    {
        version = version::parse(Some(id))?;
        key = name.to_owned();
    }
    key::check(&key)?;
    let info = bucket::source(service, access, &bucket, &key, version.map(version::show).as_deref())?;
    if expected_owner.is_some_and(|owner| owner != info.owner) {
        return Err(plain(S3ErrorCode::AccessDenied));
    }
    Ok(Source { bucket: bucket.into(), key, version, info: Some(info) })
}

/// `COPY` or `REPLACE`.
fn replaces(directive: Option<&str>, header: &'static str, what: &str) -> S3Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => Err(bad_argument(header, other, format!("Unknown {what} directive."))),
    }
}

/// CopyObject.
pub(crate) async fn copy(
    service: &Service,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let access = access::of(&request)?;
    let (input, sent, long) = (request.input, request.headers, request.extensions.get().cloned());
    key::check_new(&input.key)?;
    headers::refuse_unsupported(&sent)?;
    let (encrypt, source_customer) = (sse::wanted(&sent)?, sse::source_customer(&sent)?);
    let source = source(service, &access, input.copy_source, long, input.expected_source_bucket_owner.as_deref())?;
    let replace_meta =
        replaces(input.metadata_directive.as_ref().map(|d| d.as_str()), "x-amz-metadata-directive", "metadata")?;
    let replace_tags =
        replaces(input.tagging_directive.as_ref().map(|d| d.as_str()), "x-amz-tagging-directive", "tagging")?;
    let algorithm = input.checksum_algorithm.as_ref().map(|a| Algorithm::require(a.as_str())).transpose()?;
    let (object_headers, hints) = headers::read(&sent, input.metadata)?;
    let names_class = sent.contains_key("x-amz-storage-class");
    let changes_class = names_class || object_headers.website_redirect.is_some();
    let itself = source.bucket == input.bucket && source.key == input.key && source.version.is_none();
    let reseals = !matches!(encrypt, Encrypt::AsBucket) || source_customer.is_some();
    if itself && !replace_meta && !changes_class && !reseals {
        return Err(invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    let lock = lock::read(&sent, access.bucket()?)?;
    let caller = lock::putter(&access, &input.key)?;
    let (of_key, of_version) = (source.key.as_bytes(), source.version);
    let from = service.namespace.head_version(&caller, &source.bucket, of_key, of_version).await.or_s3()?;
    check_customer(from.seal.as_deref(), source_customer.as_ref()).or_s3()?;
    get::check(&from, &condition::of_copy_source(&sent))?;
    // A redirection belongs to the request whatever the directive says, as the storage class does if it is named; the
    // rest is the source's.
    let changes_class = changes_class || from.meta.headers.website_redirect.is_some();
    let tags = input.tagging.as_deref().map(tags::from_header).transpose()?.unwrap_or_default();
    let replace_meta = match (replace_meta, changes_class) {
        (true, _) => Some((object_headers, hints)),
        (false, false) => None,
        (false, true) => {
            let kept = from.shown_posix();
            let changed = ObjectHeaders {
                storage_class: if names_class { object_headers.storage_class } else { from.meta.headers.storage_class },
                website_redirect: object_headers.website_redirect,
                ..from.meta.headers
            };
            Some((changed, kept))
        }
    };
    let copy = CopyRequest {
        sealing: service.namespace.sealing(&caller, &input.bucket, &encrypt).await.or_s3()?,
        source_customer,
        source_precondition: condition::of_copy_source(&sent),
        precondition: condition::of_write(&sent)?,
        source_version: source.version,
        lock,
        replace_meta,
        replace_tags: replace_tags.then_some(tags),
    };
    put::fail_early(&service.namespace, &caller, &input.bucket, &input.key, &copy.precondition).await?;
    let shown_source = match (&source.info, source.version) {
        (Some(from), Some(version)) => version::shown(from, version),
        _ => None,
    };
    let target = Source { bucket: input.bucket, key: input.key, version: None, info: None };
    let info = match algorithm {
        Some(algorithm) => copy_with_checksum(service, caller, source, target, copy, algorithm).await?,
        None => copy_plain(&service.namespace, caller, source, target, copy).await?,
    };
    let mut result = CopyObjectResult {
        e_tag: Some(ETag::Strong(info.meta.etag.0.clone())),
        last_modified: Some(time::to_s3(info.meta.last_modified)),
        checksum_type: info.meta.checksum.as_ref().map(|c| type_name(c.kind).to_owned().into()),
        ..CopyObjectResult::default()
    };
    set_checksum!(result, &info.meta.checksum);
    let answer = CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: shown_source,
        ..CopyObjectOutput::default()
    };
    let mut map = output::cid(&info);
    sse::show(&mut map, info.seal.as_deref().map(|seal| &seal.key), &sent);
    version::set_made(&mut map, access.bucket()?, info.meta.version);
    lifecycle::set(&mut map, &service.namespace, access.bucket()?, &info)?;
    Ok(with_headers(answer, map))
}

async fn copy_plain(
    namespace: &Namespace,
    caller: Caller,
    source: Source,
    target: Source,
    copy: CopyRequest,
) -> S3Result<ObjectInfo> {
    let namespace = namespace.clone();
    to_the_end(async move {
        let from = (source.bucket.as_str(), source.key.as_bytes());
        namespace.copy(&caller, from, (&target.bucket, target.key.as_bytes()), copy).await
    })
    .await
}

/// A copy whose checksum is to be of `algorithm`: if the source's is another, the bytes are read for it. What is
/// stored then has its own MD5 for an ETag, as on AWS, whatever way the source was uploaded.
async fn copy_with_checksum(
    service: &Service,
    caller: Caller,
    source: Source,
    target: Source,
    copy: CopyRequest,
    algorithm: Algorithm,
) -> S3Result<ObjectInfo> {
    let namespace = service.namespace.clone();
    let key = source.key.as_bytes();
    let customer = copy.source_customer.as_ref();
    let found = namespace.get_with_key(&caller, &source.bucket, key, source.version, customer);
    let (from, reader) = found.await.or_s3()?;
    let has = |c: &Checksum| c.algorithm == algorithm.name() && c.kind == ChecksumType::FullObject;
    if from.meta.checksum.as_ref().is_some_and(has) {
        return copy_plain(&namespace, caller, source, target, copy).await;
    }
    get::check(&from, &copy.source_precondition)?;
    let span = Span { start: 0, end: from.size };
    let (stored, checksum) = rewrite(&namespace, &target.bucket, reader, span, algorithm, None, copy.sealing).await?;
    let Some(md5) = stored.md5 else { return Err(internal("a writer computed no MD5", "asked for")) };
    let kept = from.shown_posix();
    let (headers, posix) = copy.replace_meta.unwrap_or((from.meta.headers, kept));
    let put = PutRequest {
        content: stored,
        etag: StoredTag(hex::encode(md5)),
        meta: PutMeta {
            headers,
            tags: copy.replace_tags.unwrap_or(from.meta.tags),
            checksum: Some(checksum),
            posix,
            lock: copy.lock,
        },
        precondition: copy.precondition,
    };
    to_the_end(async move { namespace.put(&caller, &target.bucket, target.key.as_bytes(), put).await }).await
}
