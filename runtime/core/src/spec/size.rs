//! Sizes with units: `512B 64KiB 128MiB 1GiB`.

use std::fmt;

use serde::Serializer;

use super::setting::SettingValue;

/// A size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize {
    /// Bytes.
    pub bytes: u64,
}

const UNITS: [(&str, u64); 5] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl ByteSize {
    /// From bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    /// Reads a size. A bare number other than 0 is refused with both readings.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::default());
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if unit.is_empty() && digits > 0 {
            return Err(bare(number));
        }
        if let Some(decimal) = unit.strip_suffix('B')
            && matches!(decimal, "k" | "K" | "M" | "G" | "T")
        {
            let letter = decimal.to_ascii_uppercase();
            return Err(format!(
                "`{text}` is not read: sizes count in 1024s, write {number}{letter}iB"
            ));
        }
        let wrong = || format!("`{text}` is not a size such as 64KiB, 128MiB or 1GiB");
        let &(_, factor) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number
            .checked_mul(factor)
            .map(Self::from_bytes)
            .ok_or_else(|| format!("`{text}` is far out of range"))
    }
}

fn bare(number: &str) -> String {
    format!("{number} has no unit: write {number}KiB or {number}MiB")
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .iter()
            .rev()
            .find(|(_, factor)| self.bytes > 0 && self.bytes.is_multiple_of(*factor))
            .unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.bytes / factor)
    }
}

impl SettingValue for ByteSize {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn from_number(number: i64) -> Result<Self, String> {
        if number == 0 {
            Ok(Self::default())
        } else {
            Err(bare(&number.to_string()))
        }
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ByteSize;

    #[test]
    fn units_are_read_and_written() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("64KiB", 65_536),
            ("128MiB", 134_217_728),
            ("2GiB", 1 << 31),
        ] {
            let size = ByteSize::parse(text).unwrap();
            assert_eq!(size.bytes, bytes);
            assert_eq!(size.to_string(), text);
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_both_readings() {
        assert_eq!(
            ByteSize::parse("128").unwrap_err(),
            "128 has no unit: write 128KiB or 128MiB"
        );
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "MiB",
            "128MB",
            "128 MiB",
            "-1B",
            "1.5GiB",
            "99999999TiB",
            "é",
        ] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
        assert!(ByteSize::parse("128MB").unwrap_err().contains("128MiB"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bytes in any::<u64>()) {
            prop_assert_eq!(ByteSize::parse(&ByteSize { bytes }.to_string()), Ok(ByteSize { bytes }));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _outcome = ByteSize::parse(&text);
        }
    }
}
