//! Figures and names as a message has them.

use std::borrow::Cow;

/// `0 ms`, `210 ms`, `12.4 s`, `14m02s`, `3h05m`, `2d04h`.
#[must_use]
pub fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match ms {
        0..=9_999 => format!("{ms} ms"),
        10_000..=59_999 => format!("{}.{} s", seconds, ms % 1000 / 100),
        60_000..=3_599_999 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600_000..=86_399_999 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A word as a POSIX shell takes it for one, quoted where it must be.
#[must_use]
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

/// `1 key`, `3 keys`.
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `310/s`, `0.2/s`.
pub(super) fn per_second(number: u64, over_ms: u64) -> String {
    let tenths = u128::from(number) * 10_000 / u128::from(over_ms.max(1));
    match tenths {
        0..=99 => format!("{}.{}/s", tenths / 10, tenths % 10),
        _ => format!("{}/s", tenths / 10),
    }
}

/// `2.1 ms`, `812 ms`, `2.0 s`.
pub(super) fn took(ns: u64) -> String {
    let us = ns / 1_000;
    match us {
        0..=9_999 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..=999_999 => format!("{} ms", us / 1_000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (ms, text) in [
            (0, "0 ms"),
            (12_400, "12.4 s"),
            (842_000, "14m02s"),
            (11_100_000, "3h05m"),
            (187_200_000, "2d04h"),
        ] {
            assert_eq!(age(ms), text);
        }
        assert_eq!(per_second(93_000, 300_000), "310/s");
        assert_eq!(per_second(60, 300_000), "0.2/s");
        assert_eq!(per_second(1, 0), "1000/s");
        assert_eq!(took(2_100_000), "2.1 ms");
        assert_eq!(took(812_000_000), "812 ms");
        assert_eq!(took(2_001_000_000), "2.0 s");
        assert_eq!(took(30_000_000_000), "30.0 s");
        assert_eq!(count(1, "key"), "1 key");
    }

    #[test]
    fn a_word_is_one_word_to_a_shell() {
        for (word, text) in [
            ("enrich/signups", "enrich/signups"),
            ("a b", "'a b'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("$(rm)", "'$(rm)'"),
            ("ä", "'ä'"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }
}
