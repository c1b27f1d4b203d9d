//! JSON numbers as filters compare them.

use std::cmp::Ordering;

/// A number: what is written as an integer is one, everything else an IEEE 754 double. Two integers
/// are compared as such, so that ids above 2^53 stay apart; else both are compared as doubles, so that
/// `300`, `300.0` and `3.0e2` are one number (our rule for number literals).
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    Double(f64),
}

/// Digits that surely fit an `i128`, sign included.
const INTEGER_CHARS_MAX: usize = 38;

impl Number {
    /// Reads what [`super::json`] found to be a number.
    pub(super) fn read(text: &str) -> Self {
        let is_integer = text.len() <= INTEGER_CHARS_MAX
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-');
        match text.parse() {
            Ok(integer) if is_integer => Self::Integer(integer),
            // Every JSON number is one for the standard library; beyond the range it is infinite.
            _ => Self::Double(text.parse().unwrap_or(f64::NAN)),
        }
    }

    /// Milliseconds as the seconds that Lambda gives a time in.
    pub(super) fn seconds(ms: u64) -> Self {
        if ms.is_multiple_of(1_000) {
            Self::Integer(i128::from(ms / 1_000))
        } else {
            Self::Double(ms as f64 / 1_000.0)
        }
    }

    pub(super) fn is_finite(self) -> bool {
        self.double().is_finite()
    }

    /// How two numbers compare; `None` where one is not a number.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => Some(one.cmp(&other)),
            _ => self.double().partial_cmp(&other.double()),
        }
    }

    pub(super) fn equals(self, other: Self) -> bool {
        self.compare(other) == Some(Ordering::Equal)
    }

    fn double(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Double(double) => double,
        }
    }
}
