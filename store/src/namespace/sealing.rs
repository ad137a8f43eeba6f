//! Which key seals what: a bucket's mode, what a request asks for, what a row says.

use std::sync::Arc;

use super::Namespace;
use super::engine::Engine;
use crate::chunk::{ObjectReader, ObjectWriter, Sealing, Stored, WriteOptions};
use crate::crypto::{ContentKey, CustomerKey, Keyring, ManifestKey, Secret};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::rows::{BucketEncryption, BucketRow, Content, EncryptionMode, UploadRow};
use crate::meta::schema;
use crate::meta::seal::{Seal, SealKey, UploadSeal};
use crate::types::{Caller, ETag, Id};
use crate::unixfs::{Profile, digest_of};

/// What an upload's wrapped manifest key is bound to.
const UPLOAD: &str = "manifests of an upload";

/// How a request wants an object encrypted.
#[derive(Clone, Debug, Default)]
pub enum Encrypt {
    /// As its bucket does.
    #[default]
    AsBucket,
    /// By a key of the node's (SSE-S3), whatever the bucket does.
    Managed,
    /// By a key that the client brings (SSE-C).
    Customer(CustomerKey),
}

/// Stored bytes as a row names them.
pub(super) fn content_of(stored: &Stored, profile: Profile) -> Content {
    Content { seal: stored.seal.clone(), profile, root: stored.root, size: stored.size, leaves: stored.leaves }
}

/// The ETag of an object under a client's key, which is no MD5 of anything that the client could tell others by.
pub(super) fn customer_etag(content: &Content) -> Result<Option<ETag>> {
    match content.seal.as_deref() {
        Some(Seal { key: SealKey::Customer { .. }, .. }) => {
            Ok(Some(ETag(hex::encode(&digest_of(&content.root)?[..16]))))
        }
        _ => Ok(None),
    }
}

