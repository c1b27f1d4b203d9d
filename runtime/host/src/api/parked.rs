//! Keys of a mapping that wait, and what a person does to them.

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    mapping::Mapping,
    status::{GiveUpKey, GiveUpStatus, ReleaseKeys, ReleaseStatus},
};

use crate::{
    api::{Answer, Asked, error::ApiError, json, many, one},
    limits,
    node::{HostNode, parked::ParkedOne},
    supervisor::GivenUp,
};

/// `GET /v1/mappings/{m}/parked`.
pub(super) async fn list(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let mapping = node.mapping(address)?;
    let parked = node.parked_keys(&mapping, None).await;
    many(parked.into_iter().map(|parked| parked.status))
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
    for parked in parked_as(node, &mapping, address, &key).await? {
        let Some(records) = node.parked_records(&parked, all).await else {
            continue;
        };
        is_heard = true;
        let count = records.len() as u64;
        // Its worker may have done with all of it since.
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
    let parked = node.parked_keys(mapping, Some(key)).await;
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

fn not_running(address: &str, key: &str) -> ApiError {
    let words = format!("`{address}` does not run: nobody could be told of key `{key}`");
    not_told(address, words)
}

fn not_told(address: &str, words: String) -> ApiError {
    ApiError::new(ErrorCode::MappingNotRunning, words)
        .at(address)
        .fix(format!("fnctl mappings describe {address}"))
}
