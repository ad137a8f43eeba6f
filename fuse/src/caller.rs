//! Who asks: from the kernel's request to the store's caller.

use fuser::Request;
use pinfold_store::types::{Caller, Door, Id};

/// The caller behind a request that came by the mount of subscription `mount`.
pub(crate) fn of(request: &Request, mount: u64) -> Caller {
    by(request.uid(), request.gid(), mount)
}

fn by(uid: u32, gid: u32, mount: u64) -> Caller {
    Caller {
        principal: format!("uid:{uid}"),
        door: Door::Mount,
        request: Id::random(),
        uid,
        gid,
        admin: uid == 0,
        bypass_governance: false,
        mount,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_an_administrator_and_others_are_not() {
        let root = by(0, 0, 7);
        assert_eq!((root.principal.as_str(), root.admin, root.mount, root.door), ("uid:0", true, 7, Door::Mount));
        let user = by(1000, 100, 7);
        assert_eq!((user.principal.as_str(), user.admin, user.uid, user.gid), ("uid:1000", false, 1000, 100));
        assert_ne!(root.request, user.request);
    }
}
