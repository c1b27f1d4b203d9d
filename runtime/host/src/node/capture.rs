//! What of a mapping fails now, with everything that a call of it elsewhere needs.

use std::collections::BTreeSet;

use fnctl_core::{
    capture::{CapturedBatch, CapturedFailure, CapturedOutput, CapturedRecord, CapturedVersion},
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

/// Records with their failures, each a batch of its own: a record that fails is tried alone.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) batches: Vec<CapturedBatch>,
    /// More was failing than was asked for, or than one file takes.
    pub(crate) has_more: bool,
    bytes: usize,
}

impl Captured {
    /// Takes a batch if there is room; whether there was.
    fn push(&mut self, batch: CapturedBatch, wanted: &Wanted) -> bool {
        let bytes: usize = batch.records.iter().map(|r| r.data.data.len()).sum();
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
                && !captured.push(of_letter(mapping, function, &found), wanted)
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
            for (&position, failure) in parked.positions.iter().zip(&parked.failures) {
                let has_failed = parked.failing.contains(&position);
                let found = self.parked_record(unit, position, created_at, has_failed);
                let Some((record, version)) = found.await else {
                    continue;
                };
                let version = version.unwrap_or(function.live);
                if let Some(key) = &wanted.key
                    && *key != record.partition_key
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
                    records: vec![record],
                    failures: vec![CapturedFailure {
                        index: 0,
                        error_kind: None,
                        code: failure.as_ref().map(|cause| cause.code.to_string()),
                        error: failure.as_ref().map(|cause| cause.error.to_string()),
                    }],
                };
                if !captured.push(batch, wanted) {
                    return;
                }
            }
        }
    }

    /// A record that waits for a retry, and the version that is charged with it; `None`: nothing of it has failed,
    /// or it has ended meanwhile. One that has failed may be charged with nothing: not yet, or for an open circuit.
    async fn parked_record(
        &self,
        unit: UnitId,
        position: Ordinal,
        created_at: Timestamp,
        has_failed: bool,
    ) -> Option<(CapturedRecord, Option<FunctionVersion>)> {
        let mark = self.view(|view| view.unit(unit)?.attempts.get(&position).cloned());
        if mark.is_none() && !has_failed {
            return None;
        }
        let block = self.record_at(unit, position).await?;
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
        Some((record, mark.map(|mark| mark.version)))
    }

    async fn capture_letters(
        &self,
        mapping: &Mapping,
        function: &Function,
        wanted: &Wanted,
        captured: &mut Captured,
    ) -> Result<(), ApiError> {
        let mut after = Ordinal(0);
        loop {
            let (letters, next) = self.dead_letters(mapping.dead_letters, after).await?;
            if letters.is_empty() {
                return Ok(());
            }
            after = next;
            for found in &letters {
                // Of the others nothing is kept that could be called.
                let is_wanted = found.status == LetterStatus::Open
                    && found.letter.kind.holds_record()
                    && wanted.takes(&found.letter.key);
                if is_wanted && !captured.push(of_letter(mapping, function, found), wanted) {
                    return Ok(());
                }
            }
        }
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
        })
    }
}

fn of_letter(mapping: &Mapping, function: &Function, found: &StoredLetter) -> CapturedBatch {
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
    }
}
