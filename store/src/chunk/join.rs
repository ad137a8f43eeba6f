//! Parts that become one object (CompleteMultipartUpload).

use super::{ChunkStore, Stored, WriteOptions};
use crate::error::Result;
use crate::types::Cid;
use crate::unixfs::Profile;

/// Bytes copied at a time.
const PIECE: usize = 1 << 20;

impl ChunkStore {
    /// Stores the concatenation of objects that are stored here, under its canonical CID (S18).
    pub fn concat(&self, parts: &[(Cid, u64)], profile: Profile) -> Result<Stored> {
        let size = parts.iter().map(|(_, size)| size).sum();
        let mut writer = self.writer(profile, WriteOptions { md5: false, size_hint: Some(size) })?;
        for (root, size) in parts {
            let reader = self.reader(root, *size)?;
            let mut offset = 0;
            while offset < *size {
                let piece = reader.read_at(offset, PIECE)?;
                writer.write(&piece)?;
                offset += piece.len() as u64;
            }
        }
        writer.finish()
    }

    /// NoSpace if `bytes` more would reach into the disk's reserve.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        self.0.space.admit(bytes)
    }
}
