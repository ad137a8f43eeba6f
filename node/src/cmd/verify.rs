//! `pinfold fsck --verify`: every stored byte is compared with its CID, and every object is read from end to end: the
//! first finds what is damaged, the second which names suffer and what is missing.

use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::s3_types::{ListItem, ListRequest, ObjectInfo};
use pinfold_store::types::Caller;

use super::report::Contents;
use crate::config::NodeConfig;
use crate::doors;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::WorkProgress;

/// Keys a page.
const PAGE: usize = 1000;
/// Bytes a read.
const READ: usize = 1 << 20;
/// Damages that the report for programs keeps.
const KEPT: usize = 1000;

/// Opens the store as a start would and reads everything. Damages are said as they are found.
pub fn contents(config: &NodeConfig, out: Output) -> Result<Contents, Failure> {
    let bar = WorkProgress::new();
    // What a crash left open is published, which takes the keys.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let var = |name: &str| std::env::var_os(name);
    let transit = crate::master_key::transit(&config.elsewhere, &var)?;
    let master = runtime.block_on(crate::master_key::load(var, config, transit.as_deref()))?;
    let namespace = doors::open_namespace(config, master, &bar.teller())?;
    let scrub = namespace.chunks().verify_all(&|step| bar.tell(step.what, step.done, step.total))?;
    bar.clear();
    let mut found = Contents {
        blocks: scrub.blocks,
        block_bytes: scrub.bytes,
        damaged_blocks: scrub.damaged,
        ..Contents::default()
    };
    for damage in &scrub.damage {
        let (path, at) = (damage.path.display(), damage.offset);
        tell(&mut found, &bar, out, format!("block {} ({path}, byte {at}): {}", damage.cid, damage.error))?;
    }
    out.say(&format!("blocks: {} read, {} bytes, {} damaged", scrub.blocks, scrub.bytes, scrub.damaged))?;
    let read = runtime.block_on(read_all(&namespace, &bar, out, &mut found));
    bar.clear();
    doors::close_namespace(&namespace)?;
    read?;
    let (objects, bytes, bad) = (found.objects, found.object_bytes, found.damaged_objects);
    out.say(&format!("contents: {objects} objects, {bytes} bytes read, {bad} damaged"))?;
    Ok(found)
}

fn tell(found: &mut Contents, bar: &WorkProgress, out: Output, damage: String) -> Result<(), Failure> {
    bar.aside(|| out.say(&format!("PROBLEM: {damage}")))?;
    if found.damages.len() < KEPT {
        found.damages.push(damage);
    }
    Ok(())
}

async fn read_all(namespace: &Namespace, bar: &WorkProgress, out: Output, found: &mut Contents) -> Result<(), Failure> {
    let caller = Caller::worker("fsck");
    for bucket in namespace.buckets()? {
        let mut after = Vec::new();
        loop {
            let request = ListRequest { after: after.clone(), max: PAGE, ..ListRequest::default() };
            let page = namespace.list(&caller, &bucket.name, request).await?;
            for item in &page.items {
                let ListItem::Object(info) = item else { continue };
                after.clone_from(&info.key);
                found.objects += 1;
                match read(namespace, &caller, &bucket.name, info).await {
                    Ok(bytes) => found.object_bytes += bytes,
                    Err(error) => {
                        found.damaged_objects += 1;
                        let key = String::from_utf8_lossy(&info.key);
                        tell(found, bar, out, format!("{}/{key}: {error}", bucket.name))?;
                    }
                }
                bar.tell("reading all names (objects)", found.objects, 0);
            }
            if !page.truncated {
                break;
            }
        }
    }
    Ok(())
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
