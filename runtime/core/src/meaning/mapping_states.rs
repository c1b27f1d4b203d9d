//! The states of a mapping.

use super::{Meaning, meaning};
use crate::{diagnosis::Why, status::State};

/// What it means and what to do. A state that has one reason alone, with the same word, means what that does.
pub(super) const fn of(state: State) -> Meaning {
    let (title, why, fix): (_, _, &[&str]) = match state {
        State::Paused => return Why::Paused.meaning(),
        State::Deleting => return Why::Deleting.meaning(),
        State::Running => (
            "The mapping reads its stream and calls its function",
            "It is what a mapping is in unless something holds it as a whole. It does not say that all is well: a mapping that runs may \
             still be behind, have a circuit open, or give records up, and the word beside it in `fnctl status` says which.",
            &["fnctl status MAPPING        what it is doing, or what keeps it from it"],
        ),
        State::Stopped => (
            "The function said `fatal`, and the mapping stopped",
            "Nothing is read or called until a person decides, also over restarts of the server. The record that the function said it \
             of waits, and all behind it. Its reason is `stopped-fatal`.",
            &[
                "fnctl explain stopped-fatal        the ways on, by name",
                "fnctl mappings describe MAPPING        the code and the words of that `fatal`",
                "fnctl mappings resume MAPPING        the record is called again",
            ],
        ),
        State::Blocked => (
            "The mapping should run, and something outside its function keeps it from it",
            "Results cannot be committed, because an output stream is missing or full, or the disk or the dead letters are full; or a \
             block that it reads is damaged. No attempt is charged for it and nothing is lost. It goes on by itself once there is room; \
             behind damage it goes on when a person says so. Its reason says which it is.",
            &[
                "fnctl mappings describe MAPPING        its reason, since when, and what to do",
                "fnctl explain REASON        such as blocked-output, disk-full, dead-letters-full",
            ],
        ),
        State::Failed => (
            "The stream that the mapping reads was deleted: it does not run again",
            "This is final. A stream of the same name that is made anew is another one. The mapping is kept for its totals and its dead \
             letters, until it is deleted. Its reason is `stream-deleted`.",
            &[
                "fnctl dlq list MAPPING        what it gave up, while it is there",
                "fnctl mappings delete MAPPING",
                "for a stream of the same name: delete the mapping, then deploy again",
            ],
        ),
    };
    meaning(state.as_str(), title, why, fix)
}
