//! How a request to one server fails, and what follows from it.

use crate::error::{Error, ErrorKind};

/// A failed request.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) blame: Blame,
}

/// Whose failure it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Blame {
    /// The server's: it is not there, hangs, or talks nonsense. Another one may do better, this one counts a failure.
    Server,
    /// The server's for now (5xx with an explanation): another one may do better, this one is well.
    Busy,
    /// The request's: every server would say the same.
    Request,
    /// The token's: a new one may help.
    Token,
}

impl Failure {
    pub(super) fn of_server(error: Error) -> Self {
        Self { error, blame: Blame::Server }
    }

    /// What reqwest says.
    pub(super) fn of_transport(error: reqwest::Error, base: &str) -> Self {
        let kind = if error.is_timeout() { ErrorKind::TimedOut } else { ErrorKind::Unavailable };
        Self::of_server(
            Error::new(kind, "an IPFS server does not answer").with("server", base).caused_by(error.without_url()),
        )
    }

    /// What the server said that is no answer of its protocol.
    pub(super) fn nonsense(message: &'static str, base: &str) -> Self {
        Self::of_server(Error::new(ErrorKind::Unavailable, message).with("server", base))
    }

    /// A refusal, by its status and what it says.
    pub(super) fn of_status(status: u16, message: &str, base: &str) -> Self {
        let (kind, blame) = match status {
            401 => (ErrorKind::PermissionDenied, Blame::Token),
            403 => (ErrorKind::PermissionDenied, Blame::Request),
            404 => (ErrorKind::NotFound, Blame::Request),
            408 | 425 | 429 => (ErrorKind::Unavailable, Blame::Busy),
            400..=499 => (ErrorKind::InvalidArgument, Blame::Request),
            502..=504 => (ErrorKind::Unavailable, Blame::Server),
            _ => (ErrorKind::Io, Blame::Busy),
        };
        let error = Error::new(kind, "an IPFS server refuses")
            .with("server", base)
            .with("status", status)
            .with("message", message);
        Self { error, blame }
    }
}
