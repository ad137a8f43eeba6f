//! IPFS: what this node gives to peers and what it asks of them. No HTTP server here: the doors of `node` have that.

pub mod peer;
pub mod serve;
