//! How content is sealed under one key: chunk by chunk, deterministically.
//!
//! A chunk's nonce is a keyed hash of its plain bytes, so that equal chunks under one key are equal sealed (and stored once),
//! and no nonce ever serves two different chunks. A sealed chunk is as long as the plain one: nonce and tag go to the
//! [`super::Manifest`], which says which chunk belongs where.

use std::fmt;

use super::aead::{self, NONCE, TAG};
use super::master::Secret;
use crate::error::{Error, Result};

/// What a chunk is bound to beside its key: nothing, so that equal ones are stored once. The manifest binds its place.
const CHUNK: &[u8] = b"pinfold chunk 1";
const MANIFEST: &[u8] = b"pinfold manifest 1";
/// Bytes that a sealed manifest has more than a plain one.
pub(super) const MANIFEST_EXTRA: usize = NONCE + TAG;

/// A chunk's nonce and tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The keyed hash of its plain bytes.
    pub nonce: [u8; NONCE],
    /// What proves the sealed ones.
    pub tag: [u8; TAG],
}

impl Frame {
    /// Bytes of one in a manifest.
    pub const LEN: usize = NONCE + TAG;
}

/// What seals and opens manifests, and nothing else.
#[derive(Clone)]
pub struct ManifestKey {
    whole: Secret,
    seals: Secret,
    names: Secret,
}

impl ManifestKey {
    /// From the secret that [`Self::secret`] told.
    pub fn new(whole: Secret) -> Self {
        let seals = whole.derive("pinfold 2026-11-23 seals manifests");
        let names = whole.derive("pinfold 2026-11-23 nonces of manifests");
        Self { whole, seals, names }
    }

    /// All that is needed to make it again: to be wrapped.
    pub fn secret(&self) -> &Secret {
        &self.whole
    }

    pub(super) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let nonce = keyed(&self.names, plain);
        let mut sealed = Vec::with_capacity(plain.len() + MANIFEST_EXTRA);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = aead::seal(self.seals.bytes(), &nonce, MANIFEST, &mut sealed[NONCE..])?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    pub(super) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        let damaged = || Error::corrupt("a manifest does not open: it is damaged, or its key another");
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let (body, tag) = rest.split_last_chunk::<TAG>().ok_or_else(damaged)?;
        let mut plain = body.to_vec();
        if aead::open(self.seals.bytes(), nonce, MANIFEST, &mut plain, tag) { Ok(plain) } else { Err(damaged()) }
    }
}

/// The keys of one domain: a bucket's, or those of one object.
#[derive(Clone)]
pub struct ContentKey {
    nonces: Secret,
    chunks: Secret,
    manifests: ManifestKey,
    wraps: Secret,
    live: Secret,
}

impl ContentKey {
    /// All that follows from one secret.
    pub fn derive(secret: &Secret) -> Self {
        Self {
            nonces: secret.derive("pinfold 2026-11-23 nonces of chunks"),
            chunks: secret.derive("pinfold 2026-11-23 seals chunks"),
            manifests: ManifestKey::new(secret.derive("pinfold 2026-11-23 manifests")),
            wraps: secret.derive("pinfold 2026-11-23 bucket key wraps object keys"),
            live: secret.derive("pinfold 2026-11-23 live files"),
        }
    }

    /// What seals its manifests.
    pub fn manifests(&self) -> &ManifestKey {
        &self.manifests
    }

    pub(super) fn live(&self) -> &Secret {
        &self.live
    }

    /// Seals a chunk in place.
    pub fn seal_chunk(&self, bytes: &mut [u8]) -> Result<Frame> {
        let nonce = keyed(&self.nonces, bytes);
        let tag = aead::seal(self.chunks.bytes(), &nonce, CHUNK, bytes)?;
        Ok(Frame { nonce, tag })
    }

    /// Opens a chunk in place. Corrupt if it is not the one that the frame is of, or the key another.
    pub fn open_chunk(&self, frame: &Frame, bytes: &mut [u8]) -> Result<()> {
        if aead::open(self.chunks.bytes(), &frame.nonce, CHUNK, bytes, &frame.tag) {
            return Ok(());
        }
        Err(Error::corrupt("a sealed chunk does not open: it is not the one that belongs here"))
    }

    /// Wraps an object's own key.
    pub fn wrap(&self, secret: &Secret) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        super::master::random(&mut nonce)?;
        let mut wrapped = [nonce.as_slice(), secret.bytes()].concat();
        let tag = aead::seal(self.wraps.bytes(), &nonce, b"pinfold object key 1", &mut wrapped[NONCE..])?;
        wrapped.extend_from_slice(&tag);
        Ok(wrapped)
    }

    /// The counterpart.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<Secret> {
        let damaged = || Error::corrupt("an object's wrapped key is damaged");
        let (nonce, rest) = wrapped.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let (body, tag) = rest.split_last_chunk::<TAG>().ok_or_else(damaged)?;
        let mut secret = zeroize::Zeroizing::new(<[u8; 32]>::try_from(body).map_err(|_| damaged())?);
        if aead::open(self.wraps.bytes(), nonce, b"pinfold object key 1", &mut *secret, tag) {
            Ok(Secret::new(*secret))
        } else {
            Err(damaged())
        }
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(…)")
    }
}

fn keyed(key: &Secret, bytes: &[u8]) -> [u8; NONCE] {
    let hash = blake3::keyed_hash(key.bytes(), bytes);
    let mut nonce = [0; NONCE];
    nonce.copy_from_slice(&hash.as_bytes()[..NONCE]);
    nonce
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn key(seed: u8) -> ContentKey {
        ContentKey::derive(&Secret::new([seed; 32]))
    }

    /// Frozen: what is stored must open for ever. Computed with libsodium and BLAKE3's reference.
    #[test]
    fn the_sealed_form_is_stable() {
        let mut bytes = *b"a chunk of plain text";
        let frame = key(7).seal_chunk(&mut bytes).unwrap();
        assert_eq!(hex::encode(bytes), "00214edfcd47be2bf4cd3e705d82ec5f398244d737");
        assert_eq!(hex::encode(frame.nonce), "8fb8fcc60a02bf9fc201e9cb03e7ff207e49c706953afcc9");
        assert_eq!(hex::encode(frame.tag), "bcb5407cc7d56fa53efa1f041092a63a");
    }

    proptest! {
        #[test]
        fn equal_chunks_are_equal_in_one_domain_and_nowhere_else(plain in proptest::collection::vec(any::<u8>(), 16..2000)) {
            let (mut one, mut same, mut other) = (plain.clone(), plain.clone(), plain.clone());
            let frame = key(1).seal_chunk(&mut one).unwrap();
            prop_assert_eq!(key(1).seal_chunk(&mut same).unwrap(), frame);
            let foreign = key(2).seal_chunk(&mut other).unwrap();
            prop_assert_eq!(&one, &same);
            prop_assert!(one != other && one != plain && foreign.nonce != frame.nonce);
            prop_assert_eq!(key(2).open_chunk(&frame, &mut same).unwrap_err().kind(), ErrorKind::Corrupt);
            key(1).open_chunk(&frame, &mut one).unwrap();
            prop_assert_eq!(one, plain);
        }

        #[test]
        fn object_keys_come_back_from_their_bucket_alone(secret: [u8; 32]) {
            let wrapped = key(1).wrap(&Secret::new(secret)).unwrap();
            let back = key(1).unwrap(&wrapped).unwrap();
            prop_assert_eq!(back.bytes(), &secret);
            prop_assert!(key(2).unwrap(&wrapped).is_err());
        }
    }
}
