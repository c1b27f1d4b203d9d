//! What of a mapping fails now, with everything that a call of it elsewhere needs.

mod letters;
mod window;

use std::collections::BTreeSet;

use fnctl_core::{
    capture::{
        CapturedBatch, CapturedFailure, CapturedOutput, CapturedRecord, CapturedVersion,
        CapturedWindow,
    },
    error_code::ErrorCode,
    function::Function,
    id::{FunctionVersion, Ordinal, Timestamp, UnitId},
    mapping::Mapping,
    rfc3339,
    status::DataText,
    view::LetterStatus,
};
use fnctl_streams::sequence;

use crate::{
    api::error::ApiError,
    limits,
    node::{HostNode, StoredLetter, parked::WantedKeys},
    shard_worker::record_id,
    supervisor::Work,
    text,
};

/// Which records are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// These dead letters; none: what is parked, or the open ones where nothing is.
    pub(crate) letters: Vec<Ordinal>,
    /// Of this partition key alone.
    pub(crate) key: Option<String>,
    /// At most so many.
    pub(crate) count: usize,
}

impl Wanted {
    fn takes(&self, key: &[u8]) -> bool {
        self.key
            .as_deref()
            .is_none_or(|wanted| wanted.as_bytes() == key)
    }
}

/// Records with their failures, each a batch of its own: a record that fails is tried alone. With windows also
/// calls that were to end one.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) batches: Vec<CapturedBatch>,
    /// More was failing than was asked for, or than one file takes.
    pub(crate) has_more: bool,
    bytes: usize,
}

/// A unit that something waits in.
#[derive(Clone, Copy)]
struct Place<'a> {
    mapping: &'a Mapping,
    unit: UnitId,
    /// When its shard was made.
    created_at: Timestamp,
}

/// A record that waits for a retry.
struct FoundRecord {
    record: CapturedRecord,
    /// The version that is charged with it.
    version: Option<FunctionVersion>,
    /// The window that its retry is of.
    window: Option<CapturedWindow>,
}

impl Captured {
    /// Takes a batch if there is room; whether there was.
    fn push(&mut self, batch: CapturedBatch, wanted: &Wanted) -> bool {
        let state = batch.window.as_ref().and_then(|of| of.state.as_ref());
        let payloads = batch.records.iter().map(|record| &record.data);
        let bytes: usize = payloads.chain(state).map(|data| data.data.len()).sum();
        let is_full = self.batches.len() >= wanted.count
            || self.bytes + bytes > limits::CAPTURE_DATA_BYTES_MAX;
        if is_full && !self.batches.is_empty() {
            self.has_more = true;
            return false;
        }
        self.bytes += bytes;
        self.batches.push(batch);
        true
    }

    /// The versions that its batches name.
    pub(crate) fn versions(&self) -> BTreeSet<FunctionVersion> {
        let versions = self.batches.iter().map(|batch| batch.version);
        versions.map(FunctionVersion).collect()
    }
}

impl HostNode {
    /// What fails now: the records that wait for a retry, or the open dead letters where none waits, or
    /// those named.
    ///
    /// # Errors
    /// A named letter is not there any more; the letters cannot be read.
    pub(crate) async fn failing(
        &self,
        mapping: &Mapping,
        function: &Function,
        wanted: &Wanted,
    ) -> Result<Captured, ApiError> {
        let mut captured = Captured::default();
        if wanted.letters.is_empty() {
            self.capture_parked(mapping, function, wanted, &mut captured)
                .await;
            if captured.batches.is_empty() {
                self.capture_letters(mapping, function, wanted, &mut captured)
                    .await?;
            }
            return Ok(captured);
        }
        for &id in &wanted.letters {
            let found = self.dead_letter(mapping.dead_letters, id).await?;
            let holds_record = |found: &StoredLetter| {
                found.status != LetterStatus::Purged && found.letter.kind.holds_record()
            };
            let Some(found) = found.filter(holds_record) else {
                let words = format!("there is no dead letter {id} that holds a record");
                let fix = format!("fnctl dlq list {}/{}", function.name, mapping.stream_name);
                return Err(ApiError::new(ErrorCode::NoSuchDeadLetter, words).fix(fix));
            };
            if wanted.takes(&found.letter.key)
                && !captured.push(letters::batch(mapping, function, &found), wanted)
            {
                break;
            }
        }
        Ok(captured)
    }

