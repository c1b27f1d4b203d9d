//! Judges a producer's append.

use std::sync::Arc;

use super::NodeView;
use crate::{
    entry::{Entry, ProducerMark},
    id::{StreamId, StreamName, Timestamp},
    record::NewRecords,
};

/// Which stream is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRef<'a> {
    /// This one, and no later one of its name.
    Id(StreamId),
    /// Whichever has the name when the entry is taken.
    Name(&'a StreamName),
}

/// A producer's claim on an append: its records have the sequences `first`, `first + 1` …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSequence {
    /// The producer's id.
    pub producer: Arc<str>,
    /// The sequence of the first record.
    pub first: u64,
}

/// Why an append is not taken; nothing of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendRefusal {
    /// No such stream, or an internal one.
    #[error("no such stream")]
    NoSuchStream,
    /// All of it was taken before.
    #[error("a duplicate: the producer's last accepted sequence is {last}")]
    Duplicate {
        /// The producer's last accepted sequence.
        last: u64,
    },
    /// Its first part was taken before: cut it off and append the rest.
    #[error("partly a duplicate: the producer's last accepted sequence is {last}")]
    PartlyDuplicate {
        /// The producer's last accepted sequence.
        last: u64,
    },
    /// Sequences are missing in front of it.
    #[error("a gap: the producer's next sequence is {next}")]
    Gap {
        /// The sequence that is expected.
        next: u64,
    },
}

impl NodeView {
    /// Places an append, or says why not (commit and storage rules §1).
    ///
    /// # Errors
    /// The refusal; the view is as before.
    pub fn evaluate_append(
        &self,
        stream: StreamRef<'_>,
        records: &Arc<NewRecords>,
        producer: Option<&ProducerSequence>,
        now: Timestamp,
    ) -> Result<Entry, AppendRefusal> {
        let id = match stream {
            StreamRef::Id(id) => self.registry.stream(id),
            StreamRef::Name(name) => self.registry.stream_by_name(name),
        }
        .filter(|stream| !stream.is_internal)
        .map(|stream| stream.id)
        .ok_or(AppendRefusal::NoSuchStream)?;
        let view = self
            .streams
            .get(&id)
            .filter(|view| view.is_open())
            .ok_or(AppendRefusal::NoSuchStream)?;
        debug_assert_eq!(records.hash_keys.len(), records.len());

        let rows = records.len() as u64;
        let mark = match producer.filter(|_| rows > 0) {
            None => None,
            Some(claim) => {
                let last = claim.first.saturating_add(rows - 1);
                // A forgotten producer may go on with any sequence.
                if let Some(known) = view.producers.get(&claim.producer) {
                    judge(known.last, claim.first, last)?;
                }
                Some(ProducerMark {
                    producer: Arc::clone(&claim.producer),
                    last,
                })
            }
        };
        Ok(Entry::Append {
            placement: view.place(id, &records.hash_keys, now, std::iter::empty()),
            records: Arc::clone(records),
            producer: mark,
        })
    }
}

/// Next is last + 1; at or below it is a duplicate; above it is a gap.
const fn judge(known: u64, first: u64, last: u64) -> Result<(), AppendRefusal> {
    if last <= known {
        Err(AppendRefusal::Duplicate { last: known })
    } else if first <= known {
        Err(AppendRefusal::PartlyDuplicate { last: known })
    } else if first > known + 1 {
        Err(AppendRefusal::Gap { next: known + 1 })
    } else {
        Ok(())
    }
}
