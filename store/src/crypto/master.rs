//! The master key: what every secret that is stored is wrapped with.
//!
//! It comes from a file or the environment, as lines of 64 hexadecimal digits: the first wraps, the others are older ones
//! that still unwrap, so that it can be changed on a running system and what it wrapped be wrapped anew.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::aead::{self, NONCE, TAG};
use crate::error::{Error, ErrorKind, IoContext, Result};

/// Version of the wrapped form.
const VERSION: u8 = 1;
const HEAD: usize = 1 + 8 + NONCE;
/// Bytes that a wrapped secret has more than the secret.
pub const WRAPPED_EXTRA: usize = HEAD + TAG;

/// Which master key it is: a name that tells nothing of the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyName([u8; 8]);

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 32 secret bytes, wiped when they are dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// New random ones, of the kernel.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// These.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A secret for one purpose, from which this one cannot be found. `purpose` is a constant of this program.
    pub(super) fn derive(&self, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(purpose);
        hasher.update(&self.0);
        let derived = Self(hasher.finalize().into());
        hasher.zeroize();
        derived
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Fills `bytes` with randomness of the kernel.
pub(super) fn random(bytes: &mut [u8]) -> Result<()> {
    OsRng.try_fill_bytes(bytes).map_err(|e| Error::new(ErrorKind::Io, "the kernel gives no randomness").caused_by(e))
}

#[derive(Clone)]
struct One {
    name: KeyName,
    wraps: Secret,
}

impl One {
    fn new(master: &Secret) -> Self {
        let mut name = [0; 8];
        name.copy_from_slice(&master.derive("pinfold 2026-11-23 name of a master key").bytes()[..8]);
        Self { name: KeyName(name), wraps: master.derive("pinfold 2026-11-23 master key wraps a secret") }
    }
}

/// The master key, with older ones that still unwrap.
#[derive(Clone)]
pub struct MasterKey {
    current: One,
    older: Vec<One>,
}

impl MasterKey {
    /// Reads keys from a file: the first line that is no comment (`#`) is the key, the others older ones. NotFound if there
    /// is no such file, NotPermitted if others than its owner may read it, InvalidArgument if it holds no key.
    pub fn load(path: &Path) -> Result<Self> {
        Self::parse(&Self::read(path)?).map_err(|e| e.with("file", path.display()))
    }

    /// The text of such a file, unread. NotFound and NotPermitted as [`Self::load`] has them.
    pub fn read(path: &Path) -> Result<Zeroizing<String>> {
        let named = |e: Error| e.with("file", path.display());
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(named(Error::new(ErrorKind::NotFound, "the master key's file is not there")));
            }
            Err(e) => return Err(named(Error::io("the master key's file cannot be read", e))),
        };
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(named(Error::new(
                ErrorKind::NotPermitted,
                "the master key's file can be read by others than its owner (chmod 600)",
            )));
        }
        fs::read_to_string(path).map(Zeroizing::new).at("the master key's file cannot be read").map_err(named)
    }

    /// As [`Self::load`], of the file's text (or an environment variable's, where commas may stand for the ends of lines).
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.split(['\n', ',']).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut keys = lines.map(parse_one).collect::<Result<Vec<_>>>()?.into_iter();
        let none = || Error::new(ErrorKind::InvalidArgument, "there is no master key in it: 64 hexadecimal digits");
        Ok(Self { current: keys.next().ok_or_else(none)?, older: keys.collect() })
    }

    /// A new one in a new file of mode 0600, durable. AlreadyExists if the file is there.
    pub fn create(path: &Path) -> Result<Self> {
        let text = Zeroizing::new(format!(
            "# Pinfold's master key. Keep a copy apart from the data.\n{}\n",
            *Self::new_line()?
        ));
        Self::write(path, &text)?;
        Self::parse(&text)
    }

    /// A new key as a line of such a file.
    pub fn new_line() -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(hex::encode(Secret::random()?.bytes())))
    }

    /// Puts a text into a new file of mode 0600, durably. AlreadyExists if the file is there.
    pub fn write(path: &Path, text: &str) -> Result<()> {
        let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(
                    Error::new(ErrorKind::AlreadyExists, "the master key's file is there").with("file", path.display())
                );
            }
            Err(e) => return Err(Error::io("the master key's file cannot be made", e).with("file", path.display())),
        };
        file.write_all(text.as_bytes()).at("the master key's file cannot be written")?;
        file.sync_all().at("the master key's file cannot be synced")?;
        if let Some(dir) = path.parent() {
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .at("the folder of the master key's file cannot be synced")?;
        }
        Ok(())
    }

    /// The name of the key that wraps.
    pub fn name(&self) -> KeyName {
        self.current.name
    }

    /// Wraps a secret for a purpose, which [`Self::unwrap`] must name again: what was wrapped for one thing cannot be passed
    /// off as another.
    pub fn wrap(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        random(&mut nonce)?;
        let mut wrapped = Vec::with_capacity(secret.len() + WRAPPED_EXTRA);
        wrapped.push(VERSION);
        wrapped.extend_from_slice(&self.current.name.0);
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(secret);
        let bound = bound_to(purpose, &self.current.name);
        let tag = aead::seal(self.current.wraps.bytes(), &nonce, &bound, &mut wrapped[HEAD..])?;
        wrapped.extend_from_slice(&tag);
        Ok(wrapped)
    }

    /// The secret. KeyUnavailable if none of the keys wrapped it; Corrupt if it was changed since, or wrapped for something
    /// else.
    pub fn unwrap(&self, purpose: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let damaged = || Error::corrupt("a wrapped secret is damaged").with("purpose", purpose);
        let name = name_of(wrapped).ok_or_else(damaged)?;
        let one = std::iter::once(&self.current).chain(&self.older).find(|one| one.name == name).ok_or_else(|| {
            Error::new(ErrorKind::KeyUnavailable, "a secret was wrapped with another master key than the node has")
                .with("purpose", purpose)
                .with("wrapped_with", name)
                .with("has", self.current.name)
        })?;
        let (body, tag) = wrapped[HEAD..].split_last_chunk::<TAG>().ok_or_else(damaged)?;
        let nonce: [u8; NONCE] = wrapped[9..HEAD].try_into().map_err(|_| damaged())?;
        let mut secret = Zeroizing::new(body.to_vec());
        if !aead::open(one.wraps.bytes(), &nonce, &bound_to(purpose, &name), &mut secret, tag) {
            return Err(damaged());
        }
        Ok(secret)
    }

    /// Whether a wrapped secret should be wrapped anew: an older key did it.
    pub fn is_older(&self, wrapped: &[u8]) -> bool {
        name_of(wrapped) != Some(self.current.name)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("name", &self.current.name).field("older", &self.older.len()).finish()
    }
}

