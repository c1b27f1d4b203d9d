//! Dead letters as their streams hold them, and what became of each.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
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

/// A dead letter that is still stored, and cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct DamagedLetter {
    /// Its id.
    pub(crate) id: Ordinal,
    /// Where it is stored.
    pub(crate) body: Ordinal,
    /// What became of it.
    pub(crate) status: LetterStatus,
    /// What is wrong there, in words.
    pub(crate) why: Arc<str>,
}

/// Some letters that lie side by side.
#[derive(Debug, Default)]
pub(crate) struct LettersRead {
    /// Those that can be read.
    pub(crate) letters: Vec<StoredLetter>,
    /// Those that cannot.
    pub(crate) damaged: Vec<DamagedLetter>,
    /// Where to go on: what lies at or below it was looked at.
    pub(crate) through: Ordinal,
}

impl LettersRead {
    /// Whether nothing was found.
    pub(crate) const fn is_empty(&self) -> bool {
        self.letters.is_empty() && self.damaged.is_empty()
    }
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
    /// Bodies that were open, ascending, whose code cannot be read.
    damaged: Vec<Ordinal>,
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
                self.damaged.retain(|body| closed.is_open(*body));
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

/// The id of a body and what became of its letter; `None`: nothing is told of it any more. Without anything kept
/// all are open.
fn known(kept: Option<&LettersView>, body: Ordinal) -> Option<(Ordinal, LetterStatus)> {
    match kept {
        None => Some((body, LetterStatus::Open)),
        Some(kept) => Some((kept.id_of(body), kept.status(body)?)),
    }
}

impl HostNode {
    /// Some letters of a mapping's `stream` of them behind a place; none at the end. What became of each is as of
    /// now. Those that cannot be read are told as such, and what is behind them is read.
    pub(crate) async fn dead_letters(
        &self,
        stream: StreamId,
        after: Ordinal,
    ) -> Result<LettersRead, ApiError> {
        let mut after = after;
        // A page of which nothing is told any more is passed over.
        loop {
            let page = limits::TAIL_READ_RECORDS_MAX;
            let read = self.letters_behind(stream, after, page).await?;
            if !read.is_empty() || read.through == after {
                return Ok(read);
            }
            after = read.through;
        }
    }

    /// As [`Self::dead_letters`], of so many stored bodies at most; all of them may be closed ones.
    pub(crate) async fn letters_behind(
        &self,
        stream: StreamId,
        after: Ordinal,
        records: usize,
    ) -> Result<LettersRead, ApiError> {
        let bytes = limits::TAIL_READ_BYTES_MAX;
        let mut read = LettersRead {
            through: after,
            ..LettersRead::default()
        };
        let blocks = loop {
            let after = read.through;
            match source::read(self.store(), stream, LETTERS_SHARD, after, records, bytes).await {
                Ok(blocks) => break blocks,
                Err(ReadError::NoSuchShard) => return Ok(read),
                Err(ReadError::Trimmed { horizon }) if horizon > after.next() => {
                    read.through = Ordinal(horizon.0 - 1);
                }
                Err(error @ ReadError::Damaged { next, .. }) if next > after.next() => {
                    // A long hole is told page by page, as letters are.
                    let page = Ordinal(after.0.saturating_add(records as u64));
                    read.through = page.min(Ordinal(next.0 - 1));
                    let why: Arc<str> = source::words(self.store(), &error, after).into();
                    let bodies = after.0 + 1..=read.through.0;
                    read.damaged = self.damaged_letters(stream, bodies, &why);
                    return Ok(read);
                }
                Err(error) => return Err(ApiError::new(ErrorCode::Damaged, error.to_string())),
            }
        };
        let after = read.through;
        let kept = self.view(|view| view.letters(stream).cloned());
        for block in &blocks {
            for index in 0..block.len() {
                let body = block.ordinal(index);
                if body <= after {
                    continue;
                }
                let Some((id, status)) = known(kept.as_deref(), body) else {
                    continue;
                };
                match decode_dead_letter(block.records.data.share(index)) {
                    Ok(letter) => read.letters.push(StoredLetter {
                        id,
                        body,
                        status,
                        letter,
                    }),
                    Err(error) => read.damaged.push(DamagedLetter {
                        id,
                        body,
                        status,
                        why: error.to_string().into(),
                    }),
                }
            }
            read.through = read.through.max(block.last());
        }
        Ok(read)
    }

    /// What is known of letters that cannot be read.
    fn damaged_letters(
        &self,
        stream: StreamId,
        bodies: RangeInclusive<u64>,
        why: &Arc<str>,
    ) -> Vec<DamagedLetter> {
        let kept = self.view(|view| view.letters(stream).cloned());
        let bodies = bodies.map(Ordinal);
        let damaged = bodies.filter_map(|body| {
            let (id, status) = known(kept.as_deref(), body)?;
            Some(DamagedLetter {
                id,
                body,
                status,
                why: Arc::clone(why),
            })
        });
        damaged.collect()
    }

    /// One letter by its id, if it is still stored.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn dead_letter(
        &self,
        stream: StreamId,
        id: Ordinal,
    ) -> Result<Option<StoredLetter>, ApiError> {
        let mut read = self.letter_or_damage(stream, id).await?;
        if let Some(damaged) = read.damaged.pop() {
            let words = format!("dead letter {id} cannot be read");
            return Err(ApiError::new(ErrorCode::Damaged, words).because(&*damaged.why));
        }
        Ok(read.letters.pop())
    }

    /// As [`Self::dead_letter`]: the letter, or that it cannot be read; none where it is not stored.
    pub(crate) async fn letter_or_damage(
        &self,
        stream: StreamId,
        id: Ordinal,
    ) -> Result<LettersRead, ApiError> {
        let body = self.view(|view| match view.letters(stream) {
            None => Some(id),
            Some(kept) => kept.body_of(id),
        });
        let Some(before) = body.and_then(|body| body.0.checked_sub(1)) else {
            return Ok(LettersRead::default());
        };
        let mut read = self.letters_behind(stream, Ordinal(before), 1).await?;
        read.letters.retain(|found| found.id == id);
        read.damaged.retain(|found| found.id == id);
        Ok(read)
    }

    /// Open letters of a mapping by code, and how many open ones cannot be read: their code is not known.
    pub(crate) async fn letters_by_code(&self, mapping: &Mapping) -> (BTreeMap<String, u64>, u64) {
        let mut counts = self.letters.0.lock().await;
        let counted = counts.entry(mapping.id).or_default();
        // What cannot be read is said where it is asked for.
        let page = limits::TAIL_READ_RECORDS_MAX;
        while let Ok(read) = self
            .letters_behind(mapping.dead_letters, counted.through, page)
            .await
        {
            if read.through == counted.through {
                break;
            }
            read.letters.iter().for_each(|letter| counted.add(letter));
            let damaged = read.damaged.iter();
            let open = damaged.filter(|damaged| damaged.status == LetterStatus::Open);
            counted.damaged.extend(open.map(|damaged| damaged.body));
            counted.through = read.through;
        }
        let closed = self.view(|view| view.letters(mapping.dead_letters).cloned());
        counted.follow(closed);
        (counted.by_code(), counted.damaged.len() as u64)
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
