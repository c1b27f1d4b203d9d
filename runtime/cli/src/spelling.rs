//! How values are spelt in flags: the same as in `fnctl.toml`.

use fnctl_core::spec::{
    Setting,
    duration::Duration,
    position::StartingPosition,
    setting::{SettingValue, Text},
};

/// A setting; what cannot be read is refused at once, `default` resets.
pub(crate) fn setting<T: SettingValue>(text: &str) -> Result<Setting<T>, String> {
    match Setting::from_flag(text) {
        Setting::Unreadable(why) => Err(why),
        setting => Ok(setting),
    }
}

/// A duration with its unit.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    Duration::parse(text).map(|duration| std::time::Duration::from_millis(duration.ms))
}

/// A position in a stream.
pub(crate) fn position(text: &str) -> Result<StartingPosition, String> {
    StartingPosition::parse(text)
}

/// `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

/// A text setting from plain text.
pub(crate) fn text(text: &str) -> Setting<Text> {
    Setting::Value(Text(text.to_owned()))
}

/// A number above 0.
pub(crate) fn positive(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is not a number above 0")),
        Ok(number) => Ok(number),
    }
}
