//! A local file that is sealed and written in place: blocks of 4 KiB, each with a nonce of its own that is new with each
//! write.
//!
//! ```text
//! file  = magic (8) · key's id (16) · salt (32) · 0 (8) · block …
//! block = nonce (24) · tag (16) · up to 4096 sealed bytes         (all but the last are whole; zeros alone: a hole)
//! ```
//! The file's length tells the plain length. Each block is bound to its number and, by the salt, to its file.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};

use super::aead::{self, NONCE, TAG};
use super::content::ContentKey;
use super::master::{Secret, random};
use crate::error::{Error, IoContext, Result};
use crate::types::Id;

const MAGIC: &[u8; 8] = b"PFLIVE1\n";
const HEAD: u64 = 64;
/// Plain bytes of a block.
const BLOCK: u64 = 4096;
const EXTRA: u64 = (NONCE + TAG) as u64;
const WHOLE: u64 = BLOCK + EXTRA;
/// Blocks that are read or written with one call.
const BATCH: u64 = 64;

/// What seals one such file. Its operations exclude each other.
pub struct LiveCipher {
    key: Secret,
    id: Id,
    /// Counts changes of the bytes.
    changes: Mutex<u64>,
}

impl LiveCipher {
    /// Begins an empty file.
    pub fn create(file: &File, id: Id, key: &Arc<ContentKey>) -> Result<Self> {
        let mut salt = [0; 32];
        random(&mut salt)?;
        let head = [MAGIC.as_slice(), &id.0, &salt, &[0; 8]].concat();
        file.set_len(0).and_then(|()| file.write_all_at(&head, 0)).at("a sealed live file cannot be begun")?;
        Ok(Self::new(id, key, &salt))
    }

    /// Takes up one that is there; `keys` finds its key. A file that was never begun is begun as nothing can be in it.
    pub fn open(file: &File, keys: &dyn Fn(Id) -> Result<Arc<ContentKey>>) -> Result<Self> {
        let mut head = [0; HEAD as usize];
        file.read_exact_at(&mut head, 0).map_err(|_| Error::corrupt("a sealed live file has no beginning"))?;
        let (Some(id), Some(salt)) = (head[8..24].first_chunk::<16>(), head[24..56].first_chunk::<32>()) else {
            return Err(Error::corrupt("a sealed live file has no beginning"));
        };
        if !head.starts_with(MAGIC) {
            return Err(Error::corrupt("a sealed live file has no beginning"));
        }
        Ok(Self::new(Id(*id), &*keys(Id(*id))?, salt))
    }

    fn new(id: Id, key: &ContentKey, salt: &[u8; 32]) -> Self {
        let key = Secret::new(blake3::keyed_hash(key.live().bytes(), salt).into());
        Self { key, id, changes: Mutex::new(0) }
    }

    /// The key's id.
    pub fn key(&self) -> Id {
        self.id
    }

    /// The plain length of a file of `len` bytes.
    pub fn plain_len(len: u64) -> u64 {
        let body = len.saturating_sub(HEAD);
        body / WHOLE * BLOCK + (body % WHOLE).saturating_sub(EXTRA)
    }

    fn sealed_len(plain: u64) -> u64 {
        let tail = plain % BLOCK;
        HEAD + plain / BLOCK * WHOLE + if tail > 0 { tail + EXTRA } else { 0 }
    }

    /// The plain length now.
    pub fn len(&self, file: &File) -> Result<u64> {
        Ok(Self::plain_len(file.metadata().at("a live file cannot be examined")?.size()))
    }

    /// How often the bytes have changed since the file was opened.
    pub fn changes(&self) -> u64 {
        *self.changes.lock()
    }

    /// Reads up to `len` bytes; fewer only at the end. Corrupt rather than wrong ones.
    pub fn read(&self, file: &File, offset: u64, len: usize) -> Result<Vec<u8>> {
        let _held = self.changes.lock();
        let end = self.len(file)?.min(offset.saturating_add(len as u64));
        let mut out = Vec::with_capacity(end.saturating_sub(offset) as usize);
        let mut number = offset / BLOCK;
        while number * BLOCK < end {
            let count = (end.div_ceil(BLOCK) - number).min(BATCH);
            self.load(file, number, count, &mut |n, bytes| {
                let (from, to) = ((n * BLOCK).max(offset), (n * BLOCK + bytes.len() as u64).min(end));
                if from < to {
                    out.extend_from_slice(&bytes[(from - n * BLOCK) as usize..(to - n * BLOCK) as usize]);
                }
            })?;
            number += count;
        }
        Ok(out)
    }

    /// Writes all of `data`.
    pub fn write(&self, file: &File, offset: u64, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let mut changes = self.changes.lock();
        *changes += 1;
        let len = self.len(file)?;
        if offset > len {
            self.resize(file, len, offset)?;
        }
        self.store(file, len.max(offset), offset, data)
    }

