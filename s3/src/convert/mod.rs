//! Between S3's words and the store's.

pub(crate) mod condition;
pub(crate) mod headers;
pub(crate) mod key;
pub(crate) mod lock;
pub(crate) mod output;
pub(crate) mod posix;
pub(crate) mod range;
pub(crate) mod sse;
pub(crate) mod tags;
pub(crate) mod time;
pub(crate) mod version;
