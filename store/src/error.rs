//! The one error of the store: what went wrong (kind), whether trying again can help (retry), and the context that
//! names the thing. No errno and no S3 code here: the doors translate (`s3/src/error.rs`, `fuse/src/errno.rs`).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What went wrong, in the store's own words. Each door maps every kind to its own code in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The named thing (key, inode, upload, block …) does not exist.
    NotFound,
    /// The inode was found by name, but lost its last name and its bytes before it was opened: look the name up again.
    Stale,
    /// The bucket does not exist.
    NoSuchBucket,
    /// The multipart upload does not exist.
    NoSuchUpload,
    /// The key has no version with this id.
    NoSuchVersion,
    /// What was named is a delete marker.
    MethodNotAllowed,
    /// Retention or legal hold keeps the version.
    ObjectLocked,
    /// The name is taken (`O_EXCL`, `mkdir`, CreateBucket).
    AlreadyExists,
    /// A directory stands where a file is needed.
    IsADirectory,
    /// Something else stands where a directory is needed.
    NotADirectory,
    /// The directory or bucket still has entries.
    NotEmpty,
    /// A directory would become its own descendant, or the name is not valid for this operation.
    InvalidArgument,
    /// A name or key is longer than this door accepts.
    NameTooLong,
    /// A name is not UTF-8 where the namespace needs it to be.
    NotUtf8,
    /// The operation would cross a bucket.
    CrossesBuckets,
    /// If-Match, If-None-Match and friends did not hold at the log's head.
    PreconditionFailed,
    /// The range lies outside the object.
    InvalidRange,
    /// A part of a multipart upload is missing, out of order, too small or of another ETag.
    InvalidPart,
    /// Parts are not in ascending order.
    InvalidPartOrder,
    /// A part but the last is smaller than 5 MiB.
    PartTooSmall,
    /// The caller may not do this.
    PermissionDenied,
    /// The key that sealed it is destroyed, or not one that the node was given.
    KeyUnavailable,
    /// The operation is not allowed on this object for anybody (the mount's root, a read-only mount …).
    NotPermitted,
    /// Larger than the limits of the namespace (5 TiB).
    TooLarge,
    /// A digest or checksum sent by the client does not match the bytes.
    BadDigest,
    /// The disk is full, or would be less than its reserve.
    NoSpace,
    /// Too many open files, links …
    TooMany,
    /// No such attribute.
    NoAttribute,
    /// Stored bytes do not match their checksum or CID, or a stored record cannot be read.
    Corrupt,
    /// The node is stopping, or has stopped accepting writes after a failed sync.
    Unavailable,
    /// A wait ended before the answer.
    TimedOut,
    /// Somebody else holds it (data directory lock …).
    Busy,
    /// Not offered by this store.
    Unsupported,
    /// An input or output error of the disk below.
    Io,
    /// A bug: an invariant does not hold.
    Internal,
}

/// Whether the same request may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The answer will stay the same.
    No,
    /// A later try may succeed.
    Later,
}

/// The store's error. Cheap to clone, so that one failed sync can answer every waiter.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The store's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error of `kind`. `message` is lower case, without a full stop, and names no values: those go to
    /// [`Error::with`].
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), context: Vec::new(), source: None }))
    }

    /// The same error with one more named value.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl fmt::Display) -> Self {
        let mut inner = self.into_inner();
        inner.context.push((name, value.to_string()));
        Self(Arc::new(inner))
    }

    /// The same error with the error that caused it.
    #[must_use]
    pub fn caused_by(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        let mut inner = self.into_inner();
        inner.source = Some(Arc::new(source));
        Self(Arc::new(inner))
    }

    fn into_inner(self) -> Inner {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| Inner {
            kind: shared.kind,
            message: shared.message.clone(),
            context: shared.context.clone(),
            source: shared.source.clone(),
        })
    }

    /// An error of the disk below: out of space is told apart from other failures. One that does not let this node write
    /// (read-only, not its own) is the node's failure, never a matter of the caller's rights.
    pub fn io(message: &'static str, source: std::io::Error) -> Self {
        let kind = match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => ErrorKind::NoSpace,
            Some(libc::EMFILE | libc::ENFILE) => ErrorKind::TooMany,
            // EROFS and EACCES too: what the disk refuses to the node says nothing of what a caller may do.
            _ => ErrorKind::Io,
        };
        Self::new(kind, message).caused_by(source)
    }

    /// Stored bytes that are not what they must be.
    pub fn corrupt(message: &'static str) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether a later try may succeed.
    pub fn retry(&self) -> Retry {
        match self.0.kind {
            ErrorKind::Unavailable
            | ErrorKind::TimedOut
            | ErrorKind::Busy
            | ErrorKind::NoSpace
            | ErrorKind::TooMany => Retry::Later,
            _ => Retry::No,
        }
    }

    /// The message without its context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The value of a named piece of context.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0.context.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (name, value) in &self.0.context {
            write!(f, ", {name} {value}")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}

/// `?`-friendly context for I/O results.
pub trait IoContext<T> {
    /// Turns an I/O error into the store's, with a message that names the step.
    fn at(self, message: &'static str) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, message: &'static str) -> Result<T> {
        self.map_err(|e| Error::io(message, e))
    }
}

impl<T> IoContext<T> for rustix::io::Result<T> {
    fn at(self, message: &'static str) -> Result<T> {
        self.map_err(|e| Error::io(message, e.into()))
    }
}
