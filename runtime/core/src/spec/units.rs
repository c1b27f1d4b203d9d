//! Whole numbers with units: what durations and sizes have in common. Each is one count of its
//! smallest unit, written with the largest unit that leaves no rest.

use std::fmt;

use serde::Serializer;

use super::setting::{SettingValue, Unfit};

/// A unit and how many of the smallest it is.
pub(super) type Unit = (&'static str, u64);

/// A number with a unit.
pub(super) trait Quantity: Copy + fmt::Display {
    /// The units, ascending.
    const UNITS: &'static [Unit];
    /// The unit that 0 is written with.
    const UNIT_OF_ZERO: &'static str;
    /// The two units that a bare number most likely means.
    const LIKELY: [&'static str; 2];

    /// From the smallest unit.
    fn from_smallest(count: u64) -> Self;

    /// In the smallest unit.
    fn smallest(self) -> u64;

    /// Reads text.
    fn read(text: &str) -> Result<Self, Unfit>;
}

/// Reads what every quantity reads alike: 0 without a unit, and bare or negative numbers, refused.
/// `None`: it has a unit, or is none of these.
pub(super) fn read_bare<Q: Quantity>(text: &str) -> Option<Result<Q, Unfit>> {
    let is_negative = text.starts_with('-');
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if is_negative {
        return Some(Err(Unfit::NotAllowed(format!("{text} is below 0"))));
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if digits == "0" {
        Ok(Q::from_smallest(0))
    } else {
        Err(bare::<Q>(text))
    })
}

/// The number in front of a unit.
pub(super) fn number(digits: &str, text: &str) -> Result<u64, Unfit> {
    digits.parse().map_err(|_| far_out(text))
}

/// The refusal of a number that no quantity holds.
pub(super) fn far_out(text: &str) -> Unfit {
    Unfit::NotAllowed(format!("`{text}` is far out of range"))
}

fn bare<Q: Quantity>(number: &str) -> Unfit {
    let [small, large] = Q::LIKELY;
    Unfit::Unreadable(format!(
        "{number} has no unit: write {number}{small} or {number}{large}"
    ))
}

/// Writes a quantity with the largest unit that leaves no rest.
pub(super) fn write<Q: Quantity>(quantity: Q, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let count = quantity.smallest();
    let fitting = Q::UNITS
        .iter()
        .rev()
        .find(|(_, factor)| count > 0 && count.is_multiple_of(*factor));
    match fitting {
        Some((unit, factor)) => write!(f, "{}{unit}", count / factor),
        None => write!(f, "0{}", Q::UNIT_OF_ZERO),
    }
}

impl<Q: Quantity> SettingValue for Q {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        Q::read(text)
    }

    fn from_number(number: i64) -> Result<Self, Unfit> {
        match number {
            0 => Ok(Q::from_smallest(0)),
            ..0 => Err(Unfit::NotAllowed(format!("{number} is below 0"))),
            _ => Err(bare::<Q>(&number.to_string())),
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}
