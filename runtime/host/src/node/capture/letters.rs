//! Dead letters as captured calls.

use fnctl_core::{
    capture::{CapturedBatch, CapturedFailure, CapturedRecord},
    function::Function,
    id::Ordinal,
    mapping::Mapping,
    rfc3339,
    status::DataText,
    view::LetterStatus,
};

use super::{Captured, Wanted, window};
use crate::{
    api::error::ApiError,
    node::{HostNode, StoredLetter},
    shard_worker::record_id,
    text,
};

impl HostNode {
    /// Takes the open letters that hold a record.
    pub(super) async fn capture_letters(
        &self,
        mapping: &Mapping,
        function: &Function,
        wanted: &Wanted,
        captured: &mut Captured,
    ) -> Result<(), ApiError> {
        let mut after = Ordinal(0);
        loop {
            let read = self.dead_letters(mapping.dead_letters, after).await?;
            if read.is_empty() {
                return Ok(());
            }
            after = read.through;
            // Those that cannot be read are named where letters are listed: here examples are wanted.
            for found in &read.letters {
                // Of the others nothing is kept that could be called.
                let is_wanted = found.status == LetterStatus::Open
                    && found.letter.kind.holds_record()
                    && wanted.takes(&found.letter.key);
                if is_wanted && !captured.push(batch(mapping, function, found), wanted) {
                    return Ok(());
                }
            }
        }
    }
}

/// The last call of a letter's record.
pub(super) fn batch(mapping: &Mapping, function: &Function, found: &StoredLetter) -> CapturedBatch {
    let letter = &found.letter;
    let key = DataText::of(&letter.key, text::base64);
    // A version that is not kept any more can be called no more.
    let version = match function.versions.contains_key(&letter.version) {
        true => letter.version,
        false => function.live,
    };
    CapturedBatch {
        version: version.0,
        shard_id: letter.shard.shard_id(),
        at: rfc3339::format(letter.failed_at),
        dead_letter: Some(found.id.to_string()),
        records: vec![CapturedRecord {
            partition_key: key.data,
            key_encoding: key.encoding,
            sequence_number: letter.sequence_number.to_string(),
            record_id: record_id(mapping.stream, letter.shard, letter.position),
            ordinal: letter.position.0,
            arrival_ms: letter.arrival.0,
            attempt: letter.attempts.max(1),
            // A letter does not keep whether its record had no payload.
            is_tombstone: false,
            data: DataText::of(&letter.data, text::base64),
        }],
        failures: vec![CapturedFailure {
            index: 0,
            error_kind: Some(letter.kind.as_str().to_owned()),
            code: Some(letter.code.to_string()),
            error: Some(letter.error.to_string()),
        }],
        window: window::of_letter(mapping, letter),
    }
}
