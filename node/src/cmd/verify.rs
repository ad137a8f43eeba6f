//! `pinfold fsck --verify`: every stored byte is compared with its CID, and every object is read from end to end: the
//! first finds what is damaged, the second which names suffer and what is missing.

use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::s3_types::{ListItem, ListRequest, ObjectInfo};
use pinfold_store::types::Caller;

use crate::config::NodeConfig;
use crate::failure::{ExitCode, Failure};
use crate::progress::WorkProgress;
use crate::{doors, output};

/// Keys a page.
const PAGE: usize = 1000;
/// Bytes a read.
const READ: usize = 1 << 20;

#[derive(Default)]
struct Tally {
    objects: u64,
    bytes: u64,
    bad: u64,
}

/// Opens the store as a start would and reads everything.
pub fn contents(config: &NodeConfig) -> Result<(), Failure> {
    let bar = WorkProgress::new();
    let namespace = doors::open_namespace(config, &bar.teller())?;
    let scrub = namespace.chunks().verify_all(&|step| bar.tell(step.what, step.done, step.total))?;
    bar.clear();
    for damage in &scrub.damage {
        let (path, at) = (damage.path.display(), damage.offset);
        output::print(&format!("PROBLEM: block {} ({path}, byte {at}): {}\n", damage.cid, damage.error))?;
    }
    output::print(&format!("blocks: {} read, {} bytes, {} damaged\n", scrub.blocks, scrub.bytes, scrub.damaged))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let tally = runtime.block_on(read_all(&namespace, &bar));
    bar.clear();
    doors::close_namespace(&namespace)?;
    let tally = tally?;
    output::print(&format!(
        "contents: {} objects, {} bytes read, {} damaged\n",
        tally.objects, tally.bytes, tally.bad
    ))?;
    match (tally.bad, scrub.damaged) {
        (0, 0) => Ok(()),
        (bad, blocks) => {
            Err(Failure::message(ExitCode::Failed, format!("{bad} objects and {blocks} blocks are damaged")))
        }
    }
}

async fn read_all(namespace: &Namespace, bar: &WorkProgress) -> Result<Tally, Failure> {
    let caller = Caller::worker("fsck");
    let mut tally = Tally::default();
    for bucket in namespace.buckets()? {
        let mut after = Vec::new();
        loop {
            let request = ListRequest { after: after.clone(), max: PAGE, ..ListRequest::default() };
            let page = namespace.list(&caller, &bucket.name, request).await?;
            for item in &page.items {
                let ListItem::Object(info) = item else { continue };
                after.clone_from(&info.key);
                tally.objects += 1;
                match read(namespace, &caller, &bucket.name, info).await {
                    Ok(bytes) => tally.bytes += bytes,
                    Err(error) => {
                        tally.bad += 1;
                        let key = String::from_utf8_lossy(&info.key);
                        output::print(&format!("PROBLEM: {}/{key}: {error}\n", bucket.name))?;
                    }
                }
                bar.tell("contents (objects)", tally.objects, 0);
            }
            if !page.truncated {
                break;
            }
        }
    }
    Ok(tally)
}

async fn read(namespace: &Namespace, caller: &Caller, bucket: &str, info: &ObjectInfo) -> pinfold_store::Result<u64> {
    let (_, reader) = namespace.get(caller, bucket, &info.key).await?;
    tokio::task::block_in_place(|| {
        let mut at = 0;
        while at < reader.size() {
            let bytes = reader.read_at(at, READ)?;
            if bytes.is_empty() {
                return Err(pinfold_store::Error::corrupt("the content ends early").with("position", at));
            }
            at += bytes.len() as u64;
        }
        Ok(at)
    })
}
