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
    node::{DamagedLetter, HostNode, LettersRead, StoredLetter},
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

    /// Whether it may take a letter that cannot be read.
    pub(super) fn may_take(&self, found: &DamagedLetter) -> bool {
        self.status.is_none_or(|status| status == found.status)
    }

    /// Whether it asks for nothing that a letter says of itself.
    const fn is_all(&self) -> bool {
        self.code.is_none() && self.kind.is_none() && self.key.is_none() && self.since.is_none()
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
            let (id, status) = super::known(node, address, stream, id).await?;
            if status != LetterStatus::Open {
                let status = status.as_str();
                let words = format!("dead letter {id} of `{address}` is {status} already");
                return Err(ApiError::new(ErrorCode::NoSuchDeadLetter, words)
                    .fix(format!("fnctl dlq list {address}")));
            }
            ids.insert(id);
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

    /// Whether letters that cannot be read are meant, too: none was asked what it is.
    pub(super) const fn takes_damaged(&self) -> bool {
        self.are_named() || self.filter.is_all()
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
    /// Some more of them, none at the end; of those that cannot be read all that may be meant.
    pub(crate) async fn next(&mut self) -> Result<LettersRead, ApiError> {
        if let Some(mut ids) = self.meant.ids.take() {
            let mut found = LettersRead::default();
            while found.letters.len() < limits::DEAD_LETTERS_PAGE_MAX
                && let Some(id) = ids.pop_first()
            {
                let read = self.node.letter_or_damage(self.stream, id).await?;
                let is_meant = |body: Ordinal, status: LetterStatus| {
                    let is_moved = body > self.meant.through;
                    status == LetterStatus::Open && (self.meant.follows || !is_moved)
                };
                let letters = read.letters.into_iter();
                found
                    .letters
                    .extend(letters.filter(|letter| is_meant(letter.body, letter.status)));
                let damaged = read.damaged.into_iter();
                found
                    .damaged
                    .extend(damaged.filter(|letter| is_meant(letter.body, letter.status)));
            }
            self.meant.ids = Some(ids);
            return Ok(found);
        }
        while !self.is_over {
            let mut read = self.node.dead_letters(self.stream, self.after).await?;
            self.is_over = read.is_empty();
            self.after = read.through;
            let meant = &self.meant;
            let is_meant = |id: Ordinal, body: Ordinal| {
                let is_moved = body > meant.through;
                id <= meant.through && (meant.follows || !is_moved)
            };
            read.letters
                .retain(|found| is_meant(found.id, found.body) && meant.filter.takes(found));
            read.damaged
                .retain(|found| is_meant(found.id, found.body) && meant.filter.may_take(found));
            if !read.is_empty() {
                return Ok(read);
            }
        }
        Ok(LettersRead::default())
    }
}
