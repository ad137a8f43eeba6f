//! What a row says of sealed content: which key, and where the manifest is. And the stored form of a [`Content`], which is as
//! it always was for what is plain.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::rows::Content;
use crate::types::{Cid, Id};

/// How a content is sealed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seal {
    /// Under which key.
    pub key: SealKey,
    /// The list of its chunks.
    pub manifest: ManifestAt,
}

/// Which key seals a content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SealKey {
    /// A bucket's.
    Bucket {
        /// The key's id among the node's keys.
        key: Id,
    },
    /// The object's own.
    Object {
        /// Id of the bucket's key that wraps it.
        key: Id,
        /// The object's key, wrapped.
        wrapped: Vec<u8>,
    },
    /// One that the client brings (SSE-C).
    Customer {
        /// The object's salt.
        salt: [u8; 16],
        /// A MAC of the salt under the client's key.
        check: [u8; 32],
    },
}

/// Where a sealed manifest is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ManifestAt {
    /// In the row: it is short.
    Here(Vec<u8>),
    /// A content of its own.
    Stored {
        /// Its root.
        root: Cid,
        /// Its length in bytes.
        size: u64,
    },
}

/// What an upload's parts are sealed with, all of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UploadSeal {
    /// The key.
    pub key: SealKey,
    /// For a client's key: what opens the parts' manifests, and nothing else, wrapped by the master key.
    pub manifests: Vec<u8>,
}

/// Fields of a plain content's stored form, the mode byte among them.
const PLAIN: usize = 5;

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut tuple = to.serialize_tuple(PLAIN + usize::from(self.seal.is_some()))?;
        tuple.serialize_element(&u8::from(self.seal.is_some()))?;
        tuple.serialize_element(&self.profile)?;
        tuple.serialize_element(&self.root)?;
        tuple.serialize_element(&self.size)?;
        tuple.serialize_element(&self.leaves)?;
        if let Some(seal) = &self.seal {
            tuple.serialize_element(seal)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_tuple(PLAIN + 1, Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a content")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Content, A::Error> {
        fn field<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(fields: &mut A) -> Result<T, A::Error> {
            fields.next_element()?.ok_or_else(|| A::Error::custom("a content ends early"))
        }
        let mode: u8 = field(&mut fields)?;
        Ok(Content {
            profile: field(&mut fields)?,
            root: field(&mut fields)?,
            size: field(&mut fields)?,
            leaves: field(&mut fields)?,
            seal: match mode {
                0 => None,
                1 => Some(Arc::new(field(&mut fields)?)),
                _ => return Err(A::Error::custom("a content of an unknown mode")),
            },
        })
    }
}

impl Content {
    /// Digests of the objects that it needs: its root's, and its manifest's.
    pub fn needs(&self) -> crate::error::Result<Vec<[u8; 32]>> {
        self.roots().map(|root| crate::unixfs::digest_of(&root)).collect()
    }

    /// Roots of the same.
    pub fn roots(&self) -> impl Iterator<Item = Cid> {
        let manifest = match self.seal.as_deref() {
            Some(Seal { manifest: ManifestAt::Stored { root, .. }, .. }) => Some(*root),
            _ => None,
        };
        [self.root].into_iter().chain(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unixfs::{Profile, raw_cid};

    #[derive(Serialize)]
    struct Before {
        mode: u8,
        profile: Profile,
        root: Cid,
        size: u64,
        leaves: u64,
    }

    fn content(seal: Option<Seal>) -> Content {
        Content { seal: seal.map(Arc::new), profile: Profile::V1_2025, root: raw_cid(b"x"), size: 300, leaves: 1 }
    }

    #[test]
    fn plain_content_is_stored_as_it_always_was() {
        let before = Before { mode: 0, profile: Profile::V1_2025, root: raw_cid(b"x"), size: 300, leaves: 1 };
        let bytes = postcard::to_stdvec(&before).unwrap();
        assert_eq!(postcard::to_stdvec(&content(None)).unwrap(), bytes);
        // With another field behind it, as in a row.
        let row = postcard::to_stdvec(&(content(None), 7u32)).unwrap();
        assert_eq!(postcard::from_bytes::<(Content, u32)>(&row).unwrap(), (content(None), 7));
        let unknown = postcard::to_stdvec(&Before { mode: 2, ..before }).unwrap();
        assert!(postcard::from_bytes::<Content>(&unknown).is_err());
    }

    #[test]
    fn sealed_content_comes_back_whole() {
        let keys = [
            SealKey::Bucket { key: Id([1; 16]) },
            SealKey::Object { key: Id([2; 16]), wrapped: vec![3; 72] },
            SealKey::Customer { salt: [4; 16], check: [5; 32] },
        ];
        let stored = ManifestAt::Stored { root: raw_cid(b"m"), size: 5000 };
        for key in keys {
            for manifest in [ManifestAt::Here(vec![6; 40]), stored.clone()] {
                let sealed = content(Some(Seal { key: key.clone(), manifest }));
                let row = postcard::to_stdvec(&(sealed.clone(), 7u32)).unwrap();
                assert_eq!(postcard::from_bytes::<(Content, u32)>(&row).unwrap(), (sealed, 7));
            }
        }
    }
}
