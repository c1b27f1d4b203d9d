//! Which dead letters are told of.

use clap::builder::PossibleValuesParser;
use fnctl_core::{commit::ErrorKind, spec::position::StartingPosition};

use crate::spelling;

/// What a letter must be.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Filters {
    /// All that are still stored, not only open ones
    #[arg(long)]
    all: bool,
    /// Only those of a code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only those of a kind: skip, error, trap, timeout …
    #[arg(long, value_name = "KIND", value_parser = kinds(), hide_possible_values = true)]
    kind: Option<String>,
    /// Only those of a partition key
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    key: Option<String>,
    /// Only those given up since a time, or so long ago
    #[arg(long, value_name = "TIME", value_parser = spelling::moment)]
    since: Option<StartingPosition>,
}

impl Filters {
    /// Whether closed ones are told of as well.
    pub(super) const fn is_all(&self) -> bool {
        self.all
    }

    /// As parameters of an address.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        let all = self.all.then(|| ("all", "true".to_owned()));
        let texts = [
            ("code", self.code.clone()),
            ("kind", self.kind.clone()),
            ("key", self.key.clone()),
            ("since", self.since.map(|since| since.to_string())),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        all.into_iter().chain(texts).collect()
    }
}

/// The kinds of errors, by their names: shells complete them.
pub(super) fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(ErrorKind::ALL.map(ErrorKind::as_str))
}

/// Parameters as a client takes them.
pub(super) fn by_ref<'a>(query: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    query
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}