/// Whether a client brought the key that opens an object, if it needs one: KeyRequired, KeyNotApplicable, PermissionDenied.
pub fn check_customer(seal: Option<&Seal>, customer: Option<&CustomerKey>) -> Result<()> {
    match (seal.map(|seal| &seal.key), customer) {
        (Some(SealKey::Customer { .. }), None) => {
            Err(Error::new(ErrorKind::KeyRequired, "the object opens with its client's key alone"))
        }
        (Some(SealKey::Customer { salt, check }), Some(customer)) if !customer.matches(salt, check) => {
            Err(Error::new(ErrorKind::PermissionDenied, "this is not the key that the object was encrypted with"))
        }
        (Some(SealKey::Customer { .. }), Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => {
            Err(Error::new(ErrorKind::KeyNotApplicable, "the object was not encrypted with a client's key"))
        }
    }
}

/// The key of a bucket that encrypts. One whose key was destroyed does not go on in clear: it refuses until it has another.
fn key_of(encryption: BucketEncryption) -> Result<Id> {
    encryption
        .key
        .ok_or_else(|| Error::new(ErrorKind::KeyUnavailable, "the bucket's key was destroyed, and it has no other"))
}

impl Engine {
    /// What seals new content of a bucket, if nobody says otherwise.
    pub(super) fn default_sealing(&self, bucket: Id) -> Result<Option<Sealing>> {
        let encryption = self.keeping.of(bucket).encryption.unwrap_or_default();
        match encryption.mode {
            EncryptionMode::None => Ok(None),
            EncryptionMode::Bucket => self.seal_by_bucket(key_of(encryption)?).map(Some),
            EncryptionMode::Object => self.seal_by_object(key_of(encryption)?).map(Some),
        }
    }

    pub(super) fn seal_by_bucket(&self, key: Id) -> Result<Sealing> {
        Ok(Sealing { key: self.keys.get(key)?, names: SealKey::Bucket { key } })
    }

    fn seal_by_object(&self, key: Id) -> Result<Sealing> {
        let (bucket, secret) = (self.keys.get(key)?, Secret::random()?);
        let names = SealKey::Object { key, wrapped: bucket.wrap(&secret)? };
        Ok(Sealing { key: Arc::new(ContentKey::derive(&secret)), names })
    }

    /// The keys of a sealed content.
    pub(super) fn content_key(&self, names: &SealKey, customer: Option<&CustomerKey>) -> Result<Arc<ContentKey>> {
        match (names, customer) {
            (SealKey::Bucket { key }, _) => self.keys.get(*key),
            (SealKey::Object { key, wrapped }, _) => {
                Ok(Arc::new(ContentKey::derive(&self.keys.get(*key)?.unwrap(wrapped)?)))
            }
            (SealKey::Customer { salt, .. }, Some(customer)) => Ok(Arc::new(customer.content_key(salt))),
            (SealKey::Customer { .. }, None) => {
                Err(Error::new(ErrorKind::KeyRequired, "the object opens with its client's key alone"))
            }
        }
    }

    /// A reader of a content's plain bytes. Errors also as [`check_customer`].
    pub(super) fn reader(&self, content: &Content, customer: Option<&CustomerKey>) -> Result<ObjectReader> {
        check_customer(content.seal.as_deref(), customer)?;
        match content.seal.as_deref() {
            None => self.chunks.reader(&content.root, content.size),
            Some(seal) => {
                let key = self.content_key(&seal.key, customer)?;
                self.chunks.sealed_reader(&content.root, content.size, seal, key)
            }
        }
    }

    /// The bucket key that seals a file's live file; none if it is plain.
    pub(super) fn live_key(&self, bucket: Id, content: Option<&Content>) -> Result<Option<Id>> {
        match content.and_then(|content| content.seal.as_deref()).map(|seal| &seal.key) {
            Some(SealKey::Bucket { key } | SealKey::Object { key, .. }) => Ok(Some(*key)),
            Some(SealKey::Customer { .. }) => {
                Err(Error::new(ErrorKind::KeyRequired, "the object opens with its client's key alone"))
            }
            None => match self.keeping.of(bucket).encryption.unwrap_or_default() {
                BucketEncryption { mode: EncryptionMode::None, .. } => Ok(None),
                encryption => key_of(encryption).map(Some),
            },
        }
    }

    /// The key of an upload's manifests.
    pub(super) fn upload_manifests(&self, seal: &UploadSeal) -> Result<ManifestKey> {
        if seal.manifests.is_empty() {
            return Ok(self.content_key(&seal.key, None)?.manifests().clone());
        }
        let secret = self.keys.master()?.unwrap(UPLOAD, &seal.manifests)?;
        let bytes: [u8; 32] =
            secret[..].try_into().map_err(|_| Error::corrupt("an upload's key has a wrong length"))?;
        Ok(ManifestKey::new(Secret::new(bytes)))
    }

    /// What a new upload's parts will be sealed with.
    pub(super) fn seal_upload(&self, sealing: &Sealing) -> Result<UploadSeal> {
        let manifests = match sealing.names {
            // When the upload is completed nobody brings the key.
            SealKey::Customer { .. } => self.keys.master()?.wrap(UPLOAD, sealing.key.manifests().secret().bytes())?,
            _ => Vec::new(),
        };
        Ok(UploadSeal { key: sealing.names.clone(), manifests })
    }
}

impl Namespace {
    /// What seals an object that is about to be written; none is plain. Makes the bucket's key where it has none yet and one
    /// is asked for. KeyUnavailable if the node has no master key, or not the one that wrapped the bucket's key.
    pub async fn sealing(&self, caller: &Caller, bucket: &str, encrypt: &Encrypt) -> Result<Option<Sealing>> {
        let row = self.0.bucket_row(bucket)?;
        match encrypt {
            Encrypt::AsBucket => self.0.default_sealing(row.id),
            Encrypt::Managed => match self.0.default_sealing(row.id)? {
                Some(sealing) => Ok(Some(sealing)),
                None => self.0.seal_by_bucket(self.bucket_key(caller, bucket, &row).await?).map(Some),
            },
            Encrypt::Customer(key) => {
                let salt = CustomerKey::salt()?;
                let names = SealKey::Customer { salt, check: key.check(&salt) };
                Ok(Some(Sealing { key: Arc::new(key.content_key(&salt)), names }))
            }
        }
    }

    /// What seals the parts of an upload. Errors as [`check_customer`]'s, and NoSuchUpload.
    pub fn part_sealing(
        &self,
        bucket: &str,
        key: &[u8],
        upload: Id,
        customer: Option<&CustomerKey>,
    ) -> Result<Option<Sealing>> {
        let id = self.0.bucket_row(bucket)?.id;
        let row = self.0.row_of_upload(id, key, upload)?;
        let Some(UploadSeal { key: names, .. }) = row.seal else {
            return check_customer(None, customer).map(|()| None);
        };
        let seal = Seal { key: names, manifest: crate::meta::seal::ManifestAt::Here(Vec::new()) };
        check_customer(Some(&seal), customer)?;
        Ok(Some(Sealing { key: self.0.content_key(&seal.key, customer)?, names: seal.key }))
    }

    /// A writer whose bytes are sealed with that, or plain. Blocking as [`Self::writer`].
    pub fn writer_sealed(&self, bucket: &str, options: WriteOptions, sealing: Option<Sealing>) -> Result<ObjectWriter> {
        let row = self.0.bucket_row(bucket)?;
        let mut writer = self.0.chunks.writer(row.profile, options)?;
        if let Some(sealing) = sealing {
            writer.seal_with(sealing);
        }
        Ok(writer)
    }

    /// Sets how a bucket's new objects are encrypted; makes its key with the first mode that needs one. What is stored stays
    /// as it is.
    pub async fn set_bucket_encryption(&self, caller: &Caller, bucket: &str, mode: EncryptionMode) -> Result<()> {
        let row = self.0.bucket_row(bucket)?;
        if mode != EncryptionMode::None {
            // Not only that there is a key: that it opens.
            let key = self.bucket_key(caller, bucket, &row).await?;
            self.0.keys.get(key)?;
        }
        self.change_bucket_settings(caller, bucket, |settings| {
            if let Some(encryption) = &mut settings.encryption {
                encryption.mode = mode;
            }
            Ok(())
        })
        .await
    }

    /// The id of a bucket's key, made now if it has none.
    async fn bucket_key(&self, caller: &Caller, bucket: &str, row: &BucketRow) -> Result<Id> {
        if let Some(key) = row.settings.encryption.and_then(|encryption| encryption.key) {
            return Ok(key);
        }
        let made = Engine::blocking(|| self.0.keys.create())?;
        let mut key = made;
        let changed = self
            .change_bucket_settings(caller, bucket, |settings| {
                let encryption = settings.encryption.get_or_insert_default();
                key = *encryption.key.get_or_insert(made);
                Ok(())
            })
            .await;
        if changed.is_err() || key != made {
            // Somebody else was first, or the bucket is gone: nothing was sealed with it.
            Engine::blocking(|| self.0.keys.discard(made))?;
        }
        changed.map(|()| key)
    }

    /// Destroys a bucket's key: what it sealed can never be read again, by nobody. The bucket keeps its mode, and takes nothing
    /// to be encrypted until [`Self::set_bucket_encryption`] gives it another key. NotFound if it has none.
    pub async fn destroy_bucket_key(&self, caller: &Caller, bucket: &str) -> Result<Id> {
        let row = self.0.bucket_row(bucket)?;
        let none = || Error::new(ErrorKind::NotFound, "the bucket has no key").with("bucket", bucket);
        let key = row.settings.encryption.and_then(|encryption| encryption.key).ok_or_else(none)?;
        // The key first: a crash in between leaves a bucket that refuses, not one that can still be read.
        Engine::blocking(|| self.0.keys.destroy(key))?;
        self.change_bucket_settings(caller, bucket, |settings| {
            if let Some(encryption) = settings.encryption.as_mut().filter(|encryption| encryption.key == Some(key)) {
                encryption.key = None;
            }
            Ok(())
        })
        .await?;
        tracing::warn!(bucket, %key, "a bucket's key was destroyed: what it sealed cannot be read any more");
        Ok(key)
    }

    /// The node's keys, for the operator's commands.
    pub fn keys(&self) -> &Keyring {
        &self.0.keys
    }
}

impl Engine {
    pub(super) fn row_of_upload(&self, bucket: Id, key: &[u8], upload: Id) -> Result<UploadRow> {
        use super::txn::Rows;
        self.row::<UploadRow>(&schema::upload(bucket, key, upload))?
            .ok_or_else(|| super::multipart::no_such_upload(upload))
    }
}