    /// Writes `data` into a file that has `len` plain bytes, of which none is missing before `offset`.
    fn store(&self, file: &File, len: u64, offset: u64, data: &[u8]) -> Result<()> {
        let (mut at, end) = (offset, offset + data.len() as u64);
        let mut sealed = Vec::with_capacity((BATCH * WHOLE) as usize);
        while at < end {
            let first = at / BLOCK;
            sealed.clear();
            for number in first..(first + BATCH).min(end.div_ceil(BLOCK)) {
                let start = number * BLOCK;
                let upto = (start + BLOCK).min(end);
                // What of the block stays as it is.
                let kept =
                    if at > start || upto < len.min(start + BLOCK) { self.block(file, number)? } else { Vec::new() };
                let mut plain = kept;
                plain.resize(plain.len().max((upto - start) as usize), 0);
                plain[(at - start) as usize..(upto - start) as usize]
                    .copy_from_slice(&data[(at - offset) as usize..(upto - offset) as usize]);
                self.seal(number, &mut plain, &mut sealed)?;
                at = upto;
            }
            file.write_all_at(&sealed, HEAD + first * WHOLE).at("a live file cannot be written")?;
        }
        Ok(())
    }

    /// `ftruncate`.
    pub fn set_len(&self, file: &File, plain: u64) -> Result<()> {
        let mut changes = self.changes.lock();
        *changes += 1;
        let len = self.len(file)?;
        self.resize(file, len, plain)
    }

    fn resize(&self, file: &File, len: u64, plain: u64) -> Result<()> {
        // The last block is sealed as long as it is: at the old end, if it grows, and at the new one.
        let tail = if plain > len { len } else { plain };
        let kept = if plain != len && tail % BLOCK > 0 { Some(self.block(file, tail / BLOCK)?) } else { None };
        let set = |len| file.set_len(Self::sealed_len(len)).at("a live file cannot be cut or extended");
        if let Some(mut bytes) = kept {
            let number = tail / BLOCK;
            bytes.resize((plain - number * BLOCK).min(BLOCK) as usize, 0);
            let mut sealed = Vec::new();
            self.seal(number, &mut bytes, &mut sealed)?;
            file.write_all_at(&sealed, HEAD + number * WHOLE).at("a live file cannot be written")?;
        }
        set(plain)
    }

    /// `fallocate`: what is asked of the plain bytes. False if this mode is not offered.
    pub fn allocate(&self, file: &File, offset: u64, len: u64, mode: i32) -> Result<bool> {
        let end = offset.saturating_add(len);
        let keep = libc::FALLOC_FL_KEEP_SIZE;
        if mode & !(keep | libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE) != 0 {
            return Ok(false);
        }
        let mut changes = self.changes.lock();
        *changes += 1;
        let size = self.len(file)?;
        if mode & (libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE) != 0 {
            let upto = end.min(size);
            self.zero(file, size, offset.min(upto), upto)?;
        } else {
            // Room for what will be written: where blocks are missing they are held, as zeros.
            let from = Self::sealed_len(offset / BLOCK * BLOCK);
            let room = Self::sealed_len(end).saturating_sub(from).max(1);
            fallocate(file, FallocateFlags::KEEP_SIZE, from, room).at("space cannot be allocated")?;
        }
        if mode & (keep | libc::FALLOC_FL_PUNCH_HOLE) == 0 && end > size {
            self.resize(file, size, end)?;
        }
        Ok(true)
    }

    fn zero(&self, file: &File, size: u64, from: u64, to: u64) -> Result<()> {
        let (first, last) = (from.div_ceil(BLOCK), to / BLOCK);
        if first >= last {
            return self.store(file, size, from, &vec![0; (to - from) as usize]);
        }
        self.store(file, size, from, &vec![0; (first * BLOCK - from) as usize])?;
        let (start, len) = (HEAD + first * WHOLE, (last - first) * WHOLE);
        if fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, len).is_err() {
            let zeros = vec![0; (BATCH * WHOLE) as usize];
            let mut at = start;
            while at < start + len {
                let n = (start + len - at).min(zeros.len() as u64) as usize;
                file.write_all_at(&zeros[..n], at).at("a live file cannot be written")?;
                at += n as u64;
            }
        }
        self.store(file, size, last * BLOCK, &vec![0; (to - last * BLOCK) as usize])
    }

    /// A block's plain bytes.
    fn block(&self, file: &File, number: u64) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.load(file, number, 1, &mut |_, bytes| out.extend_from_slice(bytes))?;
        Ok(out)
    }

    /// Reads and opens `count` blocks.
    fn load(&self, file: &File, first: u64, count: u64, sink: &mut dyn FnMut(u64, &[u8])) -> Result<()> {
        let mut bytes = vec![0; (count * WHOLE) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], HEAD + first * WHOLE + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("a live file cannot be read", e)),
            }
        }
        for (n, block) in bytes[..filled].chunks_mut(WHOLE as usize).enumerate() {
            let number = first + n as u64;
            let Some((head, body)) = block.split_at_mut_checked(EXTRA as usize) else { break };
            if head.iter().chain(body.iter()).all(|byte| *byte == 0) {
                sink(number, body);
                continue;
            }
            let (nonce, tag) = head.split_at(NONCE);
            let (Ok(nonce), Ok(tag)) = (nonce.try_into(), tag.try_into()) else { break };
            if !aead::open(self.key.bytes(), nonce, &number.to_le_bytes(), body, tag) {
                return Err(
                    Error::corrupt("a block of a sealed live file does not open").with("offset", number * BLOCK)
                );
            }
            sink(number, body);
        }
        Ok(())
    }

    fn seal(&self, number: u64, plain: &mut [u8], out: &mut Vec<u8>) -> Result<()> {
        let mut nonce = [0; NONCE];
        random(&mut nonce)?;
        let tag = aead::seal(self.key.bytes(), &nonce, &number.to_le_bytes(), plain)?;
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&tag);
        out.extend_from_slice(plain);
        Ok(())
    }
}

