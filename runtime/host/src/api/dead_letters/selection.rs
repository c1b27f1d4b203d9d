//! Which dead letters are meant.

use std::collections::BTreeSet;

use fnctl_core::{
    commit::ErrorKind,
    error_code::ErrorCode,
    id::{Ordinal, StreamId, Timestamp},
    spec::StartingPosition,
    view::{LETTERS_SHARD, LetterStatus},
};
use serde::Deserialize;

use crate::{
    api::error::ApiError,
    limits,
    node::{HostNode, StoredLetter},
};

/// What a letter must be to be told of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) status: Option<LetterStatus>,
    pub(crate) code: Option<String>,
    pub(crate) kind: Option<ErrorKind>,
    /// The partition key, whole.
    pub(crate) key: Option<String>,
    /// Given up at this moment or later.
    pub(crate) since: Option<Timestamp>,
}

impl Filter {
    pub(super) fn takes(&self, found: &StoredLetter) -> bool {
        let letter = &found.letter;
        self.status.is_none_or(|status| status == found.status)
            && self
                .code
                .as_deref()
                .is_none_or(|code| code == &*letter.code)
            && self.kind.is_none_or(|kind| kind == letter.kind)
            && self
                .key
                .as_deref()
                .is_none_or(|key| key.as_bytes() == &letter.key[..])
            && self.since.is_none_or(|since| since <= letter.failed_at)
    }
}

/// An `error_kind` by its name.
pub(super) fn kind(name: &str) -> Result<ErrorKind, ApiError> {
    let found = ErrorKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == name);
    found.ok_or_else(|| {
        let all: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        ApiError::new(ErrorCode::Usage, format!("`{name}` is no kind of error"))
            .at("kind")
            .fix(format!("one of {}", all.join(", ")))
    })
}

/// A time, or a duration ago.
pub(super) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let unfit = |words: &str| ApiError::new(ErrorCode::Usage, words).at("since");
    let position = StartingPosition::parse(text).map_err(|why| unfit(why.words()))?;
    let none = || {
        unfit(&format!(
            "`{text}` is no time: write 15m, or 2026-03-01T12:00:00Z"
        ))
    };
    position.moment(now).ok_or_else(none)
}

/// The letters that something is done to, as a body says it: by their ids, by what all of them are, or all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    /// These.
    #[serde(default)]
    pub(super) ids: Vec<String>,
    /// The open ones of a code.
    #[serde(default)]
    pub(super) code: Option<String>,
    /// The open ones of a kind.
    #[serde(default)]
    pub(super) kind: Option<String>,
    /// The open ones of a partition key.
    #[serde(default)]
    pub(super) key: Option<String>,
    /// The open ones given up since a time, or so long ago.
    #[serde(default)]
    pub(super) since: Option<String>,
    /// All open ones.
    #[serde(default)]
    pub(super) all: bool,
    /// None with a larger id: of a filter and `all`, what has come since is not meant.
    #[serde(default)]
    pub(super) through: Option<String>,
}

/// The open letters that are meant: a selection that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Meant {
    /// These, ascending; unset where all are walked.
    ids: Option<BTreeSet<Ordinal>>,
    filter: Filter,
    through: Ordinal,
    /// Letters that were stored anew since are meant as well.
    follows: bool,
}

