//! Sealed content: what a writer seals with, what a reader opens with, and where manifests are kept.
//!
//! Everything else of the store sees sealed bytes: they are as many as the plain ones, cut at the same places, and named by
//! their own CIDs.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::chunk::live_file::LiveFile;
use crate::chunk::pins::{Digest32, TempPin};
use crate::chunk::reader::ObjectReader;
use crate::chunk::scatter::settled_stamp;
use crate::chunk::seal::stamp;
use crate::chunk::store::Inner;
use crate::chunk::writer::{ObjectWriter, Stored};
use crate::crypto::{ContentKey, Manifest, ManifestKey, Place};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::record::InlineBlock;
use crate::meta::rows::Content;
use crate::meta::seal::{ManifestAt, Seal, SealKey};
use crate::types::Cid;
use crate::unixfs::{Profile, digest_of};

/// The longest sealed manifest that is kept in the row: that of about a hundred chunks.
const HERE: usize = 4096;
/// Opened chunks that a reader keeps: the one that is read, and the next for who reads ahead.
const KEPT: usize = 2;
/// Bytes of a live file that are read at a time to be published.
const PIECE: usize = 1 << 20;
/// How often a file that changes while it is published is tried again.
const TRIES: usize = 4;

/// What an object is sealed with.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// The key.
    pub key: Arc<ContentKey>,
    /// How the object's row names it.
    pub names: SealKey,
}

/// What opens an object that is being read.
pub(super) struct Opening {
    key: Arc<ContentKey>,
    manifest: Manifest,
    opened: Mutex<VecDeque<(u64, Zeroizing<Vec<u8>>)>>,
}

impl Opening {
    /// Fills `out`, which lies within the object, from `offset`.
    pub(super) fn read(&self, sealed: &ObjectReader, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let place = self.manifest.at(at).ok_or_else(|| Error::corrupt("a manifest ends before its content"))?;
            let skip = (at - place.start) as usize;
            let len = (place.len - skip).min(out.len() - done);
            let part = &mut out[done..done + len];
            if len == place.len {
                sealed.read_sealed(place.start, part)?;
                self.open(sealed, &place, part)?;
            } else {
                self.read_part(sealed, &place, skip, part)?;
            }
            done += len;
        }
        Ok(())
    }

    /// A part of a chunk. Who reads the next part finds the chunk opened; two at once open it once.
    fn read_part(&self, sealed: &ObjectReader, place: &Place, skip: usize, part: &mut [u8]) -> Result<()> {
        let mut opened = self.opened.lock();
        if !opened.iter().any(|(start, _)| *start == place.start) {
            let mut chunk = Zeroizing::new(vec![0; place.len]);
            sealed.read_sealed(place.start, &mut chunk)?;
            self.open(sealed, place, &mut chunk)?;
            if opened.len() == KEPT {
                opened.pop_front();
            }
            opened.push_back((place.start, chunk));
        }
        if let Some((_, chunk)) = opened.iter().find(|(start, _)| *start == place.start) {
            part.copy_from_slice(&chunk[skip..skip + part.len()]);
        }
        Ok(())
    }

    fn open(&self, sealed: &ObjectReader, place: &Place, bytes: &mut [u8]) -> Result<()> {
        let opened = self.key.open_chunk(&place.frame, bytes);
        opened.map_err(|e| e.with("cid", sealed.root()).with("offset", place.start))
    }
}

impl Inner {
    /// Seals a manifest, and stores it where it is long.
    pub(super) fn seal_manifest(
        self: &Arc<Self>,
        manifest: &Manifest,
        root: &Digest32,
        names: &SealKey,
        key: &ManifestKey,
    ) -> Result<(Option<Arc<Seal>>, Option<TempPin>)> {
        let sealed = manifest.seal(key, root)?;
        let (manifest, also) = if sealed.len() <= HERE {
            (ManifestAt::Here(sealed), None)
        } else {
            // The log does not carry it: it is stored before the commit.
            let stored = if sealed.len() <= self.config.slab_object_max {
                self.store_small(sealed.into(), false)?
            } else {
                let mut writer = ObjectWriter::publishing(self.clone(), Profile::default());
                writer.write(&sealed)?;
                writer.finish()?
            };
            (ManifestAt::Stored { root: stored.root, size: stored.size }, Some(stored.guard))
        };
        Ok((Some(Arc::new(Seal { key: names.clone(), manifest })), also))
    }

    /// A manifest of an object, opened.
    pub(super) fn open_manifest(
        self: &Arc<Self>,
        seal: &Seal,
        key: &ManifestKey,
        root: &Cid,
        size: u64,
    ) -> Result<Manifest> {
        let digest = digest_of(root)?;
        let opened = match &seal.manifest {
            ManifestAt::Here(sealed) => Manifest::open(key, sealed, &digest, size),
            ManifestAt::Stored { root, size: len } => {
                let reader = ObjectReader::open(self, root, *len)?;
                let sealed = reader.read_at(0, usize::try_from(*len).unwrap_or(usize::MAX))?;
                Manifest::open(key, &sealed, &digest, size)
            }
        };
        opened.map_err(|e| e.with("cid", root))
    }

