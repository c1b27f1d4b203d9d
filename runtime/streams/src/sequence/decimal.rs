//! Just enough arithmetic on 192 bits: decimal text in, decimal digits out.

use std::ops::Range;

use super::SEQUENCE_CHARS;

/// Decimal digits of a limb.
const LIMB_DIGITS: usize = 19;
const LIMB: u64 = 10u64.pow(19);
/// 2^80, what one step of the index adds, in limbs.
const INDEX_STEP: [u64; 3] = [
    ((1u128 << 80) % LIMB as u128) as u64,
    ((1u128 << 80) / LIMB as u128) as u64,
    0,
];

/// An unsigned integer of 192 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    /// Bits 128 to 191.
    pub(super) high: u64,
    /// Bits 0 to 127.
    pub(super) low: u128,
}

impl Wide {
    /// Reads a plain decimal; `None` if it is not one, or too large.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' {
            return None;
        }
        let mut value = Self { high: 0, low: 0 };
        for digit in digits {
            let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
            value = value.times_ten_plus(digit)?;
        }
        Some(value)
    }

    fn times_ten_plus(self, digit: u8) -> Option<Self> {
        let mask = u128::from(u64::MAX);
        let low = (self.low & mask) * 10 + u128::from(digit);
        let middle = (self.low >> 64) * 10 + (low >> 64);
        let high = u128::from(self.high) * 10 + (middle >> 64);
        Some(Self {
            high: u64::try_from(high).ok()?,
            low: middle << 64 | low & mask,
        })
    }

    /// Whether it is below 2^`power`; `power` lies between 1 and 191.
    pub(super) fn is_below_power(self, power: u32) -> bool {
        match power.checked_sub(128) {
            Some(rest) => self.high >> rest == 0,
            None => self.high == 0 && self.low >> power == 0,
        }
    }

    /// This plus 2^124, for a value below that.
    pub(super) fn plus_power_124(self) -> Self {
        Self {
            high: self.high,
            low: self.low | 1 << 124,
        }
    }

    /// Nibbles without leading zeros.
    pub(super) fn nibble_count(self) -> u32 {
        let zeros = match self.high {
            0 => 64 + self.low.leading_zeros(),
            high => high.leading_zeros(),
        };
        (192 - zeros).div_ceil(4)
    }

    /// Nibble `index`, counted from the most significant one that is not 0.
    pub(super) fn nibble(self, index: u32) -> u64 {
        let shift = (self.nibble_count() - 1 - index) * 4;
        let shifted = match shift.checked_sub(128) {
            Some(rest) => u128::from(self.high >> rest),
            None => self.low >> shift,
        };
        (shifted & 0xf) as u64
    }

    /// The nibbles of a range as a number.
    pub(super) fn field(self, nibbles: Range<u32>) -> u64 {
        nibbles.fold(0, |value, index| value << 4 | self.nibble(index))
    }
}

/// A value below 10^57 in limbs of 19 decimal digits, least first, and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digits {
    limbs: [u64; 3],
    text: [u8; 3 * LIMB_DIGITS],
}

impl Digits {
    /// The digits of a value below 10^57.
    pub(super) fn of(value: Wide) -> Self {
        let mut words = [
            value.high,
            (value.low >> 64) as u64,
            (value.low & u128::from(u64::MAX)) as u64,
        ];
        let mut digits = Self {
            limbs: [0; 3],
            text: [b'0'; 3 * LIMB_DIGITS],
        };
        for limb in 0..digits.limbs.len() {
            let mut rest = 0u64;
            for word in &mut words {
                let dividend = u128::from(rest) << 64 | u128::from(*word);
                *word = (dividend / u128::from(LIMB)) as u64;
                rest = (dividend % u128::from(LIMB)) as u64;
            }
            digits.set(limb, rest);
        }
        digits
    }

    /// Adds 2^80: the next index. The top limb, which rarely changes, keeps its text.
    pub(super) fn add_index_step(&mut self) {
        let mut carry = 0;
        for (limb, step) in INDEX_STEP.into_iter().enumerate() {
            if step == 0 && carry == 0 {
                return;
            }
            // Two limbs and a carry stay below 2 × 10^19, which a u64 cannot hold.
            let sum = u128::from(self.limbs[limb]) + u128::from(step) + carry;
            let is_over = sum >= u128::from(LIMB);
            carry = u128::from(is_over);
            self.set(
                limb,
                (sum - if is_over { u128::from(LIMB) } else { 0 }) as u64,
            );
        }
    }

    /// Appends the last [`SEQUENCE_CHARS`] digits.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text[self.text.len() - SEQUENCE_CHARS..]);
    }

    fn set(&mut self, limb: usize, value: u64) {
        self.limbs[limb] = value;
        let end = self.text.len() - limb * LIMB_DIGITS;
        write_limb(value, &mut self.text[end - LIMB_DIGITS..end]);
    }
}

/// Writes the 19 digits of a limb.
fn write_limb(limb: u64, place: &mut [u8]) {
    const EIGHT: u64 = 100_000_000;
    let top = limb / (EIGHT * EIGHT);
    let rest = limb % (EIGHT * EIGHT);
    place[0] = b'0' + (top / 100) as u8;
    place[1] = b'0' + (top / 10 % 10) as u8;
    place[2] = b'0' + (top % 10) as u8;
    place[3..11].copy_from_slice(&eight_digits(rest / EIGHT));
    place[11..19].copy_from_slice(&eight_digits(rest % EIGHT));
}

/// The digits of a number below 10^8, all at once: halves, quarters and eighths are split inside one
/// word, by multiplying with the rounded reciprocal of 100 and of 10.
fn eight_digits(number: u64) -> [u8; 8] {
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | (halves - hundreds * 100) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | (pairs - tens * 10) << 8;
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
}
