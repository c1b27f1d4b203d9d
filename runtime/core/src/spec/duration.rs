//! Durations with units: `200ms 30s 5m 1h 7d`, and sums such as `1h30m`.

use std::fmt;

use super::{
    setting::Unfit,
    units::{self, Quantity, Unit},
};

/// A duration in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    /// Milliseconds.
    pub ms: u64,
}

impl Duration {
    /// From milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    /// Reads a duration. A bare number other than 0 is refused with both readings.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        if let Some(bare) = units::read_bare(text) {
            return bare;
        }
        let wrong = || {
            Unfit::Unreadable(format!(
                "`{text}` is not a duration such as 200ms, 30s, 5m, 1h or 7d"
            ))
        };
        let mut rest = text;
        let mut ms: u64 = 0;
        let mut above = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, tail) = tail.split_at(letters);
            let &(_, factor) = Self::UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .filter(|_| !number.is_empty())
                .ok_or_else(wrong)?;
            // Larger units come first, so that `5m30m` is a slip and not a sum.
            if factor >= above {
                return Err(wrong());
            }
            above = factor;
            ms = units::number(number, text)?
                .checked_mul(factor)
                .and_then(|part| ms.checked_add(part))
                .ok_or_else(|| units::far_out(text))?;
            rest = tail;
        }
        if above == u64::MAX {
            Err(wrong())
        } else {
            Ok(Self { ms })
        }
    }
}

impl Quantity for Duration {
    const UNITS: &'static [Unit] = &[
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    const UNIT_OF_ZERO: &'static str = "s";
    const LIKELY: [&'static str; 2] = ["ms", "s"];

    fn from_smallest(count: u64) -> Self {
        Self::from_ms(count)
    }

    fn smallest(self) -> u64 {
        self.ms
    }

    fn read(text: &str) -> Result<Self, Unfit> {
        Self::parse(text)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        units::write(*self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Duration, Unfit};

    #[test]
    fn units_are_read_and_written() {
        for (text, ms, written) in [
            ("200ms", 200, "200ms"),
            ("30s", 30_000, "30s"),
            ("60s", 60_000, "1m"),
            ("1h", 3_600_000, "1h"),
            ("24h", 86_400_000, "1d"),
            ("7d", 604_800_000, "7d"),
            ("1h30m", 5_400_000, "90m"),
            ("1s500ms", 1_500, "1500ms"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
        ] {
            let duration = Duration::parse(text).unwrap();
            assert_eq!(duration.ms, ms, "{text}");
            assert_eq!(duration.to_string(), written);
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_both_readings() {
        assert_eq!(
            Duration::parse("30"),
            Err(Unfit::Unreadable(
                "30 has no unit: write 30ms or 30s".to_owned()
            ))
        );
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "", "s", "1.5s", "1 s", "1S", "1w", "5m30m", "30s1m", "1sé", "é",
        ] {
            let refused = Duration::parse(text);
            assert!(matches!(refused, Err(Unfit::Unreadable(_))), "{text}");
        }
        for text in ["-1s", "-5", "99999999999999999d", "99999999999999999999ms"] {
            let refused = Duration::parse(text);
            assert!(matches!(refused, Err(Unfit::NotAllowed(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(ms in 0_u64..u64::MAX / 2) {
            prop_assert_eq!(Duration::parse(&Duration { ms }.to_string()), Ok(Duration { ms }));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _outcome = Duration::parse(&text);
        }
    }
}
