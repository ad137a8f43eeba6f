//! The settings of the listener for IPFS peers, which is open to nobody beyond this host unless it is said to whom.

use std::net::IpAddr;
use std::path::PathBuf;

use super::settings::{Group, Kind, Setting};
use super::value::{self, Listen};
use super::{Build, TlsFiles};
use crate::provider::access::Network;

/// The listener for IPFS peers.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Address.
    pub listen: Listen,
    /// Who may ask; all if empty.
    pub allow: Vec<Network>,
    /// File of bearer tokens.
    pub tokens: Option<PathBuf>,
    /// Certificate chain and key, both PEM.
    pub tls: Option<TlsFiles>,
    /// Authorities of clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Multiaddrs that peers are told; the listener's own if empty.
    pub announce: Vec<String>,
    /// Answers at once.
    pub max_requests: usize,
}

impl Build<'_> {
    /// Certificate and key, which go together.
    pub(super) fn tls(&mut self, cert_name: &str, key_name: &str) -> Option<TlsFiles> {
        match (self.path(cert_name), self.path(key_name)) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            (Some(_), None) => {
                self.refuse(cert_name, &format!("{key_name} is missing beside it"));
                None
            }
            (None, Some(_)) => {
                self.refuse(key_name, &format!("{cert_name} is missing beside it"));
                None
            }
        }
    }
}

pub(super) fn build(build: &mut Build<'_>) -> Option<ProviderSettings> {
    let listen = build.parsed("provider", value::listen)?;
    let texts = |build: &Build<'_>, name| build.values.get(name).map(|raw| raw.texts.clone()).unwrap_or_default();
    let mut allow = Vec::new();
    for text in texts(build, "provider_allow") {
        match Network::parse(&text) {
            Ok(network) => allow.push(network),
            Err(why) => build.refuse("provider_allow", &why),
        }
    }
    let announce = texts(build, "provider_announce");
    for text in &announce {
        if let Err(why) = multiaddr(text) {
            build.refuse("provider_announce", &why);
        }
    }
    let tokens = build.path("provider_token_file");
    let tls = build.tls("provider_tls_cert", "provider_tls_key");
    let client_ca = build.path("provider_client_ca");
    if client_ca.is_some() && tls.is_none() {
        build.refuse("provider_client_ca", "clients show certificates by TLS only: set provider_tls_cert too");
    }
    if let Listen::At(address) = &listen {
        let host = address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
        let ip = host.parse::<IpAddr>().ok();
        let local = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
        if !local && allow.is_empty() && tokens.is_none() && client_ca.is_none() {
            let why = "beyond the loopback it must be said who may ask: set provider_allow, provider_token_file or \
                       provider_client_ca";
            build.refuse("provider", why);
        }
        if !local && tls.is_none() && tokens.is_some() {
            build.refuse("provider_token_file", "tokens beyond the loopback need provider_tls_cert");
        }
        if ip.is_some_and(|ip| ip.is_unspecified()) && announce.is_empty() {
            build.refuse("provider", "peers cannot be told this address: set provider_announce");
        }
    }
    let max_requests = build.count("provider_max_requests", 4, 4096)?;
    Some(ProviderSettings { listen, allow, tokens, tls, client_ca, announce, max_requests })
}

/// Whether it is a multiaddr of a host that speaks HTTP over TCP, as far as peers will look.
fn multiaddr(text: &str) -> Result<(), String> {
    let wrong =
        || format!("`{text}` is no multiaddr such as /ip4/10.0.0.5/tcp/9003/http or /dns4/HOST/tcp/443/tls/http");
    let parts: Vec<&str> = text.split('/').collect();
    let (host, rest) = match parts.as_slice() {
        ["", "ip4", host, rest @ ..] if host.parse::<std::net::Ipv4Addr>().is_ok() => (host, rest),
        ["", "ip6", host, rest @ ..] if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, rest),
        ["", "dns" | "dns4" | "dns6", host, rest @ ..] => (host, rest),
        _ => return Err(wrong()),
    };
    let port = match rest {
        ["tcp", port, "http" | "https"] | ["tcp", port, "tls", "http"] => *port,
        ["tcp", port, "tls", "sni", _, "http"] => *port,
        _ => return Err(wrong()),
    };
    if host.is_empty() || port.parse::<u16>().map_or(true, |port| port == 0) { Err(wrong()) } else { Ok(()) }
}

