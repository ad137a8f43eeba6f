//! An object as the headers of a GET's or HEAD's answer. They are built here, not through s3s's output types: the two
//! answers are the same, and values go out as they were stored.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use pinfold_store::meta::rows::{Checksum, ChecksumType, PartInfo};
use pinfold_store::namespace::pins::PinView;
use pinfold_store::namespace::s3_types::ObjectInfo;
use s3s::dto::Metadata;

use super::range::Slice;
use super::{headers, posix, time};
use crate::checksum;
use crate::guard::form_pairs;

/// `x-pinfold-cid`: the root CID of an object's bytes, on answers to PUT, GET, HEAD, copy and Complete.
pub(crate) const CID: HeaderName = HeaderName::from_static("x-pinfold-cid");

/// How far the pin of the CID is: `queued`, `pinning`, `pinned`, `failing` or `overdue`.
const PIN_STATUS: HeaderName = HeaderName::from_static("x-pinfold-pin-status");
/// Peers that hold it and peers that are to, `2/3`.
const PIN_REPLICAS: HeaderName = HeaderName::from_static("x-pinfold-pin-replicas");

/// `response-*` query parameters of a GET or HEAD.
#[derive(Default)]
pub(crate) struct Overrides {
    /// `response-cache-control`.
    pub(crate) cache_control: Option<String>,
    /// `response-content-disposition`.
    pub(crate) content_disposition: Option<String>,
    /// `response-content-encoding`.
    pub(crate) content_encoding: Option<String>,
    /// `response-content-language`.
    pub(crate) content_language: Option<String>,
    /// `response-content-type`.
    pub(crate) content_type: Option<String>,
    /// `response-expires`.
    pub(crate) expires: Option<String>,
}

impl Overrides {
    /// From the request's query, as it was sent.
    pub(crate) fn read(uri: &Uri) -> Self {
        let mut over = Self::default();
        for (name, value) in form_pairs(uri.query().unwrap_or_default()) {
            let slot = match name.as_str() {
                "response-cache-control" => &mut over.cache_control,
                "response-content-disposition" => &mut over.content_disposition,
                "response-content-encoding" => &mut over.content_encoding,
                "response-content-language" => &mut over.content_language,
                "response-content-type" => &mut over.content_type,
                "response-expires" => &mut over.expires,
                _ => continue,
            };
            *slot = Some(value);
        }
        over
    }
}

/// Content type of an object that was sent without one.
pub(crate) const DEFAULT_TYPE: &str = "binary/octet-stream";

/// Sets a header if the value can be one (the mount's xattrs can say what HTTP cannot).
pub(crate) fn set(map: &mut HeaderMap, name: &'static str, value: Option<&str>) {
    if let Some(value) = value
        && let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
    {
        map.insert(name, value);
    }
}

/// The CID header alone.
pub(crate) fn cid(info: &ObjectInfo) -> HeaderMap {
    let mut map = HeaderMap::new();
    if let Ok(value) = HeaderValue::try_from(info.cid.to_string()) {
        map.insert(CID, value);
    }
    map
}

/// How the CID is pinned, on nodes that pin.
pub(crate) fn pins(map: &mut HeaderMap, view: Option<&PinView>) {
    let Some(view) = view else { return };
    map.insert(PIN_STATUS, HeaderValue::from_static(view.state.word()));
    if view.of > 0
        && let Ok(value) = HeaderValue::try_from(format!("{}/{}", view.pinned, view.of))
    {
        map.insert(PIN_REPLICAS, value);
    }
}

/// Takes away what only shows where `pinfold:ReadCid` is allowed.
pub(crate) fn hide_cid(map: &mut HeaderMap) {
    for name in [CID, PIN_STATUS, PIN_REPLICAS] {
        map.remove(name);
    }
}

