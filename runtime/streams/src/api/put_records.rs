//! PutRecords: up to 500 records, synced when the answer comes. The busiest operation, so its usual
//! form is read in one pass without a tree of values, and its answer written byte by byte.

mod fast;

use std::sync::Arc;

use fnctl_core::{id::ShardNumber, shard::Stream};

use crate::{
    api::{
        call::{Call, dry_run},
        put::{Batch, DATA, EXPLICIT_HASH_KEY, Outcome, PARTITION_KEY, append, created_at},
    },
    limits::PUT_RECORDS_MAX,
    log::{Appended, Log},
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, DRY_RUN, Kind, Member, Rule, STREAM_ARN, STREAM_NAME},
    },
    sequence::{Run, SEQUENCE_CHARS},
};

const RECORDS: &str = "Records";

pub(super) const MEMBERS: &[Member] = &[
    Member {
        name: RECORDS,
        kind: Kind::List {
            members: &[PARTITION_KEY, EXPLICIT_HASH_KEY, DATA],
            element: "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@c965e310",
        },
        rules: &[
            Rule::NotNull,
            Rule::LengthMin(1),
            Rule::LengthMax(PUT_RECORDS_MAX),
        ],
    },
    STREAM_NAME,
    STREAM_ARN,
    DRY_RUN,
];

/// Answers a request in its usual form; `None` if it is in another, or at fault in any way: then
/// nothing has happened and [`answer`] finds out what to say.
pub(crate) async fn answer_fast<L: Log>(
    call: &Call<'_, L>,
    body: &[u8],
) -> Option<Result<Vec<u8>, ApiError>> {
    let request = fast::read(body)?;
    let stream = call.visible(&request.stream)?;
    Some(put(call, stream, request.batch).await)
}

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let stream = call.stream(request)?;
    let mut batch = Batch::default();
    for (index, entry) in request.structures(RECORDS).enumerate() {
        batch.add(entry, Some(index), &stream)?;
    }
    if request.is_set(DRY_RUN.name) {
        return Err(dry_run());
    }
    put(call, stream, batch).await
}

async fn put<L: Log>(
    call: &Call<'_, L>,
    stream: Arc<Stream>,
    batch: Batch,
) -> Result<Vec<u8>, ApiError> {
    match append(call, stream, batch).await? {
        Outcome::Appended { stream, appended } => Ok(placed(&stream, &appended)),
        Outcome::Throttled { stream, hash_keys } => Ok(throttled(call, &stream, &hash_keys)),
    }
}

/// The answer for records that are in the stream.
fn placed(stream: &Stream, appended: &Appended) -> Vec<u8> {
    const HEAD: &[u8] = br#"{"FailedRecordCount":0,"Records":["#;
    const SEQUENCE: &[u8] = br#"{"SequenceNumber":""#;
    const SHARD: &[u8] = br#"","ShardId":""#;
    const SHARD_ID_CHARS: usize = 20;
    let per_record = SEQUENCE.len() + SEQUENCE_CHARS + SHARD.len() + SHARD_ID_CHARS + 3;
    let mut body = Vec::with_capacity(HEAD.len() + appended.rows.len() * per_record + 2);
    body.extend_from_slice(HEAD);
    let mut runs: Vec<(ShardNumber, String, Run)> = Vec::new();
    for (index, (shard, ordinal)) in appended.rows.iter().enumerate() {
        let known = runs.iter().position(|(number, ..)| number == shard);
        let known = known.unwrap_or_else(|| {
            // The rows of one shard have consecutive ordinals, so one run serves them all.
            let run = Run::new(
                created_at(stream, *shard),
                *shard,
                *ordinal,
                appended.arrival,
            );
            runs.push((*shard, shard.shard_id(), run));
            runs.len() - 1
        });
        let (_, shard_id, run) = &mut runs[known];
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(SEQUENCE);
        run.write_next(&mut body);
        body.extend_from_slice(SHARD);
        body.extend_from_slice(shard_id.as_bytes());
        body.extend_from_slice(br#""}"#);
    }
    body.extend_from_slice(b"]}");
    body
}

/// The answer while the disk is full: every record failed, and clients retry each.
fn throttled<L: Log>(call: &Call<'_, L>, stream: &Stream, hash_keys: &[u128]) -> Vec<u8> {
    let records: Vec<_> = hash_keys
        .iter()
        .map(|hash_key| {
            let shard = stream.route(*hash_key).unwrap_or_default();
            serde_json::json!({
                "ErrorCode": ErrorCode::ProvisionedThroughputExceeded.name(),
                "ErrorMessage": call.rate_exceeded(&stream.name, shard),
            })
        })
        .collect();
    serde_json::json!({ "FailedRecordCount": records.len(), "Records": records })
        .to_string()
        .into_bytes()
}
