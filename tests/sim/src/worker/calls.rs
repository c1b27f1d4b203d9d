//! What a call has, and what comes of it.

use fnctl_core::{
    invoker::CallStats,
    outcome::Outcome,
    pipeline::{Event, Invocation},
};

use super::Worker;
use crate::{guest::Seen, journal::Journal};

impl Worker {
    /// The records of a call, as the function sees them.
    #[must_use]
    pub fn seen(journal: &Journal, call: &Invocation) -> Vec<Seen> {
        call.records
            .iter()
            .map(|record| {
                let put = journal.put_at(record.position);
                Seen {
                    position: record.position.0,
                    key: put.key,
                    nature: put.nature.under(call.version, record.position.0),
                    attempt: record.attempts + 1,
                }
            })
            .collect()
    }

    /// The answer of a call.
    pub fn invoked(call: &Invocation, outcome: Outcome) -> Event {
        Event::Invoked {
            attempt: call.attempt,
            outcome,
            state: None,
            cost: CallStats::default().into(),
        }
    }
}
