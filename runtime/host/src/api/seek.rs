//! Sends a mapping elsewhere in its stream, by hand (commit and storage rules §2).

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    id::{Ordinal, UnitId},
    mapping::{Mapping, MappingState},
    registry::Refusal,
    shard::{Shard, Stream},
    spec::StartingPosition,
    status::{SeekShard, SeekStatus},
    view::{NodeView, Sought},
};
use fnctl_store::DecideError;
use fnctl_streams::sequence;
use serde::Deserialize;

use crate::{
    api::{Answer, Asked, error::ApiError, json, one, reshard},
    limits,
    node::HostNode,
};

/// Where to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// `trim-horizon`, `latest`, a time, a duration ago, or a sequence number.
    to: String,
    /// This shard alone.
    #[serde(default)]
    shard_id: Option<String>,
    /// Only say what it would be.
    #[serde(default)]
    dry_run: bool,
}

/// What `to` means.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Position(StartingPosition),
    /// This record is the next.
    Sequence(sequence::Decoded),
}

/// `POST /v1/mappings/{m}/seek`. Works whatever the mapping does, unless it has failed: what runs is
/// drained first, and goes on from there.
pub(super) async fn seek(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let who = asked.who();
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let Body {
        to,
        shard_id,
        dry_run,
    } = json::read(&body)?;
    let mapping = node.mapping(address)?;
    if mapping.state == MappingState::Failed {
        let name = node.view(|view| view.registry().address(&mapping));
        return Err(Refusal::MappingFailed(name).to_error().into());
    }
    let stream = node.stream_of(&mapping)?;
    let target = read(&to)?;
    refuse_future(node, target, "to")?;
    let shards = shards(&stream, shard_id.as_deref(), target, &to)?;
    let hold = match dry_run {
        true => None,
        false => Some(node.supervisor().hold(vec![mapping.id]).await),
    };
    let done = move_units(node, &mapping, &shards, target, dry_run).await;
    // While the hold lasts nothing more is read.
    if done.is_ok() && !dry_run {
        let is_sought = |unit: UnitId| shards.iter().any(|shard| shard.number == unit.shard);
        node.polled_anew(|unit| unit.mapping == mapping.id && is_sought(unit));
    }
    drop(hold);
    let done = done?;
    let mut status = SeekStatus {
        id: mapping.id.to_string(),
        name: node.view(|view| view.registry().address(&mapping)),
        shards: Vec::with_capacity(done.len()),
        dry_run,
    };
    for (sought, before, is_clamped) in done {
        let number = sought.unit.shard;
        let created_at = shards.iter().find(|shard| shard.number == number);
        let created_at = created_at.map(|shard| shard.created_at).unwrap_or_default();
        let spelt = |at| node.sequence_number(stream.id, number, created_at, at);
        let shard = SeekShard {
            shard_id: number.shard_id(),
            from: spelt(sought.from).await,
            to: spelt(sought.to).await,
            is_clamped,
            pending_before: before,
            pending_records: sought.pending,
            dropped_windows: sought.windows,
        };
        if !dry_run {
            tracing::warn!(
                mapping = status.name,
                shard = shard.shard_id,
                from = shard.from.as_deref().unwrap_or("the start"),
                to = shard.to.as_deref().unwrap_or("the start"),
                pending = shard.pending_records,
                who,
                "a mapping was sent elsewhere in its stream by hand"
            );
        }
        status.shards.push(shard);
    }
    one(&status)
}

/// Refuses a time that is still to come, as a starting position is: it would mean the end of the stream as it is
/// now, and not the time.
pub(super) fn refuse_future(node: &HostNode, target: Target, name: &str) -> Result<(), ApiError> {
    let now = node.now();
    let Target::Position(position) = target else {
        return Ok(());
    };
    if position.moment(now).is_none_or(|moment| moment <= now) {
        return Ok(());
    }
    let words = format!("{name}: {position} lies in the future");
    Err(ApiError::new(ErrorCode::SettingsInvalid, words)
        .at(name)
        .fix("a time that has passed, or latest: what is there now is passed over"))
}