/// Their part of the table.
pub(super) const SETTINGS: [Setting; 8] = [
    Setting {
        name: "provider",
        group: Group::Ipfs,
        kind: Kind::Address,
        default: Some("off"),
        help: "Address at which IPFS peers find and pull this node's blocks, such as 127.0.0.1:9003; `off` for none.",
        details: "A trustless gateway (/ipfs/CID) and delegated routing (/routing/v1/providers/CID). Who knows a CID gets the \
                  block if an object of an open bucket has it (`pinfold bucket provide`); content of encrypted buckets goes out \
                  sealed. An address beyond the loopback needs provider_allow, provider_token_file or provider_client_ca.",
        reload: false,
    },
    Setting {
        name: "provider_allow",
        group: Group::Ipfs,
        kind: Kind::TextList,
        default: None,
        help: "Address or network (10.0.0.0/24) that may ask the provider; may be given several times.",
        details: "All others are turned away at once, those on this host too. Without it the address is no matter.",
        reload: false,
    },
    Setting {
        name: "provider_token_file",
        group: Group::Ipfs,
        kind: Kind::Path,
        default: None,
        help: "File of bearer tokens, one a line, of which each request to the provider brings one.",
        details: "Mode 0600. Kubo sends none: this is for other clients. Read at the start.",
        reload: false,
    },
    Setting {
        name: "provider_tls_cert",
        group: Group::Ipfs,
        kind: Kind::Path,
        default: None,
        help: "PEM file with the provider's certificate chain; turns TLS and HTTP/2 on, together with provider_tls_key.",
        details: "Kubo takes plain HTTP from the loopback and private addresses only, and TLS with a certificate that its \
                  system trusts. The path is fixed at start; SIGHUP reads the file again.",
        reload: false,
    },
    Setting {
        name: "provider_tls_key",
        group: Group::Ipfs,
        kind: Kind::Path,
        default: None,
        help: "PEM file with the private key of the provider's certificate.",
        details: "The path is fixed at start; SIGHUP reads the file again.",
        reload: false,
    },
    Setting {
        name: "provider_client_ca",
        group: Group::Ipfs,
        kind: Kind::Path,
        default: None,
        help: "PEM file of authorities: only clients with a certificate by one of them may ask the provider.",
        details: "Needs provider_tls_cert.",
        reload: false,
    },
    Setting {
        name: "provider_announce",
        group: Group::Ipfs,
        kind: Kind::TextList,
        default: None,
        help: "Multiaddr that peers are told for the provider, such as /dns4/node1.example/tcp/443/tls/http; may be given several times.",
        details: "Without it, the address that it listens on. Needed where that is 0.0.0.0 or [::].",
        reload: false,
    },
    Setting {
        name: "provider_max_requests",
        group: Group::Ipfs,
        kind: Kind::Count,
        default: Some("128"),
        help: "Answers of the provider at once; more wait some seconds and then get 429.",
        details: "This bounds memory: an answer holds at most about 4 MiB. A quarter of them may be CARs.",
        reload: false,
    },
];

#[cfg(test)]
mod tests {
    use super::multiaddr;

    #[test]
    fn multiaddrs() {
        for good in ["/ip4/127.0.0.1/tcp/17000/http", "/dns4/a.example/tcp/443/tls/http", "/ip6/::1/tcp/1/https"] {
            multiaddr(good).unwrap();
        }
        for bad in [
            "",
            "127.0.0.1:80",
            "/ip4/1.2.3/tcp/1/http",
            "/ip4/1.2.3.4/udp/1/quic",
            "/dns4//tcp/1/http",
            "/ip4/1.2.3.4/tcp/0/http",
        ] {
            assert!(multiaddr(bad).is_err(), "{bad}");
        }
    }
}
