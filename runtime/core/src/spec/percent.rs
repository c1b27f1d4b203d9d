//! Shares: `10%`, `0.5%`, with one decimal at most.

use serde::Serializer;

use super::setting::{SettingValue, Unfit};
use crate::canary::Permille;

/// A share above 0% and up to 100%.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub Permille);

impl Percent {
    /// Reads a share.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        let wrong = || Unfit::Unreadable(format!("`{text}` is not a share such as 10% or 0.5%"));
        let number = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (number, is_negative) = match number.strip_prefix('-') {
            Some(number) => (number, true),
            None => (number, false),
        };
        let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(tenths) {
            return Err(wrong());
        }
        if tenths.len() > 1 {
            let words = format!("{text} is finer than a tenth of a per cent");
            return Err(Unfit::NotAllowed(words));
        }
        let out_of_range = || Unfit::NotAllowed(format!("{text} is not above 0% and up to 100%"));
        if is_negative {
            return Err(out_of_range());
        }
        let tenths: u32 = tenths.parse().map_err(|_| wrong())?;
        let whole: u32 = whole.parse().map_err(|_| out_of_range())?;
        let permille = whole.checked_mul(10).and_then(|n| n.checked_add(tenths));
        let permille = permille.and_then(|n| u16::try_from(n).ok());
        permille
            .and_then(Permille::new)
            .map(Self)
            .ok_or_else(out_of_range)
    }
}

impl SettingValue for Percent {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        Self::parse(text)
    }

    fn from_number(number: i64) -> Result<Self, Unfit> {
        let words = format!("{number} has no unit: write {number}%");
        Err(Unfit::Unreadable(words))
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&self.0)
    }
}

/// A bound that the word `off` takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrOff<T>(pub Option<T>);

impl<T: SettingValue> SettingValue for OrOff<T> {
    fn from_text(text: &str) -> Result<Self, Unfit> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self(None));
        }
        T::from_text(text).map(Some).map(Self)
    }

    fn from_number(number: i64) -> Result<Self, Unfit> {
        T::from_number(number).map(Some).map(Self)
    }

    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => out.serialize_str("off"),
            Some(value) => value.write(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_people_write_them() {
        for (text, permille) in [
            ("10%", 100),
            ("0.5%", 5),
            ("0.1%", 1),
            ("99.9%", 999),
            ("100%", 1_000),
            ("100.0%", 1_000),
            ("7 %", 70),
            ("007%", 70),
        ] {
            let read = Percent::parse(text).map(|percent| percent.0.get());
            assert_eq!(read, Ok(permille), "{text}");
        }
    }

    #[test]
    fn what_is_no_share_is_refused_by_kind() {
        for text in [
            "10", "%", ".5%", "5.%", "-%", "--1%", "1e2%", "ten%", "+5%", "5%%", "",
        ] {
            let read = Percent::parse(text);
            assert!(
                matches!(read, Err(Unfit::Unreadable(_))),
                "{text}: {read:?}"
            );
        }
        for text in [
            "0%",
            "0.0%",
            "-5%",
            "-0.5%",
            "100.1%",
            "101%",
            "99999999999%",
            "0.05%",
        ] {
            let read = Percent::parse(text);
            assert!(
                matches!(read, Err(Unfit::NotAllowed(_))),
                "{text}: {read:?}"
            );
        }
    }

    #[test]
    fn a_share_is_written_as_it_is_read() {
        for text in ["10%", "0.5%", "99.9%", "100%"] {
            assert_eq!(Percent::parse(text).unwrap().0.to_string(), text);
        }
    }
}
