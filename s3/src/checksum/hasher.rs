//! A running checksum of any algorithm.

use md5::Digest;
use xxhash_rust::xxh3::Xxh3;
use xxhash_rust::xxh64::Xxh64;

use super::Algorithm;

/// A running checksum.
pub(crate) enum Hasher {
    Crc32(crc32fast::Hasher),
    Crc32c(u32),
    Crc64Nvme(crc64fast_nvme::Digest),
    Sha1(sha1::Sha1),
    Sha256(Box<sha2::Sha256>),
    Sha512(Box<sha2::Sha512>),
    Md5(md5::Md5),
    XxHash64(Xxh64),
    XxHash3(Box<Xxh3>),
    XxHash128(Box<Xxh3>),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
            Algorithm::Crc32c => Self::Crc32c(0),
            Algorithm::Crc64Nvme => Self::Crc64Nvme(crc64fast_nvme::Digest::new()),
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Box::default()),
            Algorithm::Sha512 => Self::Sha512(Box::default()),
            Algorithm::Md5 => Self::Md5(md5::Md5::new()),
            Algorithm::XxHash64 => Self::XxHash64(Xxh64::new(0)),
            Algorithm::XxHash3 => Self::XxHash3(Box::default()),
            Algorithm::XxHash128 => Self::XxHash128(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(h) => h.update(bytes),
            Self::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            Self::Crc64Nvme(h) => h.write(bytes),
            Self::Sha1(h) => h.update(bytes),
            Self::Sha256(h) => h.update(bytes),
            Self::Sha512(h) => h.update(bytes),
            Self::Md5(h) => h.update(bytes),
            Self::XxHash64(h) => h.update(bytes),
            Self::XxHash3(h) | Self::XxHash128(h) => h.update(bytes),
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
            Self::Sha512(h) => h.finalize().to_vec(),
            Self::Md5(h) => h.finalize().to_vec(),
            Self::XxHash64(h) => h.digest().to_be_bytes().to_vec(),
            Self::XxHash3(h) => h.digest().to_be_bytes().to_vec(),
            Self::XxHash128(h) => h.digest128().to_be_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn hash(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        bytes.chunks(3).for_each(|c| hasher.update(c));
        let value = hasher.finish();
        assert_eq!(value.len(), algorithm.width());
        STANDARD.encode(value)
    }

    /// Published check values: of `123456789` (CRC catalogue), of `abc` (SHA, MD5), and of nothing (xxHash).
    #[test]
    fn known_values() {
        assert_eq!(hash(Algorithm::Crc32, b"123456789"), STANDARD.encode(0xCBF4_3926u32.to_be_bytes()));
        assert_eq!(hash(Algorithm::Crc32c, b"123456789"), STANDARD.encode(0xE306_9283u32.to_be_bytes()));
        assert_eq!(hash(Algorithm::Crc64Nvme, b"123456789"), STANDARD.encode(0xAE8B_1486_0A79_9888u64.to_be_bytes()));
        assert_eq!(hash(Algorithm::Sha1, b"abc"), "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
        assert_eq!(hash(Algorithm::Sha256, b"abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        let sha512 = "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==";
        assert_eq!(hash(Algorithm::Sha512, b"abc"), sha512);
        assert_eq!(hash(Algorithm::Md5, b"abc"), "kAFQmDzST7DWlj99KOF/cg==");
        assert_eq!(hash(Algorithm::XxHash64, b""), STANDARD.encode(0xEF46_DB37_51D8_E999u64.to_be_bytes()));
        assert_eq!(hash(Algorithm::XxHash3, b""), STANDARD.encode(0x2D06_8005_38D3_94C2u64.to_be_bytes()));
        let of_nothing = 0x99AA_06D3_0147_98D8_6001_C324_468D_497Fu128;
        assert_eq!(hash(Algorithm::XxHash128, b""), STANDARD.encode(of_nothing.to_be_bytes()));
    }
}
