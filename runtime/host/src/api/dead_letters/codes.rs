//! Dead letters counted by code and kind.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use fnctl_core::{
    commit::ErrorKind,
    id::{Ordinal, Timestamp},
    limits::DEAD_LETTER_CODES_MAX,
    rfc3339,
    status::DeadLetterCode,
};

use super::{FILTERS, damaged::Damaged};
use crate::{
    api::{Answer, Asked, many_and},
    node::{HostNode, StoredLetter},
};

/// `GET /v1/mappings/{m}/dead-letters/codes`: those that the filters of the list take, one line a code and
/// kind, the most letters first; what is beyond [`DEAD_LETTER_CODES_MAX`] in one line, the last.
pub(in crate::api) async fn codes(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let query = asked.query(&FILTERS)?;
    let filter = super::filter(node, &query)?;
    let stream = node.letters(address)?;
    let (mut codes, mut damaged) = (Codes::default(), Damaged::default());
    let mut after = Ordinal(0);
    loop {
        let read = node.dead_letters(stream, after).await?;
        if read.is_empty() {
            break;
        }
        after = read.through;
        let wanted = read.letters.iter().filter(|found| filter.takes(found));
        wanted.for_each(|found| codes.add(found));
        damaged.add(read.damaged.iter().filter(|found| filter.may_take(found)));
    }
    many_and(codes.lines(), damaged.error(address))
}

/// How many there are of something, and when they were given up.
#[derive(Clone, Copy)]
struct Count {
    letters: u64,
    oldest: Timestamp,
    newest: Timestamp,
}

impl Count {
    const fn first(failed_at: Timestamp) -> Self {
        Self {
            letters: 1,
            oldest: failed_at,
            newest: failed_at,
        }
    }

    fn add(&mut self, failed_at: Timestamp) {
        self.letters += 1;
        self.oldest = self.oldest.min(failed_at);
        self.newest = self.newest.max(failed_at);
    }

    fn line(self, code: Option<String>, kind: Option<ErrorKind>) -> DeadLetterCode {
        DeadLetterCode {
            code,
            error_kind: kind.map(|kind| kind.as_str().to_owned()),
            letters: self.letters,
            oldest_failed_at: rfc3339::format(self.oldest),
            newest_failed_at: rfc3339::format(self.newest),
        }
    }
}

/// The letters so far. A function may give each letter a code of its own: only so many are kept apart.
#[derive(Default)]
struct Codes {
    by_code: HashMap<(Arc<str>, ErrorKind), Count>,
    others: Option<Count>,
}

impl Codes {
    fn add(&mut self, found: &StoredLetter) {
        let letter = &found.letter;
        self.count(&letter.code, letter.kind, letter.failed_at);
    }

    fn count(&mut self, code: &Arc<str>, kind: ErrorKind, failed_at: Timestamp) {
        let has_room = self.by_code.len() < DEAD_LETTER_CODES_MAX;
        match self.by_code.entry((Arc::clone(code), kind)) {
            Entry::Occupied(mut known) => known.get_mut().add(failed_at),
            Entry::Vacant(new) if has_room => drop(new.insert(Count::first(failed_at))),
            Entry::Vacant(_) => match &mut self.others {
                Some(others) => others.add(failed_at),
                None => self.others = Some(Count::first(failed_at)),
            },
        }
    }

    fn lines(self) -> Vec<DeadLetterCode> {
        let known = self.by_code.into_iter();
        let mut lines: Vec<DeadLetterCode> = known
            .map(|((code, kind), count)| count.line(Some(code.to_string()), Some(kind)))
            .collect();
        lines.sort_by(|one, other| {
            let by_letters = other.letters.cmp(&one.letters);
            by_letters
                .then_with(|| (&one.code, &one.error_kind).cmp(&(&other.code, &other.error_kind)))
        });
        lines.extend(self.others.map(|others| others.line(None, None)));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_letters_come_first_and_further_codes_are_one_line() {
        let mut codes = Codes::default();
        let mut add = |code: &str, at: u64| {
            codes.count(&code.into(), ErrorKind::Skip, Timestamp(at));
        };
        add("rare", 5_000);
        for at in [3_000, 1_000, 2_000] {
            add("often", at);
        }
        for number in 0..DEAD_LETTER_CODES_MAX as u64 {
            add(&format!("own-{number:03}"), 7_000 + number);
        }
        // Known before there were too many: still apart.
        add("rare", 6_000);
        let lines = codes.lines();
        assert_eq!(lines.len(), DEAD_LETTER_CODES_MAX + 1);
        let told = |line: &DeadLetterCode| (line.code.clone(), line.letters);
        assert_eq!(told(&lines[0]), (Some("often".to_owned()), 3));
        assert_eq!(lines[0].oldest_failed_at, "1970-01-01T00:00:01.000Z");
        assert_eq!(lines[0].newest_failed_at, "1970-01-01T00:00:03.000Z");
        assert_eq!(told(&lines[1]), (Some("rare".to_owned()), 2));
        let last = lines.last().expect("there are lines");
        assert_eq!((told(last), &last.error_kind), ((None, 2), &None));
    }
}
