//! Numbers and times as a person reads them. Digits are never separated: they can be pasted.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _},
};

use jiff::{Timestamp, tz::TimeZone};

/// `170 KiB`, `1.4 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = bytes;
    let mut rest = 0;
    while scaled >= 1024 && unit + 1 < UNITS.len() {
        rest = scaled % 1024;
        scaled /= 1024;
        unit += 1;
    }
    if unit > 1 && scaled < 10 {
        format!("{scaled}.{} {}", rest * 10 / 1024, UNITS[unit])
    } else {
        format!("{scaled} {}", UNITS[unit])
    }
}

/// `0 ms`, `210 ms`, `12.4 s`, `14m02s`, `3h05m`, `2d04h`.
pub(crate) fn age(ms: u64) -> String {
    fnctl_core::diagnosis::age(ms)
}

/// `1 shard`, `4 shards`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A time of the API in local time, `2026-03-01 13:30:00`; what cannot be read stays as it is.
pub(crate) fn local(text: &str) -> String {
    in_zone(text, "%Y-%m-%d %H:%M:%S")
}

/// As [`local`], the time of day with milliseconds alone.
pub(crate) fn local_time(text: &str) -> String {
    in_zone(text, "%H:%M:%S%.3f")
}

/// What is said of a time that has come.
pub(crate) const DUE_NOW: &str = "due now";

/// When something is to happen: as [`local_time`], or [`DUE_NOW`]. After a start the time of a retry may have passed
/// while nothing ran.
pub(crate) fn due(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) if time <= Timestamp::now() => DUE_NOW.to_owned(),
        _ => local_time(text),
    }
}

/// The time of day now, local, with milliseconds.
pub(crate) fn time_now() -> String {
    Timestamp::now()
        .to_zoned(TimeZone::system())
        .strftime("%H:%M:%S%.3f")
        .to_string()
}

fn in_zone(text: &str, format: &str) -> String {
    text.parse::<Timestamp>().map_or_else(
        |_| text.to_owned(),
        |time| {
            time.to_zoned(TimeZone::system())
                .strftime(format)
                .to_string()
        },
    )
}

/// A path without the `./` that nobody typed.
pub(crate) fn path(path: &std::path::Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// A long number with its middle left out, `4967…0131`.
pub(crate) fn short_number(digits: &str) -> String {
    if digits.len() > 12 && digits.is_ascii() {
        let (head, tail) = (digits.get(..4), digits.get(digits.len() - 4..));
        format!("{}…{}", head.unwrap_or_default(), tail.unwrap_or_default())
    } else {
        digits.to_owned()
    }
}

/// `text` where there is a line for it: on a terminal its first line, at most `chars` characters of it. A program, or
/// a file, is given all of it, with line breaks as `\n`: nobody knows how wide who reads it is.
pub(crate) fn shown(text: &str, chars: usize) -> String {
    in_a_line(text, chars, io::stdout().is_terminal())
}

fn in_a_line(text: &str, chars: usize, is_watched: bool) -> String {
    if is_watched {
        return first_line(text, chars);
    }
    let lines: Vec<&str> = text.lines().collect();
    lines.join("\\n")
}

/// What may be anything, such as a key, on one line: control characters are written as escapes, `\\n`, `\\u{1b}`.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line.into()
}

/// The first line of `text`, at most `chars` characters of it.
pub(crate) fn first_line(text: &str, chars: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= chars {
        return line.to_owned();
    }
    let cut: String = line.chars().take(chars.saturating_sub(1)).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_ages_and_long_numbers_are_short() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(174_080), "170 KiB");
        assert_eq!(size(1_500_000), "1.4 MiB");
        assert_eq!(size(128 << 20), "128 MiB");
        assert_eq!(age(0), "0 ms");
        assert_eq!(age(12_400), "12.4 s");
        assert_eq!(age(842_000), "14m02s");
        assert_eq!(age(11_100_000), "3h05m");
        assert_eq!(short_number("49670000000000000000131"), "4967…0131");
        assert_eq!(first_line("abcdef\nx", 4), "abc…");
        assert_eq!(count(1, "shard"), "1 shard");
        assert_eq!(one_line("a\n\u{1b}[2Jé"), "a\\n\\u{1b}[2Jé");
    }

    #[test]
    fn only_a_terminal_is_given_less_than_all() {
        let long = format!("{}\nx\r\ny\n", "long ".repeat(50));
        assert_eq!(in_a_line(&long, 4, true), "lon…");
        assert_eq!(
            in_a_line(&long, 4, false),
            format!("{}\\nx\\ny", "long ".repeat(50))
        );
    }
}
