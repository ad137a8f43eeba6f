//! RenameObject. s3s 0.14.1 does not know it and takes it for a PutObject, from which it comes here.

use http::HeaderMap;
use hyper::Uri;
use pinfold_store::iam::Permission;
use s3s::dto::{PutObjectInput, PutObjectOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::put::fail_early;
use crate::access;
use crate::body::upload::to_the_end;
use crate::convert::{condition, key};
use crate::error::{bad_argument, invalid_argument, invalid_request};
use crate::guard::form_pairs;
use crate::service::Service;

/// Its subresource.
pub(crate) const SUBRESOURCE: &str = "renameObject";
/// Its name, for metrics and access checks.
pub(crate) const OPERATION: &str = "RenameObject";
const SOURCE: &str = "x-amz-rename-source";

/// Whether a PutObject is one.
pub(crate) fn is_asked(uri: &Uri) -> bool {
    form_pairs(uri.query().unwrap_or_default()).any(|(name, _)| name == SUBRESOURCE)
}

/// RenameObject: who asks may put the new key (that was checked), and read and delete the old one.
pub(super) async fn rename(
    service: &Service,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let access = access::of(&request)?;
    let (bucket, to) = (access.bucket()?, request.input.key);
    key::check_new(&to)?;
    let from = source(&request.headers, &bucket.name)?;
    if from.ends_with('/') || to.ends_with('/') {
        return Err(invalid_request("RenameObject is not supported for keys that end with a slash"));
    }
    for action in ["s3:GetObject", "s3:DeleteObject"] {
        let permission = if action == "s3:GetObject" { Permission::Read } else { Permission::Write };
        access.may(bucket, &from, action, Some(permission))?;
    }
    let target = condition::of_read(&request.headers);
    let source = condition::of_rename_source(&request.headers);
    // What the target must be, if it is there at all.
    fail_early(&service.namespace, &access.caller(), &bucket.name, &to, &target).await?;
    let (namespace, caller, bucket) = (service.namespace.clone(), access.caller(), bucket.name.clone());
    to_the_end(async move {
        let keys = (from.as_bytes(), to.as_bytes());
        namespace.rename_object(&caller, &bucket, keys, (source, target)).await
    })
    .await?;
    Ok(S3Response::new(PutObjectOutput::default()))
}

/// The key in the header: `KEY`, `/KEY`, `BUCKET/KEY` or `/BUCKET/KEY`, percent-encoded. What begins with the bucket's own
/// name and a slash is taken for the longer form.
fn source(headers: &HeaderMap, bucket: &str) -> S3Result<String> {
    let Some(value) = headers.get(SOURCE) else {
        return Err(invalid_argument(format!("Missing required header for this request: {SOURCE}")));
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let wrong = |what: &'static str| bad_argument(SOURCE, &text, what);
    let path = key::percent_decode(&text, false).ok_or_else(|| wrong("Invalid rename source encoding"))?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let key = path.strip_prefix(bucket).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    if key.is_empty() {
        return Err(wrong("Invalid rename source object key"));
    }
    key::check(key)?;
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_keys_of_the_bucket() {
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static(SOURCE), text.parse().unwrap())]);
            source(&headers, "bkt").map_err(|e| e.message().unwrap_or_default().to_owned())
        };
        for text in ["a/b%20c", "/a/b%20c", "bkt/a/b%20c", "/bkt/a/b%20c", "bkt%2Fa/b%20c"] {
            assert_eq!(read(text).unwrap(), "a/b c", "{text}");
        }
        assert_eq!(read("bktx/a").unwrap(), "bktx/a");
        assert_eq!(read("%zz").unwrap_err(), "Invalid rename source encoding");
        assert_eq!(read("/bkt/").unwrap_err(), "Invalid rename source object key");
        assert!(source(&HeaderMap::new(), "bkt").unwrap_err().message().unwrap().contains(SOURCE));
    }
}
