//! Errors of the admin API: the store's kinds as HTTP status codes, with the message for the operator.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pinfold_store::{Error, ErrorKind};

use super::wire::Problem;

/// What a handler answers when it cannot do what was asked.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    /// Answers `status`.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request itself is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    /// It is there already, or in the way.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, message: message.into() }
    }

    /// It is longer than anybody needs.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, message: message.into() }
    }

    /// It did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: message.into() }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NoSuchBucket => StatusCode::NOT_FOUND,
            ErrorKind::AlreadyExists | ErrorKind::NotEmpty | ErrorKind::Busy => StatusCode::CONFLICT,
            ErrorKind::InvalidArgument | ErrorKind::NameTooLong | ErrorKind::NotUtf8 => StatusCode::BAD_REQUEST,
            ErrorKind::PermissionDenied
            | ErrorKind::NotPermitted
            | ErrorKind::KeyUnavailable
            | ErrorKind::KeyRequired => StatusCode::FORBIDDEN,
            ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Unavailable | ErrorKind::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, message: error.to_string() }
    }
}

impl ApiError {
    /// Says first what was tried.
    pub fn about(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), error = self.message, "an admin command failed");
        }
        (self.status, Json(Problem { error: self.message })).into_response()
    }
}
