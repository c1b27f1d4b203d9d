//! Keys that are specified and not there yet: refused by name, never ignored.

use super::{nearest::nearest, setting::Unfit};

/// Keys of `[function]` that later versions take.
pub const FUNCTION_LATER: &[&str] = &["aliases", "allow_http", "log_level"];

/// Keys of `[[mapping]]` that later versions take.
pub const MAPPING_LATER: &[&str] = &[
    "bisect_on_error",
    "filter",
    "key_groups",
    "max_record_age",
    "on_failure_full",
    "on_unparsable",
    "partial_failures",
    "tumbling_window",
];

/// Keys of `[streams.NAME]` that later versions take.
pub const STREAM_LATER: &[&str] = &["hold_quota"];

/// What to say about a key that is not one of `known`.
#[must_use]
pub fn unknown_key(key: &str, known: &[&str], later: &[&str]) -> Unfit {
    if later.contains(&key) {
        return Unfit::NotYet(format!("`{key}` is not there yet in this version"));
    }
    Unfit::Unreadable(match nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
        None => format!("unknown key `{key}`; known: {}", known.join(", ")),
    })
}
