//! What a request to the gateway asks for: path, format, scope, by the query or by `Accept`.

use axum::http::header;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use pinfold_store::ipfs::serve::{ByteRange, Scope};
use pinfold_store::types::Cid;

use super::Refused;

/// The form of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One block.
    Raw,
    /// A CAR, in depth-first order.
    Car {
        /// Blocks come as often as they are linked.
        dups: bool,
        /// Which of the blocks below the path's end.
        scope: Scope,
    },
}

/// A request, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The root.
    pub root: Cid,
    /// Names below it.
    pub segments: Vec<String>,
    /// The form.
    pub form: Form,
    /// Under which name the answer is to be saved.
    pub filename: Option<String>,
}

/// Types that the answer can have, and those that others give and we do not.
const RAW: &str = "application/vnd.ipld.raw";
const CAR: &str = "application/vnd.ipld.car";
const OTHER_FORMATS: [&str; 7] = ["tar", "json", "cbor", "dag-json", "dag-cbor", "ipns-record", "html"];
/// Longest name that a file is saved under.
const MOST_FILENAME: usize = 255;

/// Reads a request to `/ipfs/…`.
pub fn read(head: &Parts) -> Result<Asked, Refused> {
    let path = head.uri.path().strip_prefix("/ipfs/").unwrap_or_default();
    let mut names = path.split('/');
    let root = names.next().unwrap_or_default();
    let root = Cid::try_from(root).map_err(|e| Refused::bad(format!("the path does not begin with a CID: {e}")))?;
    let segments = names.filter(|name| !name.is_empty()).map(segment).collect::<Result<_, _>>()?;
    let query = Query::read(head.uri.query().unwrap_or_default())?;
    let form = form(&query, &head.headers)?;
    Ok(Asked { root, segments, form, filename: query.filename.filter(|name| !name.is_empty()) })
}

fn segment(text: &str) -> Result<String, Refused> {
    match decode(text, false).as_deref() {
        Some("." | "..") => Err(Refused::bad("the path has a name that leads nowhere")),
        Some(name) => Ok(name.to_owned()),
        None => Err(Refused::bad("the path is not UTF-8, or not percent-encoded")),
    }
}

/// Percent-encoded UTF-8; in a query a plus is a blank.
pub(super) fn decode(text: &str, query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if query => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[derive(Default)]
struct Query {
    format: Option<String>,
    scope: Option<String>,
    bytes: Option<String>,
    version: Option<String>,
    order: Option<String>,
    dups: Option<String>,
    filename: Option<String>,
}

impl Query {
    /// Unknown parameters are for others; one that is known comes once.
    fn read(text: &str) -> Result<Self, Refused> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "format" => &mut query.format,
                "dag-scope" => &mut query.scope,
                "entity-bytes" => &mut query.bytes,
                "car-version" => &mut query.version,
                "car-order" => &mut query.order,
                "car-dups" => &mut query.dups,
                "filename" => &mut query.filename,
                _ => continue,
            };
            let value = decode(value, true).ok_or_else(|| Refused::bad(format!("`{name}` is not percent-encoded")))?;
            if place.replace(value).is_some() {
                return Err(Refused::bad(format!("`{name}` is there twice")));
            }
        }
        if query.filename.as_ref().is_some_and(|name| name.len() > MOST_FILENAME) {
            return Err(Refused::bad("`filename` is too long"));
        }
        Ok(query)
    }

    fn scope(&self) -> Result<Scope, Refused> {
        let range = match &self.bytes {
            None => None,
            Some(text) => {
                let wrong = || Refused::bad("`entity-bytes` is FROM:TO, both whole numbers, TO perhaps `*`");
                Some(ByteRange::parse(text).ok_or_else(wrong)?)
            }
        };
        match (self.scope.as_deref(), range) {
            (Some("block"), None) => Ok(Scope::Block),
            (Some("entity"), range) | (None, range @ Some(_)) => Ok(Scope::Entity(range)),
            (Some("all") | None, None) => Ok(Scope::All),
            (Some("block" | "all"), Some(_)) => Err(Refused::bad("`entity-bytes` goes with `dag-scope=entity`")),
            (Some(_), _) => Err(Refused::bad("`dag-scope` is block, entity or all")),
        }
    }
}