impl std::fmt::Debug for LiveCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LiveCipher({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Arc<ContentKey> {
        Arc::new(ContentKey::derive(&Secret::new([5; 32])))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, usize),
        Cut(u64),
        Zero(u64, u64),
        Grow(u64, u64),
        Reopen,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let at = 0u64..30_000;
        let step = prop_oneof![
            (at.clone(), 0usize..9000).prop_map(|(at, len)| Step::Write(at, len)),
            at.clone().prop_map(Step::Cut),
            (at.clone(), 1u64..15_000).prop_map(|(at, len)| Step::Zero(at, len)),
            (at, 1u64..9000).prop_map(|(at, len)| Step::Grow(at, len)),
            Just(Step::Reopen),
        ];
        proptest::collection::vec(step, 1..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_a_file_like_any_other(steps in steps()) {
            let file = tempfile::tempfile().unwrap();
            let mut cipher = LiveCipher::create(&file, Id([1; 16]), &key()).unwrap();
            let mut model: Vec<u8> = Vec::new();
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Write(at, len) => {
                        let data = vec![n as u8 + 1; len];
                        cipher.write(&file, at, &data).unwrap();
                        let end = at as usize + len;
                        if len > 0 {
                            model.resize(model.len().max(end), 0);
                            model[at as usize..end].copy_from_slice(&data);
                        }
                    }
                    Step::Cut(len) => {
                        cipher.set_len(&file, len).unwrap();
                        model.resize(len as usize, 0);
                    }
                    Step::Zero(at, len) => {
                        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                        prop_assert!(cipher.allocate(&file, at, len, mode).unwrap());
                        let upto = model.len().min((at + len) as usize);
                        if let Some(range) = model.get_mut(at as usize..upto) { range.fill(0); }
                    }
                    Step::Grow(at, len) => {
                        prop_assert!(cipher.allocate(&file, at, len, 0).unwrap());
                        model.resize(model.len().max((at + len) as usize), 0);
                    }
                    Step::Reopen => cipher = LiveCipher::open(&file, &|_| Ok(key())).unwrap(),
                }
                prop_assert_eq!(cipher.len(&file).unwrap(), model.len() as u64);
                prop_assert_eq!(&cipher.read(&file, 0, 100_000).unwrap(), &model);
                let from = model.len() / 3;
                prop_assert_eq!(&cipher.read(&file, from as u64, 5000).unwrap()[..], &model[from..model.len().min(from + 5000)]);
            }
            let mut raw = vec![0; file.metadata().unwrap().len() as usize];
            file.read_exact_at(&mut raw, 0).unwrap();
            prop_assert!(!raw.windows(24).any(|w| w[0] != 0 && w.iter().all(|b| *b == w[0])));
        }
    }

    #[test]
    fn another_key_and_a_changed_or_moved_block_do_not_open() {
        let file = tempfile::tempfile().unwrap();
        let cipher = LiveCipher::create(&file, Id([1; 16]), &key()).unwrap();
        cipher.write(&file, 0, &vec![7; 3 * BLOCK as usize]).unwrap();
        let other = Arc::new(ContentKey::derive(&Secret::new([6; 32])));
        let other = LiveCipher::open(&file, &|id| {
            assert_eq!(id, Id([1; 16]));
            Ok(other.clone())
        });
        assert!(other.unwrap().read(&file, 0, 10).is_err());
        let mut block = vec![0; WHOLE as usize];
        file.read_exact_at(&mut block, HEAD).unwrap();
        file.write_all_at(&block, HEAD + WHOLE).unwrap();
        assert!(cipher.read(&file, 0, 10).is_ok());
        assert!(cipher.read(&file, BLOCK, 10).is_err());
    }
}
