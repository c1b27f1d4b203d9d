//! Keys that are specified and not there yet: refused by name, never ignored.

use super::{nearest::nearest, setting::Unfit};

/// Keys of `[function]` that later versions take.
pub const FUNCTION_LATER: &[&str] = &["aliases", "allow_http", "log_level"];

/// Keys of `[streams.NAME]` that later versions take.
pub const STREAM_LATER: &[&str] = &["hold_quota"];

/// What to say about a key that is not one of `known`.
#[must_use]
pub fn unknown_key(key: &str, known: &[&str], later: &[&str]) -> Unfit {
    if later.contains(&key) {
        return Unfit::NotYet(format!("`{key}` is not there yet in this version"));
    }
    let all = known.iter().chain(later).copied();
    Unfit::Unreadable(match nearest(key, all) {
        Some(near) if later.contains(&near) => {
            return Unfit::NotYet(format!(
                "unknown key `{key}`; `{near}` is not there yet in this version"
            ));
        }
        Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
        None => format!("unknown key `{key}`; known: {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_means_one_of_a_later_version_is_refused_as_such() {
        let known = ["concurrency", "name"];
        for key in ["log_level", "log_levels", "log-level"] {
            let unfit = unknown_key(key, &known, FUNCTION_LATER);
            assert!(matches!(unfit, Unfit::NotYet(_)), "{key}: {unfit}");
        }
        for key in ["concurency", "nonsense"] {
            let unfit = unknown_key(key, &known, FUNCTION_LATER);
            assert!(matches!(unfit, Unfit::Unreadable(_)), "{key}: {unfit}");
        }
    }
}