/// Validators: what a `304` carries, too.
pub(crate) fn validators(info: &ObjectInfo) -> HeaderMap {
    let mut map = cid(info);
    set(&mut map, "etag", Some(&format!("\"{}\"", info.meta.etag)));
    set(&mut map, "last-modified", time::http_date(info.meta.last_modified).as_deref());
    set(&mut map, "cache-control", info.meta.headers.cache_control.as_deref());
    set(&mut map, "expires", info.meta.headers.expires.as_deref());
    map
}

/// All headers of an answer that shows `slice` of an object, but its user metadata.
pub(crate) fn object(info: &ObjectInfo, slice: &Slice, over: &Overrides, with_checksum: bool) -> HeaderMap {
    let stored = &info.meta.headers;
    let mut map = validators(info);
    let pick = |over: &Option<String>, stored: &Option<String>| over.clone().or_else(|| stored.clone());
    set(&mut map, "accept-ranges", Some("bytes"));
    let content_type = pick(&over.content_type, &stored.content_type);
    set(&mut map, "content-type", Some(content_type.as_deref().unwrap_or(DEFAULT_TYPE)));
    set(&mut map, "content-encoding", pick(&over.content_encoding, &stored.content_encoding).as_deref());
    set(&mut map, "content-language", pick(&over.content_language, &stored.content_language).as_deref());
    set(&mut map, "content-disposition", pick(&over.content_disposition, &stored.content_disposition).as_deref());
    set(&mut map, "cache-control", pick(&over.cache_control, &stored.cache_control).as_deref());
    set(&mut map, "expires", pick(&over.expires, &stored.expires).as_deref());
    set(&mut map, "x-amz-website-redirect-location", stored.website_redirect.as_deref());
    set(&mut map, "x-amz-storage-class", Some(stored.storage_class.as_deref().unwrap_or("STANDARD")));
    map.insert("content-length", HeaderValue::from(slice.len()));
    set(&mut map, "content-range", slice.content_range(info.size).as_deref());
    if !info.meta.tags.is_empty() {
        map.insert("x-amz-tagging-count", HeaderValue::from(info.meta.tags.len()));
    }
    if let Some((_, count)) = slice.part {
        map.insert("x-amz-mp-parts-count", HeaderValue::from(count));
    }
    if with_checksum {
        add_checksum(&mut map, info, slice);
    }
    map
}

/// The checksum of what the answer shows: the object's, or the asked-for part's; a range has none.
fn add_checksum(map: &mut HeaderMap, info: &ObjectInfo, slice: &Slice) {
    let of_part = slice.part.and_then(|(n, _)| info.meta.parts.iter().find(|p| p.number == n));
    let checksum = match (of_part, slice.len() == info.size) {
        (Some(part), _) => part_checksum(info, part),
        (None, true) => info.meta.checksum.as_ref(),
        (None, false) => None,
    };
    if let Some(checksum) = checksum
        && let Some(algorithm) = checksum::Algorithm::parse(&checksum.algorithm)
    {
        set(map, algorithm.header(), Some(&checksum.value));
        set(map, "x-amz-checksum-type", Some(checksum::type_name(checksum.kind)));
    }
}

/// A part's checksum as answers show it: of a whole object's checksum the parts' are nothing that was asked for.
pub(crate) fn part_checksum<'a>(info: &ObjectInfo, part: &'a PartInfo) -> Option<&'a Checksum> {
    let composite = info.meta.checksum.as_ref().is_some_and(|c| c.kind == ChecksumType::Composite);
    part.checksum.as_ref().filter(|_| composite)
}

/// User metadata as it is shown, POSIX attributes included where they were sent or the mount changed them; and how
/// much of it no header can hold.
pub(crate) fn metadata(info: &ObjectInfo) -> (Metadata, usize) {
    let mut shown = Metadata::new();
    let mut missing = 0;
    for (name, value) in &info.meta.headers.user {
        if headers::can_show(name, value) {
            shown.insert(name.clone(), value.clone());
        } else {
            missing += 1;
        }
    }
    for (name, value) in posix::show(info) {
        shown.insert(name.to_owned(), value);
    }
    (shown, missing)
}
