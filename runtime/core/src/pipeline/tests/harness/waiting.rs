//! The keys that wait, written down.

use super::Harness;
use crate::{
    id::Ordinal,
    lane::KeyHash,
    outcome::Cause,
    pipeline::{WaitingKey, WaitingKeys},
};

impl Harness {
    pub(in super::super) fn waiting_keys(
        &self,
        of: Option<&[KeyHash]>,
        most: usize,
    ) -> WaitingKeys {
        self.pipeline.waiting_keys(of, most)
    }

    /// The keys that wait, a line each: their records (of one that failed with its attempts), how many are
    /// behind, for what they wait and until when, and the code of the last failure.
    pub(in super::super) fn waiting(&self) -> Vec<String> {
        let told = self.waiting_keys(None, usize::MAX);
        assert_eq!(told.count, told.keys.len() as u64);
        told.keys.iter().map(line).collect()
    }

    /// Has the oldest records of all keys that wait given up.
    pub(in super::super) fn give_up_what_waits(&mut self) {
        let keys = self.waiting_keys(None, usize::MAX).keys;
        let records = keys.iter().filter_map(|key| key.records.first());
        let positions: Vec<u64> = records.map(|record| record.position.0).collect();
        self.give_up(&positions);
    }
}

fn line(key: &WaitingKey) -> String {
    let records = key.records.iter().map(|record| {
        let Ordinal(position) = record.position;
        match record.has_failed {
            true => format!("{position}:{}", record.attempts),
            false => position.to_string(),
        }
    });
    let mut who: Vec<String> = records.collect();
    let mut failure = key
        .records
        .first()
        .and_then(|record| record.failure.as_ref());
    if let Some(window) = &key.window {
        let (group, attempts) = (window.group, window.attempts);
        who.push(format!(
            "window {} of group {group}:{attempts}",
            window.window.start
        ));
        failure = Some(&window.failure);
    }
    let until = key
        .until
        .map_or_else(|| "-".to_owned(), |at| at.to_string());
    let code =
        failure.map(|Cause { kind, code, error }| format!(" {} {code}: {error}", kind.as_str()));
    let (who, why) = (who.join(" "), key.why.as_str());
    format!(
        "{who} +{} {why} {until}{}",
        key.behind,
        code.unwrap_or_default()
    )
}
