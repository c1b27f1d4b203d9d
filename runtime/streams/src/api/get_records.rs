//! GetRecords: the next records of a shard, written straight into the answer
//! (Kinesis reference B11).

mod page;

use std::sync::Arc;

use fnctl_core::{
    id::Ordinal,
    shard::{Shard, Stream},
};

use crate::{
    api::{
        call::{Call, dry_run, to_json},
        shard::children,
    },
    iterator::{IteratorError, ShardIterator},
    limits::{GET_BYTES_MAX, GET_RECORDS_MAX, ITERATOR_LIFE_MS},
    log::{Log, Tail},
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, DRY_RUN, Kind, Member, Rule, STREAM_ARN},
        time_text::java_date,
    },
};
use page::Page;

pub(super) const MEMBERS: &[Member] = &[
    Member::limit("Limit"),
    Member {
        name: "ShardIterator",
        kind: Kind::String,
        rules: &[Rule::NotNull, Rule::LengthMin(1), Rule::LengthMax(512)],
    },
    STREAM_ARN,
    DRY_RUN,
];

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let iterator = open(call, request.text("ShardIterator").unwrap_or(""))?;
    let (stream, shard, tail) = find(call, &iterator)?;
    if request.is_set(DRY_RUN.name) {
        return Err(dry_run());
    }
    let limit = request
        .integer("Limit")
        .and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(GET_RECORDS_MAX).min(GET_RECORDS_MAX);
    // What retention took is passed over.
    let after = iterator
        .after
        .max(Ordinal(tail.horizon.0.saturating_sub(1)));
    let mut page = Page::new(&shard, after);
    if after < before(tail.next) {
        let blocks = call
            .log
            .read(stream.id, shard.number, after, limit, GET_BYTES_MAX)
            .await;
        let blocks =
            blocks.map_err(|error| call.read_failed(&iterator.name, shard.number, &error))?;
        for block in blocks {
            if !page.add(&block, limit, GET_BYTES_MAX) {
                break;
            }
        }
    }
    let after = page.after();
    let is_drained = after >= before(tail.next);
    let behind_ms = match page.last_arrival() {
        Some(last) if !is_drained => tail.last_arrival.since_ms(last),
        // An ended shard with nothing left: how long ago it ended.
        None if is_drained && shard.is_closed => {
            let closed_at = stream.closed_at(shard.number);
            call.now.since_ms(closed_at.unwrap_or(tail.last_arrival))
        }
        _ => 0,
    };
    let children = (shard.is_closed && is_drained).then(|| children(&stream, shard.number));
    Ok(match children {
        Some(children) => page.finish(None, behind_ms, Some(&to_json(&children))),
        None => {
            let next = ShardIterator {
                after,
                issued_at: call.now,
                ..iterator
            };
            page.finish(
                Some(&next.seal(call.seal, call.next_nonce())),
                behind_ms,
                None,
            )
        }
    })
}

fn open<L: Log>(call: &Call<'_, L>, token: &str) -> Result<ShardIterator, ApiError> {
    ShardIterator::open(call.seal, token, call.now).map_err(|error| match error {
        IteratorError::Invalid => {
            ApiError::new(ErrorCode::InvalidArgument, "Invalid ShardIterator.")
        }
        IteratorError::Expired { issued_at } => ApiError::new(
            ErrorCode::ExpiredIterator,
            format!(
                "Iterator expired. The iterator was created at time {} while right now it is {} \
                 which is further in the future than the tolerated delay of {ITERATOR_LIFE_MS} \
                 milliseconds.",
                java_date(issued_at),
                java_date(call.now)
            ),
        ),
    })
}

/// The shard that an iterator stands in.
fn find<L: Log>(
    call: &Call<'_, L>,
    iterator: &ShardIterator,
) -> Result<(Arc<Stream>, Shard, Tail), ApiError> {
    let number = iterator.shard;
    let gone = || call.shard_does_not_exist(&iterator.name, number);
    let stream = call.visible(&iterator.name).ok_or_else(gone)?;
    let shard = stream.shard(number).cloned().ok_or_else(gone)?;
    if stream.id != iterator.stream {
        // The stream was made anew and has such a shard too: Kinesis answers this, wordlessly.
        return Err(ApiError::bare(ErrorCode::InternalFailure));
    }
    let tail = call.log.tail(stream.id, number).ok_or_else(gone)?;
    Ok((stream, shard, tail))
}

const fn before(ordinal: Ordinal) -> Ordinal {
    Ordinal(ordinal.0.saturating_sub(1))
}
