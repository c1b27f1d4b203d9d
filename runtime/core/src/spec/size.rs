//! Sizes with units: `512B 64KiB 128MiB 1GiB`.

use std::fmt;

use super::{
    setting::Unfit,
    units::{self, Quantity, Unit},
};

/// A size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize {
    /// Bytes.
    pub bytes: u64,
}

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
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        if let Some(bare) = units::read_bare(text) {
            return bare;
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if let Some(decimal) = unit.strip_suffix('B')
            && matches!(decimal, "k" | "K" | "M" | "G" | "T")
        {
            let letter = decimal.to_ascii_uppercase();
            return Err(Unfit::Unreadable(format!(
                "`{text}` is not read: sizes count in 1024s, write {number}{letter}iB"
            )));
        }
        let factor = Self::UNITS
            .iter()
            .find(|(name, _)| *name == unit && !number.is_empty())
            .map(|(_, factor)| *factor);
        let Some(factor) = factor else {
            return Err(Unfit::Unreadable(format!(
                "`{text}` is not a size such as 64KiB, 128MiB or 1GiB"
            )));
        };
        units::number(number, text)?
            .checked_mul(factor)
            .map(Self::from_bytes)
            .ok_or_else(|| units::far_out(text))
    }
}

impl Quantity for ByteSize {
    const UNITS: &'static [Unit] = &[
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    const UNIT_OF_ZERO: &'static str = "B";
    const LIKELY: [&'static str; 2] = ["KiB", "MiB"];

    fn from_smallest(count: u64) -> Self {
        Self::from_bytes(count)
    }

    fn smallest(self) -> u64 {
        self.bytes
    }

    fn read(text: &str) -> Result<Self, Unfit> {
        Self::parse(text)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        units::write(*self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ByteSize, Unfit};

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
            ByteSize::parse("128"),
            Err(Unfit::Unreadable(
                "128 has no unit: write 128KiB or 128MiB".to_owned()
            ))
        );
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "128MB", "128 MiB", "1.5GiB", "é"] {
            let refused = ByteSize::parse(text);
            assert!(matches!(refused, Err(Unfit::Unreadable(_))), "{text}");
        }
        for text in ["-1B", "99999999TiB", "99999999999999999999B"] {
            let refused = ByteSize::parse(text);
            assert!(matches!(refused, Err(Unfit::NotAllowed(_))), "{text}");
        }
        let decimal = ByteSize::parse("128MB").unwrap_err();
        assert!(decimal.words().contains("128MiB"));
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
