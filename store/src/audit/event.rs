//! What a line says.

use serde::Serialize;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Done,
    /// Who asked may not, or is not who he says.
    Denied,
    /// It was not done for another reason.
    Failed,
}

/// One operation. Empty fields are left out of the line.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When it ended, RFC 3339, UTC. Set when the line is written, if empty.
    pub time: String,
    /// What: S3's name of the operation, `admin_…` for VersityGW's admin API, `log_…` for the log itself.
    pub operation: String,
    /// By which door: `s3`, `admin-api`, `admin-socket`, `console`, `mount`, `node`.
    pub door: &'static str,
    /// The account that asked; whom it said it was, if `verified` is false.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub who: String,
    /// The account proved who it is.
    pub verified: bool,
    /// The client's address, or the process at the admin socket.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The bucket.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bucket: String,
    /// The key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The account, CID or other thing that it is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// How it ended.
    pub result: Outcome,
    /// The error's code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The request's id, as the client saw it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// What else is to be known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Event {
    /// An event of the log itself.
    pub(super) fn of_log(operation: &str, note: String) -> Self {
        Self {
            time: String::new(),
            operation: operation.to_owned(),
            door: "node",
            who: String::new(),
            verified: true,
            from: String::new(),
            bucket: String::new(),
            key: String::new(),
            target: String::new(),
            result: Outcome::Done,
            code: String::new(),
            request: String::new(),
            note,
        }
    }
}
