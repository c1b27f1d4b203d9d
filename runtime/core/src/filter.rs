//! Decides which records a mapping's function is given: event patterns as EventBridge and Lambda have
//! them, on the payload's JSON and on the envelope (specification of filters, sections 13 and 14).
//!
//! Patterns are read once, when a mapping is deployed, and become one tree of keys. A record's payload is
//! walked once and nothing is built of it; a filter that the envelope decides reads no payload.

mod cidr;
mod compiled;
mod criteria;
mod explain;
mod field;
mod json;
mod matcher;
mod number;
mod operators;
mod pattern;
mod rules;
mod walk;
mod wildcard;

use std::{fmt, sync::Arc};

pub use explain::{Reason, Unmet};
pub use walk::FilterScratch;

use self::{
    compiled::{Compiled, CompiledRule},
    field::Field,
    matcher::Scalar,
    number::Number,
};
use crate::{error_code::Problem, id::Timestamp, limits};

/// Patterns of which one is enough, compiled.
///
/// Two are equal when their patterns are spelt alike.
#[derive(Clone)]
pub struct Filter {
    patterns: Vec<Arc<str>>,
    compiled: Arc<Compiled>,
}

/// What a filter says of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FilterVerdict {
    /// A pattern matches, or there is no filter.
    #[default]
    Match,
    /// No pattern matches.
    NoMatch,
    /// The payload decides, and it is not JSON.
    Unparsable,
}

/// What a filter may look at of a record. What it takes to make a field is spent by the caller, who can
/// ask first ([`Filter::asks_for_sequence_number`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope<'a> {
    /// The partition key.
    pub key: Option<&'a [u8]>,
    /// The payload; none is the JSON value `null`.
    pub data: Option<&'a [u8]>,
    /// When it arrived at its stream.
    pub arrival: Timestamp,
    /// Its sequence number; may be left empty where the filter does not ask for it.
    pub sequence_number: &'a str,
    /// Its shard, `shardId-000000000000`.
    pub shard_id: &'a str,
}

/// One thing that is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternMistake {
    /// In which of the texts that were given, from 0.
    pub pattern: usize,
    /// The pattern that is wrapped there: `Filters[1].Pattern`; empty: the text is the pattern.
    pub within: String,
    /// Where in it: `data.age[0].numeric`; empty: the pattern itself.
    pub path: String,
    /// The byte of the pattern's text.
    pub byte: usize,
    /// What, in words.
    pub message: String,
}

impl PatternMistake {
    /// As a problem of a setting that stands at `at`: `mapping[0].filter`.
    #[must_use]
    pub fn problem(&self, at: &str) -> Problem {
        Problem::new(format!("{at}[{}]", self.pattern), self.to_string())
    }
}

impl fmt::Display for PatternMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.within.is_empty() {
            write!(f, "in `{}`, ", self.within)?;
        }
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path)?;
        }
        write!(f, "{} (byte {})", self.message, self.byte)
    }
}

/// What a payload turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    /// UTF-8, and not JSON.
    Text,
    Binary,
}

impl Form {
    /// Whether such a payload can be judged by a rule that asks for it.
    const fn suits(self, rule: &CompiledRule) -> bool {
        match self {
            Self::Json => true,
            Self::Text => !rule.needs_json,
            Self::Binary => false,
        }
    }
}

/// What is wrong with one pattern, while it is read.
#[derive(Debug, Default)]
struct Mistakes {
    found: Vec<PatternMistake>,
    pattern: usize,
    within: String,
    /// Alternatives of `$or` multiply; these would be too many.
    is_too_large: bool,
}

impl Mistakes {
    fn add(&mut self, path: impl Into<String>, byte: usize, message: impl Into<String>) {
        self.found.push(PatternMistake {
            pattern: self.pattern,
            within: self.within.clone(),
            path: path.into(),
            byte,
            message: message.into(),
        });
    }

    fn add_once(&mut self, path: &str, byte: usize, message: String) {
        let at = (self.pattern, self.within.as_str(), path);
        let is_told = |told: &PatternMistake| (told.pattern, &*told.within, &*told.path) == at;
        if !self.found.iter().any(is_told) {
            self.add(path, byte, message);
        }
    }
}

