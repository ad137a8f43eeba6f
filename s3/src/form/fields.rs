//! The fields of a form up to its file.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Body;
use multer::{Constraints, Field, Multipart, SizeLimit};
use s3s::{S3Error, S3Result, StdError};

use super::file::File;
use crate::body::incoming::Received;
use crate::error::{bad_argument, custom, from_failure};
use crate::scope::Scope;

/// All fields before the file, in bytes of names and values: S3's limit.
const MAX_BYTES: usize = 20 * 1024;

/// The fields by their names in lower case; of several of one name, the last.
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Reads up to the file.
    pub(super) async fn read(headers: &HeaderMap, body: Received, scope: &Arc<Scope>) -> S3Result<(Self, File)> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(content_type).map_err(|_| malformed())?;
        let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(u64::MAX).per_field(u64::MAX));
        let mut form = Multipart::with_constraints(Paced { inner: body, rest: false }, boundary, limits);
        let mut fields = BTreeMap::new();
        let mut bytes = 0;
        loop {
            let next = form.next_field().await.map_err(|e| broken(&e, scope))?;
            let Some(mut field) = next else {
                return Err(bad_argument("file", "0", "POST requires exactly one file upload per request."));
            };
            let name = field.name().unwrap_or_default().to_ascii_lowercase();
            if name == "file" {
                let file_name = field.file_name().map(base_name).unwrap_or_default().to_owned();
                let mut fields = Self(fields);
                fields.name_file(&file_name);
                return Ok((fields, File::new(form, field)));
            }
            let mut value = Vec::new();
            bytes += name.len();
            while let Some(piece) = next_piece(&mut field, scope).await? {
                bytes += piece.len();
                if bytes > MAX_BYTES {
                    return Err(too_much());
                }
                value.extend_from_slice(&piece);
            }
            fields.insert(name, String::from_utf8(value).map_err(|_| malformed())?);
        }
    }

    /// `${filename}` in a value stands for the name of the file.
    fn name_file(&mut self, name: &str) {
        for (field, value) in &mut self.0 {
            // The policy is signed as it is.
            if field != "policy" && value.contains("${filename}") {
                *value = value.replace("${filename}", name);
            }
        }
    }
}

async fn next_piece(field: &mut Field<'static>, scope: &Scope) -> S3Result<Option<Bytes>> {
    field.chunk().await.map_err(|e| broken(&e, scope))
}

/// The last part of a path as some browsers send it.
fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// AWS's error for a body that is no form.
pub(crate) fn malformed() -> S3Error {
    let mut error = custom("MalformedPOSTRequest", hyper::StatusCode::BAD_REQUEST);
    error.set_message("The body of your POST request is not well-formed multipart/form-data.");
    error
}

fn too_much() -> S3Error {
    let mut error = custom("MaxPostPreDataLengthExceededError", hyper::StatusCode::BAD_REQUEST);
    error.set_message("Your POST request fields preceding the upload file were too large.");
    error
}

fn broken(_: &multer::Error, scope: &Scope) -> S3Error {
    scope.failure().map_or_else(malformed, |failure| from_failure(&failure))
}

/// The body as a stream that yields one piece each time it is asked: the parser takes all it can get into memory, and a
/// client may be faster than the disk.
struct Paced {
    inner: Received,
    rest: bool,
}

impl Stream for Paced {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rest) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
            return Poll::Ready(match frame {
                None => None,
                Some(Err(e)) => Some(Err(e)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.rest = true;
                        Some(Ok(data))
                    }
                    Err(_) => continue,
                },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names_without_a_path() {
        assert_eq!(base_name("C:\\Users\\me\\a b.txt"), "a b.txt");
        assert_eq!(base_name("/tmp/x"), "x");
        let mut fields = Fields::of(&[("key", "in/${filename}"), ("policy", "${filename}")]);
        fields.name_file("a.txt");
        assert_eq!((fields.get("key"), fields.get("policy")), (Some("in/a.txt"), Some("${filename}")));
    }
}
