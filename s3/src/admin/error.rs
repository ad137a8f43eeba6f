//! Errors of the admin API, in VersityGW's words.

use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode};

use crate::error::fail;

fn error(code: &'static str, status: StatusCode, message: &'static str) -> S3Error {
    let mut error = fail(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

pub(super) fn access_denied() -> S3Error {
    error("XAdminAccessDenied", StatusCode::FORBIDDEN, "Only admin users have access to this resource.")
}

pub(super) fn no_such_user() -> S3Error {
    error("XAdminUserNotFound", StatusCode::NOT_FOUND, "No user exists with the provided access key ID.")
}

pub(super) fn user_exists() -> S3Error {
    error("XAdminUserExists", StatusCode::CONFLICT, "A user with the provided access key ID already exists.")
}

pub(super) fn bad_role() -> S3Error {
    error(
        "XAdminInvalidArgument",
        StatusCode::BAD_REQUEST,
        "User role has to be one of the following: 'user', 'admin', 'userplus'.",
    )
}

pub(super) fn bad_keys() -> S3Error {
    error(
        "XAdminInvalidArgument",
        StatusCode::BAD_REQUEST,
        "An access key ID has 1 to 128 visible ASCII characters other than '/', ',' and '=', and a secret is not empty.",
    )
}

pub(super) fn missing_access() -> S3Error {
    error("XAdminInvalidArgument", StatusCode::NOT_FOUND, "User access key ID is missing.")
}

pub(super) fn missing_owner() -> S3Error {
    error(
        "XAdminInvalidRequest",
        StatusCode::BAD_REQUEST,
        "The x-vgw-owner header specifying the new bucket owner access key id is either missing or empty",
    )
}
