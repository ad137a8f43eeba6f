//! Bytes in both directions, in bounded memory: a request's body from the connection to the store, an object from the
//! store to the connection.

pub(crate) mod download;
pub(crate) mod framing;
pub(crate) mod incoming;
pub(crate) mod outgoing;
pub(crate) mod rewrite;
pub(crate) mod upload;