fn parse_one(line: &str) -> Result<One> {
    // The line is not told: it may be a key with a slip in it.
    let bad = || Error::new(ErrorKind::InvalidArgument, "a master key is 64 hexadecimal digits");
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(line, &mut *bytes).map_err(|_| bad())?;
    if bytes.iter().all(|byte| *byte == bytes[0]) {
        return Err(Error::new(ErrorKind::InvalidArgument, "a master key of one repeated byte is none"));
    }
    Ok(One::new(&Secret::new(*bytes)))
}

fn name_of(wrapped: &[u8]) -> Option<KeyName> {
    if wrapped.len() < WRAPPED_EXTRA || wrapped[0] != VERSION {
        return None;
    }
    wrapped[1..9].try_into().ok().map(KeyName)
}

fn bound_to(purpose: &str, name: &KeyName) -> Vec<u8> {
    [b"pinfold wrapped secret 1\0", purpose.as_bytes(), b"\0", &name.0].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const SECOND: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn key(text: &str) -> MasterKey {
        MasterKey::parse(text).unwrap()
    }

    #[test]
    fn wrapped_secrets_come_back_for_their_purpose_and_by_their_key_alone() {
        let first = key(FIRST);
        let wrapped = first.wrap("bucket x", b"secret").unwrap();
        assert_eq!(wrapped.len(), 6 + WRAPPED_EXTRA);
        assert!(!wrapped.windows(6).any(|w| w == b"secret"));
        assert_ne!(wrapped, first.wrap("bucket x", b"secret").unwrap());
        assert_eq!(&**first.unwrap("bucket x", &wrapped).unwrap(), b"secret");
        assert_eq!(first.unwrap("bucket y", &wrapped).unwrap_err().kind(), ErrorKind::Corrupt);
        let error = key(SECOND).unwrap("bucket x", &wrapped).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains(&first.name().to_string()), "{error}");
        // The older key still unwraps, and is told to be older.
        let both = key(&format!("{SECOND},{FIRST}"));
        assert_eq!(&**both.unwrap("bucket x", &wrapped).unwrap(), b"secret");
        assert!(both.is_older(&wrapped) && !first.is_older(&wrapped));
        let again = both.wrap("bucket x", b"secret").unwrap();
        assert_eq!(&**key(SECOND).unwrap("bucket x", &again).unwrap(), b"secret");
        assert_eq!(first.unwrap("bucket x", &wrapped[..20]).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    /// What is on disk must stay readable: the derivation and the form are frozen. (Computed with libsodium and
    /// BLAKE3's reference.)
    #[test]
    fn the_stored_form_is_stable() {
        let first = key(FIRST);
        assert_eq!(first.name().to_string(), "207536c82e994979");
        let wrapped = hex::decode("01207536c82e9949796465666768696a6b6c6d6e6f707172737475767778797a7b9c5070de63da833fb2daeceb062b966592d932173692bd53").unwrap();
        assert_eq!(&**first.unwrap("fixture", &wrapped).unwrap(), b"a secret");
    }

    #[test]
    fn files_are_made_once_and_read_only_if_nobody_else_can() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert_eq!(MasterKey::load(&path).unwrap_err().kind(), ErrorKind::NotFound);
        let made = MasterKey::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::load(&path).unwrap().name(), made.name());
        assert_eq!(MasterKey::create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(MasterKey::load(&path).unwrap_err().kind(), ErrorKind::NotPermitted);
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let zeros = "0".repeat(64);
        for text in ["", "# only a comment\n", "abc", &FIRST[..62], &format!("{FIRST}00"), &zeros] {
            let error = MasterKey::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
            assert!(text.len() < 62 || !format!("{error} {error:?}").contains(&text[..60]), "{error}");
        }
        assert!(!format!("{:?} {:?}", key(FIRST), Secret::new([7; 32])).contains("0102"));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_of_a_wrapped_secret_is_noticed(secret in proptest::collection::vec(any::<u8>(), 0..80), at: prop::sample::Index, bit in 0u8..8) {
            let first = key(FIRST);
            let mut wrapped = first.wrap("p", &secret).unwrap();
            let n = at.index(wrapped.len());
            wrapped[n] ^= 1 << bit;
            prop_assert!(first.unwrap("p", &wrapped).is_err());
        }
    }
}
