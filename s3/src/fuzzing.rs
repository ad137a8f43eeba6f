//! What `tests/fuzz` feeds: the parsers of this crate, under names that only the feature `fuzzing` shows. Each takes any bytes; that
//! it returns is what is asked of it, and where more holds than that, it is asserted here.

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use pinfold_store::iam::{Context, Policy, Question, Who, decide, validate};
use s3s::dto;
use s3s::xml::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

use crate::address::Address;
use crate::body::framing::{Framing, Kind, Trailer};
use crate::checksum::{self, Plan};
use crate::config::S3Config;
use crate::convert::{condition, headers, key, range, sse, tags, time as times};
use crate::host::Domains;
use crate::{admin, copysource, cors, form, guard, identity, lifecycle, longkey, ops, sigv4, subresource, website};

/// Reads a document, and what was read again after it was written.
fn document<T>(bytes: &[u8]) -> Option<T>
where
    T: for<'xml> Deserialize<'xml> + Serialize,
{
    let read = parse::<T>(bytes)?;
    let mut text = Vec::new();
    // Some of what is read cannot be written, as characters that XML does not have: then it is not kept either.
    if read.serialize(&mut Serializer::new(&mut text)).is_ok() {
        let _ = parse::<T>(&text);
    }
    Some(read)
}

fn parse<T: for<'xml> Deserialize<'xml>>(bytes: &[u8]) -> Option<T> {
    T::deserialize(&mut Deserializer::new(bytes)).ok()
}

/// Each kind of document that the door reads; the first byte chooses.
pub fn xml(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 18 {
        0 => drop(parse::<dto::Delete>(bytes)),
        1 => drop(parse::<dto::CompletedMultipartUpload>(bytes)),
        2 => {
            let _ = tags::from_document(bytes).map(|tags| tags::from_header(&tags::to_header(&tags)));
        }
        3 => drop(parse::<dto::CreateBucketConfiguration>(bytes)),
        4 => {
            let _ = tags::NewBucketTags::read(bytes);
        }
        5 => drop(document::<dto::VersioningConfiguration>(bytes)),
        6 => {
            if let Some(rules) = document::<dto::BucketLifecycleConfiguration>(bytes)
                && let Ok(read) = lifecycle::from_s3(rules)
            {
                drop(lifecycle::to_s3(read));
            }
        }
        7 => {
            if let Some(rules) = document::<dto::CORSConfiguration>(bytes) {
                let _ = cors::check(&rules);
            }
        }
        8 => {
            if let Some(site) = document::<dto::WebsiteConfiguration>(bytes) {
                let _ = website::check(&site, bytes.len() as u64);
            }
        }
        9 => {
            if let Some(notices) = parse::<dto::NotificationConfiguration>(bytes) {
                ops::notification::fuzz(notices);
            }
        }
        10 => drop(document::<dto::ServerSideEncryptionConfiguration>(bytes)),
        11 => drop(document::<dto::ObjectLockConfiguration>(bytes)),
        12 => drop(document::<dto::ObjectLockRetention>(bytes)),
        13 => drop(document::<dto::ObjectLockLegalHold>(bytes)),
        14 => drop(document::<dto::PublicAccessBlockConfiguration>(bytes)),
        15 => drop(document::<dto::OwnershipControls>(bytes)),
        16 => {
            if let Some(sent) = parse::<dto::AccessControlPolicy>(bytes) {
                ops::acl::fuzz(sent);
            }
        }
        _ => admin::fuzz(bytes),
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (checksum::wire::request(text), checksum::wire::answer(text));
    }
}

