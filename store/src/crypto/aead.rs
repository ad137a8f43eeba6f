//! XChaCha20-Poly1305 with the tag apart from the bytes, so that a sealed chunk is as long as a plain one.

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};

use crate::error::{Error, ErrorKind, Result};

/// Bytes of a nonce.
pub(super) const NONCE: usize = 24;
/// Bytes of a tag.
pub(super) const TAG: usize = 16;

/// Seals `bytes` in place and answers the tag.
pub(super) fn seal(key: &[u8; 32], nonce: &[u8; NONCE], aad: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG]> {
    let cipher = XChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_in_place_detached(XNonce::from_slice(nonce), aad, bytes).map_err(|_| {
        Error::new(ErrorKind::TooLarge, "more bytes than one nonce may seal").with("bytes", bytes.len())
    })?;
    Ok(tag.into())
}

/// Opens `bytes` in place. False if they, the tag, the key or what they are bound to is another; they are then as before.
#[must_use]
pub(super) fn open(key: &[u8; 32], nonce: &[u8; NONCE], aad: &[u8], bytes: &mut [u8], tag: &[u8; TAG]) -> bool {
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt_in_place_detached(XNonce::from_slice(nonce), aad, bytes, Tag::from_slice(tag)).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Appendix A.3.1 of draft-irtf-cfrg-xchacha-03.
    #[test]
    fn the_drafts_vector_comes_out() {
        let text: &[u8] =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                            sunscreen would be it.";
        let key: [u8; 32] = std::array::from_fn(|n| 0x80 + n as u8);
        let nonce: [u8; 24] = std::array::from_fn(|n| 0x40 + n as u8);
        let aad = hex::decode("50515253c0c1c2c3c4c5c6c7").unwrap();
        let mut bytes = text.to_vec();
        let tag = seal(&key, &nonce, &aad, &mut bytes).unwrap();
        let expected = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
                        ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
                        21f9664c97637da9768812f615c68b13b52e";
        assert_eq!(hex::encode(&bytes), expected);
        assert_eq!(hex::encode(tag), "c0875924c1c7987947deafd8780acf49");
        assert!(open(&key, &nonce, &aad, &mut bytes, &tag));
        assert_eq!(bytes, text);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_anywhere_is_noticed(
            text in proptest::collection::vec(any::<u8>(), 0..300),
            key: [u8; 32],
            nonce: [u8; 24],
            at: prop::sample::Index,
            bit in 0u8..8,
        ) {
            let mut bytes = text.clone();
            let mut tag = seal(&key, &nonce, b"aad", &mut bytes).unwrap();
            let n = at.index(bytes.len() + TAG);
            let place = if n < bytes.len() { &mut bytes[n] } else { &mut tag[n - text.len()] };
            *place ^= 1 << bit;
            let damaged = bytes.clone();
            prop_assert!(!open(&key, &nonce, b"aad", &mut bytes, &tag));
            prop_assert_eq!(bytes, damaged);
        }
    }
}