/// What a CAR is to be like, as far as it was said.
#[derive(Clone, Copy, Default)]
struct CarParams {
    dups: Option<bool>,
}

/// One of the types that a client takes.
struct Accepted<'a> {
    name: &'a str,
    params: Vec<(&'a str, &'a str)>,
    /// Thousandths.
    quality: u32,
}

fn accepted(headers: &HeaderMap) -> Vec<Accepted<'_>> {
    let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut all: Vec<_> = values.flat_map(|value| value.split(',')).filter_map(one_accepted).collect();
    // Stable: of two alike, the first.
    all.sort_by_key(|entry| std::cmp::Reverse(entry.quality));
    all.retain(|entry| entry.quality > 0);
    all
}

fn one_accepted(text: &str) -> Option<Accepted<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let mut entry = Accepted { name, params: Vec::new(), quality: 1000 };
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if key.eq_ignore_ascii_case("q") {
            let quality = value.parse::<f64>().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0);
            entry.quality = (quality * 1000.0) as u32;
        } else {
            entry.params.push((key, value));
        }
    }
    Some(entry)
}

impl Accepted<'_> {
    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// As a CAR; none if it is one that cannot be had.
    fn car(&self) -> Option<CarParams> {
        let takes =
            |name, most: &[&str]| self.param(name).is_none_or(|value| value.is_empty() || most.contains(&value));
        if !takes("version", &["1"]) || !takes("order", &["dfs", "unk"]) || !takes("dups", &["y", "n"]) {
            return None;
        }
        Some(CarParams { dups: self.param("dups").filter(|v| !v.is_empty()).map(|value| value == "y") })
    }
}

fn form(query: &Query, headers: &HeaderMap) -> Result<Form, Refused> {
    let entries = accepted(headers);
    let car_of_header = || entries.iter().filter(|e| e.name.eq_ignore_ascii_case(CAR)).find_map(Accepted::car);
    let not_acceptable = |why: &str| Refused::new(StatusCode::NOT_ACCEPTABLE, why);
    match query.format.as_deref() {
        Some("raw") => return Ok(Form::Raw),
        Some("car") => return car(query, car_of_header().unwrap_or_default()),
        Some(other) if OTHER_FORMATS.contains(&other) => {
            return Err(not_acceptable("only the formats raw and car are served"));
        }
        Some(_) => return Err(Refused::bad("`format` is raw or car")),
        None => {}
    }
    for entry in &entries {
        if entry.name.eq_ignore_ascii_case(RAW) {
            return Ok(Form::Raw);
        }
        if entry.name.eq_ignore_ascii_case(CAR)
            && let Some(params) = entry.car()
        {
            return car(query, params);
        }
    }
    if entries.is_empty() || entries.iter().any(|entry| matches!(entry.name, "*/*" | "application/*")) {
        // Whatever is sent must be verifiable, so who asks must say that he can.
        return Err(Refused::bad("say what to send: ?format=raw, ?format=car, or Accept"));
    }
    Err(not_acceptable("only application/vnd.ipld.raw and application/vnd.ipld.car (version 1, order dfs) are served"))
}

fn car(query: &Query, params: CarParams) -> Result<Form, Refused> {
    if !matches!(query.version.as_deref(), None | Some("" | "1")) {
        return Err(Refused::bad("`car-version` is 1"));
    }
    if !matches!(query.order.as_deref(), None | Some("" | "dfs" | "unk")) {
        return Err(Refused::bad("`car-order` is dfs or unk"));
    }
    let dups = match query.dups.as_deref() {
        None | Some("") => params.dups.unwrap_or(false),
        Some("y") => true,
        Some("n") => false,
        Some(_) => return Err(Refused::bad("`car-dups` is y or n")),
    };
    Ok(Form::Car { dups, scope: query.scope()? })
}