    async fn capture_parked(
        &self,
        mapping: &Mapping,
        function: &Function,
        wanted: &Wanted,
        captured: &mut Captured,
    ) {
        let now = self.now();
        for parked in self
            .parked_keys(mapping, WantedKeys::of(wanted.key.as_deref()))
            .await
        {
            let unit = parked.unit;
            let created_at = self.view(|view| {
                let stream = view.registry().stream(unit.stream)?;
                Some(stream.shard(unit.shard)?.created_at)
            });
            let Some(created_at) = created_at else {
                continue;
            };
            let place = Place {
                mapping,
                unit,
                created_at,
            };
            let closing = parked.window.as_ref();
            if let Some(batch) = closing.and_then(|closing| self.failing_close(place, closing))
                && !captured.push(batch, wanted)
            {
                return;
            }
            for (&position, failure) in parked.positions.iter().zip(&parked.failures) {
                let has_failed = parked.failing.contains(&position);
                let Some(found) = self.parked_record(place, position, has_failed).await else {
                    continue;
                };
                let version = found.version.unwrap_or(function.live);
                if let Some(key) = &wanted.key
                    && *key != found.record.partition_key
                {
                    break;
                }
                let batch = CapturedBatch {
                    version: match function.versions.contains_key(&version) {
                        true => version.0,
                        false => function.live.0,
                    },
                    shard_id: unit.shard.shard_id(),
                    at: rfc3339::format(now),
                    dead_letter: None,
                    records: vec![found.record],
                    failures: vec![CapturedFailure {
                        index: 0,
                        error_kind: None,
                        code: failure.as_ref().map(|cause| cause.code.to_string()),
                        error: failure.as_ref().map(|cause| cause.error.to_string()),
                    }],
                    window: found.window,
                };
                if !captured.push(batch, wanted) {
                    return;
                }
            }
        }
    }

    /// A record that waits for a retry; `None`: nothing of it has failed, or it has ended meanwhile. One that has
    /// failed may be charged with nothing: not yet, or for an open circuit.
    async fn parked_record(
        &self,
        place: Place<'_>,
        position: Ordinal,
        has_failed: bool,
    ) -> Option<FoundRecord> {
        let Place {
            unit, created_at, ..
        } = place;
        let block = self.record_at(unit, position).await?;
        // Together, so that the state is none that the record itself has changed.
        let (mark, window) = self.view(|view| {
            let unit = view.unit(unit)?;
            let mark = unit.attempts.get(&position).cloned();
            let is_failing = mark.is_some() || has_failed && !unit.settled.contains(position);
            is_failing.then(|| (mark, window::of_record(place.mapping, unit, &block)))
        })?;
        let key = DataText::of(block.records.keys.get(0), text::base64);
        let arrival = block.arrival(0);
        let record = CapturedRecord {
            partition_key: key.data,
            key_encoding: key.encoding,
            sequence_number: sequence::encode(created_at, unit.shard, position, arrival),
            record_id: record_id(unit.stream, unit.shard, position),
            ordinal: position.0,
            arrival_ms: arrival.0,
            attempt: mark.as_ref().map_or(1, |mark| mark.count.max(1)),
            is_tombstone: block.records.data.is_null(0),
            data: DataText::of(block.records.data.get(0), text::base64),
        };
        Some(FoundRecord {
            record,
            version: mark.map(|mark| mark.version),
            window,
        })
    }

    /// A version as a replay needs it; `None`: it is not kept, or the mapping's stream is gone.
    pub(crate) fn captured_version(
        &self,
        mapping: &Mapping,
        function: &Function,
        number: FunctionVersion,
    ) -> Option<CapturedVersion> {
        let version = function.versions.get(&number)?;
        let context = self.view(|view| {
            let stream = view.registry().stream(mapping.stream)?;
            let unit = UnitId {
                mapping: mapping.id,
                stream: stream.id,
                shard: stream.shards.first()?.number,
            };
            Some(Work::other(view, unit, number)?.context)
        })?;
        let outputs = context.outputs.iter().zip(context.row_bytes_max.iter());
        let settings = &version.settings;
        Some(CapturedVersion {
            version: number.0,
            digest: format!("sha256:{}", settings.digest),
            config: settings.config.clone(),
            secrets: settings.secrets.keys().cloned().collect(),
            memory_bytes: settings.memory_bytes,
            timeout_ms: settings.timeout_ms,
            outputs: outputs
                .map(|(name, &row_bytes_max)| CapturedOutput {
                    name: name.to_string(),
                    row_bytes_max,
                })
                .collect(),
            reads_states: version.reads_states(),
        })
    }
}
