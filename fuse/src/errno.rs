//! From the store's errors to `errno`: the only table.

use fuser::Errno;
use pinfold_store::namespace::shown::BadName;
use pinfold_store::{Error, ErrorKind};

/// Why an operation of the mount failed: the store says so, or the door itself.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store's error.
    Store(Error),
    /// An answer that the door gives by itself.
    Door(Errno),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Door(errno)
    }
}

/// The result of an operation of the mount.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// The `errno` of a kind of error.
pub(crate) fn of(kind: ErrorKind) -> Errno {
    match kind {
        ErrorKind::NotFound | ErrorKind::NoSuchBucket | ErrorKind::NoSuchUpload | ErrorKind::NoSuchVersion => {
            Errno::ENOENT
        }
        // The kernel looks the name up again, and opens what has it now.
        ErrorKind::Stale => Errno::ESTALE,
        ErrorKind::AlreadyExists => Errno::EEXIST,
        ErrorKind::IsADirectory => Errno::EISDIR,
        ErrorKind::NotADirectory => Errno::ENOTDIR,
        ErrorKind::NotEmpty => Errno::ENOTEMPTY,
        ErrorKind::InvalidArgument
        | ErrorKind::InvalidRange
        | ErrorKind::InvalidPart
        | ErrorKind::InvalidPartOrder
        | ErrorKind::PartTooSmall => Errno::EINVAL,
        ErrorKind::NameTooLong => Errno::ENAMETOOLONG,
        ErrorKind::NotUtf8 => Errno::EILSEQ,
        ErrorKind::CrossesBuckets => Errno::EXDEV,
        ErrorKind::PreconditionFailed | ErrorKind::Busy => Errno::EBUSY,
        ErrorKind::PermissionDenied => Errno::EACCES,
        ErrorKind::KeyUnavailable => Errno::from_i32(libc::ENOKEY),
        ErrorKind::NotPermitted | ErrorKind::ObjectLocked | ErrorKind::MethodNotAllowed => Errno::EPERM,
        ErrorKind::TooLarge => Errno::EFBIG,
        ErrorKind::NoSpace => Errno::ENOSPC,
        ErrorKind::TooMany => Errno::ENFILE,
        ErrorKind::NoAttribute => Errno::ENODATA,
        ErrorKind::TimedOut => Errno::ETIMEDOUT,
        ErrorKind::Unsupported => Errno::EOPNOTSUPP,
        // A store that accepts no more writes after a failed sync is a disk that fails: programs know EIO, and give
        // up, where EAGAIN would have them try for ever.
        ErrorKind::BadDigest | ErrorKind::Corrupt | ErrorKind::Unavailable | ErrorKind::Io | ErrorKind::Internal => {
            Errno::EIO
        }
        // A kind that came later than this table.
        _ => Errno::EIO,
    }
}

/// The answer to the kernel. What only an operator can mend is logged here, and nowhere else.
pub(crate) fn answer(operation: &'static str, failure: &Failure) -> Errno {
    match failure {
        Failure::Door(errno) => *errno,
        Failure::Store(error) => {
            let errno = of(error.kind());
            if errno == Errno::EIO {
                tracing::error!(operation, %error, "input/output error at the mount");
            } else {
                tracing::trace!(operation, %error, "refused at the mount");
            }
            errno
        }
    }
}

impl From<(BadName, Creating)> for Failure {
    fn from((bad, creating): (BadName, Creating)) -> Self {
        Self::Door(match (bad, creating) {
            (BadName::TooLong, _) => Errno::ENAMETOOLONG,
            // A name that cannot be is not there.
            (BadName::Unknown | BadName::NotUtf8, Creating::No) => Errno::ENOENT,
            (BadName::Unknown, Creating::Yes) => Errno::EINVAL,
            (BadName::NotUtf8, Creating::Yes) => Errno::EILSEQ,
        })
    }
}

/// Whether an operation makes the name that it is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creating {
    /// It does.
    Yes,
    /// The name must be there.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_programs_tell_apart() {
        for (kind, errno) in [
            (ErrorKind::NotFound, libc::ENOENT),
            (ErrorKind::NoSuchBucket, libc::ENOENT),
            (ErrorKind::AlreadyExists, libc::EEXIST),
            (ErrorKind::NotEmpty, libc::ENOTEMPTY),
            (ErrorKind::IsADirectory, libc::EISDIR),
            (ErrorKind::NotADirectory, libc::ENOTDIR),
            (ErrorKind::CrossesBuckets, libc::EXDEV),
            (ErrorKind::NotPermitted, libc::EPERM),
            (ErrorKind::PermissionDenied, libc::EACCES),
            (ErrorKind::KeyUnavailable, libc::ENOKEY),
            (ErrorKind::NoSpace, libc::ENOSPC),
            (ErrorKind::TooLarge, libc::EFBIG),
            (ErrorKind::NoAttribute, libc::ENODATA),
            (ErrorKind::Unsupported, libc::EOPNOTSUPP),
            (ErrorKind::NotUtf8, libc::EILSEQ),
            (ErrorKind::NameTooLong, libc::ENAMETOOLONG),
            (ErrorKind::Corrupt, libc::EIO),
            (ErrorKind::Unavailable, libc::EIO),
        ] {
            assert_eq!(of(kind).code(), errno, "{kind:?}");
        }
    }

    #[test]
    fn the_door_s_own_answers_pass() {
        assert_eq!(answer("test", &Failure::from(Errno::ESTALE)), Errno::ESTALE);
        assert_eq!(answer("test", &Failure::from(Error::new(ErrorKind::Busy, "held"))), Errno::EBUSY);
    }
}
