//! Dead letters of a mapping, read from its internal stream.

use std::sync::Arc;

use fnctl_core::{
    commit::DeadLetter,
    error_code::ErrorCode,
    id::{Ordinal, ShardNumber, StreamId},
};

use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, many, one, with_type},
    http::{Chunks, streamed},
    limits,
    node::{HostNode, dead_letters::shown},
};

/// `GET /v1/mappings/{m}/dead-letters`. All that are kept are open: nothing resolves one yet. With
/// `follow`, those that come from now on are pushed, until the reader goes or the mapping does.
pub(super) async fn list(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let query = asked.query(&["all", "code", "limit", "follow"])?;
    query.switch("all")?;
    if query.switch("follow")? {
        if query.text("limit").is_some() {
            return Err(ApiError::new(
                ErrorCode::Usage,
                "`limit` and `follow` exclude each other",
            ));
        }
        return follow(node, address, query.text("code"));
    }
    let limit = query
        .count("limit")?
        .unwrap_or(limits::DEAD_LETTERS_LISTED_MAX);
    let limit = limit.min(limits::DEAD_LETTERS_LISTED_MAX);
    let code = query.text("code");
    let stream = node.letters(address)?;
    let mut letters = Vec::new();
    let mut after = Ordinal(0);
    while letters.len() < limit {
        let (read, next) = node.dead_letters(stream, after).await?;
        if read.is_empty() {
            break;
        }
        after = next;
        let wanted = read
            .into_iter()
            .filter(|(_, letter)| code.is_none_or(|code| *letter.code == *code));
        letters.extend(wanted.map(|(id, letter)| shown(id, &letter)));
    }
    letters.truncate(limit);
    many(letters)
}

fn follow(node: &Arc<HostNode>, address: &str, code: Option<&str>) -> Answer {
    let stream = node.letters(address)?;
    let after = node.last(stream, ShardNumber(0));
    let code = code.map(str::to_owned);
    let (chunks, body) = streamed();
    tokio::spawn(push(Arc::clone(node), stream, after, code, chunks));
    Ok(with_type(body, NDJSON))
}

async fn push(
    node: Arc<HostNode>,
    stream: StreamId,
    mut after: Ordinal,
    code: Option<String>,
    chunks: Chunks,
) {
    let Ok(mut tail) = node.store().watch(stream, ShardNumber(0)) else {
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
        if letters.is_empty() {
            tokio::select! {
                _ = drain.wait_for(|draining| *draining) => return,
                () = chunks.closed() => return,
                changed = tail.changed() => if changed.is_err() {
                    return;
                },
            }
            continue;
        }
        let mut text = String::new();
        let wanted = |letter: &DeadLetter| code.as_deref().is_none_or(|code| *letter.code == *code);
        for (id, letter) in letters.iter().filter(|(_, letter)| wanted(letter)) {
            let line = serde_json::to_string(&shown(*id, letter));
            text.push_str(&line.expect("a dead letter is always JSON"));
            text.push('\n');
        }
        if !text.is_empty() && chunks.send(text.into()).await.is_err() {
            return;
        }
    }
}

/// `GET /v1/mappings/{m}/dead-letters/{id}`.
pub(super) async fn show(node: &Arc<HostNode>, address: &str, id: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let stream = node.letters(address)?;
    let missing = || no_such_letter(address, id);
    let ordinal: u64 = id.parse().map_err(|_| missing())?;
    let before = Ordinal(ordinal.checked_sub(1).ok_or_else(missing)?);
    let (letters, _) = node.dead_letters(stream, before).await?;
    match letters.into_iter().next() {
        Some((found, letter)) if found == Ordinal(ordinal) => one(&shown(found, &letter)),
        _ => Err(missing()),
    }
}

fn no_such_letter(address: &str, id: &str) -> ApiError {
    ApiError::new(
        ErrorCode::NoSuchDeadLetter,
        format!("no dead letter `{id}` of `{address}`"),
    )
    .fix(format!("fnctl dlq list {address}"))
}
