//! What each code means and what to do about it, at length: what `fnctl explain` prints and the page of
//! errors is made of (command line and SDK §4). An error says what happened *here*; this says what happens.

mod access;
mod command_line;
mod component;
mod deploy;
mod record;
mod storage;
mod stream;

use super::ErrorCode;

/// A code, explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Which.
    pub code: ErrorCode,
    /// What it says, in a line.
    pub title: &'static str,
    /// How one comes by it.
    pub why: &'static str,
    /// What to do, the likeliest first; a command line behind `fnctl` where there is one.
    pub fix: &'static [&'static str],
}

/// An explanation, in the order of its fields.
const fn explained(
    code: ErrorCode,
    title: &'static str,
    why: &'static str,
    fix: &'static [&'static str],
) -> Explanation {
    Explanation {
        code,
        title,
        why,
        fix,
    }
}

const FAMILIES: &[(&str, &[Explanation])] = &[
    ("The command line and the API", command_line::ALL),
    ("Components", component::ALL),
    ("Functions, versions and manifests", deploy::ALL),
    ("Streams and mappings", stream::ALL),
    ("Records and calls", record::ALL),
    ("Storage", storage::ALL),
    ("Access, and faults of ours", access::ALL),
];

/// Every explanation under the heading of its family; codes ascend.
pub fn families() -> impl Iterator<Item = (&'static str, &'static [Explanation])> {
    FAMILIES.iter().copied()
}

impl ErrorCode {
    /// What it means and what to do.
    #[must_use]
    pub fn explanation(self) -> &'static Explanation {
        families()
            .flat_map(|(_, all)| all)
            .find(|explanation| explanation.code == self)
            .expect("every code is explained, which a test says")
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorCode, families};

    #[test]
    fn every_code_is_explained_once_in_its_place() {
        let explained = families().flat_map(|(_, all)| all);
        let codes: Vec<ErrorCode> = explained.map(|one| one.code).collect();
        assert_eq!(codes, ErrorCode::ALL);
    }

    #[test]
    fn explanations_say_why_and_what_to_do() {
        for one in families().flat_map(|(_, all)| all) {
            let code = one.code.as_str();
            assert!(one.title.len() > 10 && !one.title.ends_with('.'), "{code}");
            assert!(one.why.len() > 40 && one.why.ends_with('.'), "{code}");
            assert!(!one.fix.is_empty(), "{code}");
            assert_eq!(one.code.explanation(), one);
        }
    }
}
