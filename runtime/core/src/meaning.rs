//! What the words mean that `fnctl status`, states of mappings and dead letters use, at length: what `fnctl explain` prints of them and the
//! page of errors is made of. A diagnosis says what is so *here*; this says what it is.

mod codes;
mod kinds;
mod mapping_states;
mod states;

use crate::{commit::ErrorKind, diagnosis::Why, status::State};

/// A word, explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Which.
    pub word: &'static str,
    /// What it says, in a line.
    pub title: &'static str,
    /// How it comes to that.
    pub why: &'static str,
    /// What to do, the likeliest first.
    pub fix: &'static [&'static str],
}

/// A meaning, in the order of its fields.
const fn meaning(
    word: &'static str,
    title: &'static str,
    why: &'static str,
    fix: &'static [&'static str],
) -> Meaning {
    Meaning {
        word,
        title,
        why,
        fix,
    }
}

impl Why {
    /// What it means and what to do.
    #[must_use]
    pub const fn meaning(self) -> Meaning {
        let (title, why, fix) = states::of(self);
        meaning(self.as_str(), title, why, fix)
    }
}

impl State {
    /// What it means and what to do.
    #[must_use]
    pub const fn meaning(self) -> Meaning {
        mapping_states::of(self)
    }
}

impl ErrorKind {
    /// What it means and what to do.
    #[must_use]
    pub const fn meaning(self) -> Meaning {
        let (title, why, fix) = kinds::of(self);
        meaning(self.as_str(), title, why, fix)
    }
}

/// All words under what they are words of.
pub fn all() -> [(&'static str, Vec<Meaning>); 4] {
    // Explained once, as what `fnctl status` says.
    let is_own = |state: &State| Why::parse(state.as_str()).is_none();
    let states = State::ALL.into_iter().filter(is_own);
    [
        (
            "What `fnctl status` says of a mapping",
            Why::ALL.map(Why::meaning).to_vec(),
        ),
        (
            "States of a mapping, beside `paused` and `deleting` above",
            states.map(State::meaning).collect(),
        ),
        (
            "Why a record is a dead letter",
            ErrorKind::ALL.map(ErrorKind::meaning).to_vec(),
        ),
        (
            "Codes of dead letters that are no author's",
            codes::ALL.to_vec(),
        ),
    ]
}

/// What a word means; `None`: none of them says it. What `fnctl status` shows in a part of a line leads to the whole.
#[must_use]
pub fn of(word: &str) -> Option<Meaning> {
    let word = match word {
        "parked" => Why::ParkedKeys.as_str(),
        "recovering" => Why::CircuitOpen.as_str(),
        other => other,
    };
    let why = Why::parse(word).map(Why::meaning);
    let state = || State::parse(word).map(State::meaning);
    let kind = || ErrorKind::from_name(word).map(ErrorKind::meaning);
    let code = || codes::ALL.iter().find(|one| one.word == word).copied();
    why.or_else(state).or_else(kind).or_else(code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_word_is_explained_and_means_one_thing() {
        let words: Vec<Meaning> = all().into_iter().flat_map(|(_, all)| all).collect();
        let states = State::ALL.len() - ["paused", "deleting"].len();
        let all = Why::ALL.len() + states + ErrorKind::ALL.len() + codes::ALL.len();
        assert_eq!(words.len(), all);
        let distinct: BTreeSet<&str> = words.iter().map(|one| one.word).collect();
        assert_eq!(
            distinct.len(),
            words.len(),
            "a word of both would be explained once"
        );
        for one in words {
            let word = one.word;
            assert_eq!(of(word), Some(one));
            assert!(one.title.len() > 10 && !one.title.ends_with('.'), "{word}");
            assert!(one.why.len() > 40 && one.why.ends_with('.'), "{word}");
            assert!(!one.fix.is_empty(), "{word}");
        }
        assert_eq!(of("FN2003"), None);
        assert_eq!(of("recovering"), of("circuit-open"));
        assert_eq!(of("parked"), of("parked-keys"));
    }

    #[test]
    fn every_state_of_a_mapping_is_explained() {
        for state in State::ALL {
            let told = of(state.as_str()).expect("it is known");
            assert_eq!((told, told.word), (state.meaning(), state.as_str()));
        }
    }
}
