//! Who is at the other end of a connection.

use std::net::IpAddr;

/// The client's end of a connection, in each of its requests' extensions. No header has a say in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The connection is encrypted.
    pub(crate) tls: bool,
}