/// Reads a position, or a sequence number.
pub(super) fn read(to: &str) -> Result<Target, ApiError> {
    // No duration and no time is as long a number.
    let is_number = to.len() > 20 && to.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        let position = StartingPosition::parse(to)
            .map_err(|why| ApiError::new(ErrorCode::PositionInvalid, why.words()).at("to"))?;
        return Ok(Target::Position(position));
    }
    match sequence::decode(to) {
        Ok(decoded) if decoded.version == 2 => Ok(Target::Sequence(decoded)),
        _ => Err(foreign(to)),
    }
}

fn foreign(to: &str) -> ApiError {
    let words = format!("`{to}` is no sequence number of the mapping's stream");
    ApiError::new(ErrorCode::PositionInvalid, words)
        .at("to")
        .fix("copy one of fnctl tail or fnctl dlq show, whole")
}

/// The shards that are meant: the one that is named, or that the number is of; else all.
pub(super) fn shards(
    stream: &Stream,
    named: Option<&str>,
    target: Target,
    to: &str,
) -> Result<Vec<Shard>, ApiError> {
    let named = named.map(|text| reshard::shard(stream, text)).transpose()?;
    let is_meant = |shard: &&Shard| named.is_none_or(|named| shard.number == named);
    let mut found: Vec<Shard> = stream.shards.iter().filter(is_meant).cloned().collect();
    if let Target::Sequence(decoded) = target {
        found.retain(|shard| {
            i64::from(shard.number.0) == i64::from(decoded.shard)
                && shard.created_at.0 / 1_000 == decoded.created_s
        });
        if found.is_empty() {
            return Err(foreign(to));
        }
    }
    Ok(found)
}

/// Moves the units, or says what it would come to: each with its pending records before, and whether it
/// was to go further back than records are kept.
async fn move_units(
    node: &Arc<HostNode>,
    mapping: &Mapping,
    shards: &[Shard],
    target: Target,
    dry_run: bool,
) -> Result<Vec<(Sought, u64, bool)>, ApiError> {
    let mut wishes = Vec::with_capacity(shards.len());
    let mut cut = Vec::new();
    for shard in shards {
        let unit = UnitId {
            mapping: mapping.id,
            stream: mapping.stream,
            shard: shard.number,
        };
        let after = match target {
            Target::Sequence(decoded) => Ordinal(decoded.index.saturating_sub(1)),
            Target::Position(position) => {
                let after = node.resolve(mapping.stream, shard.number, position).await?;
                // A time in front of the oldest record that is kept, while there were older ones.
                let is_time = position.moment(node.now()).is_some();
                let horizon =
                    node.resolve(mapping.stream, shard.number, StartingPosition::TrimHorizon);
                if is_time && after.0 > 0 && after == horizon.await? {
                    cut.push(unit);
                }
                after
            }
        };
        wishes.push((unit, after));
    }
    let decide = move |view: &NodeView| {
        let pending = |unit| view.pending(unit).unwrap_or(0);
        let (entry, sought) = view.evaluate_seek(&wishes)?;
        let sought = sought.into_iter().map(|one| {
            let is_clamped = one.is_clamped || cut.contains(&one.unit);
            (one, pending(one.unit), is_clamped)
        });
        Some((entry, sought.collect::<Vec<_>>()))
    };
    let gone = || ApiError::from(Refusal::NoSuchMapping(mapping.id).to_error());
    if dry_run {
        let would = node.view(decide);
        return would.map(|(_, sought)| sought).ok_or_else(gone);
    }
    let decided = node.store().decide(move |view: &NodeView, _| {
        let (entry, sought) = decide(view).ok_or(())?;
        Ok((Some(entry), sought))
    });
    decided.await.map_err(|error| match error {
        DecideError::Refused(()) => gone(),
        DecideError::Stopped(stopped) => ApiError::stopping(stopped),
    })
}
