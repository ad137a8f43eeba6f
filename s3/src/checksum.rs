//! Checksums: the five algorithms of S3, what a request promises about its body, and what came of it.
//!
//! A body sent without any checksum gets a CRC64NVME, as AWS does it: it costs next to nothing and lets every later
//! reader check the bytes. An upload created without an algorithm is CRC64NVME over the whole object.

// over 500 lines because five algorithms times header, trailer and part are one table of rules, with its tests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use pinfold_store::meta::rows::{Checksum, ChecksumType};
use pinfold_store::namespace::s3_types::UploadInfo;
use s3s::{S3Error, S3Result, TrailingHeaders};
use sha1::Digest;

use crate::crc;
use crate::error::{checksum_mismatch, custom, invalid_request};

/// A checksum algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (iSCSI).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// By S3's name, in any case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// From a request's word for it; AWS's error for an unknown one.
    pub(crate) fn require(name: &str) -> S3Result<Self> {
        Self::parse(name).ok_or_else(|| {
            invalid_request(
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                 [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
            )
        })
    }

    /// S3's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// Its header.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Bytes of a value.
    fn width(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Decodes a base64 value; `None` if it is none of this algorithm.
    pub(crate) fn decode(self, value: &str) -> Option<Vec<u8>> {
        STANDARD.decode(value).ok().filter(|bytes| bytes.len() == self.width())
    }

    /// The type of an upload that does not say which.
    fn default_type(self) -> ChecksumType {
        match self {
            Self::Crc64Nvme => ChecksumType::FullObject,
            _ => ChecksumType::Composite,
        }
    }

    /// The type of an upload: AWS has no composite CRC64NVME and no whole-object SHA of parts.
    pub(crate) fn upload_type(self, asked: Option<ChecksumType>) -> S3Result<ChecksumType> {
        let kind = asked.unwrap_or_else(|| self.default_type());
        let impossible = match kind {
            ChecksumType::Composite => self == Self::Crc64Nvme,
            ChecksumType::FullObject => matches!(self, Self::Sha1 | Self::Sha256),
        };
        if impossible {
            return Err(invalid_request(format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                type_name(kind),
                self.name().to_lowercase()
            )));
        }
        Ok(kind)
    }
}

/// S3's name of a checksum's type.
pub(crate) fn type_name(kind: ChecksumType) -> &'static str {
    match kind {
        ChecksumType::FullObject => "FULL_OBJECT",
        ChecksumType::Composite => "COMPOSITE",
    }
}

/// Reads `x-amz-checksum-type`, in any case.
pub(crate) fn parse_type(text: &str) -> S3Result<ChecksumType> {
    [ChecksumType::FullObject, ChecksumType::Composite]
        .into_iter()
        .find(|kind| type_name(*kind).eq_ignore_ascii_case(text))
        .ok_or_else(|| invalid_request("Value for x-amz-checksum-type header is invalid."))
}

/// A running checksum.
pub(crate) enum Hasher {
    Crc32(crc32fast::Hasher),
    Crc32c(u32),
    Crc64Nvme(crc64fast_nvme::Digest),
    Sha1(sha1::Sha1),
    Sha256(Box<sha2::Sha256>),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
            Algorithm::Crc32c => Self::Crc32c(0),
            Algorithm::Crc64Nvme => Self::Crc64Nvme(crc64fast_nvme::Digest::new()),
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(h) => h.update(bytes),
            Self::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            Self::Crc64Nvme(h) => h.write(bytes),
            Self::Sha1(h) => h.update(bytes),
            Self::Sha256(h) => h.update(bytes),
        }
    }

    /// The value, big-endian as S3 sends it.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc32(h) => h.finalize().to_be_bytes().to_vec(),
            Self::Crc32c(crc) => crc.to_be_bytes().to_vec(),
            Self::Crc64Nvme(h) => h.sum64().to_be_bytes().to_vec(),
            Self::Sha1(h) => h.finalize().to_vec(),
            Self::Sha256(h) => h.finalize().to_vec(),
        }
    }
}

/// What an upload does about checksums.
pub(crate) struct Sums {
    /// The algorithm that its parts keep.
    pub(crate) kept: Algorithm,
    /// Whether the object's checksum is composite.
    pub(crate) kind: ChecksumType,
    /// The client asked for it; else it is the default, and is not shown before the object is complete.
    pub(crate) asked: bool,
}

