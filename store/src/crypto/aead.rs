//! XChaCha20-Poly1305 with the tag apart from the bytes, so that a sealed chunk is as long as a plain one.
//!
//! As the draft composes it (draft-irtf-cfrg-xchacha-03, section 2): HChaCha20 makes a key of the first 16 bytes of the
//! nonce, and ChaCha20-Poly1305 takes the other eight. Ring's does both of its passes at once, in assembly.

use chacha20::{R20, hchacha};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// Bytes of a nonce.
pub(super) const NONCE: usize = 24;
/// Bytes of a tag.
pub(super) const TAG: usize = 16;

/// Seals `bytes` in place and answers the tag.
pub(super) fn seal(key: &[u8; 32], nonce: &[u8; NONCE], aad: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG]> {
    let too_large =
        |len: usize| Error::new(ErrorKind::TooLarge, "more bytes than one nonce may seal").with("bytes", len);
    let (key, nonce) = inner(key, nonce).ok_or_else(|| too_large(bytes.len()))?;
    let len = bytes.len();
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), bytes).map_err(|_| too_large(len))?;
    let mut out = [0; TAG];
    out.copy_from_slice(tag.as_ref());
    Ok(out)
}

/// Opens `bytes` in place. False if they, the tag, the key or what they are bound to is another; they are then of no use.
#[must_use]
pub(super) fn open(key: &[u8; 32], nonce: &[u8; NONCE], aad: &[u8], bytes: &mut [u8], tag: &[u8; TAG]) -> bool {
    let Some((key, nonce)) = inner(key, nonce) else { return false };
    key.open_in_place_separate_tag(nonce, Aad::from(aad), Tag::from(*tag), bytes, 0..).is_ok()
}

/// The key and nonce of the cipher inside. `None` cannot be: 32 bytes are a key.
fn inner(key: &[u8; 32], nonce: &[u8; NONCE]) -> Option<(LessSafeKey, Nonce)> {
    let (first, last) = nonce.split_first_chunk::<16>()?;
    let derived = Zeroizing::new(<[u8; 32]>::from(hchacha::<R20>(key.into(), first.into())));
    let mut short = [0; 12];
    short[4..].copy_from_slice(last);
    let key = UnboundKey::new(&CHACHA20_POLY1305, derived.as_slice()).ok()?;
    Some((LessSafeKey::new(key), Nonce::assume_unique_for_key(short)))
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
            prop_assert!(!open(&key, &nonce, b"aad", &mut bytes, &tag));
            prop_assert!(text.len() < 8 || bytes != text, "nothing of the plain bytes is left behind");
        }
    }
}
