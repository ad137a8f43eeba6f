//! How often an address may be wrong about a secret: some tries at once, then one every few seconds.
//!
//! Addresses are counted, not accounts: otherwise whoever knows a name could lock its owner out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Wrong tries at once.
const BURST: u32 = 10;
/// One more after each of these.
const EVERY: Duration = Duration::from_secs(6);
/// Addresses that are remembered. With more, those that waited longest are forgotten; the limit on sign-ins at once holds
/// for all together.
const ADDRESSES: usize = 4096;

/// The tries of each address.
#[derive(Default)]
pub struct Throttle {
    /// When all of an address's tries are its own again.
    full: Mutex<HashMap<IpAddr, Instant>>,
}

/// Who a client is, as far as its address says: of IPv6, a whole network is one client's.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from(u128::from(six) & !u128::from(u64::MAX))),
        four => four,
    }
}

impl Throttle {
    /// Takes a try, or says how long to wait for one.
    pub fn take(&self, address: IpAddr) -> Result<(), Duration> {
        self.take_at(address, Instant::now())
    }

    fn take_at(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let address = client(address);
        let mut full = self.full.lock();
        full.retain(|_, at| *at > now);
        let at = full.get(&address).copied().unwrap_or(now) + EVERY;
        let over = (at - now).saturating_sub(EVERY * BURST);
        if !over.is_zero() {
            return Err(over);
        }
        if full.len() >= ADDRESSES
            && !full.contains_key(&address)
            && let Some(soonest) = full.iter().min_by_key(|(_, at)| **at).map(|(address, _)| *address)
        {
            full.remove(&soonest);
        }
        full.insert(address, at);
        Ok(())
    }

    /// Gives a try back: it was right.
    pub fn give_back(&self, address: IpAddr) {
        if let Some(at) = self.full.lock().get_mut(&client(address)) {
            *at = at.checked_sub(EVERY).unwrap_or(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES, BURST, EVERY, Throttle};
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn tries_run_out_and_come_back_one_by_one() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..BURST {
            throttle.take_at(ip("192.0.2.1"), now).unwrap();
        }
        let wait = throttle.take_at(ip("192.0.2.1"), now).unwrap_err();
        assert_eq!(wait, EVERY);
        assert!(throttle.take_at(ip("::ffff:192.0.2.1"), now).is_err(), "the same address");
        assert!(throttle.take_at(ip("192.0.2.2"), now).is_ok());
        assert!(throttle.take_at(ip("192.0.2.1"), now + EVERY).is_ok());
        assert!(throttle.take_at(ip("192.0.2.1"), now + EVERY).is_err());
        throttle.give_back(ip("192.0.2.1"));
        assert!(throttle.take_at(ip("192.0.2.1"), now + EVERY).is_ok());
        let rested = now + EVERY * (2 * BURST + 2);
        assert!((0..BURST).all(|_| throttle.take_at(ip("192.0.2.1"), rested).is_ok()));
        assert!(throttle.take_at(ip("192.0.2.1"), rested).is_err());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let throttle = Throttle::default();
        let now = Instant::now();
        assert!((0..BURST).all(|n| throttle.take_at(ip(&format!("2001:db8::{n:x}")), now).is_ok()));
        assert!(throttle.take_at(ip("2001:db8::ffff:1"), now).is_err());
        assert!(throttle.take_at(ip("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..ADDRESSES as u32 + 100 {
            let _ = throttle.take_at(IpAddr::from(n.to_be_bytes()), now + Duration::from_millis(u64::from(n) / 100));
        }
        assert_eq!(throttle.full.lock().len(), ADDRESSES);
    }
}