impl Sums {
    pub(crate) fn of(upload: &UploadInfo) -> Self {
        let named = upload.checksum.as_ref().and_then(|(name, kind)| Some((Algorithm::parse(name)?, *kind)));
        match named {
            Some((kept, kind)) => Self { kept, kind, asked: true },
            None => Self { kept: Algorithm::Crc64Nvme, kind: ChecksumType::FullObject, asked: false },
        }
    }
}

/// What a request says about its body's checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The algorithm that is computed and kept.
    pub(crate) algorithm: Algorithm,
    /// Another algorithm that the client sent and that is only verified (a part's, of an upload by default).
    pub(crate) also: Option<Algorithm>,
    expected: Expected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    /// Nothing was said.
    Nothing,
    /// In a header.
    Header(Vec<u8>),
    /// In the trailer of this name.
    Trailer,
}

impl Plan {
    /// Reads `x-amz-checksum-*`, `x-amz-trailer` and `x-amz-sdk-checksum-algorithm`, in AWS's words where they
    /// contradict each other.
    pub(crate) fn read(headers: &HeaderMap) -> S3Result<Self> {
        let sent = sent(headers)?;
        let (algorithm, expected) = match sent {
            Some((algorithm, expected)) => (algorithm, expected),
            None => {
                if let Some(name) = headers.get("x-amz-sdk-checksum-algorithm") {
                    Algorithm::require(name.to_str().unwrap_or_default())?;
                    return Err(invalid_request(
                        "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
                         x-amz-trailer headers were found.",
                    ));
                }
                return Ok(Self { algorithm: Algorithm::Crc64Nvme, also: None, expected: Expected::Nothing });
            }
        };
        if let Some(name) = headers.get("x-amz-sdk-checksum-algorithm")
            && Algorithm::require(name.to_str().unwrap_or_default())? != algorithm
        {
            return Err(invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid."));
        }
        Ok(Self { algorithm, also: None, expected })
    }

    /// The plan for a part of an upload: the part brings the checksum that was asked for, or none if it is of the whole
    /// object. Where none was asked for, it may bring any: then both are computed.
    pub(crate) fn for_part(self, sums: &Sums) -> S3Result<Self> {
        let sent = self.expected != Expected::Nothing;
        if sent && !sums.asked && self.algorithm != sums.kept {
            return Ok(Self { algorithm: sums.kept, also: Some(self.algorithm), expected: self.expected });
        }
        let fits =
            if sent { self.algorithm == sums.kept } else { !sums.asked || sums.kind == ChecksumType::FullObject };
        if fits {
            return Ok(Self { algorithm: sums.kept, ..self });
        }
        Err(invalid_request(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            sums.kept.name(),
            if sent { self.algorithm.name() } else { "null" }
        )))
    }

    /// The hashers to run over the body.
    pub(crate) fn start(&self) -> Running {
        Running { kept: Hasher::new(self.algorithm), also: self.also.map(Hasher::new) }
    }

    /// Compares, once the body has been read to its end.
    pub(crate) fn verify(&self, running: Running, trailers: Option<&TrailingHeaders>) -> S3Result<Verified> {
        let kept = running.kept.finish();
        let also = running.also.map(Hasher::finish);
        let checked = self.also.unwrap_or(self.algorithm);
        let computed = also.as_ref().unwrap_or(&kept);
        let expected = match &self.expected {
            Expected::Nothing => None,
            Expected::Header(value) => Some(value.clone()),
            Expected::Trailer => Some(from_trailer(checked, trailers)?),
        };
        if expected.is_some_and(|e| e != *computed) {
            return Err(checksum_mismatch(checked.name()));
        }
        let checksum = |algorithm: Algorithm, value: &[u8]| Checksum {
            algorithm: algorithm.name().to_owned(),
            value: STANDARD.encode(value),
            kind: ChecksumType::FullObject,
        };
        let sent = (self.expected != Expected::Nothing).then(|| checksum(checked, computed));
        Ok(Verified { kept: checksum(self.algorithm, &kept), sent })
    }
}

/// What came of a [`Plan`].
pub(crate) struct Verified {
    /// The checksum to keep.
    pub(crate) kept: Checksum,
    /// The one that the client sent, which is right.
    pub(crate) sent: Option<Checksum>,
}

/// A whole object's checksum as CompleteMultipartUpload names it, without the number of parts.
pub(crate) struct Whole {
    /// Its algorithm.
    pub(crate) algorithm: Algorithm,
    /// Base64.
    pub(crate) value: String,
}

