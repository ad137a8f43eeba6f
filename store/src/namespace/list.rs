//! Listings (ListObjects V1 and V2): prefix, any delimiter, pages that begin anywhere.

use super::Namespace;
use super::engine::Engine;
use super::node::read_node;
use super::object::object_info;
use super::s3_types::{ListItem, ListPage, ListRequest};
use super::walk::{KeyWalk, Step};
use crate::error::Result;
use crate::meta::rows::BucketRow;
use crate::meta::schema;
use crate::types::Caller;

/// The common prefix that a key rolls up to, if the delimiter stands after the prefix.
pub(super) fn roll_up<'k>(key: &'k [u8], prefix: &[u8], delimiter: &[u8]) -> Option<&'k [u8]> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = &key[prefix.len()..];
    let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

/// Whether a key is itself such a common prefix: what comes after it comes after all that it rolls up.
pub(super) fn is_rolled_up(key: &[u8], prefix: &[u8], delimiter: &[u8]) -> bool {
    key.starts_with(prefix) && roll_up(key, prefix, delimiter) == Some(key)
}

/// The smallest key to look at: after `after`, and after everything that it rolls up if it is a common prefix itself.
fn first_key(request: &ListRequest) -> Vec<u8> {
    let ListRequest { prefix, delimiter, after, .. } = request;
    if after < prefix {
        return prefix.clone();
    }
    if is_rolled_up(after, prefix, delimiter) {
        return schema::prefix_end(after);
    }
    [after.as_slice(), b"\0"].concat()
}

impl Engine {
    fn list_page(&self, bucket: &BucketRow, name: &str, request: &ListRequest) -> Result<ListPage> {
        let (mut page, mut published) = (ListPage::default(), false);
        if request.max == 0 {
            return Ok(page);
        }
        let first = first_key(request);
        let mut walk = KeyWalk::new(self, bucket.id, bucket.profile, &first)?;
        let ListRequest { prefix, delimiter, max, .. } = request;
        let may_be_hollow = !delimiter.is_empty() && self.meta.get(&schema::unlisted(bucket.id))?.is_some();
        while let Some(step) = walk.next()? {
            match step {
                Step::Directory { path, id } => {
                    if !path.starts_with(prefix) {
                        if prefix.starts_with(&path) {
                            walk.descend(id, path);
                            continue;
                        }
                        if path > *prefix {
                            break;
                        }
                        continue;
                    }
                    match roll_up(&path, prefix, delimiter) {
                        Some(_) if may_be_hollow && self.is_hollow(bucket, &path)? => {}
                        // All keys below roll up to the same prefix; there is at least one.
                        Some(common) => {
                            if page.items.len() == *max {
                                page.truncated = true;
                                break;
                            }
                            let common = common.to_vec();
                            let skip = common.len() < path.len();
                            page.items.push(ListItem::Prefix(common.clone()));
                            if skip {
                                walk.seek(&schema::prefix_end(&common))?;
                            }
                        }
                        None => walk.descend(id, path),
                    }
                }
                Step::Object { key, holder, mut node } => {
                    if !key.starts_with(prefix) {
                        if key > *prefix {
                            break;
                        }
                        continue;
                    }
                    if page.items.len() == *max {
                        page.truncated = true;
                        break;
                    }
                    if let Some(common) = roll_up(&key, prefix, delimiter) {
                        let common = common.to_vec();
                        walk.seek(&schema::prefix_end(&common))?;
                        page.items.push(ListItem::Prefix(common));
                        continue;
                    }
                    if node.file().is_some_and(|file| file.live) {
                        published |= self.publish_closed(node.attr.ino)?;
                        match read_node(self, &holder)? {
                            Some(published) if published.attr.ino == node.attr.ino => *node = published,
                            _ => {}
                        }
                    }
                    page.items.push(ListItem::Object(Box::new(object_info(key, &node)?)));
                }
            }
        }
        if published {
            // What S3 has shown, a crash does not take back.
            self.meta.durable_blocking(self.meta.head())?;
        }
        tracing::trace!(bucket = name, items = page.items.len(), truncated = page.truncated, "listed");
        Ok(page)
    }

    /// Whether no key begins with a directory's path (ruling 27): S3 deleted the directory's own key, and what is below
    /// is nothing that it lists.
    fn is_hollow(&self, bucket: &BucketRow, path: &[u8]) -> Result<bool> {
        let mut walk = KeyWalk::new(self, bucket.id, bucket.profile, path)?;
        while let Some(step) = walk.next()? {
            match step {
                Step::Object { key, .. } => return Ok(!key.starts_with(path)),
                Step::Directory { path: below, id } if below.starts_with(path) => walk.descend(id, below),
                Step::Directory { .. } => return Ok(true),
            }
        }
        Ok(true)
    }
}

impl Namespace {
    /// A page of the listing. Files that were written and closed at a mount are published first (S6); LIST never
    /// waits for a file that is open for writing (ruling 20).
    pub async fn list(&self, _caller: &Caller, bucket: &str, request: ListRequest) -> Result<ListPage> {
        let row = self.0.bucket_row(bucket)?;
        Engine::blocking(|| self.0.list_page(&row, bucket, &request))
    }
}
