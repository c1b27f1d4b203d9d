//! ListStreams: names by the alphabet, at most 100 a call.

use fnctl_core::{id::Timestamp, shard::Stream};
use serde::Serialize;

use crate::{
    api::{
        call::{Call, to_json},
        stream_description::{ModeDetails, STATUS},
    },
    limits::{LIST_STREAMS_MAX, LIST_TOKEN_LIFE_MS},
    log::Log,
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, Member},
        time_text::epoch_seconds,
    },
    seal::{Fields, TokenKind},
};

pub(super) const MEMBERS: &[Member] = &[
    Member::limit("Limit"),
    Member::name("ExclusiveStartStreamName"),
    Member::next_token(),
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    stream_names: Vec<String>,
    has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    stream_summaries: Vec<Summary>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: ModeDetails,
    stream_creation_timestamp: f64,
}

pub(super) fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let after = match request.text("NextToken") {
        Some(token) => Some(open(call, token)?),
        None => request.text("ExclusiveStartStreamName").map(str::to_owned),
    };
    let limit = request
        .integer("Limit")
        .and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(LIST_STREAMS_MAX).min(LIST_STREAMS_MAX);
    let mut streams = call.visible_streams().filter(|stream| {
        after
            .as_deref()
            .is_none_or(|after| stream.name.as_str() > after)
    });
    let page: Vec<_> = streams.by_ref().take(limit).collect();
    let has_more_streams = streams.next().is_some();
    let last = page.last().filter(|_| has_more_streams);
    Ok(to_json(&Answer {
        stream_names: page.iter().map(|stream| stream.name.to_string()).collect(),
        has_more_streams,
        next_token: last.map(|stream| seal(call, stream)),
        stream_summaries: page
            .iter()
            .map(|stream| Summary {
                stream_name: stream.name.to_string(),
                stream_arn: call.arn(&stream.name),
                stream_status: STATUS,
                stream_mode_details: ModeDetails::of(stream),
                stream_creation_timestamp: epoch_seconds(stream.created_at),
            })
            .collect(),
    }))
}

/// A token that goes on after `last`.
fn seal<L: Log>(call: &Call<'_, L>, last: &Stream) -> String {
    let name = last.name.as_str();
    let mut payload = call.now.0.to_be_bytes().to_vec();
    payload.push(u8::try_from(name.len()).expect("a stream's name has at most 128 bytes"));
    payload.extend_from_slice(name.as_bytes());
    call.seal.seal(TokenKind::ListStreams, &payload, 0)
}

/// The name after which a token goes on.
fn open<L: Log>(call: &Call<'_, L>, token: &str) -> Result<String, ApiError> {
    let payload = call.seal.open(TokenKind::ListStreams, token);
    let parsed = payload.as_deref().and_then(|payload| {
        let mut fields = Fields(payload);
        Some((Timestamp(fields.u64()?), fields.text()?.to_owned()))
    });
    let (issued_at, name) = parsed.ok_or_else(invalid_token)?;
    check_age(call.now, issued_at)?;
    Ok(name)
}

/// A token that is not one of ours.
pub(super) fn invalid_token() -> ApiError {
    ApiError::new(ErrorCode::InvalidArgument, "Invalid NextToken.")
}

/// Whether a list's token still lives.
pub(super) fn check_age(now: Timestamp, issued_at: Timestamp) -> Result<(), ApiError> {
    if now.since_ms(issued_at) <= LIST_TOKEN_LIFE_MS {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::ExpiredNextToken,
        format!("NextToken expired: it is older than {LIST_TOKEN_LIFE_MS} milliseconds."),
    ))
}