/// Reads the `x-amz-checksum-*` header of a CompleteMultipartUpload; a composite one may end in `-N`.
pub(crate) fn whole(headers: &HeaderMap) -> S3Result<Option<Whole>> {
    let mut found = None;
    for name in value_headers(headers) {
        let algorithm = of_header(name)?;
        let Some(value) = headers.get(name) else { continue };
        let value = value.to_str().unwrap_or_default();
        // Base64 knows no dash: what follows one must be the number of parts.
        let value = match value.split_once('-') {
            Some((value, count)) if !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()) => value,
            Some(_) => "",
            None => value,
        };
        if found.replace((algorithm, value)).is_some() {
            return Err(several());
        }
    }
    match found {
        None => Ok(None),
        Some((algorithm, value)) if algorithm.decode(value).is_some() => {
            Ok(Some(Whole { algorithm, value: value.to_owned() }))
        }
        Some((algorithm, _)) => Err(invalid_request(format!("Value for {} header is invalid.", algorithm.header()))),
    }
}

/// The hashers of a [`Plan`].
pub(crate) struct Running {
    kept: Hasher,
    also: Option<Hasher>,
}

impl Running {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.kept.update(bytes);
        if let Some(also) = &mut self.also {
            also.update(bytes);
        }
    }
}

/// The checksum that comes in a header, if any: AWS's error for several, for one of an algorithm that is not served,
/// and for a value that is none.
pub(crate) fn in_header(headers: &HeaderMap) -> S3Result<Option<(Algorithm, Vec<u8>)>> {
    let names = value_headers(headers);
    if names.len() > 1 {
        return Err(several());
    }
    let Some(name) = names.first() else { return Ok(None) };
    let algorithm = of_header(name)?;
    let value = headers.get(*name).and_then(|v| v.to_str().ok()).and_then(|v| algorithm.decode(v));
    let value = value.ok_or_else(|| invalid_request(format!("Value for {name} header is invalid.")))?;
    Ok(Some((algorithm, value)))
}

/// Names of the headers that bring a checksum's value.
fn value_headers(headers: &HeaderMap) -> Vec<&str> {
    const NO_VALUES: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"];
    let is_value = |n: &&str| n.starts_with("x-amz-checksum-") && !NO_VALUES.contains(n);
    headers.keys().map(|n| n.as_str()).filter(is_value).collect()
}

fn of_header(name: &str) -> S3Result<Algorithm> {
    let known = Algorithm::ALL.into_iter().find(|a| a.header() == name);
    known.ok_or_else(|| invalid_request("The algorithm type you specified in x-amz-checksum- header is invalid."))
}

fn sent(headers: &HeaderMap) -> S3Result<Option<(Algorithm, Expected)>> {
    let trailer =
        headers.get("x-amz-trailer").map(|t| t.to_str().unwrap_or_default().trim()).filter(|t| *t != NO_TRAILER);
    if let Some((algorithm, value)) = in_header(headers)? {
        return match trailer {
            Some(_) => Err(several()),
            None => Ok(Some((algorithm, Expected::Header(value)))),
        };
    }
    let Some(name) = trailer else { return Ok(None) };
    match Algorithm::ALL.into_iter().find(|a| a.header().eq_ignore_ascii_case(name)) {
        Some(algorithm) => Ok(Some((algorithm, Expected::Trailer))),
        None => Err(invalid_request("The value specified in the x-amz-trailer header is not supported")),
    }
}

/// What `door` says in `x-amz-trailer` for a client that says nothing there, which s3s does not bear.
pub(crate) const NO_TRAILER: &str = "none";

