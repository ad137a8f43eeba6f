//! A key that a client brings with each request (SSE-C). It is never stored: what is kept is a random salt and a MAC.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::content::ContentKey;
use super::master::{Secret, random};
use crate::error::Result;

/// Such a key.
#[derive(Clone, Debug)]
pub struct CustomerKey(Secret);

impl CustomerKey {
    /// From the client's 32 bytes.
    pub fn new(key: Secret) -> Self {
        Self(key)
    }

    /// A salt for a new object.
    pub fn salt() -> Result<[u8; 16]> {
        let mut salt = [0; 16];
        random(&mut salt)?;
        Ok(salt)
    }

    /// What is kept to tell the right key from another: HMAC-SHA-256 of the salt under it.
    pub fn check(&self, salt: &[u8; 16]) -> [u8; 32] {
        self.mac(b"pinfold SSE-C check 1\0", salt)
    }

    /// Whether it is the key that `check` was made of.
    pub fn matches(&self, salt: &[u8; 16], check: &[u8; 32]) -> bool {
        self.check(salt).ct_eq(check).into()
    }

    /// The keys of the object with this salt.
    pub fn content_key(&self, salt: &[u8; 16]) -> ContentKey {
        ContentKey::derive(&Secret::new(self.mac(b"pinfold SSE-C content 1\0", salt)))
    }

    fn mac(&self, purpose: &[u8], salt: &[u8; 16]) -> [u8; 32] {
        // A key of 32 bytes is taken as it is: there is no error to meet.
        let mut key = zeroize::Zeroizing::new([0u8; 64]);
        key[..32].copy_from_slice(self.0.bytes());
        let mut mac = <Hmac<Sha256> as Mac>::new((&*key).into());
        mac.update(purpose);
        mac.update(salt);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_or_salt_is_told() {
        let (one, other) = (CustomerKey::new(Secret::new([1; 32])), CustomerKey::new(Secret::new([2; 32])));
        let check = one.check(&[3; 16]);
        assert!(one.matches(&[3; 16], &check));
        assert!(!other.matches(&[3; 16], &check) && !one.matches(&[4; 16], &check));
        // Frozen; HMAC-SHA-256 as Python's hmac has it.
        assert_eq!(hex::encode(check), "2e039ca39f17910028a80022df3719ac1b53760a82272371ac52d6441228aa24");
        let mut bytes = *b"text";
        let frame = one.content_key(&[3; 16]).seal_chunk(&mut bytes).unwrap();
        assert!(one.content_key(&[4; 16]).open_chunk(&frame, &mut bytes.clone()).is_err());
        one.content_key(&[3; 16]).open_chunk(&frame, &mut bytes).unwrap();
        assert_eq!(&bytes, b"text");
        assert!(!format!("{one:?}").contains('1'));
    }
}
