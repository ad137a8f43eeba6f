//! Version ids as clients see them: `null`, or 26 characters of Crockford's base 32 (a ULID's form, for 16 bytes).

use http::HeaderMap;
use pinfold_store::meta::rows::Versioning;
use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::types::Id;
use s3s::S3Result;
use ulid::Ulid;

use super::output;
use crate::error::bad_argument;

/// The null version.
pub(crate) const NULL: Id = Id([0; 16]);

/// What a request names; nothing is the current version.
pub(crate) fn parse(text: Option<&str>) -> S3Result<Option<Id>> {
    match text {
        None | Some("") => Ok(None),
        Some("null") => Ok(Some(NULL)),
        Some(text) => match Ulid::from_string(text) {
            // Compared, since more than 128 bits are not noticed.
            Ok(id) if id.to_string().eq_ignore_ascii_case(text) => Ok(Some(Id(id.to_bytes()))),
            _ => Err(bad_argument("versionId", text, "Invalid version id specified")),
        },
    }
}

/// What a client sees.
pub(crate) fn show(version: Id) -> String {
    if version == NULL { "null".to_owned() } else { Ulid::from_bytes(version.0).to_string() }
}

/// The same, where the bucket keeps versions or once did; else S3 says nothing of versions.
pub(crate) fn shown(bucket: &BucketInfo, version: Id) -> Option<String> {
    (bucket.settings.versioning != Versioning::Off).then(|| show(version))
}

/// Adds `x-amz-version-id` to the answer of a request that made a version; AWS says nothing of the null version there.
pub(crate) fn set_made(map: &mut HeaderMap, bucket: &BucketInfo, version: Id) {
    if version != NULL {
        set(map, bucket, version);
    }
}

/// Adds `x-amz-version-id` to an answer, where the bucket keeps versions.
pub(crate) fn set(map: &mut HeaderMap, bucket: &BucketInfo, version: Id) {
    output::set(map, "x-amz-version-id", shown(bucket, version).as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_shown() {
        for id in [NULL, Id([255; 16]), Id([7; 16])] {
            assert_eq!(parse(Some(&show(id))).unwrap(), Some(id));
        }
        assert_eq!(show(NULL), "null");
        assert_eq!((parse(None).unwrap(), parse(Some("")).unwrap()), (None, None));
        for bad in ["x", "invalid_versionId", "../../secret.txt", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            assert_eq!(parse(Some(bad)).unwrap_err().code().as_str(), "InvalidArgument", "{bad}");
        }
    }
}