fn several() -> S3Error {
    invalid_request("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

fn from_trailer(algorithm: Algorithm, trailers: Option<&TrailingHeaders>) -> S3Result<Vec<u8>> {
    let name = algorithm.header();
    let value = trailers.and_then(|t| t.read(|map| map.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)));
    let Some(value) = value.flatten() else {
        return Err(custom("MalformedTrailerError", hyper::StatusCode::BAD_REQUEST));
    };
    algorithm.decode(&value).ok_or_else(|| invalid_request(format!("Value for {name} trailing header is invalid.")))
}

/// A part of a completed upload, for its object's checksum.
pub(crate) struct PartSum {
    /// Its value, big-endian.
    pub(crate) value: Vec<u8>,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// The checksum of an object of these parts: composed of the parts' checksums, or combined to the whole object's.
/// `None` if there is no such thing (a whole-object SHA).
pub(crate) fn of_parts(algorithm: Algorithm, kind: ChecksumType, parts: &[PartSum]) -> Option<Checksum> {
    let value = match kind {
        ChecksumType::Composite => {
            let mut hasher = Hasher::new(algorithm);
            parts.iter().for_each(|p| hasher.update(&p.value));
            format!("{}-{}", STANDARD.encode(hasher.finish()), parts.len())
        }
        ChecksumType::FullObject => {
            let polynomial = match algorithm {
                Algorithm::Crc32 => crc::CRC32,
                Algorithm::Crc32c => crc::CRC32C,
                Algorithm::Crc64Nvme => crc::CRC64NVME,
                Algorithm::Sha1 | Algorithm::Sha256 => return None,
            };
            let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
            let whole = parts.iter().fold(0, |sum, p| polynomial.combine(sum, number(&p.value), p.size));
            STANDARD.encode(&whole.to_be_bytes()[8 - algorithm.width()..])
        }
    };
    Some(Checksum { algorithm: algorithm.name().to_owned(), value, kind })
}

/// s3s's output types each have the five checksum fields: fills the right one.
macro_rules! set_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            let value = Some(checksum.value.clone());
            match $crate::checksum::Algorithm::parse(&checksum.algorithm) {
                Some($crate::checksum::Algorithm::Crc32) => $output.checksum_crc32 = value,
                Some($crate::checksum::Algorithm::Crc32c) => $output.checksum_crc32c = value,
                Some($crate::checksum::Algorithm::Crc64Nvme) => $output.checksum_crc64nvme = value,
                Some($crate::checksum::Algorithm::Sha1) => $output.checksum_sha1 = value,
                Some($crate::checksum::Algorithm::Sha256) => $output.checksum_sha256 = value,
                None => {}
            }
        }
    };
}
pub(crate) use set_checksum;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn hash(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        bytes.chunks(3).for_each(|c| hasher.update(c));
        STANDARD.encode(hasher.finish())
    }

    /// Published check values of `123456789` (CRC catalogue) and of the SHA standards' `abc`.
    #[test]
    fn known_values() {
        assert_eq!(hash(Algorithm::Crc32, b"123456789"), STANDARD.encode(0xCBF4_3926u32.to_be_bytes()));
        assert_eq!(hash(Algorithm::Crc32c, b"123456789"), STANDARD.encode(0xE306_9283u32.to_be_bytes()));
        assert_eq!(hash(Algorithm::Crc64Nvme, b"123456789"), STANDARD.encode(0xAE8B_1486_0A79_9888u64.to_be_bytes()));
        assert_eq!(hash(Algorithm::Sha1, b"abc"), "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
        assert_eq!(hash(Algorithm::Sha256, b"abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    fn message(headers: &[(&'static str, &str)]) -> String {
        Plan::read(&map(headers)).unwrap_err().message().unwrap_or_default().to_owned()
    }

    #[test]
    fn plans_of_requests() {
        let nothing = Plan::read(&HeaderMap::new()).unwrap();
        assert_eq!((nothing.algorithm, nothing.expected), (Algorithm::Crc64Nvme, Expected::Nothing));
        let header = Plan::read(&map(&[("x-amz-checksum-crc32", "y/Q5Jg==")])).unwrap();
        assert_eq!(header.algorithm, Algorithm::Crc32);
        let trailer = Plan::read(&map(&[("x-amz-trailer", "x-amz-checksum-sha256")])).unwrap();
        assert_eq!((trailer.algorithm, trailer.expected), (Algorithm::Sha256, Expected::Trailer));
        assert!(
            message(&[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-sha1", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=")])
                .starts_with("Expecting a single")
        );
        assert!(message(&[("x-amz-checksum-crc32", "AAAA")]).contains("x-amz-checksum-crc32 header is invalid"));
        assert!(message(&[("x-amz-checksum-md6", "AAAA")]).contains("algorithm type"));
        assert!(message(&[("x-amz-trailer", "x-amz-meta-a")]).contains("x-amz-trailer"));
        assert!(message(&[("x-amz-sdk-checksum-algorithm", "CRC32")]).contains("no corresponding"));
        assert!(message(&[("x-amz-sdk-checksum-algorithm", "CRC9")]).contains("unsupported"));
    }

    fn verify(headers: &[(&'static str, &str)], body: &[u8]) -> Result<Checksum, String> {
        let plan = Plan::read(&map(headers)).unwrap();
        let mut running = plan.start();
        running.update(body);
        plan.verify(running, None).map(|v| v.kept).map_err(|e| e.code().as_str().to_owned())
    }

    #[test]
    fn bodies_are_compared() {
        assert!(verify(&[("x-amz-checksum-crc32", "y/Q5Jg==")], b"123456789").is_ok());
        assert_eq!(verify(&[("x-amz-checksum-crc32", "y/Q5Jg==")], b"123456780"), Err("BadDigest".to_owned()));
        let missing = verify(&[("x-amz-trailer", "x-amz-checksum-crc32")], b"123456789");
        assert_eq!(missing, Err("MalformedTrailerError".to_owned()));
        assert_eq!(verify(&[], b"123456789").unwrap().algorithm, "CRC64NVME");
    }

    #[test]
    fn parts_bring_the_uploads_checksum_or_none() {
        let sums = |kept, kind, asked| Sums { kept, kind, asked };
        let (full, composite) = (ChecksumType::FullObject, ChecksumType::Composite);
        let crc32 = || Plan::read(&map(&[("x-amz-checksum-crc32", "y/Q5Jg==")])).unwrap();
        let nothing = || Plan::read(&HeaderMap::new()).unwrap();
        assert!(crc32().for_part(&sums(Algorithm::Sha256, composite, true)).is_err());
        assert!(nothing().for_part(&sums(Algorithm::Sha256, composite, true)).is_err());
        assert_eq!(nothing().for_part(&sums(Algorithm::Crc32, full, true)).unwrap().algorithm, Algorithm::Crc32);
        assert_eq!(crc32().for_part(&sums(Algorithm::Crc32, composite, true)).unwrap().also, None);
        let unasked = sums(Algorithm::Crc64Nvme, full, false);
        assert_eq!(nothing().for_part(&unasked).unwrap().also, None);
        let both = crc32().for_part(&unasked).unwrap();
        assert_eq!((both.algorithm, both.also), (Algorithm::Crc64Nvme, Some(Algorithm::Crc32)));
        let mut running = both.start();
        running.update(b"123456789");
        let verified = both.verify(running, None).unwrap();
        assert_eq!(verified.kept.value, STANDARD.encode(0xAE8B_1486_0A79_9888u64.to_be_bytes()));
        assert_eq!(verified.sent.unwrap().value, "y/Q5Jg==");
        let mut running = both.start();
        running.update(b"12345678");
        assert!(both.verify(running, None).is_err());
    }

    #[test]
    fn parts_make_the_objects_checksum() {
        let body: Vec<u8> = (0..100_000u32).map(|i| (i * 7 % 251) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let parts: Vec<PartSum> = [&body[..1], &body[1..40_000], &body[40_000..40_000], &body[40_000..]]
                .iter()
                .map(|p| PartSum { value: algorithm.decode(&hash(algorithm, p)).unwrap(), size: p.len() as u64 })
                .collect();
            let whole = of_parts(algorithm, ChecksumType::FullObject, &parts).unwrap();
            assert_eq!(whole.value, hash(algorithm, &body), "{algorithm:?}");
        }
        let part = PartSum { value: Algorithm::Sha256.decode(&hash(Algorithm::Sha256, b"abc")).unwrap(), size: 3 };
        let composite = of_parts(Algorithm::Sha256, ChecksumType::Composite, &[part]).unwrap();
        let inner = STANDARD.decode(hash(Algorithm::Sha256, b"abc")).unwrap();
        assert_eq!(composite.value, format!("{}-1", hash(Algorithm::Sha256, &inner)));
        assert!(of_parts(Algorithm::Sha1, ChecksumType::FullObject, &[]).is_none());
    }

    #[test]
    fn upload_types() {
        assert_eq!(Algorithm::Crc32.upload_type(None).unwrap(), ChecksumType::Composite);
        assert_eq!(Algorithm::Crc64Nvme.upload_type(None).unwrap(), ChecksumType::FullObject);
        assert_eq!(Algorithm::Crc32c.upload_type(Some(ChecksumType::FullObject)).unwrap(), ChecksumType::FullObject);
        assert!(Algorithm::Sha1.upload_type(Some(ChecksumType::FullObject)).is_err());
        assert!(Algorithm::Crc64Nvme.upload_type(Some(ChecksumType::Composite)).is_err());
        assert_eq!(parse_type("full_object").unwrap(), ChecksumType::FullObject);
        assert!(parse_type("HALF").is_err());
    }
}
