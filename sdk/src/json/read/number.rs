//! Numbers: what is exact without effort. `serde_json` reads the others.

use std::sync::LazyLock;

use super::{Declined, Reader};

/// A number as `serde_json` hands it over.
#[derive(Debug, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Negative(i64),
    Float(f64),
}

/// Digits of an integer that fits an `i64` whatever they are.
const DIGITS_MAX: usize = 18;

/// Digits of which an `f64` is exact, as is the power of ten that it is divided by: then the quotient is
/// the nearest `f64`, however it is read.
pub(super) const FLOAT_DIGITS_MAX: usize = 15;

/// The same for an `f32`, whether it is divided as one or rounded from an `f64`.
pub(super) const SINGLE_DIGITS_MAX: usize = 7;

const POWERS: [f64; FLOAT_DIGITS_MAX + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// Whether `serde_json` was built to keep the digits of numbers of no known type: then they are its own.
pub(super) fn keeps_digits() -> bool {
    static KEEPS: LazyLock<bool> = LazyLock::new(|| {
        let value = serde_json::from_str::<serde_json::Value>("1.00");
        let text = value.map(|value| value.to_string());
        text.is_ok_and(|text| text == "1.00")
    });
    *KEEPS
}

impl Reader<'_> {
    /// Reads a number; a fraction may have `digits_max` digits in all.
    pub(super) fn read_number(&mut self, digits_max: usize) -> Result<Number, Declined> {
        let is_negative = self.peek() == Some(b'-');
        self.at += usize::from(is_negative);
        let starts_with_zero = self.bytes().get(self.at) == Some(&b'0');
        let (whole, length) = self.digits(0)?;
        if starts_with_zero && length > 1 {
            return Err(Declined);
        }
        match self.bytes().get(self.at) {
            Some(b'.') => {
                self.at += 1;
                let (digits, total) = self.digits(whole)?;
                let is_exact = length + total <= digits_max;
                if !is_exact || matches!(self.bytes().get(self.at), Some(b'e' | b'E')) {
                    return Err(Declined);
                }
                let value = digits as f64 / POWERS[total];
                Ok(Number::Float(if is_negative { -value } else { value }))
            }
            Some(b'e' | b'E') => Err(Declined),
            // A negative zero is a float.
            _ if is_negative && whole == 0 => Err(Declined),
            _ if is_negative => Ok(Number::Negative(-(whole as i64))),
            _ => Ok(Number::Unsigned(whole)),
        }
    }

    /// Reads at least one digit, and as many as fit; appends them to `value` and counts them.
    #[inline]
    fn digits(&mut self, mut value: u64) -> Result<(u64, usize), Declined> {
        let mut total = 0;
        loop {
            let (digits, count) = self.up_to_eight();
            total += count;
            self.at += count;
            if total > DIGITS_MAX {
                return Err(Declined);
            }
            // A fraction that overflows is too long for a float here anyway.
            value = value.wrapping_mul(TENS[count]).wrapping_add(digits);
            if count < 8 {
                return if total == 0 {
                    Err(Declined)
                } else {
                    Ok((value, total))
                };
            }
        }
    }

    /// The digits where the reader stands, up to eight, and their number.
    #[inline]
    fn up_to_eight(&self) -> (u64, usize) {
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        let Some(word) = rest.first_chunk::<8>() else {
            let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let digit = |value: u64, byte: &u8| value * 10 + u64::from(byte - b'0');
            return (rest.iter().take(count).fold(0, digit), count);
        };
        const EACH: u64 = u64::MAX / 0xff;
        let digits = u64::from_le_bytes(*word) ^ (EACH * u64::from(b'0'));
        // Marks what is above nine; the lowest mark is exact.
        let others = (digits.wrapping_add(EACH * 0x76) | digits) & (EACH << 7);
        let count = others.trailing_zeros() as usize / 8;
        if count == 0 {
            return (0, 0);
        }
        // The first digit is the lowest byte: zeros go below it, then neighbours join.
        let ones = digits << (64 - 8 * count);
        let pairs = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
        let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
        let eight = (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff;
        (eight, count)
    }
}

const TENS: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];
