//! Dead letters of a mapping, read from its internal stream.

use std::sync::Arc;

use fnctl_core::{
    commit::DeadLetter,
    error_code::ErrorCode,
    id::{MappingId, Ordinal},
    rfc3339,
    status::{DataText, DeadLetterStatus},
};

use crate::{
    api::{Answer, Asked, error::ApiError, many, one},
    limits,
    node::HostNode,
    text,
};

/// `GET /v1/mappings/{m}/dead-letters`. All that are kept are open: nothing resolves one yet.
pub(super) async fn list(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let query = asked.query(&["all", "code", "limit"])?;
    query.switch("all")?;
    let limit = query
        .value::<usize>("limit")?
        .unwrap_or(limits::DEAD_LETTERS_LISTED_MAX);
    let limit = limit.min(limits::DEAD_LETTERS_LISTED_MAX);
    let code = query.text("code");
    let mapping = node.mapping(address)?;
    let mut letters = Vec::new();
    let mut after = Ordinal(0);
    while letters.len() < limit {
        let (read, next) = node.dead_letters(mapping.id, after).await?;
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

/// `GET /v1/mappings/{m}/dead-letters/{id}`.
pub(super) async fn show(node: &Arc<HostNode>, address: &str, id: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let mapping = node.mapping(address)?;
    let missing = || no_such_letter(mapping.id, address, id);
    let ordinal: u64 = id.parse().map_err(|_| missing())?;
    let before = Ordinal(ordinal.checked_sub(1).ok_or_else(missing)?);
    let (letters, _) = node.dead_letters(mapping.id, before).await?;
    match letters.into_iter().next() {
        Some((found, letter)) if found == Ordinal(ordinal) => one(&shown(found, &letter)),
        _ => Err(missing()),
    }
}

fn no_such_letter(_: MappingId, address: &str, id: &str) -> ApiError {
    ApiError::new(
        ErrorCode::NoSuchDeadLetter,
        format!("no dead letter `{id}` of `{address}`"),
    )
    .fix(format!("fnctl dlq list {address}"))
}

fn shown(id: Ordinal, letter: &DeadLetter) -> DeadLetterStatus {
    DeadLetterStatus {
        id: id.to_string(),
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
        status: "open".to_owned(),
        data: DataText::of(&letter.data, text::base64),
    }
}
