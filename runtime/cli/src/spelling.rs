//! How values are spelt in flags: the same as in `fnctl.toml`. A word that cannot be read and a value
//! that is not allowed are told apart: they exit differently (command line and SDK §4).

use std::net::{IpAddr, SocketAddr};

use fnctl_core::{
    access::Scope,
    limits::{DEAD_LETTER_STREAM_BYTES_RANGE, PARTITION_KEY_CHARS_MAX},
    spec::{
        Setting,
        duration::Duration,
        position::StartingPosition,
        setting::{SettingValue, Text, Unfit},
        size::ByteSize,
    },
};
use fnctl_host::limits::{
    PRODUCER_BYTES_MAX, SCRUB_BYTES_PER_SECOND_MAX, SCRUB_BYTES_PER_SECOND_MIN, SCRUB_PERIOD_MAX,
    SCRUB_PERIOD_MIN,
};

/// A setting; `default` resets. What cannot be read is refused at once; what is not allowed is kept with
/// its reason, so that it is told together with all others (command line and SDK §4).
pub(crate) fn setting<T: SettingValue>(text: &str) -> Result<Setting<T>, Unfit> {
    match Setting::from_flag(text) {
        Setting::Unfit(why @ (Unfit::Unreadable(_) | Unfit::NotYet(_))) => Err(why),
        setting => Ok(setting),
    }
}

/// A duration with its unit.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, Unfit> {
    Duration::parse(text).map(|duration| std::time::Duration::from_millis(duration.ms))
}

/// What a token's holder may do.
pub(crate) fn scope(text: &str) -> Result<Scope, Unfit> {
    text.parse().map_err(|()| {
        let words = format!("`{text}` is no scope: read, write or admin");
        Unfit::Unreadable(words)
    })
}

/// How fast the scrub reads, bytes a second.
pub(crate) fn scrub_rate(text: &str) -> Result<u64, Unfit> {
    size_within(text, SCRUB_BYTES_PER_SECOND_MIN, SCRUB_BYTES_PER_SECOND_MAX)
}

/// Room of a mapping's open dead letters, bytes.
pub(crate) fn dead_letters_max(text: &str) -> Result<u64, Unfit> {
    let (least, most) = DEAD_LETTER_STREAM_BYTES_RANGE;
    size_within(text, least, most)
}

fn size_within(text: &str, least: u64, most: u64) -> Result<u64, Unfit> {
    let size = ByteSize::parse(text)?;
    let (least, most) = (ByteSize::from_bytes(least), ByteSize::from_bytes(most));
    if (least..=most).contains(&size) {
        return Ok(size.bytes);
    }
    Err(Unfit::NotAllowed(format!(
        "{size} is not within {least} and {most}"
    )))
}

/// How often the scrub begins.
pub(crate) fn scrub_period(text: &str) -> Result<std::time::Duration, Unfit> {
    let period = duration(text)?;
    if (SCRUB_PERIOD_MIN..=SCRUB_PERIOD_MAX).contains(&period) {
        return Ok(period);
    }
    Err(Unfit::NotAllowed(format!(
        "`{text}` is not within 1s and 30d"
    )))
}

/// A position in a stream.
pub(crate) fn position(text: &str) -> Result<StartingPosition, Unfit> {
    StartingPosition::parse(text)
}

/// A position, or a sequence number: digits beyond what any time or duration has.
pub(crate) fn place(text: &str) -> Result<String, Unfit> {
    let is_number = text.len() > 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        StartingPosition::parse(text)?;
    }
    Ok(text.to_owned())
}

/// A time, or a duration ago.
pub(crate) fn moment(text: &str) -> Result<StartingPosition, Unfit> {
    match StartingPosition::parse(text)? {
        StartingPosition::TrimHorizon | StartingPosition::Latest => Err(Unfit::Unreadable(
            format!("`{text}` is no time: write 15m, or 2026-03-01T12:00:00Z"),
        )),
        moment => Ok(moment),
    }
}

/// `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), Unfit> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Unfit::Unreadable(format!("`{text}` is not NAME=VALUE"))),
    }
}

/// A text setting from plain text.
pub(crate) fn text(text: &str) -> Setting<Text> {
    Setting::Value(Text(text.to_owned()))
}

/// A whole number, at least 0.
pub(crate) fn count(text: &str) -> Result<u64, Unfit> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unfit::Unreadable(format!("`{text}` is not a number")));
    }
    if digits.len() < text.len() {
        return Err(Unfit::NotAllowed(format!("{text} is below 0")));
    }
    text.parse()
        .map_err(|_| Unfit::NotAllowed(format!("{text} is far out of range")))
}

