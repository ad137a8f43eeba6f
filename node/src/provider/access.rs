//! Who may ask: addresses, bearer tokens, and whether the request was meant for this host.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;

use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use sha2::{Digest, Sha256};

use super::Refused;

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `ADDRESS` or `ADDRESS/BITS`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no network: write an address, such as 10.0.0.5, or 10.0.0.0/24, or fd00::/64");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(wrong()) } else { Ok(Self { address, bits }) }
    }

    fn has(self, address: IpAddr) -> bool {
        let (own, other, width) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u128::from(own.to_bits()), u128::from(other.to_bits()), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let rest = width - u32::from(self.bits);
        own.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0)
    }
}

/// The rules of one listener.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Networks whose addresses are admitted; all if there is none.
    pub networks: Vec<Network>,
    /// SHA-256 of the tokens one of which each request brings; none is needed if there is none.
    pub tokens: HashSet<[u8; 32]>,
    /// Only requests to a host that is an address or `localhost`: on the loopback, where a page of the web whose name
    /// was made to lead here would ask in the name of a browser's user.
    pub by_address: bool,
}

impl Access {
    /// Whether a client at this address is spoken to.
    pub fn admits(&self, from: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.has(from))
    }

    /// Refuses a request without a token that it needs, or for another host.
    pub fn check(&self, head: &Parts) -> Result<(), Refused> {
        if self.by_address && !is_by_address(head) {
            return Err(Refused::new(StatusCode::MISDIRECTED_REQUEST, "this listener is asked by its address only"));
        }
        if self.tokens.is_empty() {
            return Ok(());
        }
        let given = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            given.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        match token {
            // Digests are compared: what the time of it tells is of no use.
            Some((_, token)) if self.tokens.contains(&digest(token.trim())) => Ok(()),
            _ => Err(Refused::new(StatusCode::UNAUTHORIZED, "a bearer token is needed")),
        }
    }
}

fn is_by_address(head: &Parts) -> bool {
    let of_header = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = head.uri.authority().map(|a| a.as_str()).or(of_header) else { return true };
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Reads tokens, one a line; lines that are empty or begin with `#` are none. A token has at least 16 characters.
pub fn read_tokens(path: &Path) -> Result<HashSet<[u8; 32]>, String> {
    use std::os::unix::fs::MetadataExt;
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let mode = std::fs::metadata(path).map_err(|e| format!("cannot look at {}: {e}", path.display()))?.mode();
    if mode & 0o077 != 0 {
        return Err(format!("{} can be read by others: chmod 600", path.display()));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let tokens: Vec<&str> = lines.collect();
    if tokens.is_empty() {
        return Err(format!("{} holds no token", path.display()));
    }
    if tokens.iter().any(|token| token.len() < 16) {
        return Err(format!("{} holds a token of fewer than 16 characters", path.display()));
    }
    Ok(tokens.into_iter().map(digest).collect())
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn networks() {
        let has = |network: &str, address: &str| Network::parse(network).unwrap().has(address.parse().unwrap());
        assert!(has("10.0.0.5", "10.0.0.5") && !has("10.0.0.5", "10.0.0.6"));
        assert!(has("10.0.0.0/24", "10.0.0.255") && !has("10.0.0.0/24", "10.0.1.0"));
        assert!(has("10.0.0.0/24", "::ffff:10.0.0.7"), "as a socket of both families tells it");
        assert!(has("fd00::/8", "fdff::1") && !has("fd00::/8", "fe80::1") && !has("fd00::/8", "10.0.0.1"));
        assert!(has("0.0.0.0/0", "1.2.3.4") && !has("0.0.0.0/0", "::1"));
        assert!(has("::/0", "::1"));
        for bad in ["", "10.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "host"] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }
}