impl Filter {
    /// Reads and compiles patterns, JSON text each, or wrapped as AWS does: `{"Pattern": "…"}`,
    /// `{"Filters": [{"Pattern": "…"}]}`. Of those the patterns in them are kept.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn parse(
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, Vec<PatternMistake>> {
        let given = criteria::unwrapped(patterns);
        let mut mistakes = Mistakes::default();
        let (mut leaves, mut rules, mut fields) = (0, Vec::new(), 0);
        for (index, one) in given.iter().enumerate() {
            let text = one.pattern.as_str();
            mistakes.pattern = one.text;
            mistakes.within.clone_from(&one.within);
            if index == limits::FILTER_PATTERNS_MAX {
                let words = format!("more than {} patterns", limits::FILTER_PATTERNS_MAX);
                mistakes.add("", 0, words);
                break;
            }
            if text.len() > limits::FILTER_PATTERN_BYTES_MAX {
                let most = limits::FILTER_PATTERN_BYTES_MAX;
                let words = format!("{} bytes are above the limit of {most}", text.len());
                mistakes.add("", most, words);
                continue;
            }
            match pattern::read(text) {
                Ok(node) => {
                    let of_pattern = rules::rules(&node, &mut leaves, &mut mistakes);
                    fields += of_pattern.iter().map(Vec::len).sum::<usize>();
                    rules.push(of_pattern);
                }
                Err(malformed) => {
                    let words = format!("not JSON: {}", malformed.why);
                    mistakes.add("", malformed.at, words);
                }
            }
            if mistakes.is_too_large || fields > limits::FILTER_FIELDS_MAX {
                let most = limits::FILTER_FIELDS_MAX;
                let words = format!(
                    "its alternatives multiply to more than {most} fields: write fewer `$or` side by \
                     side, or several patterns"
                );
                mistakes.add("", 0, words);
                break;
            }
        }
        if !mistakes.found.is_empty() {
            return Err(mistakes.found);
        }
        let patterns = given.into_iter().map(|one| one.pattern.into());
        Ok(Self {
            patterns: patterns.collect(),
            compiled: Arc::new(Compiled::new(rules)),
        })
    }

    /// The patterns as they were written, without what AWS wraps them in.
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.patterns.iter().map(|pattern| &**pattern)
    }

    /// Whether [`Envelope::sequence_number`] is looked at.
    #[must_use]
    pub fn asks_for_sequence_number(&self) -> bool {
        let needs = [Field::SequenceNumber, Field::EventId];
        let envelope = &self.compiled.envelope;
        envelope.iter().any(|(field, _)| needs.contains(field))
    }

    /// Judges a record. A filter without patterns matches every record.
    #[must_use]
    pub fn verdict(&self, record: &Envelope<'_>, scratch: &mut FilterScratch) -> FilterVerdict {
        if self.patterns.is_empty() {
            return FilterVerdict::Match;
        }
        scratch.reset(&self.compiled);
        self.look_at_envelope(record, scratch);
        let mut is_open = false;
        for rule in &self.compiled.rules {
            if rule.envelope.clone().all(|bit| scratch.holds(bit)) {
                let is_met = rule.is_envelope_only && !rule.absent.iter().any(|&n| scratch.has(n));
                if is_met {
                    return FilterVerdict::Match;
                }
                is_open |= !rule.is_envelope_only;
            }
        }
        let Some(data) = self.compiled.data.filter(|_| is_open) else {
            return FilterVerdict::NoMatch;
        };
        let form = self.look_at_data(data, record, scratch);
        self.conclude(form, scratch)
    }

    fn look_at_envelope(&self, record: &Envelope<'_>, scratch: &mut FilterScratch) {
        for &(field, node) in &self.compiled.envelope {
            let text;
            let value = match field {
                Field::PartitionKey => match record.key {
                    Some(key) => {
                        text = String::from_utf8_lossy(key);
                        Scalar::Text(&text)
                    }
                    None => Scalar::Null,
                },
                Field::SequenceNumber => Scalar::Text(record.sequence_number),
                Field::ApproximateArrivalTimestamp => {
                    Scalar::Number(Number::seconds(record.arrival.0))
                }
                Field::ShardId => Scalar::Text(record.shard_id),
                Field::EventId => {
                    text = format!("{}:{}", record.shard_id, record.sequence_number).into();
                    Scalar::Text(&text)
                }
                Field::Data => continue,
            };
            scratch.value(&self.compiled, node, value);
        }
    }

    /// Looks at the payload. One that is not JSON is a text to a pattern that asks for `data` itself.
    fn look_at_data(&self, node: u32, record: &Envelope<'_>, scratch: &mut FilterScratch) -> Form {
        let Some(data) = record.data else {
            scratch.value(&self.compiled, node, Scalar::Null);
            return Form::Json;
        };
        let text = std::str::from_utf8(data);
        if let Ok(text) = text
            && walk::walk(&self.compiled, node, text, scratch).is_ok()
        {
            return Form::Json;
        }
        // What the walk noted until it failed means nothing.
        scratch.reset(&self.compiled);
        self.look_at_envelope(record, scratch);
        match text {
            Ok(text) => {
                scratch.value(&self.compiled, node, Scalar::Text(text));
                Form::Text
            }
            Err(_) => Form::Binary,
        }
    }

    fn conclude(&self, form: Form, scratch: &FilterScratch) -> FilterVerdict {
        let mut verdict = FilterVerdict::NoMatch;
        for rule in &self.compiled.rules {
            if !rule.envelope.clone().all(|bit| scratch.holds(bit)) {
                continue;
            }
            if !rule.is_envelope_only && !form.suits(rule) {
                verdict = FilterVerdict::Unparsable;
                continue;
            }
            let is_met = rule.data.clone().all(|bit| scratch.holds(bit))
                && !rule.absent.iter().any(|&node| scratch.has(node));
            if is_met {
                return FilterVerdict::Match;
            }
        }
        verdict
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Filter {}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.patterns).finish()
    }
}

#[cfg(test)]
mod tests;