/// A whole number above 0.
pub(crate) fn positive(text: &str) -> Result<u64, Unfit> {
    match count(text)? {
        0 => Err(Unfit::NotAllowed(format!("{text} is below 1"))),
        number => Ok(number),
    }
}

/// A number of at least 1 that fits where large ones are not taken.
pub(crate) fn small(text: &str) -> Result<u32, Unfit> {
    let number = positive(text)?;
    u32::try_from(number).map_err(|_| Unfit::NotAllowed(format!("{text} is above {}", u32::MAX)))
}

/// A partition key.
pub(crate) fn key(text: &str) -> Result<String, Unfit> {
    let chars = text.chars().count();
    if (1..=PARTITION_KEY_CHARS_MAX).contains(&chars) {
        return Ok(text.to_owned());
    }
    Err(Unfit::NotAllowed(format!(
        "a partition key has 1 to {PARTITION_KEY_CHARS_MAX} characters, this has {chars}"
    )))
}

/// The path of a field, `user.id`.
pub(crate) fn field(text: &str) -> Result<String, Unfit> {
    if text.split('.').any(str::is_empty) {
        return Err(Unfit::Unreadable(format!(
            "`{text}` is not a path of names such as user.id"
        )));
    }
    Ok(text.to_owned())
}

/// A producer's id: it travels in a header.
pub(crate) fn producer(text: &str) -> Result<String, Unfit> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain && (1..=PRODUCER_BYTES_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(Unfit::NotAllowed(format!(
        "a producer's id has 1 to {PRODUCER_BYTES_MAX} letters, digits and signs, without spaces"
    )))
}

/// An address to listen on.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Unfit> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_host = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    Err(if is_host && is_number {
        Unfit::NotAllowed(format!("port {port} is above {}", u16::MAX))
    } else {
        Unfit::Unreadable(format!(
            "`{text}` is not an address and a port, such as 127.0.0.1:4700"
        ))
    })
}

/// A name of a machine, without a port.
pub(crate) fn host_name(text: &str) -> Result<String, Unfit> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= HOST_NAME_CHARS_MAX && text.chars().all(is_known) {
        return Ok(text.to_owned());
    }
    Err(Unfit::Unreadable(format!(
        "`{text}` is not the name of a machine, such as fnctl.example.org"
    )))
}

/// The longest name that the DNS has (RFC 1035, section 2.3.4).
const HOST_NAME_CHARS_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_machines_have_no_ports_and_no_schemes() {
        for name in ["fnctl", "fnctl.example.org", "fnctl-0.fnctl.svc", "a_b"] {
            assert_eq!(host_name(name).as_deref(), Ok(name));
        }
        let long = "a".repeat(HOST_NAME_CHARS_MAX + 1);
        for text in ["", "fnctl:4700", "http://fnctl", "*", "ü", "a b", &long] {
            assert_eq!(exit(host_name(text)), Some(2), "{text}");
        }
    }

    /// `2` for what cannot be read, `7` for what is not allowed.
    fn exit<T>(read: Result<T, Unfit>) -> Option<u8> {
        match read {
            Ok(_) => None,
            Err(Unfit::Unreadable(_)) => Some(2),
            Err(Unfit::NotAllowed(_)) => Some(7),
            Err(Unfit::NotYet(why)) => panic!("{why}"),
        }
    }

    #[test]
    fn what_cannot_be_read_and_what_is_not_allowed_are_told_apart() {
        for (text, expected) in [
            ("1", None),
            ("18446744073709551615", None),
            ("0", Some(7)),
            ("-1", Some(7)),
            ("18446744073709551616", Some(7)),
            ("", Some(2)),
            ("-", Some(2)),
            ("1.5", Some(2)),
            ("ten", Some(2)),
            ("+1", Some(2)),
            ("١", Some(2)),
        ] {
            assert_eq!(exit(positive(text)), expected, "{text}");
        }
        assert_eq!(exit(count("0")), None);
        for (text, expected) in [
            ("127.0.0.1:0", None),
            ("[::1]:4700", None),
            ("127.0.0.1:70000", Some(7)),
            ("localhost:4700", Some(2)),
            ("127.0.0.1", Some(2)),
            ("4700", Some(2)),
        ] {
            assert_eq!(exit(address(text)), expected, "{text}");
        }
        assert_eq!(exit(key("é")), None);
        assert_eq!(exit(key("")), Some(7));
        assert_eq!(exit(key(&"é".repeat(257))), Some(7));
        assert_eq!(exit(field("user.id")), None);
        assert_eq!(exit(field("user..id")), Some(2));
        assert_eq!(exit(producer("p-1")), None);
        assert_eq!(exit(producer("two words")), Some(7));
    }
}
