//! Dead letters that cannot be read, as they are told of: the others are served, and then these are named.

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode, id::Ordinal, limits::DAMAGED_LETTERS_NAMED_MAX, status::DamagedLetters,
};

use crate::{api::error::ApiError, node::DamagedLetter};

/// Ids that an error names.
const IDS_IN_ERROR_MAX: usize = 8;

/// Those that were met.
#[derive(Debug, Default)]
pub(super) struct Damaged {
    letters: u64,
    /// The first of them.
    ids: Vec<Ordinal>,
    /// What is wrong with the first.
    why: Option<Arc<str>>,
}

impl Damaged {
    pub(super) fn add<'a>(&mut self, met: impl IntoIterator<Item = &'a DamagedLetter>) {
        for found in met {
            self.letters += 1;
            if self.ids.len() < DAMAGED_LETTERS_NAMED_MAX {
                self.ids.push(found.id);
            }
            self.why.get_or_insert_with(|| Arc::clone(&found.why));
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.letters == 0
    }

    /// As a part of an answer.
    pub(super) fn status(&self) -> Option<DamagedLetters> {
        let message = self.why.as_deref()?.to_owned();
        Some(DamagedLetters {
            letters: self.letters,
            ids: self.ids.iter().map(ToString::to_string).collect(),
            message,
        })
    }

    /// As the error that ends an answer.
    pub(super) fn error(&self, address: &str) -> Option<ApiError> {
        let why = self.why.as_deref()?;
        let told = self.ids.iter().take(IDS_IN_ERROR_MAX);
        let ids: Vec<String> = told.map(ToString::to_string).collect();
        let letters = match self.letters {
            1 => "1 dead letter".to_owned(),
            count => format!("{count} dead letters"),
        };
        let more = match self.letters > ids.len() as u64 {
            true => " …",
            false => "",
        };
        let words = format!(
            "{letters} of `{address}` cannot be read: {}{more}",
            ids.join(", ")
        );
        let error = ApiError::new(ErrorCode::Damaged, words).because(why);
        Some(error.at(address).fix(format!(
            "a restored backup has them whole; fnctl dlq purge {address} {} throws away what cannot be read",
            ids.join(" ")
        )))
    }
}
