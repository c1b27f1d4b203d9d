//! Durations with units: `200ms 30s 5m 1h 7d`, and sums such as `1h30m`.

use std::fmt;

use serde::Serializer;

use super::setting::SettingValue;

/// A duration in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    /// Milliseconds.
    pub ms: u64,
}

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

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
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::default());
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bare(text));
        }
        let wrong = || format!("`{text}` is not a duration such as 200ms, 30s, 5m, 1h or 7d");
        let mut rest = text;
        let mut ms: u64 = 0;
        let mut above = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, tail) = tail.split_at(letters);
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let &(_, factor) = UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(wrong)?;
            // Larger units come first, so that `5m30m` is a slip and not a sum.
            if factor >= above {
                return Err(wrong());
            }
            above = factor;
            ms = number
                .checked_mul(factor)
                .and_then(|part| ms.checked_add(part))
                .ok_or_else(|| format!("`{text}` is far out of range"))?;
            rest = tail;
        }
        if above == u64::MAX {
            Err(wrong())
        } else {
            Ok(Self { ms })
        }
    }
}

fn bare(number: &str) -> String {
    format!("{number} has no unit: write {number}ms or {number}s")
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .iter()
            .rev()
            .find(|(_, factor)| self.ms > 0 && self.ms.is_multiple_of(*factor))
            .unwrap_or(&UNITS[1]);
        write!(f, "{}{unit}", self.ms / factor)
    }
}

impl SettingValue for Duration {
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

    use super::Duration;

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
            Duration::parse("30").unwrap_err(),
            "30 has no unit: write 30ms or 30s"
        );
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "1S",
            "1w",
            "5m30m",
            "30s1m",
            "1sé",
            "é",
            "99999999999999999d",
        ] {
            assert!(Duration::parse(text).is_err(), "{text}");
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
