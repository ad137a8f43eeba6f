//! The suite that everything passes which keeps pins, and a fake that does.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::ipfs::{Listed, PinOptions, PinService, PinStatus};
use crate::types::Cid;
use crate::unixfs::raw_cid;

/// How long a service may take to tell everywhere what one call changed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a pin service does. `cids` are some whose blocks it can have; nobody else may pin them meanwhile.
pub async fn pin_service(service: &dyn PinService, cids: &[Cid]) {
    let [first, second, ..] = cids else { panic!("the suite needs two CIDs") };
    service.check().await.unwrap();
    for cid in cids {
        service.unpin(cid).await.unwrap();
        gone(service, cid).await;
    }
    // Peers hear of it one after the other.
    let end = tokio::time::Instant::now() + PATIENCE;
    while service.unpin(first).await.unwrap() {
        assert!(tokio::time::Instant::now() < end, "there is nothing to unpin");
    }
    let nobody = raw_cid(b"nobody ever pins this");
    assert!(!service.status(&[nobody]).await.unwrap()[0].is_known());
    assert!(service.status(&[]).await.unwrap().is_empty());

    // A pin becomes complete, keeps what it was given, and may be asked for twice.
    let metadata = BTreeMap::from([("suite".to_owned(), "conformance".to_owned())]);
    let options = PinOptions {
        name: "a name with spaces & signs".to_owned(),
        replication_min: -1,
        replication_max: -1,
        metadata: metadata.clone(),
        ..PinOptions::default()
    };
    service.pin(first, &options).await.unwrap();
    service.pin(first, &options).await.unwrap();
    let status = complete(service, first).await;
    assert_eq!(status.metadata, metadata);
    assert!(status.errors.is_empty() && status.wanted >= 1, "{status:?}");
    let listed = listed_until(service, |pins| pins.iter().any(|pin| pin.cid == *first)).await;
    let found: Vec<_> = listed.iter().filter(|pin| pin.cid == *first).collect();
    assert_eq!(found.len(), 1, "one pin a CID");
    assert_eq!((found[0].name.as_str(), &found[0].metadata), (options.name.as_str(), &metadata));

    // Statuses come in the order of the question, unknown ones among them.
    service.pin(second, &PinOptions { name: String::new(), ..options.clone() }).await.unwrap();
    complete(service, second).await;
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let statuses = service.status(&[nobody, *second, *first]).await.unwrap();
        let complete: Vec<_> = statuses.iter().map(PinStatus::is_complete).collect();
        assert!(!complete[0]);
        if complete == [false, true, true] {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "still {statuses:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Later options replace the earlier ones.
    let other = BTreeMap::from([("suite".to_owned(), "again".to_owned())]);
    service.pin(first, &PinOptions { metadata: other.clone(), ..options.clone() }).await.unwrap();
    until(service, first, |status| status.metadata == other).await;

    // A pin with an end is one until then.
    let later = PinOptions { expire_at: Some(SystemTime::now() + Duration::from_secs(3600)), ..options };
    service.pin(second, &later).await.unwrap();
    complete(service, second).await;
    service.recover(second).await.unwrap();
    service.troubled(&mut |cid| panic!("{cid} is in trouble")).await.unwrap();

    // What `visit` fails with ends a listing.
    let refused = |_| Err(Error::new(ErrorKind::Busy, "enough"));
    assert_eq!(service.list(&mut { refused }).await.unwrap_err().kind(), ErrorKind::Busy);

    for cid in cids {
        service.unpin(cid).await.unwrap();
        gone(service, cid).await;
    }
    listed_until(service, |pins| pins.iter().all(|pin| !cids.contains(&pin.cid))).await;
}

async fn listed_until(service: &dyn PinService, so: impl Fn(&[Listed]) -> bool) -> Vec<Listed> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let pins = list(service).await;
        if so(&pins) {
            return pins;
        }
        assert!(tokio::time::Instant::now() < end, "still {pins:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn list(service: &dyn PinService) -> Vec<Listed> {
    let mut all = Vec::new();
    let mut visit = |pin| {
        all.push(pin);
        Ok(())
    };
    service.list(&mut visit).await.unwrap();
    all
}

async fn until(service: &dyn PinService, cid: &Cid, so: impl Fn(&PinStatus) -> bool) -> PinStatus {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let status = service.status(&[*cid]).await.unwrap().remove(0);
        if so(&status) {
            return status;
        }
        assert!(tokio::time::Instant::now() < end, "{cid} is still {status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn complete(service: &dyn PinService, cid: &Cid) -> PinStatus {
    until(service, cid, PinStatus::is_complete).await
}

async fn gone(service: &dyn PinService, cid: &Cid) {
    until(service, cid, |status| !status.is_known()).await;
}

/// Keeps pins in memory, at three peers; can be told to fail.
#[derive(Default)]
pub struct FakePins(Mutex<Fake>);

#[derive(Default)]
struct Fake {
    pins: HashMap<Cid, PinOptions>,
    trouble: HashMap<Cid, String>,
    down: bool,
    /// Peers that are gone for good.
    gone: u32,
    calls: Vec<String>,
}

impl FakePins {
    /// Peers of the fake.
    pub const PEERS: u32 = 3;

    /// Whether nobody answers.
    pub fn set_down(&self, down: bool) {
        self.0.lock().down = down;
    }

    /// So many peers leave the cluster.
    pub fn set_gone(&self, peers: u32) {
        self.0.lock().gone = peers;
    }

    /// One peer fails with this CID from now on (or no longer).
    pub fn set_trouble(&self, cid: Cid, error: Option<&str>) {
        let mut fake = self.0.lock();
        match error {
            Some(error) => fake.trouble.insert(cid, error.to_owned()),
            None => fake.trouble.remove(&cid),
        };
    }

    /// The pins, by CID.
    pub fn pins(&self) -> HashMap<Cid, PinOptions> {
        self.0.lock().pins.clone()
    }

    /// Somebody else makes a pin, or takes one away.
    pub fn meddle(&self, cid: Cid, options: Option<PinOptions>) {
        let mut fake = self.0.lock();
        match options {
            Some(options) => fake.pins.insert(cid, options),
            None => fake.pins.remove(&cid),
        };
    }

    /// Calls that changed something, as `pin CID` and `unpin CID`, since the last time.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().calls)
    }

    fn up(&self) -> Result<parking_lot::MutexGuard<'_, Fake>> {
        let fake = self.0.lock();
        if fake.down {
            return Err(Error::new(ErrorKind::Unavailable, "the fake is down"));
        }
        Ok(fake)
    }
}

