//! `/ipfs/CID[/PATH]`: blocks and CARs, as the [trustless gateway](https://specs.ipfs.tech/http-gateways/trustless-gateway/)
//! specification has them. Nothing is fetched from elsewhere, nothing is sent that the client could not check.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use pinfold_store::ipfs::serve::{Limits, Resolved, Scope, Walk, block_of, car, len_of, resolve};
use pinfold_store::{Error, ErrorKind};
use sha2::{Digest, Sha256};

use super::ask::{self, Asked, Form};
use super::body::{Car, Outgoing, piece};
use super::{Asking, Provider, Refused, What};

/// What is named by its hash never changes.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=29030400, immutable");

/// Answers a request to `/ipfs/…`.
pub async fn answer(provider: &Provider, asking: Asking, what: &mut What) -> Result<Response<Body>, Refused> {
    let asked = ask::read(&asking.head)?;
    *what = match asked.form {
        Form::Raw => What::Raw,
        Form::Car { .. } => What::Car,
    };
    let if_cached = only_if_cached(&asking.head.headers);
    let answer = match asked.form {
        Form::Raw => raw(provider, &asking, &asked).await,
        Form::Car { dups, scope } => car_answer(provider, &asking, &asked, dups, scope).await,
    };
    answer.map_err(|refused| match refused.status {
        StatusCode::NOT_FOUND if if_cached => Refused::new(StatusCode::PRECONDITION_FAILED, refused.why),
        _ => refused,
    })
}

/// What a block's answer is about: peers ask for heads only, to learn who has what, and then nothing is read.
enum Block {
    Whole(Bytes),
    Length(u64),
}

impl Block {
    fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Length(len) => *len,
        }
    }
}

async fn raw(provider: &Provider, asking: &Asking, asked: &Asked) -> Result<Response<Body>, Refused> {
    let place = provider.place(What::Raw).await?;
    let (source, root, segments) = (Arc::clone(provider.source()), asked.root, asked.segments.clone());
    let head_only = asking.head.method == Method::HEAD;
    let found = blocking(move || {
        let to = match segments.is_empty() {
            true => Resolved { cid: root, way: Vec::new(), names: Vec::new() },
            false => resolve(&*source, &root, &segments)?,
        };
        let block = match head_only {
            true => Block::Length(len_of(&*source, &to.cid)?),
            false => Block::Whole(block_of(&*source, &to.cid)?),
        };
        Ok((to, block))
    });
    let (to, block) = found.await?;
    let len = usize::try_from(block.len()).unwrap_or(usize::MAX);
    let etag = format!("\"{}.raw\"", to.cid);
    let mut answer = Response::new(Body::empty());
    about(answer.headers_mut(), asking, asked, &to, &etag, "bin")?;
    if is_known(&asking.head.headers, &etag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.ipld.raw"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let part = match range(&asking.head.headers, &etag, len) {
        Range::All => 0..len,
        Range::Part(from, to) => {
            headers.insert(header::CONTENT_RANGE, text(format!("bytes {from}-{}/{len}", to - 1))?);
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            from..to
        }
        Range::None => {
            headers.insert(header::CONTENT_RANGE, text(format!("bytes */{len}"))?);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.remove(header::CONTENT_DISPOSITION);
            *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            0..0
        }
    };
    answer.headers_mut().insert(header::CONTENT_LENGTH, part.len().into());
    let Block::Whole(bytes) = block else { return Ok(answer) };
    let bytes = bytes.slice(part);
    let sending = asking.connection.as_ref().map(|(_, unsent)| unsent.begin());
    *answer.body_mut() = Body::new(Outgoing::block(bytes, place, sending));
    Ok(answer)
}

