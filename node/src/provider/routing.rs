//! `/routing/v1/…`: who has a block ([delegated routing](https://specs.ipfs.tech/routing/http-routing-v1/)). This node knows
//! of itself only.

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode, header};
use pinfold_store::ipfs::peer::PeerId;
use pinfold_store::ipfs::serve::identity;
use pinfold_store::types::Cid;
use serde::Serialize;

use super::ask::decode;
use super::gateway::blocking;
use super::{Provider, Refused};

/// The protocol by which blocks are had here.
const PROTOCOL: &str = "transport-ipfs-gateway-http";
/// How long an answer may be kept, in seconds: with a record, and without.
const KNOWN: &str = "public, max-age=300, stale-while-revalidate=300, stale-if-error=300";
const UNKNOWN: &str = "public, max-age=15, stale-while-revalidate=15, stale-if-error=15";

/// This node.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(rename = "Schema")]
    schema: &'static str,
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Addrs")]
    addresses: Vec<&'a str>,
    #[serde(rename = "Protocols")]
    protocols: [&'static str; 1],
}

/// Answers a request to `/routing/v1/` and `asked`.
pub async fn answer(provider: &Provider, head: &Parts, asked: &str) -> Result<Response<Body>, Refused> {
    let unprocessable = |why: &str| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    match asked.split_once('/') {
        Some(("providers", text)) => {
            let cid = Cid::try_from(text).map_err(|_| unprocessable("that is no CID"))?;
            let source = Arc::clone(provider.source());
            // A CID that holds its bytes is had from nobody.
            let has = identity(&cid).is_none() && blocking(move || source.has(&cid)).await?;
            records(provider, head, has, "Providers")
        }
        Some(("peers", text)) => {
            let peer = PeerId::parse(text).ok_or_else(|| unprocessable("that is no peer's name"))?;
            records(provider, head, peer == provider.needs.peer, "Peers")
        }
        Some(("ipns" | "dht", _)) => Err(Refused::new(StatusCode::NOT_IMPLEMENTED, "this node does not know that")),
        _ => Err(Refused::new(StatusCode::NOT_FOUND, "there is nothing here")),
    }
}

/// The record of this node, or none, as the request wants it.
fn records(provider: &Provider, head: &Parts, known: bool, list: &str) -> Result<Response<Body>, Refused> {
    let filters = Filters::read(head.uri.query().unwrap_or_default());
    let addresses: Vec<&str> =
        provider.needs.addresses.iter().map(String::as_str).filter(|address| filters.takes_address(address)).collect();
    let known = known && filters.takes_protocol() && !addresses.is_empty();
    let record = Record { schema: "peer", id: provider.needs.peer.to_string(), addresses, protocols: [PROTOCOL] };
    let record = serde_json::to_string(&record)
        .map_err(|_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))?;
    let stream = head.headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let stream = stream.flat_map(|value| value.split(',')).any(|entry| {
        entry.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("application/x-ndjson"))
    });
    let (kind, body) = match (stream, known) {
        (true, true) => ("application/x-ndjson", format!("{record}\n")),
        (true, false) => ("application/x-ndjson", String::new()),
        (false, true) => ("application/json", format!("{{\"{list}\":[{record}]}}")),
        (false, false) => ("application/json", format!("{{\"{list}\":[]}}")),
    };
    let mut answer = Response::new(Body::from(body));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(if known { KNOWN } else { UNKNOWN }));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(answer)
}

/// IPIP-484: which addresses and protocols the client can use.
#[derive(Default)]
struct Filters {
    addresses: Vec<String>,
    protocols: Vec<String>,
}

impl Filters {
    fn read(query: &str) -> Self {
        let mut filters = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let words = decode(value, true).unwrap_or_default().to_ascii_lowercase();
            let words = words.split(',').filter(|word| !word.is_empty()).map(str::to_owned);
            match name {
                "filter-addrs" => filters.addresses.extend(words),
                "filter-protocols" => filters.protocols.extend(words),
                _ => {}
            }
        }
        filters
    }

    fn takes_protocol(&self) -> bool {
        self.protocols.is_empty() || self.protocols.iter().any(|word| word == PROTOCOL)
    }

    fn takes_address(&self, address: &str) -> bool {
        let has = |word: &str| address.split('/').any(|part| part.eq_ignore_ascii_case(word));
        let (no, yes): (Vec<&str>, Vec<&str>) =
            self.addresses.iter().map(String::as_str).partition(|word| word.starts_with('!'));
        let refused = no.iter().any(|word| has(&word[1..]));
        !refused && (yes.is_empty() || yes.iter().any(|word| has(word)))
    }
}
