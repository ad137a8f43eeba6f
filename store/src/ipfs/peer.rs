//! Names of libp2p peers: the multihash of a public key.

use cid::multibase::{self, Base};

use crate::types::Cid;

/// Multicodec of a CID that names a key.
const LIBP2P_KEY: u64 = 0x72;
/// An ed25519 key in libp2p's protobuf, before its 32 bytes: type 1, data.
const ED25519: [u8; 4] = [8, 1, 0x12, 32];

/// A peer's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerId(Vec<u8>);

impl PeerId {
    /// Of the peer with this ed25519 key: the key itself, as an identity multihash.
    pub fn of_ed25519(public: &[u8; 32]) -> Self {
        let mut hash = vec![0, (ED25519.len() + public.len()) as u8];
        hash.extend(ED25519);
        hash.extend(public);
        Self(hash)
    }

    /// Reads either form: base58 of the multihash, or a CID of a key.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with("Qm") || text.starts_with('1') {
            return Base::Base58Btc.decode(text).ok().map(Self);
        }
        let cid = Cid::try_from(text).ok().filter(|cid| cid.codec() == LIBP2P_KEY)?;
        Some(Self(cid.hash().to_bytes()))
    }
}

impl std::fmt::Display for PeerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = multibase::encode(Base::Base58Btc, &self.0);
        // Without the letter that names the base.
        f.write_str(text.get(1..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::PeerId;

    #[test]
    fn known_names() {
        // The first key of RFC 8032's test vectors.
        let public = hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let id = PeerId::of_ed25519(&public.try_into().unwrap());
        let text = id.to_string();
        assert_eq!(text, "12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV");
        assert_eq!(PeerId::parse(&text), Some(id.clone()));
        let cid = cid::Cid::new_v1(0x72, cid::multihash::Multihash::from_bytes(&id.0).unwrap());
        assert_eq!(PeerId::parse(&cid.to_string()), Some(id));
        assert_eq!(PeerId::parse("bafkqaaa"), None);
        assert_eq!(PeerId::parse("1l0O"), None);
    }
}