async fn car_answer(
    provider: &Provider,
    asking: &Asking,
    asked: &Asked,
    dups: bool,
    scope: Scope,
) -> Result<Response<Body>, Refused> {
    let place = provider.place(What::Car).await?;
    let (source, root, segments) = (Arc::clone(provider.source()), asked.root, asked.segments.clone());
    let begun = blocking(move || {
        let to = resolve(&*source, &root, &segments)?;
        let mut walk = Box::new(Walk::new(source, to.clone(), scope, dups, Limits::DEFAULT));
        // What is not here is told by the status, as far as that is known soon.
        let first = piece(&mut walk, car::header(&to.cid))?.unwrap_or_default();
        Ok((to, first, walk))
    });
    let (to, first, walk) = begun.await?;
    let mut canon = Sha256::new();
    canon.update(format!("{scope:?} {dups} {} {:?}", asked.root, asked.segments));
    let digest = hex::encode(&canon.finalize()[..8]);
    let etag = format!("W/\"{}.car.{digest}\"", to.cid);
    let mut answer = Response::new(Body::empty());
    about(answer.headers_mut(), asking, asked, &to, &etag, "car")?;
    if is_known(&asking.head.headers, &etag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    let dups = if dups { "y" } else { "n" };
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, text(format!("application/vnd.ipld.car; version=1; order=dfs; dups={dups}"))?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    let (progress, sending) = match &asking.connection {
        Some((progress, unsent)) => (Some(Arc::clone(progress)), Some(unsent.begin())),
        None => (None, None),
    };
    *answer.body_mut() = Body::new(Outgoing::car(Car::new(first, walk, progress), place, sending));
    Ok(answer)
}

/// Headers that all answers have.
fn about(
    headers: &mut HeaderMap,
    asking: &Asking,
    asked: &Asked,
    to: &Resolved,
    etag: &str,
    ending: &str,
) -> Result<(), Refused> {
    headers.insert(header::ETAG, text(etag.to_owned())?);
    headers.insert(header::CACHE_CONTROL, FOREVER);
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    let name = asked.filename.clone().unwrap_or_else(|| format!("{}.{ending}", to.cid));
    headers.insert(header::CONTENT_DISPOSITION, text(disposition(&name))?);
    headers.insert(HeaderName::from_static("x-ipfs-path"), text(asking.head.uri.path().to_owned())?);
    let roots: Vec<String> = std::iter::once(&asked.root).chain(&to.names).map(ToString::to_string).collect();
    headers.insert(HeaderName::from_static("x-ipfs-roots"), text(roots.join(","))?);
    Ok(())
}

/// To be saved, never shown: these are somebody's bytes.
fn disposition(name: &str) -> String {
    let plain = |c: char| if c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\') { c } else { '_' };
    let ascii: String = name.chars().map(plain).collect();
    let safe = |b: &u8| b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(b);
    let encoded: String =
        name.bytes().map(|b| if safe(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect();
    match ascii == name {
        true => format!("attachment; filename=\"{ascii}\""),
        false => format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}"),
    }
}

fn text(value: String) -> Result<HeaderValue, Refused> {
    HeaderValue::try_from(value).map_err(|_| Refused::bad("what was asked for cannot be repeated in a header"))
}

fn only_if_cached(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case("only-if-cached"))
}

/// Whether the client has this answer already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || bare(tag) == bare(etag))
}

enum Range {
    All,
    /// From the first, up to and without the second.
    Part(usize, usize),
    None,
}

/// The range of a block of `len` bytes that is asked for. Several at once, and what is no range of bytes, is the whole.
fn range(headers: &HeaderMap, etag: &str, len: usize) -> Range {
    let value = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = value(header::RANGE).and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return Range::All;
    };
    if value(header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
        return Range::All;
    }
    let Some((from, to)) = range.split_once('-').filter(|_| !range.contains(',')) else { return Range::All };
    let (from, to) = (from.trim(), to.trim());
    let number = |text: &str| -> Option<usize> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More than fits is beyond any block.
        digits.then(|| text.parse().unwrap_or(usize::MAX))
    };
    match (number(from), number(to)) {
        (None, Some(last)) if from.is_empty() => match last.min(len) {
            0 => Range::None,
            last => Range::Part(len - last, len),
        },
        (Some(from), _) if to.is_empty() && from < len => Range::Part(from, len),
        (Some(from), Some(to)) if to < from => Range::All,
        (Some(from), Some(to)) if from < len => Range::Part(from, to.saturating_add(1).min(len)),
        (Some(_), Some(_)) => Range::None,
        (Some(_), None) if to.is_empty() => Range::None,
        _ => Range::All,
    }
}

/// Runs what reads the disk on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> pinfold_store::Result<T> + Send + 'static,
) -> Result<T, Refused> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(refused(&error)),
        Err(error) => {
            tracing::error!(%error, "a worker of the provider ended early");
            Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
        }
    }
}

/// What the store's errors mean here. Those of this node's own are in its log only.
fn refused(error: &Error) -> Refused {
    match error.kind() {
        ErrorKind::NotFound => Refused::new(StatusCode::NOT_FOUND, error.message().to_owned()),
        ErrorKind::TooLarge => Refused::bad(error.message().to_owned()),
        ErrorKind::Unsupported => Refused::new(StatusCode::NOT_IMPLEMENTED, error.message().to_owned()),
        ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::TimedOut | ErrorKind::TooMany => {
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the node cannot answer now")
        }
        _ => {
            tracing::error!(%error, "a request to the provider failed");
            Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        }
    }
}

/// For tests of what is behind the head.
#[cfg(test)]
pub(super) fn range_of(value: &str, len: usize) -> Option<(usize, usize)> {
    let mut headers = HeaderMap::new();
    headers.insert(header::RANGE, HeaderValue::from_str(value).expect("a header"));
    match range(&headers, "\"x\"", len) {
        Range::All => Some((0, len)),
        Range::Part(from, to) => Some((from, to)),
        Range::None => None,
    }
}
