//! Dead letters of a mapping, read from its internal stream.

mod codes;
mod damaged;
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
    api::{Answer, Asked, NDJSON, error::ApiError, many_and, one, with_type},
    http::{Chunks, path::Query, streamed},
    limits,
    node::{DamagedLetter, HostNode, StoredLetter, dead_letters::shown},
};
use damaged::Damaged;

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
    let (mut letters, mut damaged) = (Vec::new(), Damaged::default());
    let mut after = Ordinal(0);
    while letters.len() < limit {
        let read = node.dead_letters(stream, after).await?;
        if read.is_empty() {
            break;
        }
        after = read.through;
        let wanted = read.letters.iter().filter(|found| filter.takes(found));
        letters.extend(wanted.map(shown));
        damaged.add(read.damaged.iter().filter(|found| filter.may_take(found)));
    }
    letters.truncate(limit);
    many_and(letters, damaged.error(address))
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
        address.to_owned(),
        (stream, Ordinal(0)),
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
    let (node, address) = (Arc::clone(node), address.to_owned());
    tokio::spawn(push(node, address, (stream, after), filter, None, chunks));
    Ok(with_type(body, NDJSON))
}

/// Pushes letters of a stream behind a place, up to `until` or for ever. What cannot be read is named at the end.
async fn push(
    node: Arc<HostNode>,
    address: String,
    (stream, mut after): (StreamId, Ordinal),
    filter: Filter,
    until: Option<Ordinal>,
    chunks: Chunks,
) {
    let Ok(mut tail) = node.store().watch(stream, LETTERS_SHARD) else {
        return;
    };
    let mut drain = node.drain();
    let mut damaged = Damaged::default();
    loop {
        tail.mark_unchanged();
        let read = match node.dead_letters(stream, after).await {
            Ok(read) => read,
            Err(error) => {
                drop(chunks.send(error.into_line().into()).await);
                return;
            }
        };
        after = read.through;
        let is_past = |body: Ordinal| until.is_some_and(|until| body > until);
        let is_lost = |found: &&DamagedLetter| !is_past(found.body) && filter.may_take(found);
        damaged.add(read.damaged.iter().filter(is_lost));
        let mut text = String::new();
        let wanted = read.letters.iter().filter(|found| !is_past(found.body));
        for found in wanted.filter(|found| filter.takes(found)) {
            let line = serde_json::to_string(&shown(found));
            text.push_str(&line.expect("a dead letter is always JSON"));
            text.push('\n');
        }
        if !text.is_empty() && chunks.send(text.into()).await.is_err() {
            return;
        }
        // Who follows is told at once.
        let is_over = match until {
            Some(_) => read.is_empty() || is_past(after.next()),
            None => !damaged.is_empty(),
        };
        if is_over {
            if let Some(error) = damaged.error(&address) {
                drop(chunks.send(error.into_line().into()).await);
            }
            return;
        }
        if read.is_empty() {
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

/// A letter by its id, which need not be readable, and what became of it.
async fn known(
    node: &HostNode,
    address: &str,
    stream: StreamId,
    id: &str,
) -> Result<(Ordinal, LetterStatus), ApiError> {
    let missing = || no_such_letter(address, id);
    let id = id.parse().map(Ordinal).map_err(|_| missing())?;
    let read = node.letter_or_damage(stream, id).await?;
    let status = read.letters.first().map(|found| found.status);
    let status = status.or_else(|| read.damaged.first().map(|found| found.status));
    Ok((id, status.ok_or_else(missing)?))
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
