//! How much one client, one account and one bucket may ask for: requests a second, refused above that with `503 SlowDown`
//! and `Retry-After`, and bytes a second, above which bodies flow more slowly. All are off unless configured.
//!
//! A client's address is asked about before anything is read of the request but its head; accounts and buckets when it is
//! known that the signature is the account's and the bucket exists, so that nobody uses up what is another's.

mod pace;
mod rate;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use s3s::S3Result;

use crate::error::slow_down;
use crate::metrics;
use crate::peer::Peer;
use crate::server::progress::Progress;

pub(crate) use pace::Pace;
use rate::Rate;

/// Rates a second; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of one client's address (an IPv6 network of 64 bits).
    pub ip: u64,
    /// Of one account.
    pub account: u64,
    /// Of one bucket.
    pub bucket: u64,
}

/// All rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitConfig {
    /// Requests.
    pub requests: Rates,
    /// Bytes of bodies, in both directions together.
    pub bytes: Rates,
}

/// Whom a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Ip,
    Account,
    Bucket,
}

impl By {
    pub(crate) const ALL: [Self; 3] = [Self::Ip, Self::Account, Self::Bucket];

    /// The label of its metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Account => "account",
            Self::Bucket => "bucket",
        }
    }
}

/// The limits of a server.
pub(crate) struct Limits {
    pub(crate) config: LimitConfig,
    requests: [Option<Rate>; 3],
    /// In KiB.
    bytes: [Option<Rate>; 3],
}

impl Limits {
    pub(crate) fn new(config: LimitConfig) -> Self {
        let of = |rates: Rates, unit: u64| {
            [rates.ip, rates.account, rates.bucket].map(|rate| {
                let rate = u32::try_from(rate.div_ceil(unit)).unwrap_or(u32::MAX);
                NonZeroU32::new(rate).map(Rate::new)
            })
        };
        Self { config, requests: of(config.requests, 1), bytes: of(config.bytes, KIB) }
    }

    fn any(&self) -> bool {
        self.config != LimitConfig::default()
    }
}

/// What one cell of a byte rate stands for.
const KIB: u64 = 1024;

/// Who pays for one request.
pub(crate) struct Payer {
    limits: Arc<Limits>,
    names: [OnceLock<String>; 3],
    progress: Option<Arc<Progress>>,
}

impl Payer {
    /// For a request of `peer`; `None` if there are no limits.
    pub(crate) fn new(limits: Arc<Limits>, peer: Option<Peer>, progress: Option<Arc<Progress>>) -> Option<Self> {
        if !limits.any() {
            return None;
        }
        let ip = peer.map(|peer| network(peer.address)).unwrap_or_default();
        Some(Self { limits, names: [ip.into(), OnceLock::new(), OnceLock::new()], progress })
    }

    /// One more request of the client's address; SlowDown if that is too many.
    pub(crate) fn admit_ip(&self) -> S3Result<()> {
        self.admit(By::Ip)
    }

    /// One more request of this account.
    pub(crate) fn admit_account(&self, name: &str) -> S3Result<()> {
        let _ = self.names[By::Account as usize].set(name.to_owned());
        self.admit(By::Account)
    }

    /// One more request to this bucket.
    pub(crate) fn admit_bucket(&self, name: &str) -> S3Result<()> {
        let _ = self.names[By::Bucket as usize].set(name.to_owned());
        self.admit(By::Bucket)
    }

    fn admit(&self, by: By) -> S3Result<()> {
        let (Some(rate), Some(name)) = (&self.limits.requests[by as usize], self.names[by as usize].get()) else {
            return Ok(());
        };
        rate.take(name, NonZeroU32::MIN).map_err(|wait| {
            metrics::limited(by.label());
            slow_down(wait)
        })
    }

    /// The most that can be paid at once, in KiB; `None` without such a limit, or while nobody is known to pay.
    fn most(&self, by: By) -> Option<NonZeroU32> {
        self.names[by as usize].get()?;
        self.limits.bytes[by as usize].as_ref().map(|rate| rate.burst)
    }

    /// Pays for KiB of a body, at most [`Self::most`]; else how long to wait.
    fn pay(&self, by: By, kib: NonZeroU32) -> Result<(), Duration> {
        match (&self.limits.bytes[by as usize], self.names[by as usize].get()) {
            (Some(rate), Some(name)) => rate.take(name, kib),
            _ => Ok(()),
        }
    }

    /// Silence that this side asked for is none of the client's.
    fn waits(&self) {
        if let Some(progress) = &self.progress {
            progress.moved();
        }
    }
}

/// What stands for an address: of IPv6, whose users have whole networks, the network.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => hex::encode(&address.octets()[..8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(limits: &Arc<Limits>, address: &str) -> Payer {
        let peer = Peer { address: address.parse().unwrap(), tls: false, session: None };
        Payer::new(limits.clone(), Some(peer), None).unwrap()
    }

    #[test]
    fn each_client_account_and_bucket_has_its_own() {
        let rates = Rates { ip: 3, account: 2, bucket: 1 };
        let limits = Arc::new(Limits::new(LimitConfig { requests: rates, bytes: Rates::default() }));
        let one = payer(&limits, "10.0.0.1");
        assert!((0..3).all(|_| one.admit_ip().is_ok()));
        assert_eq!(one.admit_ip().unwrap_err().code().as_str(), "SlowDown");
        assert!(payer(&limits, "::ffff:10.0.0.1").admit_ip().is_err(), "the same");
        assert!(payer(&limits, "10.0.0.2").admit_ip().is_ok());
        assert!((0..3).all(|_| payer(&limits, "2001:db8::1").admit_ip().is_ok()));
        assert!(payer(&limits, "2001:db8::ffff:2").admit_ip().is_err(), "one network");
        assert!(payer(&limits, "2001:db8:0:1::1").admit_ip().is_ok());
        assert!(one.admit_account("a").is_ok() && one.admit_account("a").is_ok() && one.admit_account("a").is_err());
        assert!(one.admit_bucket("b").is_ok() && one.admit_bucket("b").is_err());
    }

    #[test]
    fn without_limits_nobody_pays() {
        assert!(Payer::new(Arc::new(Limits::new(LimitConfig::default())), None, None).is_none());
    }
}