    /// A reader of an object's plain bytes.
    pub(super) fn open_sealed_object(
        self: &Arc<Self>,
        root: &Cid,
        size: u64,
        seal: &Seal,
        key: Arc<ContentKey>,
    ) -> Result<ObjectReader> {
        let reader = ObjectReader::open(self, root, size)?;
        let manifest = self.open_manifest(seal, key.manifests(), root, size)?;
        Ok(reader.opened_by(Opening { key, manifest, opened: Mutex::default() }))
    }

    /// The plain bytes of a small body.
    pub(super) fn open_inline(
        self: &Arc<Self>,
        body: &InlineBlock,
        content: &Content,
        key: &ContentKey,
    ) -> Result<Bytes> {
        let mut bytes = body.bytes.to_vec();
        if let Some(seal) = &content.seal {
            let manifest = self.open_manifest(seal, key.manifests(), &content.root, content.size)?;
            if let Some(place) = manifest.at(0) {
                key.open_chunk(&place.frame, &mut bytes)?;
            }
        }
        Ok(bytes.into())
    }

    /// Stores a small body sealed.
    pub(super) fn store_small_sealed(
        self: &Arc<Self>,
        mut bytes: Vec<u8>,
        md5: bool,
        published: bool,
        profile: Profile,
        sealing: &Sealing,
    ) -> Result<Stored> {
        use md5::{Digest, Md5};
        let md5 = md5.then(|| Md5::digest(&bytes).into());
        let mut manifest = Manifest::new(profile.chunk_size() as u32);
        if !bytes.is_empty() {
            let frame = sealing.key.seal_chunk(&mut bytes)?;
            manifest.push(frame, bytes.len());
        }
        let stored = self.store_small_as(bytes.into(), false, published)?;
        let digest = digest_of(&stored.root)?;
        let (seal, also) = self.seal_manifest(&manifest, &digest, &sealing.names, sealing.key.manifests())?;
        Ok(Stored { md5, seal, also, ..stored })
    }

    /// Joins sealed objects: their sealed bytes, and their manifests. Nothing is opened but the manifests.
    pub(super) fn concat_sealed(
        self: &Arc<Self>,
        parts: &[(Cid, u64, Arc<Seal>)],
        profile: Profile,
        names: &SealKey,
        key: &ManifestKey,
    ) -> Result<Stored> {
        let mut manifest = Manifest::new(profile.chunk_size() as u32);
        for (root, size, seal) in parts {
            manifest.append(&self.open_manifest(seal, key, root, *size)?)?;
        }
        let plain: Vec<_> = parts.iter().map(|(root, size, _)| (*root, *size)).collect();
        let stored = self.concat(&plain, profile)?;
        let (seal, also) = self.seal_manifest(&manifest, &digest_of(&stored.root)?, names, key)?;
        Ok(Stored { seal, also, ..stored })
    }

    /// Publishes what a live file holds at one moment, sealed. Busy if it changes all the time.
    pub(super) fn publish_sealed(
        self: &Arc<Self>,
        live: &LiveFile,
        profile: Profile,
        sealing: &Sealing,
    ) -> Result<Stored> {
        self.health.check()?;
        for _ in 0..TRIES {
            let before = match live.cipher() {
                Some(cipher) => Moment::Changes(cipher.changes()),
                None => {
                    let file = File::open(live.path()).at("opening a live file to publish it")?;
                    self.health.sync_data(&file, "live: syncing to publish")?;
                    let Some(settled) = settled_stamp(&file)? else { continue };
                    Moment::Stamp(settled, file)
                }
            };
            let mut writer = ObjectWriter::publishing(self.clone(), profile);
            writer.seal_with(sealing.clone());
            let stored = (|| {
                let mut at = 0;
                loop {
                    let piece = Zeroizing::new(live.read(at, PIECE)?);
                    if piece.is_empty() {
                        return writer.finish();
                    }
                    writer.write(&piece)?;
                    at += piece.len() as u64;
                }
            })();
            let changed = match before {
                Moment::Changes(before) => live.cipher().is_some_and(|cipher| cipher.changes() != before),
                Moment::Stamp(before, file) => stamp(&file)? != before,
            };
            if !changed {
                return stored;
            }
        }
        Err(Error::new(ErrorKind::Busy, "a file changes faster than it can be published").with("inode", live.ino()))
    }
}

enum Moment {
    Changes(u64),
    Stamp(crate::chunk::index::Stamp, File),
}
