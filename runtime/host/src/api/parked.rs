//! Keys of a mapping that wait, and what a person does to them.

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    mapping::Mapping,
    status::{GiveUpKey, GiveUpStatus, ReleaseKeys, ReleaseStatus},
};

use crate::{
    api::{Answer, Asked, error::ApiError, json, many, one, reshard},
    limits,
    node::{
        HostNode,
        parked::{ParkedOne, ToGiveUp, WantedKeys},
    },
    supervisor::GivenUp,
};

/// `GET /v1/mappings/{m}/parked`: with `shard` of one shard, with `limit` so many of each.
pub(super) async fn list(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let query = asked.query(&["shard", "limit"])?;
    let mapping = node.mapping(address)?;
    let shard = match query.text("shard") {
        Some(text) => {
            let stream = node.stream_of(&mapping)?;
            Some(reshard::shard(&stream, text)?)
        }
        None => None,
    };
    let shards = match shard {
        Some(_) => 1,
        None => node.view(|view| view.units_of(mapping.id).count()),
    };
    let wanted = WantedKeys {
        key: None,
        shard,
        most: most(query.count("limit")?, shards, address)?,
    };
    let parked = node.parked_keys(&mapping, wanted).await;
    many(parked.into_iter().map(|parked| parked.status))
}

/// How many keys of a shard are listed: memory is bounded, whatever is asked for.
fn most(asked: Option<usize>, shards: usize, address: &str) -> Result<usize, ApiError> {
    let Some(most) = asked else {
        return Ok(limits::WAITING_KEYS_LISTED);
    };
    let of_one = limits::WAITING_KEYS_LISTED_MAX;
    let of_all = 2 * of_one;
    let words = if most == 0 {
        "0 is below 1".to_owned()
    } else if most > of_one || most > limits::WAITING_KEYS_LISTED && most * shards > of_all {
        format!("{most} keys of {shards} shards are above {of_one} of a shard, or {of_all} of all")
    } else {
        return Ok(most);
    };
    Err(ApiError::new(ErrorCode::NotAllowed, words)
        .at("limit")
        .fix(format!(
            "fnctl mappings parked {address} --shard SHARD --limit {of_one}"
        )))
}

/// `POST /v1/mappings/{m}/parked/release`: in every shard that has the key, or everything. Where a circuit is
/// open the key is probed next, or what is first in its lane if it was not tried yet. Works while the mapping is
/// paused: then the key is tried as soon as it goes on.
pub(super) async fn release(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let ReleaseKeys { key, all } = json::read(&body)?;
    let mapping = node.mapping(address)?;
    let name = node.view(|view| view.registry().address(&mapping));
    let key = match (key, all) {
        (Some(key), false) => key,
        (None, true) => return release_all(node, &mapping, address, name).await,
        (Some(_), true) | (None, false) => {
            let words = "either `key` says which key is released, or `all` that everything is";
            return Err(ApiError::new(ErrorCode::BodyUnreadable, words).at("key"));
        }
    };
    let parked = parked_as(node, &mapping, address, &key).await?;
    let (mut released_records, mut untried_in_lanes) = (0, 0);
    for parked in &parked {
        let released = node.release_parked(parked).await;
        released_records += released;
        if parked.is_behind_lane {
            untried_in_lanes += released;
        }
    }
    if released_records == 0 {
        return Err(not_running(address, &key));
    }
    one(&ReleaseStatus {
        id: mapping.id.to_string(),
        name,
        partition_key: Some(key),
        released_keys: parked.len() as u64,
        released_records,
        untried_in_lanes,
    })
}

async fn release_all(
    node: &Arc<HostNode>,
    mapping: &Mapping,
    address: &str,
    name: String,
) -> Answer {
    let Some(released_keys) = node.release_all(mapping).await else {
        let words = format!("`{address}` does not run: nobody could be told");
        return Err(not_told(address, words));
    };
    one(&ReleaseStatus {
        id: mapping.id.to_string(),
        name,
        partition_key: None,
        released_keys,
        released_records: 0,
        untried_in_lanes: 0,
    })
}

