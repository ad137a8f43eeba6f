//! The scrub in the background.

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::{Fixture, pattern};
use crate::meta::{EngineKind, Quiet};
use crate::namespace::{Namespace, NamespaceConfig};

fn scrubs(ns: &Namespace) -> (u64, u64) {
    ns.workers().iter().find(|worker| worker.name == "scrub").map_or((0, 0), |worker| (worker.rounds, worker.failed))
}

fn wait_for_a_round(ns: &Namespace) -> (u64, u64) {
    let patience = Instant::now() + Duration::from_secs(60);
    while scrubs(ns).0 == 0 {
        assert!(Instant::now() < patience, "no round of the scrub in a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
    scrubs(ns)
}

fn ruling13_resting_content_is_read_by_itself_and_rot_is_found(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    let info = f.put("big", &pattern(3 << 20, 1));
    f.put("small", &pattern(50_000, 2));
    let file = f.ns.chunks().sealed_file(&info.cid).unwrap().unwrap().file;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&*file))).unwrap();
    drop(file);
    f.ns.close().unwrap();
    drop(f.ns.0.take());
    let open = |rate| {
        let mut config = NamespaceConfig::new(f.dir.path());
        config.engine = engine;
        config.reserve_bytes = 0;
        config.scrub_rate = rate;
        config.scrub_every = Duration::from_millis(1);
        Namespace::open(config, &Quiet).unwrap()
    };
    let whole = open(1 << 30);
    let (_, failed) = wait_for_a_round(&whole);
    assert_eq!(failed, 0);
    whole.close().unwrap();
    drop(whole);

    // A bit rots, and neither size nor times tell.
    let before = std::fs::metadata(&path).unwrap();
    let times = std::fs::FileTimes::new().set_modified(before.modified().unwrap());
    let mut mode = before.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    let rot = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    rot.write_all_at(b"rot", 2 << 20).unwrap();
    rot.set_times(times).unwrap();
    drop(rot);
    std::fs::set_permissions(&path, before.permissions()).unwrap();
    let rotten = open(1 << 30);
    let (_, failed) = wait_for_a_round(&rotten);
    assert!(failed > 0, "the first round reports it");
    assert!(rotten.chunks().sealed_file(&info.cid).map_or(true, |file| file.is_none()), "no kernel reads it any more");
    rotten.close().unwrap();
    drop(rotten);

    // A slow round does not hold a stop up.
    let slow = open(1);
    std::thread::sleep(Duration::from_millis(50));
    slow.close().unwrap();
    drop(slow);
    f.ns = super::Opened(Some(open(0)));
}

on_every_engine!(ruling13_resting_content_is_read_by_itself_and_rot_is_found,);
