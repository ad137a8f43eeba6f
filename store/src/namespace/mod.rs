//! The one API of both doors: names to inodes to content, decided at the log's head.
//!
//! Start reading at [`engine`] (what the parts share) and [`txn`] (how a change becomes one record). The object side
//! (S3) is in `bucket`, `object`, `list`, `copy`, `multipart`, `account`; the mount's in `lookup`, `names`, `rename`,
//! `setattr`, `xattr`, `handle`, `release`; what joins them in `publish` and `watch`.

mod account;
mod bucket;
mod buckets;
mod condition;
pub mod config;
mod copy;
pub mod dag;
mod ended;
mod engine;
mod grants;
mod handle;
mod inode;
mod keeping;
pub mod lifecycle;
mod list;
mod list_versions;
mod live;
mod local;
mod lock;
mod lookup;
pub mod mount_types;
mod multipart;
mod names;
mod node;
pub mod notices;
mod object;
mod open;
mod orphan;
mod path;
mod pictures;
pub mod pins;
pub mod provide;
mod publish;
pub mod quota;
mod recover;
mod release;
mod rename;
mod rename_object;
pub mod s3_limits;
pub mod s3_types;
mod scrub;
mod sealing;
mod setattr;
pub mod shown;
mod told;
mod txn;
mod version;
mod walk;
mod watch;
mod witness;
mod xattr;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use account::{Account, Role};
pub use condition::check_read;
pub use config::NamespaceConfig;
pub use handle::FileHandle;
pub use multipart::{MAX_PARTS, MIN_PART_SIZE};
pub use sealing::{Encrypt, check_customer};

use crate::types::{DirId, Id};

/// Id of the namespace root, whose children are buckets.
const ROOT_DIR: DirId = Id([0; 16]);

/// The namespace. Cheap to clone; two of them can live in one process.
#[derive(Clone)]
pub struct Namespace(Arc<engine::Engine>);