/// `POST /v1/mappings/{m}/parked/dead-letter`: in every shard that has the key. Its failing records, or all
/// of it that is not done, become dead letters without another call; what waited behind them runs on.
/// Works while the mapping is paused.
pub(super) async fn dead_letter(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let who = asked.who();
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let GiveUpKey { key, all, dry_run } = json::read(&body)?;
    let mapping = node.mapping(address)?;
    let name = node.view(|view| view.registry().address(&mapping));
    let by: Arc<str> = who.as_str().into();
    let mut done = GivenUp::default();
    let (mut is_heard, mut has_records) = (false, false);
    let parked = parked_as(node, &mapping, address, &key).await?;
    if !all && parked.iter().all(|parked| parked.failing.is_empty()) {
        return Err(not_failing(address, &key, &parked));
    }
    let mut remaining = Some(0);
    for parked in parked {
        let Some(ToGiveUp {
            records,
            remaining: behind,
        }) = node.to_give_up(&parked, all).await
        else {
            remaining = None;
            continue;
        };
        is_heard = true;
        remaining = remaining.map(|before| before + behind);
        let count = records.len() as u64;
        // Its worker may have done with all of it since, or none of it failed in this shard.
        if count == 0 {
            continue;
        }
        has_records = true;
        if dry_run {
            done.letters += count;
            continue;
        }
        let given_up = node.give_up_parked(&parked, records, Arc::clone(&by)).await;
        let Some(given_up) = given_up else {
            is_heard = false;
            continue;
        };
        done = done.and(given_up);
        tracing::warn!(
            mapping = name,
            shard = parked.status.shard_id,
            key,
            records = given_up.letters + given_up.pending,
            all,
            who,
            "records of a parked key were given up by hand"
        );
    }
    if done == GivenUp::default() {
        return Err(match is_heard && !has_records {
            true => not_parked(address, &key),
            false => not_running(address, &key),
        });
    }
    one(&GiveUpStatus {
        id: mapping.id.to_string(),
        name,
        partition_key: key,
        dead_lettered_records: done.letters,
        ended_records: done.others,
        pending_records: done.pending,
        left_records: done.left,
        remaining_records: remaining,
        dry_run,
    })
}

/// The key in every shard in which it is parked.
async fn parked_as(
    node: &Arc<HostNode>,
    mapping: &Mapping,
    address: &str,
    key: &str,
) -> Result<Vec<ParkedOne>, ApiError> {
    let parked = node.parked_keys(mapping, WantedKeys::of(Some(key))).await;
    if parked.is_empty() {
        return Err(not_parked(address, key));
    }
    Ok(parked)
}

fn not_parked(address: &str, key: &str) -> ApiError {
    let words = format!("no key `{key}` of `{address}` waits");
    ApiError::new(ErrorCode::NoSuchParkedKey, words)
        .at("key")
        .fix(format!("fnctl mappings parked {address}"))
}

/// A key that is held by something else than its own failures is not given up record by record: each call of
/// this would take one more that nobody has found fault with.
fn not_failing(address: &str, key: &str, parked: &[ParkedOne]) -> ApiError {
    let why = parked.first().map_or("", |parked| &parked.status.why);
    let behind = |parked: &ParkedOne| 1 + parked.status.waiting_records.unwrap_or_default();
    let waiting: u64 = parked.iter().map(behind).sum();
    let words = format!("no record of key `{key}` of `{address}` has failed");
    ApiError::new(ErrorCode::NoFailingRecord, words)
        .at("key")
        .because(format!(
            "what was read of it, {waiting} in all, waits: {why}"
        ))
        .fix(format!(
            "fnctl mappings dead-letter {address} --key {key} --all: gives up all of it that waits"
        ))
}

fn not_running(address: &str, key: &str) -> ApiError {
    let words = format!("`{address}` does not run: nobody could be told of key `{key}`");
    not_told(address, words)
}

fn not_told(address: &str, words: String) -> ApiError {
    ApiError::new(ErrorCode::MappingNotRunning, words)
        .at(address)
        .fix(format!("fnctl mappings describe {address}"))
}
