//! Refusals of one address, told in full a few times and then briefly: a stranger who tries on costs
//! neither log nor audit. A good token or signature is looked at first and never slowed down, so nobody
//! behind the same proxy is locked out; at 256 bits there is nothing to guess.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

use crate::limits;

/// How many refusals an address has left.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self {
            left: f64::from(limits::REFUSALS_SAVED_MAX),
            at: now,
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let most = f64::from(limits::REFUSALS_SAVED_MAX);
        self.left = (self.left + passed / limits::REFUSAL_EVERY.as_secs_f64()).min(most);
        self.at = now;
    }

    fn is_full(&self) -> bool {
        self.left >= f64::from(limits::REFUSALS_SAVED_MAX)
    }
}

/// Who is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Refused {
    /// Nobody known, from this address; `None`: from any.
    Stranger(Option<IpAddr>),
    /// Who holds a token or key whose scope is too narrow. Others at the same address are told in full.
    Holder(String),
}

/// Allowances of those who were refused; what does not fit shares one.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<Refused, Allowance>>);

impl Failures {
    /// Counts a refusal of an address; whether it may be told in full.
    pub(crate) fn allow(&self, peer: Option<IpAddr>) -> bool {
        self.count(Refused::Stranger(peer.map(network)))
    }

    /// Counts a refusal of the holder of a token or key, as the audit names it; whether it may be told in full.
    pub(crate) fn allow_holder(&self, who: &str) -> bool {
        self.count(Refused::Holder(who.to_owned()))
    }

    fn count(&self, mut key: Refused) -> bool {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= limits::REFUSED_ADDRESSES_MAX && !all.contains_key(&key) {
            all.retain(|_, allowance| {
                allowance.refill(now);
                !allowance.is_full()
            });
            if all.len() >= limits::REFUSED_ADDRESSES_MAX {
                key = Refused::Stranger(None);
            }
        }
        let allowance = all.entry(key).or_insert_with(|| Allowance::new(now));
        allowance.refill(now);
        let may = allowance.left >= 1.0;
        if may {
            allowance.left -= 1.0;
        }
        may
    }
}

/// Who has one address of IPv6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_on_is_told_less_and_gets_its_allowance_back() {
        let failures = Failures::default();
        let one = Some(IpAddr::from([10, 0, 0, 1]));
        for _ in 0..limits::REFUSALS_SAVED_MAX {
            assert!(failures.allow(one));
        }
        assert!(!failures.allow(one) && !failures.allow(one));
        assert!(failures.allow(Some(IpAddr::from([10, 0, 0, 2]))));
        assert!(failures.allow_holder("token:a") && failures.allow_holder("key:a"));
        while failures.allow_holder("token:a") {}
        assert!(failures.allow_holder("key:a"));
        tokio::time::advance(limits::REFUSAL_EVERY).await;
        assert!(failures.allow(one) && !failures.allow(one));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_a_network_of_ipv6_is_one_address() {
        let failures = Failures::default();
        let count = u32::try_from(limits::REFUSED_ADDRESSES_MAX).expect("a small number") + 500;
        for index in 0..count {
            failures.allow(Some(IpAddr::from((0x0a00_0000_u32 + index).to_be_bytes())));
        }
        let known = failures.0.lock().expect("no panic").len();
        assert!(known <= limits::REFUSED_ADDRESSES_MAX + 1, "{known}");
        let v6 = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:10.0.0.1"), IpAddr::from([10, 0, 0, 1]));
    }
}
