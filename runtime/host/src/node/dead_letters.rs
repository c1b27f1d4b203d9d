//! Dead letters as their streams hold them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fnctl_core::{
    commit::DeadLetter,
    error_code::ErrorCode,
    id::{MappingId, Ordinal, ShardNumber, StreamId},
    mapping::Mapping,
    rfc3339,
    status::{DataText, DeadLetterStatus},
};
use fnctl_store::{ReadError, codec::decode_dead_letter};
use tokio::sync::Mutex;

use crate::{api::error::ApiError, limits, node::HostNode, source, text};

/// Open letters by code, counted as they come: what was counted once is not read again.
#[derive(Debug, Default)]
pub(super) struct LetterCounts(Mutex<HashMap<MappingId, CountedThrough>>);

/// The last letter counted, and the counts up to it.
type CountedThrough = (Ordinal, BTreeMap<Arc<str>, u64>);

impl HostNode {
    /// Some letters of a mapping's `stream` of them after an id, and where to go on; none at the end.
    pub(crate) async fn dead_letters(
        &self,
        stream: StreamId,
        after: Ordinal,
    ) -> Result<(Vec<(Ordinal, DeadLetter)>, Ordinal), ApiError> {
        let (records, bytes) = (limits::TAIL_READ_RECORDS_MAX, limits::TAIL_READ_BYTES_MAX);
        let mut after = after;
        let blocks = loop {
            match source::read(self.store(), stream, ShardNumber(0), after, records, bytes).await {
                Ok(blocks) => break blocks,
                Err(ReadError::NoSuchShard) => return Ok((Vec::new(), after)),
                Err(ReadError::Trimmed { horizon }) if horizon > after.next() => {
                    after = Ordinal(horizon.0 - 1);
                }
                Err(error) => return Err(ApiError::new(ErrorCode::Damaged, error.to_string())),
            }
        };
        let mut letters = Vec::new();
        for block in &blocks {
            for index in 0..block.len() {
                let id = block.ordinal(index);
                if id <= after {
                    continue;
                }
                let letter = decode_dead_letter(block.records.data.share(index));
                let letter = letter.map_err(|error| {
                    let words = format!("dead letter {id} cannot be read: {error}");
                    ApiError::new(ErrorCode::Damaged, words)
                })?;
                letters.push((id, letter));
            }
            after = after.max(block.last());
        }
        Ok((letters, after))
    }

    /// Open letters of a mapping by code.
    pub(super) async fn letters_by_code(&self, mapping: &Mapping) -> BTreeMap<String, u64> {
        let mut counts = self.letters.0.lock().await;
        let (through, by_code) = counts.entry(mapping.id).or_default();
        loop {
            let read = self.dead_letters(mapping.dead_letters, *through).await;
            match read {
                Ok((letters, _)) if letters.is_empty() => break,
                Ok((letters, next)) => {
                    for (_, letter) in letters {
                        *by_code.entry(letter.code).or_default() += 1;
                    }
                    *through = next;
                }
                // What cannot be read is said where it is asked for.
                Err(_) => break,
            }
        }
        by_code
            .iter()
            .map(|(code, count)| (code.to_string(), *count))
            .collect()
    }
}

/// A letter as people and destinations are shown it.
pub(crate) fn shown(id: Ordinal, letter: &DeadLetter) -> DeadLetterStatus {
    DeadLetterStatus {
        id: id.to_string(),
        partition_key: String::from_utf8_lossy(&letter.key).into_owned(),
        sequence_number: letter.sequence_number.to_string(),
        shard_id: letter.shard.shard_id(),
        error_kind: letter.kind.as_str().to_owned(),
        code: letter.code.to_string(),
        error: letter.error.to_string(),
        attempts: letter.attempts,
        function_version: letter.version.0,
        arrival: rfc3339::format(letter.arrival),
        failed_at: rfc3339::format(letter.failed_at),
        status: "open".to_owned(),
        data: DataText::of(&letter.data, text::base64),
    }
}
