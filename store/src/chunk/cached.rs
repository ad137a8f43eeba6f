//! Whether what an earlier run of the node wrote and did not sync is still there: after `kill -9` it is, in the kernel's
//! memory; after the power went it is not. Live files say in their mode which of it they rest upon (`live.rs`).

use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::error::{IoContext, Result};

/// `STATX_MNT_ID_UNIQUE` of <linux/stat.h> (6.8): an id that no other mount has until the next boot.
const MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The kernel's memory as a run of the node sees it: this boot, this mount of the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Memory {
    boot: String,
    /// The mount namespace and the id of the mount in it; empty where the kernel does not tell.
    namespace: String,
    mount: String,
}

impl Memory {
    /// As it is now. None where the kernel does not tell which boot this is.
    pub(super) fn now(dir: &Path) -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let namespace =
            fs::read_link("/proc/self/ns/mnt").map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let mount = match statx(CWD, dir, AtFlags::empty(), MOUNT_ID) {
            Ok(found) if found.stx_mask & MOUNT_ID.bits() != 0 => found.stx_mnt_id.to_string(),
            _ => String::new(),
        };
        (!boot.is_empty()).then_some(Self { boot, namespace, mount })
    }

    /// As it was when `path` was written. None for what cannot be read.
    pub(super) fn recorded(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut words = text.strip_prefix(MAGIC)?.split_whitespace();
        let mut next = || words.next().map(|word| if word == "-" { String::new() } else { word.to_owned() });
        Some(Self { boot: next()?, namespace: next()?, mount: next()? })
    }

    /// Writes it down. It need not be durable: what a power cut leaves of it is of another boot or mount.
    pub(super) fn record(&self, path: &Path) -> Result<()> {
        let word = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let text = format!("{MAGIC}{} {} {}\n", self.boot, word(&self.namespace), word(&self.mount));
        fs::write(path, text).at("writing down which boot this is")
    }

    /// Whether everything that was written under `self` can be read under `now`, synced or not.
    ///
    /// A service manager may give each start a mount namespace of its own, with other mount ids: then the boot decides.
    pub(super) fn lives_on(&self, now: &Self) -> bool {
        self.boot == now.boot && (self.namespace != now.namespace || self.mount == now.mount)
    }
}

/// Begins the file.
const MAGIC: &str = "pinfold boot 1\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_or_a_mount_ends_it_and_a_namespace_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let now = Memory::now(dir.path()).unwrap();
        let path = dir.path().join("boot");
        assert_eq!(Memory::recorded(&path), None);
        now.record(&path).unwrap();
        assert_eq!(Memory::recorded(&path).as_ref(), Some(&now));
        assert!(now.lives_on(&now));
        let changed = |change: fn(&mut Memory)| {
            let mut other = now.clone();
            change(&mut other);
            now.lives_on(&other)
        };
        assert!(!changed(|m| m.boot.push('x')));
        assert!(!changed(|m| m.mount.push('x')));
        assert!(changed(|m| {
            m.namespace.push('x');
            m.mount.push('x');
        }));
        let none = Memory { namespace: String::new(), mount: String::new(), ..now };
        none.record(&path).unwrap();
        assert_eq!(Memory::recorded(&path), Some(none));
        fs::write(&path, "pinfold boot 2\na b c").unwrap();
        assert_eq!(Memory::recorded(&path), None);
    }
}
