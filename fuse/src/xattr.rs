//! Extended attributes.

use fuser::{Errno, INodeNo, ReplyXattr};
use pinfold_store::namespace::mount_types::XattrMode;
use pinfold_store::types::Caller;

use crate::door::Door;
use crate::errno::Outcome;

/// File capabilities. Never stored: the mount is nosuid, so they would mean nothing, and each write would have to look
/// whether there are any (`privilege.rs`).
const CAPABILITY: &[u8] = b"security.capability";
/// Attributes of this class are root's alone.
const TRUSTED: &[u8] = b"trusted.";
/// POSIX ACLs are not offered (the kernel would have to check them: FUSE_POSIX_ACL).
const ACL: &[u8] = b"system.posix_acl_";

fn refused(name: &[u8]) -> bool {
    name == CAPABILITY || name.starts_with(ACL)
}

impl Door {
    /// `getxattr`: the value.
    pub(crate) fn getxattr(&self, number: INodeNo, name: &[u8]) -> Outcome<Vec<u8>> {
        // Programs ask for these of every file they look at: not worth a look into the store.
        if name == CAPABILITY {
            return Err(Errno::ENODATA.into());
        }
        if refused(name) {
            return Err(Errno::EOPNOTSUPP.into());
        }
        Ok(self.namespace.getxattr(self.numbers.to_store(number), name)?)
    }

    /// `listxattr`: the names, each with a NUL behind it.
    pub(crate) fn listxattr(&self, caller: &Caller, number: INodeNo) -> Outcome<Vec<u8>> {
        let mut names = self.namespace.listxattr(self.numbers.to_store(number))?;
        // The kernel lets nobody else read these, and does not sort them out of a list.
        names.retain(|name| caller.admin || !name.starts_with(TRUSTED));
        let mut list = Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names {
            list.extend_from_slice(&name);
            list.push(0);
        }
        Ok(list)
    }

    /// `setxattr`.
    pub(crate) fn setxattr(
        &self,
        caller: &Caller,
        number: INodeNo,
        name: &[u8],
        value: &[u8],
        flags: i32,
    ) -> Outcome<()> {
        let mode = match flags {
            0 => XattrMode::Set,
            libc::XATTR_CREATE => XattrMode::Create,
            libc::XATTR_REPLACE => XattrMode::Replace,
            _ => return Err(Errno::EINVAL.into()),
        };
        if refused(name) {
            return Err(Errno::EOPNOTSUPP.into());
        }
        Ok(self.namespace.setxattr(caller, self.numbers.to_store(number), name, value, mode)?)
    }

    /// `removexattr`.
    pub(crate) fn removexattr(&self, caller: &Caller, number: INodeNo, name: &[u8]) -> Outcome<()> {
        if name == CAPABILITY {
            return Err(Errno::ENODATA.into());
        }
        if refused(name) {
            return Err(Errno::EOPNOTSUPP.into());
        }
        Ok(self.namespace.removexattr(caller, self.numbers.to_store(number), name)?)
    }
}

/// Answers with `value`, or with its size if the caller has room for nothing (`size` 0).
pub(crate) fn send(reply: ReplyXattr, value: Result<Vec<u8>, Errno>, size: u32) {
    match value {
        Err(errno) => reply.error(errno),
        Ok(value) => match u32::try_from(value.len()) {
            Err(_) => reply.error(Errno::E2BIG),
            Ok(len) if size == 0 => reply.size(len),
            Ok(len) if len > size => reply.error(Errno::ERANGE),
            Ok(_) => reply.data(&value),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn what_is_never_stored() {
        assert!(refused(b"security.capability"));
        assert!(refused(b"system.posix_acl_access") && refused(b"system.posix_acl_default"));
        assert!(!refused(b"user.security.capability") && !refused(b"security.selinux") && !refused(b"trusted.x"));
    }
}