/// A head from text: a line `METHOD TARGET`, then headers.
fn head(text: &str) -> Option<Parts> {
    let mut lines = text.split('\n');
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let (Ok(name), Ok(value)) =
            (http::HeaderName::try_from(name.trim()), http::HeaderValue::from_bytes(value.trim().as_bytes()))
        else {
            continue;
        };
        request = request.header(name, value);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// Target, query and headers of a request, as the door reads them before and after the signature.
pub fn request(data: &[u8]) {
    let Some(head) = std::str::from_utf8(data).ok().and_then(head) else { return };
    let config = S3Config::default();
    let _ = (guard::check(&head, &config), guard::check_head(&head, &config), copysource::check(&head));
    let domains = Domains::new(&["example.com".to_owned()]);
    let query = head.uri.query().unwrap_or_default();
    if let Some(address) = Address::read(&head, domains.as_ref()) {
        let _ = subresource::check(&head.method, &address, query);
        let _ = (key::check_new(&address.key), key::check(&address.key));
        let encoded = key::url_encode(address.key.as_bytes());
        assert_eq!(key::percent_decode(&encoded, false).as_deref(), Some(address.key.as_str()));
        let again = key::parse_token(&key::token(address.key.as_bytes()));
        assert_eq!(again.ok().as_deref(), Some(address.key.as_bytes()));
    }
    for (name, value) in guard::form_pairs(query) {
        let _ = (key::parse_token(&value), key::Encoding::parse(Some(&value)), key::percent_decode(&name, true));
        let _ = range::copy_source(Some(&value), 1000);
        let _ = (times::parse_stamp(&value), times::parse_http_date(&value), tags::from_header(&value));
    }
    let map = &head.headers;
    let _ = (condition::of_read(map), condition::of_write(map), condition::of_copy_source(map));
    let _ = (condition::of_rename_source(map), headers::refuse_unsupported(map), headers::storage_class(map));
    let _ = (headers::read(map, None).is_ok(), sse::wanted(map).is_ok(), sse::customer(map).is_ok());
    let _ = (sse::source_customer(map).is_ok(), sse::refuse_managed(map), Plan::read(map).is_ok());
    let _ = (ops::acl::Sent::read(map).is_ok(), identity::token(&head).is_some(), longkey::source(map).is_some());
    for value in map.values().filter_map(|v| v.to_str().ok()) {
        let _ = (times::parse_http_date(value), range::copy_source(Some(value), 1000), tags::from_header(value));
        if let Ok(range) = dto::Range::parse(value) {
            let _ = range::resolve(1000, &[], Some(range), None);
        }
    }
    let verified = sigv4::verify(&head, head.uri.path(), &Known, OffsetDateTime::UNIX_EPOCH);
    let signer = futures::executor::block_on(verified);
    // Nobody guesses a signature.
    assert!(signer.is_err(), "a request of chance is {signer:?}'s");
    let _ = head.headers.get(HOST);
}

/// Has an account for whoever asks.
struct Known;

#[async_trait::async_trait]
impl crate::Credentials for Known {
    async fn find(&self, access: &str) -> pinfold_store::Result<Option<pinfold_store::namespace::Account>> {
        let (access, secret) = (access.to_owned(), "a secret that no corpus has".to_owned());
        let role = pinfold_store::namespace::Role::User;
        Ok(Some(pinfold_store::namespace::Account { access, secret, role, uid: 0, gid: 0, project: 0 }))
    }
}

/// A body in chunks, signed or not, with a trailer or without, however it is cut.
pub fn chunks(data: &[u8]) {
    let Some(([how, cut], body)) = data.split_first_chunk::<2>() else { return };
    let kind = if how & 1 == 0 { Kind::Signed } else { Kind::Unsigned };
    let trailer = match how & 2 {
        0 => Trailer::Nothing,
        _ => Trailer::Named("x-amz-checksum-crc32".to_owned()),
    };
    let run = |cut: usize| {
        let (mut framing, mut out) = (Framing::new(kind, trailer.clone()), VecDeque::new());
        let pushed = body.chunks(cut).try_for_each(|piece| framing.push(Bytes::copy_from_slice(piece), &mut out));
        let passed: usize = out.iter().map(Bytes::len).sum();
        // A byte that comes alone gets a line of its own.
        assert!(passed <= body.len() * 6 + 8, "{passed} bytes of {}", body.len());
        (pushed, framing.ended(), framing.finish(), data_of(kind, &out))
    };
    let (whole, pieces) = (run(body.len().max(1)), run(usize::from(*cut).max(1)));
    assert_eq!(whole, pieces, "it depends on how the body is cut");
}

/// What the chunks that come out hold; `None` for signed ones, which pass as they are.
fn data_of(kind: Kind, out: &VecDeque<Bytes>) -> Vec<u8> {
    let all: Vec<u8> = out.iter().flatten().copied().collect();
    if kind == Kind::Signed {
        return all;
    }
    let (mut rest, mut data) = (all.as_slice(), Vec::new());
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|t| usize::from_str_radix(t, 16).ok());
        match size {
            Some(size) if size > 0 && rest.len() >= end + size + 4 => {
                data.extend_from_slice(&rest[end + 2..end + 2 + size]);
                rest = &rest[end + 4 + size..];
            }
            _ => break,
        }
    }
    data.extend_from_slice(rest);
    data
}

