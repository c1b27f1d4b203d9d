//! Dead letters of a mapping, read from its internal stream.

mod codes;
mod purge;
mod redrive;
mod selection;

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    id::{Ordinal, StreamId},
    view::{LETTERS_SHARD, LetterStatus},
};

pub(crate) use self::selection::{Filter, Meant};
pub(super) use self::{
    codes::codes,
    purge::purge,
    redrive::{cancel, redrive, under_way},
};
use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, many, one, with_type},
    http::{Chunks, path::Query, streamed},
    limits,
    node::{HostNode, StoredLetter, dead_letters::shown},
};

/// Which letters are asked for, in an address.
const FILTERS: [&str; 5] = ["all", "code", "kind", "key", "since"];

/// `GET /v1/mappings/{m}/dead-letters`: the open ones, with `all` every one that is still stored. With
/// `follow`, those that come from now on are pushed, until the reader goes or the mapping does.
pub(super) async fn list(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let known: Vec<&str> = FILTERS.into_iter().chain(["limit", "follow"]).collect();
    let query = asked.query(&known)?;
    let filter = filter(node, &query)?;
    if query.switch("follow")? {
        if query.text("limit").is_some() {
            return Err(ApiError::new(
                ErrorCode::Usage,
                "`limit` and `follow` exclude each other",
            ));
        }
        return follow(node, address, filter);
    }
    let limit = query
        .count("limit")?
        .unwrap_or(limits::DEAD_LETTERS_LISTED_MAX);
    let limit = limit.min(limits::DEAD_LETTERS_LISTED_MAX);
    let stream = node.letters(address)?;
    let mut letters = Vec::new();
    let mut after = Ordinal(0);
    while letters.len() < limit {
        let (read, next) = node.dead_letters(stream, after).await?;
        if read.is_empty() {
            break;
        }
        after = next;
        let wanted = read.iter().filter(|found| filter.takes(found));
        letters.extend(wanted.map(shown));
    }
    letters.truncate(limit);
    many(letters)
}

/// `GET /v1/mappings/{m}/dead-letters/export`: every letter that the filters take, whole, a line each, as
/// they are at this moment; not bounded, because nothing is gathered.
pub(super) fn export(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let query = asked.query(&FILTERS)?;
    let filter = filter(node, &query)?;
    let stream = node.letters(address)?;
    let until = node.last(stream, LETTERS_SHARD);
    let (chunks, body) = streamed();
    let push = push(
        Arc::clone(node),
        stream,
        Ordinal(0),
        filter,
        Some(until),
        chunks,
    );
    tokio::spawn(push);
    Ok(with_type(body, NDJSON))
}

fn filter(node: &HostNode, query: &Query) -> Result<Filter, ApiError> {
    let status = match query.switch("all")? {
        true => None,
        false => Some(LetterStatus::Open),
    };
    Ok(Filter {
        status,
        code: query.text("code").map(str::to_owned),
        kind: query.text("kind").map(selection::kind).transpose()?,
        key: query.text("key").map(str::to_owned),
        since: query
            .text("since")
            .map(|text| selection::moment(text, node.now()))
            .transpose()?,
    })
}

fn follow(node: &Arc<HostNode>, address: &str, filter: Filter) -> Answer {
    let stream = node.letters(address)?;
    let after = node.last(stream, LETTERS_SHARD);
    let (chunks, body) = streamed();
    tokio::spawn(push(Arc::clone(node), stream, after, filter, None, chunks));
    Ok(with_type(body, NDJSON))
}

/// Pushes letters behind `after`, up to `until` or for ever.
async fn push(
    node: Arc<HostNode>,
    stream: StreamId,
    mut after: Ordinal,
    filter: Filter,
    until: Option<Ordinal>,
    chunks: Chunks,
) {
    let Ok(mut tail) = node.store().watch(stream, LETTERS_SHARD) else {
        return;
    };
    let mut drain = node.drain();
    loop {
        tail.mark_unchanged();
        let letters = match node.dead_letters(stream, after).await {
            Ok((letters, next)) => {
                after = next;
                letters
            }
            Err(error) => {
                drop(chunks.send(error.into_line().into()).await);
                return;
            }
        };
        let is_past = |body: Ordinal| until.is_some_and(|until| body > until);
        let mut text = String::new();
        let wanted = letters.iter().filter(|found| !is_past(found.body));
        for found in wanted.filter(|found| filter.takes(found)) {
            let line = serde_json::to_string(&shown(found));
            text.push_str(&line.expect("a dead letter is always JSON"));
            text.push('\n');
        }
        if !text.is_empty() && chunks.send(text.into()).await.is_err() {
            return;
        }
        if until.is_some() && (letters.is_empty() || is_past(after.next())) {
            return;
        }
        if letters.is_empty() {
            tokio::select! {
                _ = drain.wait_for(|draining| *draining) => return,
                () = chunks.closed() => return,
                changed = tail.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }
}

/// `GET /v1/mappings/{m}/dead-letters/{id}`.
pub(super) async fn show(node: &Arc<HostNode>, address: &str, id: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let stream = node.letters(address)?;
    one(&shown(&find(node, address, stream, id).await?))
}

/// One letter by its id.
async fn find(
    node: &HostNode,
    address: &str,
    stream: StreamId,
    id: &str,
) -> Result<StoredLetter, ApiError> {
    let missing = || no_such_letter(address, id);
    let id = id.parse().map(Ordinal).map_err(|_| missing())?;
    node.dead_letter(stream, id).await?.ok_or_else(missing)
}

fn no_such_letter(address: &str, id: &str) -> ApiError {
    ApiError::new(
        ErrorCode::NoSuchDeadLetter,
        format!("no dead letter `{id}` of `{address}`"),
    )
    .fix(format!("fnctl dlq list {address}"))
}
