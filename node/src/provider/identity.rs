//! The node's name among libp2p peers: an ed25519 key that is made once.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pinfold_store::ipfs::peer::PeerId;
use pinfold_store::{Error, ErrorKind, IoContext, Result};
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

/// The key's file in the data directory.
pub const FILE: &str = "peer-key";
/// Its first line.
const MAGIC: &str = "pinfold peer key 1";

/// The name by the key in `path`, which is made if it is not there. Corrupt if the file holds something else.
pub fn load(path: &Path) -> Result<PeerId> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => make(path)?,
        Err(e) => return Err(Error::io("the peer key cannot be read", e).with("file", path.display())),
    };
    let wrong = || Error::corrupt("the peer key's file holds something else").with("file", path.display());
    let (magic, rest) = text.split_once('\n').ok_or_else(wrong)?;
    let mut seed = Zeroizing::new([0; 32]);
    if magic != MAGIC || hex::decode_to_slice(rest.trim_end(), &mut *seed).is_err() {
        return Err(wrong());
    }
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| wrong())?;
    let public = <[u8; 32]>::try_from(pair.public_key().as_ref()).map_err(|_| wrong())?;
    Ok(PeerId::of_ed25519(&public))
}

fn make(path: &Path) -> Result<Zeroizing<String>> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed)
        .map_err(|e| Error::new(ErrorKind::Internal, "the system has no random numbers").caused_by(e))?;
    let text = Zeroizing::new(format!("{MAGIC}\n{}\n", hex::encode(*seed)));
    let tmp = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&tmp)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&tmp, path)?;
        path.parent().map_or(Ok(()), |dir| std::fs::File::open(dir)?.sync_all())
    };
    write().at("making the peer key")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{FILE, load};

    #[test]
    fn made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let id = load(&path).unwrap();
        assert_eq!(load(&path).unwrap(), id);
        assert!(id.to_string().starts_with("12D3KooW"));
        std::fs::write(&path, "pinfold peer key 1\n00\n").unwrap();
        assert!(load(&path).is_err());
        // The first test vector of RFC 8032.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        std::fs::write(&path, format!("pinfold peer key 1\n{seed}\n")).unwrap();
        assert_eq!(load(&path).unwrap().to_string(), "12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV");
    }
}