#[async_trait::async_trait]
impl PinService for FakePins {
    async fn pin(&self, cid: &Cid, options: &PinOptions) -> Result<()> {
        let mut fake = self.up()?;
        fake.calls.push(format!("pin {cid}"));
        fake.pins.insert(*cid, options.clone());
        Ok(())
    }

    async fn unpin(&self, cid: &Cid) -> Result<bool> {
        let mut fake = self.up()?;
        fake.calls.push(format!("unpin {cid}"));
        Ok(fake.pins.remove(cid).is_some())
    }

    async fn status(&self, cids: &[Cid]) -> Result<Vec<PinStatus>> {
        let fake = self.up()?;
        let one = |cid: &Cid| match (fake.pins.get(cid), fake.trouble.get(cid)) {
            (None, _) => PinStatus::default(),
            (Some(options), trouble) => {
                let errors: Vec<_> = trouble.iter().map(|error| ("peer2".to_owned(), (*error).clone())).collect();
                let wanted = Self::PEERS - fake.gone;
                let pinned = wanted - errors.len() as u32;
                PinStatus { wanted, pinned, errors, metadata: options.metadata.clone(), ..PinStatus::default() }
            }
        };
        Ok(cids.iter().map(one).collect())
    }

    async fn recover(&self, _cid: &Cid) -> Result<()> {
        self.up().map(drop)
    }

    async fn list(&self, visit: &mut (dyn FnMut(Listed) -> Result<()> + Send)) -> Result<()> {
        let pins = self.up()?.pins.clone();
        pins.into_iter().try_for_each(|(cid, o)| visit(Listed { cid, name: o.name, metadata: o.metadata }))
    }

    async fn troubled(&self, visit: &mut (dyn FnMut(Cid) -> Result<()> + Send)) -> Result<()> {
        let trouble = self.up()?.trouble.clone();
        trouble.into_keys().try_for_each(visit)
    }

    async fn check(&self) -> Result<()> {
        self.up().map(drop)
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_fake_is_a_pin_service() {
        let cids = [crate::unixfs::raw_cid(b"1"), crate::unixfs::raw_cid(b"2")];
        super::pin_service(&super::FakePins::default(), &cids).await;
    }
}
