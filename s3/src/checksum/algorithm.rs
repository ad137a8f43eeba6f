//! The ten algorithms: names, headers, widths, and which type of checksum of an upload each can make.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pinfold_store::meta::rows::ChecksumType;
use s3s::S3Result;

use crate::error::invalid_request;

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
    /// SHA-512.
    Sha512,
    /// MD5, as a checksum beside the ETag.
    Md5,
    /// XXH64 with seed 0.
    XxHash64,
    /// XXH3, 64 bits, seed 0.
    XxHash3,
    /// XXH3, 128 bits, seed 0.
    XxHash128,
}

impl Algorithm {
    pub(super) const ALL: [Self; 10] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Md5,
        Self::XxHash64,
        Self::XxHash3,
        Self::XxHash128,
    ];

    /// Those that s3s 0.14.1 has no fields for (`wire`).
    pub(super) const UNKNOWN_TO_S3S: [Self; 5] =
        [Self::Sha512, Self::Md5, Self::XxHash64, Self::XxHash3, Self::XxHash128];

    /// By S3's name, in any case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// By its header, in any case.
    pub(super) fn of_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.header().eq_ignore_ascii_case(name))
    }

    /// From a request's word for it; AWS's error for an unknown one.
    pub(crate) fn require(name: &str) -> S3Result<Self> {
        Self::parse(name).ok_or_else(|| {
            invalid_request(
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                 [CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512, XXHASH128, XXHASH3, XXHASH64]",
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
            Self::Sha512 => "SHA512",
            Self::Md5 => "MD5",
            Self::XxHash64 => "XXHASH64",
            Self::XxHash3 => "XXHASH3",
            Self::XxHash128 => "XXHASH128",
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
            Self::Sha512 => "x-amz-checksum-sha512",
            Self::Md5 => "x-amz-checksum-md5",
            Self::XxHash64 => "x-amz-checksum-xxhash64",
            Self::XxHash3 => "x-amz-checksum-xxhash3",
            Self::XxHash128 => "x-amz-checksum-xxhash128",
        }
    }

    /// Bytes of a value.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme | Self::XxHash64 | Self::XxHash3 => 8,
            Self::Md5 | Self::XxHash128 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
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

    /// The type of an upload: AWS has no composite CRC64NVME, and of the whole object only CRCs can be had from parts.
    pub(crate) fn upload_type(self, asked: Option<ChecksumType>) -> S3Result<ChecksumType> {
        let kind = asked.unwrap_or_else(|| self.default_type());
        let possible = match kind {
            ChecksumType::Composite => self != Self::Crc64Nvme,
            ChecksumType::FullObject => matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme),
        };
        if !possible {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_types() {
        assert_eq!(Algorithm::Crc32.upload_type(None).unwrap(), ChecksumType::Composite);
        assert_eq!(Algorithm::Crc64Nvme.upload_type(None).unwrap(), ChecksumType::FullObject);
        assert_eq!(Algorithm::Crc32c.upload_type(Some(ChecksumType::FullObject)).unwrap(), ChecksumType::FullObject);
        assert!(Algorithm::Crc64Nvme.upload_type(Some(ChecksumType::Composite)).is_err());
        for digest in [Algorithm::Sha1, Algorithm::Sha512, Algorithm::Md5, Algorithm::XxHash64, Algorithm::XxHash128] {
            assert_eq!(digest.upload_type(None).unwrap(), ChecksumType::Composite);
            assert!(digest.upload_type(Some(ChecksumType::FullObject)).is_err(), "{digest:?}");
        }
        assert_eq!(parse_type("full_object").unwrap(), ChecksumType::FullObject);
        assert!(parse_type("HALF").is_err());
    }
}
