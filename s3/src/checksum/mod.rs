//! Checksums: S3's ten algorithms, what a request promises about its body, and what came of it.
//!
//! A body sent without any checksum gets a CRC64NVME, as AWS does it: it costs next to nothing and lets every later
//! reader check the bytes. An upload created without an algorithm is CRC64NVME over the whole object.

mod algorithm;
mod hasher;
mod plan;
pub(crate) mod wire;

pub(crate) use algorithm::{Algorithm, parse_type, type_name};
pub(crate) use hasher::Hasher;
pub(crate) use plan::{NO_TRAILER, Plan, Running};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use pinfold_store::meta::rows::{Checksum, ChecksumType};
use pinfold_store::namespace::s3_types::UploadInfo;
use s3s::{S3Error, S3Result};

use crate::crc;
use crate::error::invalid_request;

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
    Algorithm::of_header(name)
        .ok_or_else(|| invalid_request("The algorithm type you specified in x-amz-checksum- header is invalid."))
}

fn several() -> S3Error {
    invalid_request("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
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
                _ => return None,
            };
            let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
            let whole = parts.iter().fold(0, |sum, p| polynomial.combine(sum, number(&p.value), p.size));
            STANDARD.encode(&whole.to_be_bytes()[8 - algorithm.width()..])
        }
    };
    Some(Checksum { algorithm: algorithm.name().to_owned(), value, kind })
}

/// s3s's output types each have five checksum fields: fills the right one (`wire` for an algorithm without).
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
                Some(_) => $output.checksum_sha256 = Some($crate::checksum::wire::carried(&checksum)),
                None => {}
            }
        }
    };
}
pub(crate) use set_checksum;

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        bytes.chunks(3).for_each(|c| hasher.update(c));
        STANDARD.encode(hasher.finish())
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
}