impl Meant {
    /// Understands a selection.
    ///
    /// # Errors
    /// It selects nothing, or in several ways; an id that no open letter has.
    pub(super) async fn of(
        node: &HostNode,
        address: &str,
        stream: StreamId,
        selection: Selection,
    ) -> Result<Self, ApiError> {
        let texts = [
            &selection.code,
            &selection.kind,
            &selection.key,
            &selection.since,
        ];
        let ways = [
            !selection.ids.is_empty(),
            texts.into_iter().any(Option::is_some),
            selection.all,
        ];
        if ways.into_iter().filter(|is_given| *is_given).count() != 1 {
            let words = "which dead letters are meant is not said in one way";
            return Err(ApiError::new(ErrorCode::Usage, words).fix(
                "their ids, or what all of them are, or all: ID…, --code --kind --key --since, or --all",
            ));
        }
        let filter = Filter {
            status: Some(LetterStatus::Open),
            kind: selection.kind.as_deref().map(kind).transpose()?,
            since: selection
                .since
                .as_deref()
                .map(|text| moment(text, node.now()))
                .transpose()?,
            code: selection.code,
            key: selection.key,
        };
        let through = match &selection.through {
            None => node.last(stream, LETTERS_SHARD),
            Some(text) => text.parse().map(Ordinal).map_err(|_| {
                ApiError::new(ErrorCode::Usage, format!("`{text}` is no id")).at("through")
            })?,
        };
        let mut ids = BTreeSet::new();
        for id in &selection.ids {
            let found = super::find(node, address, stream, id).await?;
            if found.status != LetterStatus::Open {
                let status = found.status.as_str();
                let words = format!("dead letter {id} of `{address}` is {status} already");
                return Err(ApiError::new(ErrorCode::NoSuchDeadLetter, words)
                    .fix(format!("fnctl dlq list {address}")));
            }
            ids.insert(found.id);
        }
        Ok(Self {
            ids: (!ids.is_empty()).then_some(ids),
            filter,
            through,
            follows: true,
        })
    }

    /// The open ones of these ids, or that the filter takes, which lie at `through` or below: one that has failed
    /// again since lies above.
    pub(crate) fn stored_by(
        through: Ordinal,
        ids: Option<BTreeSet<Ordinal>>,
        filter: Filter,
    ) -> Self {
        Self {
            ids,
            filter: Filter {
                status: Some(LetterStatus::Open),
                ..filter
            },
            through,
            follows: false,
        }
    }

    /// Leaves out what was stored anew since: what a redrive has just failed with is not redriven again.
    pub(super) const fn without_moved(mut self) -> Self {
        self.follows = false;
        self
    }

    /// Whether letters are named one by one.
    pub(super) const fn are_named(&self) -> bool {
        self.ids.is_some()
    }

    /// Those that are named; `None`: all that the filter takes.
    pub(crate) const fn ids(&self) -> Option<&BTreeSet<Ordinal>> {
        self.ids.as_ref()
    }

    /// What they must be.
    pub(crate) const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The newest id that is meant, whatever has come since.
    pub(crate) const fn through(&self) -> Ordinal {
        self.through
    }

    /// Reads them from the mapping's `stream` of letters, page by page.
    pub(crate) const fn read(self, node: &HostNode, stream: StreamId) -> Pages<'_> {
        Pages {
            node,
            stream,
            meant: self,
            after: Ordinal(0),
            is_over: false,
        }
    }
}

/// The open letters that are meant, read page by page. One that was closed meanwhile is not met.
pub(crate) struct Pages<'a> {
    node: &'a HostNode,
    stream: StreamId,
    meant: Meant,
    after: Ordinal,
    is_over: bool,
}

impl Pages<'_> {
    /// Some more of them, none at the end.
    pub(crate) async fn next(&mut self) -> Result<Vec<StoredLetter>, ApiError> {
        if let Some(mut ids) = self.meant.ids.take() {
            let mut found = Vec::new();
            while found.len() < limits::DEAD_LETTERS_PAGE_MAX
                && let Some(id) = ids.pop_first()
            {
                let letter = self.node.dead_letter(self.stream, id).await?;
                let is_meant = |letter: &StoredLetter| {
                    let is_moved = letter.body > self.meant.through;
                    letter.status == LetterStatus::Open && (self.meant.follows || !is_moved)
                };
                found.extend(letter.filter(is_meant));
            }
            self.meant.ids = Some(ids);
            return Ok(found);
        }
        while !self.is_over {
            let (read, next) = self.node.dead_letters(self.stream, self.after).await?;
            self.is_over = read.is_empty();
            self.after = next;
            let meant = &self.meant;
            let is_meant = |found: &StoredLetter| {
                let is_moved = found.body > meant.through;
                found.id <= meant.through
                    && (meant.follows || !is_moved)
                    && meant.filter.takes(found)
            };
            let found: Vec<StoredLetter> = read.into_iter().filter(is_meant).collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}
