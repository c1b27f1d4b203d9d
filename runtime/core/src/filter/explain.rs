//! Why a filter does not match a record, for people.

use std::fmt;

use super::{
    Envelope, Filter, FilterScratch, FilterVerdict, Form, compiled::CompiledRule, field::Field,
};

/// What kept one pattern from matching: of its alternatives the one that came nearest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Which pattern, from 0.
    pub pattern: usize,
    /// The field, `data.user.id`.
    pub field: String,
    /// Why.
    pub reason: Reason,
}

/// Why a field does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has no value.
    Absent,
    /// It has one, and the pattern asks for none.
    Present,
    /// It has another value.
    OtherValue,
    /// It matches in an element of an array in which another field of the pattern does not, or in a value that
    /// a later one of the same key takes the place of.
    OtherElement,
    /// The payload is not JSON.
    Unparsable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "absent",
            Self::Present => "present",
            Self::OtherValue => "other-value",
            Self::OtherElement => "other-element",
            Self::Unparsable => "unparsable",
        })
    }
}

impl Filter {
    /// Judges a record as [`Self::verdict`] does, and says what kept each pattern from matching: one
    /// entry for each field of its nearest alternative. Empty where one matches.
    #[must_use]
    pub fn explain(&self, record: &Envelope<'_>) -> (FilterVerdict, Vec<Unmet>) {
        let mut scratch = FilterScratch::explaining();
        let verdict = self.verdict(record, &mut scratch);
        if verdict == FilterVerdict::Match {
            return (verdict, Vec::new());
        }
        // A verdict by the envelope alone leaves the payload unread: the reasons need it all the same.
        scratch.reset(&self.compiled);
        self.look_at_envelope(record, &mut scratch);
        let data = self.compiled.data;
        let form = data.map(|data| self.look_at_data(data, record, &mut scratch));
        let mut unmet = Vec::new();
        for pattern in 0..self.patterns.len() {
            let rules = self.compiled.rules.iter();
            let of_pattern = rules.filter(|rule| rule.pattern == pattern);
            let told = of_pattern.map(|rule| self.unmet(rule, form, &scratch));
            let nearest = told.min_by_key(Vec::len).unwrap_or_default();
            unmet.extend(nearest.into_iter().map(|(node, reason)| Unmet {
                pattern,
                field: self.compiled.nodes[node as usize].path.to_string(),
                reason,
            }));
        }
        (verdict, unmet)
    }

    /// The fields of a rule that are not as it asks.
    fn unmet(
        &self,
        rule: &CompiledRule,
        form: Option<Form>,
        scratch: &FilterScratch,
    ) -> Vec<(u32, Reason)> {
        let is_unparsable = form.is_some_and(|form| !form.suits(rule));
        let in_data = |node: u32| {
            let path = &self.compiled.nodes[node as usize].path;
            path.split('.').next() == Some(Field::Data.name())
        };
        let bits = rule.bit_nodes.iter().zip(rule.envelope.start..);
        let values = bits.filter_map(|(&node, bit)| {
            let reason = if is_unparsable && in_data(node) {
                Reason::Unparsable
            } else if scratch.holds(bit) {
                return None;
            } else if scratch.touches(bit) {
                Reason::OtherElement
            } else if scratch.has(node) {
                Reason::OtherValue
            } else {
                Reason::Absent
            };
            Some((node, reason))
        });
        let absent = rule.absent.iter().filter_map(|&node| {
            if is_unparsable && in_data(node) {
                return Some((node, Reason::Unparsable));
            }
            scratch.has(node).then_some((node, Reason::Present))
        });
        values.chain(absent).collect()
    }
}
