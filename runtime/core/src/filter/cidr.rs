//! Ranges of addresses: `10.0.0.0/8`, `2001:db8::/32`.

use core::net::IpAddr;

/// The addresses that share a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cidr {
    is_v6: bool,
    /// The prefix, moved down to the lowest bits.
    prefix: u128,
    /// How many bits of an address are not of the prefix.
    free_bits: u32,
}

impl Cidr {
    /// Reads a range; bits of the address beyond the prefix do not matter.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (is_v6, address, width) = number(address.parse().ok()?);
        let is_plain = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits: u32 = bits.parse().ok().filter(|_| is_plain)?;
        let free_bits = width.checked_sub(bits)?;
        Some(Self {
            is_v6,
            prefix: shifted(address, free_bits),
            free_bits,
        })
    }

    /// Whether `text` is an address of this family and within.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Ok(address) = text.parse() else {
            return false;
        };
        let (is_v6, address, _) = number(address);
        is_v6 == self.is_v6 && shifted(address, self.free_bits) == self.prefix
    }
}

fn number(address: IpAddr) -> (bool, u128, u32) {
    match address {
        IpAddr::V4(address) => (false, u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (true, u128::from(address), 128),
    }
}

/// A shift by the whole width leaves nothing.
fn shifted(address: u128, by: u32) -> u128 {
    address.checked_shr(by).unwrap_or(0)
}
