//! What a request says about its body's checksum.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use pinfold_store::meta::rows::{Checksum, ChecksumType};
use s3s::{S3Result, TrailingHeaders};

use super::{Algorithm, Hasher, Sums, in_header, several};
use crate::error::{checksum_mismatch, custom, invalid_request};

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
    match Algorithm::of_header(name) {
        Some(algorithm) => Ok(Some((algorithm, Expected::Trailer))),
        None => Err(invalid_request("The value specified in the x-amz-trailer header is not supported")),
    }
}

/// What `door` says in `x-amz-trailer` for a client that says nothing there, which s3s does not bear.
pub(crate) const NO_TRAILER: &str = "none";

fn from_trailer(algorithm: Algorithm, trailers: Option<&TrailingHeaders>) -> S3Result<Vec<u8>> {
    let name = algorithm.header();
    let value = trailers.and_then(|t| t.read(|map| map.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)));
    let Some(value) = value.flatten() else {
        return Err(custom("MalformedTrailerError", hyper::StatusCode::BAD_REQUEST));
    };
    algorithm.decode(&value).ok_or_else(|| invalid_request(format!("Value for {name} trailing header is invalid.")))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
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
}