/// Policies of buckets, accounts and roles: read, checked, and asked by whom, what, on what and in which circumstances the data
/// says. An input is a policy and, behind its first NUL, lines: who, action, resource, then `KEY=VALUE` of the request's context.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (document, question) = text.split_once('\0').unwrap_or((text, "alice\ns3:GetObject\narn:aws:s3:::b/k"));
    let checked = validate::bucket_policy(document, "b", |name| Ok::<_, ()>(name != "nobody"));
    let others = [validate::identity_policy(document).is_ok(), validate::trust_policy(document).is_ok()];
    let Ok(policy) = Policy::parse(document) else {
        assert!(!matches!(checked, Ok(Ok(_))) && others == [false; 2], "accepted, and cannot be read");
        return;
    };
    let mut lines = question.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (who, action, resource) = (line(), line(), line());
    let mut context = Context::default();
    for (key, value) in lines.filter_map(|line| line.split_once('=')) {
        context.add(key, value);
    }
    let _ = policy.is_public();
    for who in [Who::Anonymous, Who::Account(who)] {
        let question = Question { who, action, resource, context: &context };
        assert_eq!(decide([&policy, &policy], &question), decide([&policy], &question), "said twice is said");
    }
}

/// A form's policy and its fields.
pub fn form(data: &[u8]) {
    form::fuzz(data);
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;

    /// Mutations of each seed in a run that nobody gave a time.
    const MUTATIONS: usize = 300;

    /// xorshift64*: what a failure was found with is found again.
    struct Random(u64);

    impl Random {
        fn below(&mut self, most: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % most.max(1)
        }
    }

    /// A few changes of the kinds that find the most: bits, pieces that go, come twice, or come from another seed.
    fn mutate(random: &mut Random, seeds: &[Vec<u8>], mut data: Vec<u8>) -> Vec<u8> {
        for _ in 0..=random.below(6) {
            let (at, other) = (random.below(data.len() + 1), &seeds[random.below(seeds.len())]);
            let end = (at + random.below(32)).min(data.len());
            match random.below(6) {
                0 if at < data.len() => data[at] ^= 1 << random.below(8),
                1 if at < data.len() => data[at] = b"\0\xff<>&\"'/%+=;:,.*?$0a{}[]\r\n \xc3"[random.below(28)],
                2 => drop(data.drain(at..end)),
                3 => {
                    let piece = data[at..end].to_vec();
                    data.splice(at..at, piece.repeat(1 + random.below(4)));
                }
                4 => {
                    let from = random.below(other.len() + 1);
                    let to = (from + random.below(64)).min(other.len());
                    data.splice(at..end, other[from..to].iter().copied());
                }
                _ => data.truncate(data.len() - random.below(data.len() / 4 + 1)),
            }
        }
        data.truncate(64 * 1024);
        data
    }

    /// Each seed of a target of `tests/fuzz`, and what comes of changing them. cargo-fuzz goes further, and needs a nightly
    /// compiler; this runs wherever tests do. `PINFOLD_TEST_FUZZ_SECONDS` gives it a time instead of a number.
    fn run(target: &str, take: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds").join(target);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let seeds: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
        assert!(!seeds.is_empty());
        seeds.iter().for_each(|seed| take(seed));
        let seconds: Option<u64> =
            std::env::var("PINFOLD_TEST_FUZZ_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
        let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let (mut random, mut runs) = (Random(0x9e37_79b9_7f4a_7c15 ^ target.len() as u64), 0);
        while until.map_or(runs < MUTATIONS * seeds.len(), |until| Instant::now() < until) {
            let seed = seeds[random.below(seeds.len())].clone();
            let data = mutate(&mut random, &seeds, seed);
            let taken = std::panic::catch_unwind(|| take(&data));
            assert!(taken.is_ok(), "run {runs} of {target}: {:?}", String::from_utf8_lossy(&data));
            runs += 1;
        }
        eprintln!("{target}: {runs} runs");
    }

    #[test]
    fn documents() {
        run("xml", xml);
    }

    #[test]
    fn heads_of_requests() {
        run("request", request);
    }

    #[test]
    fn bodies_in_chunks() {
        run("chunks", chunks);
    }

    #[test]
    fn policies() {
        run("policy", policy);
    }

    #[test]
    fn forms() {
        run("form", form);
    }
}
