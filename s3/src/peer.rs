//! Who is at the other end of a connection.

use std::net::IpAddr;

/// The client's end of a connection, in each of its requests' extensions. No header has a say in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The connection is encrypted.
    pub(crate) tls: bool,
    /// And how.
    pub(crate) session: Option<Session>,
}

/// What TLS agreed on, by the names that Go and IANA have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// `TLSv1.3` …
    pub(crate) version: &'static str,
    /// `TLS_AES_128_GCM_SHA256` …
    pub(crate) cipher: &'static str,
}
