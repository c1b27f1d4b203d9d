//! Dead letters as their streams hold them, and what became of each.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fnctl_core::{
    commit::DeadLetter,
    error_code::ErrorCode,
    id::{MappingId, Ordinal, StreamId},
    mapping::Mapping,
    rfc3339,
    status::{DataText, DeadLetterStatus},
    view::{LETTERS_SHARD, LetterStatus, LettersView},
};
use fnctl_store::{ReadError, codec::decode_dead_letter};
use tokio::sync::Mutex;

use crate::{api::error::ApiError, limits, node::HostNode, source, text};

/// A dead letter that is still stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredLetter {
    /// Its id: where it was first stored.
    pub(crate) id: Ordinal,
    /// Where it is stored now.
    pub(crate) body: Ordinal,
    /// What became of it.
    pub(crate) status: LetterStatus,
    /// The letter.
    pub(crate) letter: DeadLetter,
}

/// Open letters by code, counted as they come: what was counted once is not read again.
#[derive(Debug, Default)]
pub(super) struct LetterCounts(Mutex<HashMap<MappingId, Counted>>);

/// The open letters of a mapping as they were last counted.
#[derive(Debug, Default)]
struct Counted {
    /// The last body that was looked at.
    through: Ordinal,
    /// What was closed then.
    closed: Option<Arc<LettersView>>,
    /// Bodies that were open, ascending, each with its code's place in `codes`.
    open: Vec<(Ordinal, u32)>,
    codes: Vec<Arc<str>>,
}

impl Counted {
    fn add(&mut self, found: &StoredLetter) {
        if found.status != LetterStatus::Open {
            return;
        }
        let known = self
            .codes
            .iter()
            .position(|code| *code == found.letter.code);
        let code = known.unwrap_or_else(|| {
            self.codes.push(Arc::clone(&found.letter.code));
            self.codes.len() - 1
        });
        let code = u32::try_from(code).expect("a letter takes more room than its code's number");
        self.open.push((found.body, code));
    }

    fn follow(&mut self, closed: Option<Arc<LettersView>>) {
        let is_same = match (&self.closed, &closed) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if !is_same {
            if let Some(closed) = &closed {
                self.open.retain(|(body, _)| closed.is_open(*body));
            }
            self.closed = closed;
        }
    }

    fn by_code(&self) -> BTreeMap<String, u64> {
        let mut counts = vec![0_u64; self.codes.len()];
        for (_, code) in &self.open {
            counts[*code as usize] += 1;
        }
        let codes = self.codes.iter().zip(counts);
        codes
            .filter(|(_, count)| *count > 0)
            .map(|(code, count)| (code.to_string(), count))
            .collect()
    }
}

impl HostNode {
    /// Some letters of a mapping's `stream` of them behind a place, and where to go on; none at the end.
    /// What became of each is as of now.
    pub(crate) async fn dead_letters(
        &self,
        stream: StreamId,
        after: Ordinal,
    ) -> Result<(Vec<StoredLetter>, Ordinal), ApiError> {
        let mut after = after;
        // A page of which nothing is told any more is passed over.
        loop {
            let page = limits::TAIL_READ_RECORDS_MAX;
            let (found, next) = self.letters_behind(stream, after, page).await?;
            if !found.is_empty() || next == after {
                return Ok((found, next));
            }
            after = next;
        }
    }

    /// As [`Self::dead_letters`], of so many stored bodies at most; all of them may be closed ones.
    pub(crate) async fn letters_behind(
        &self,
        stream: StreamId,
        after: Ordinal,
        records: usize,
    ) -> Result<(Vec<StoredLetter>, Ordinal), ApiError> {
        let bytes = limits::TAIL_READ_BYTES_MAX;
        let mut after = after;
        let blocks = loop {
            match source::read(self.store(), stream, LETTERS_SHARD, after, records, bytes).await {
                Ok(blocks) => break blocks,
                Err(ReadError::NoSuchShard) => return Ok((Vec::new(), after)),
                Err(ReadError::Trimmed { horizon }) if horizon > after.next() => {
                    after = Ordinal(horizon.0 - 1);
                }
                Err(error) => return Err(ApiError::new(ErrorCode::Damaged, error.to_string())),
            }
        };
        let kept = self.view(|view| view.letters(stream).cloned());
        let mut letters = Vec::new();
        for block in &blocks {
            for index in 0..block.len() {
                let body = block.ordinal(index);
                if body <= after {
                    continue;
                }
                let status = match &kept {
                    None => Some(LetterStatus::Open),
                    Some(kept) => kept.status(body),
                };
                let Some(status) = status else {
                    continue;
                };
                let letter = decode_dead_letter(block.records.data.share(index));
                let letter = letter.map_err(|error| {
                    let words = format!("dead letter {body} cannot be read: {error}");
                    ApiError::new(ErrorCode::Damaged, words)
                })?;
                letters.push(StoredLetter {
                    id: kept.as_ref().map_or(body, |kept| kept.id_of(body)),
                    body,
                    status,
                    letter,
                });
            }
            after = after.max(block.last());
        }
        Ok((letters, after))
    }

    /// One letter by its id, if it is still stored.
    pub(crate) async fn dead_letter(
        &self,
        stream: StreamId,
        id: Ordinal,
    ) -> Result<Option<StoredLetter>, ApiError> {
        let body = self.view(|view| match view.letters(stream) {
            None => Some(id),
            Some(kept) => kept.body_of(id),
        });
        let Some(before) = body.and_then(|body| body.0.checked_sub(1)) else {
            return Ok(None);
        };
        let (found, _) = self.letters_behind(stream, Ordinal(before), 1).await?;
        Ok(found.into_iter().next().filter(|found| found.id == id))
    }

    /// Open letters of a mapping by code.
    pub(crate) async fn letters_by_code(&self, mapping: &Mapping) -> BTreeMap<String, u64> {
        let mut counts = self.letters.0.lock().await;
        let counted = counts.entry(mapping.id).or_default();
        // What cannot be read is said where it is asked for.
        let page = limits::TAIL_READ_RECORDS_MAX;
        while let Ok((found, next)) = self
            .letters_behind(mapping.dead_letters, counted.through, page)
            .await
        {
            if next == counted.through {
                break;
            }
            found.iter().for_each(|letter| counted.add(letter));
            counted.through = next;
        }
        let closed = self.view(|view| view.letters(mapping.dead_letters).cloned());
        counted.follow(closed);
        counted.by_code()
    }
}

/// A letter as people and destinations are shown it.
pub(crate) fn shown(found: &StoredLetter) -> DeadLetterStatus {
    let letter = &found.letter;
    // What was thrown away is shown to nobody, although its file stays until the open letters in it go.
    let data: &[u8] = match found.status {
        LetterStatus::Purged => b"",
        LetterStatus::Open | LetterStatus::Resolved => &letter.data,
    };
    DeadLetterStatus {
        id: found.id.to_string(),
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
        #[expect(
            clippy::cast_precision_loss,
            reason = "no call takes as long as 2^53 us"
        )]
        duration_ms: letter.cost.map(|cost| cost.duration_us as f64 / 1_000.0),
        memory_bytes: letter.cost.map(|cost| cost.memory_bytes),
        status: found.status.as_str().to_owned(),
        data: DataText::of(data, text::base64),
    }
}
