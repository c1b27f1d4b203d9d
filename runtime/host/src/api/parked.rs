//! Keys of a mapping that wait for a retry, and what a person does to them.

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    mapping::Mapping,
    status::{GiveUpKey, GiveUpStatus, ParkedKey, ReleaseStatus},
};

use crate::{
    api::{Answer, Asked, error::ApiError, json, later, many, one},
    limits,
    node::{HostNode, parked::ParkedOne},
};

/// `GET /v1/mappings/{m}/parked`.
pub(super) async fn list(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let mapping = node.mapping(address)?;
    let parked = node.parked_keys(&mapping).await;
    many(parked.into_iter().map(|parked| parked.status))
}

/// `POST /v1/mappings/{m}/parked/release`: in every shard that has the key. Works while the mapping is
/// paused: then the key is tried as soon as it goes on.
pub(super) async fn release(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let ParkedKey { key } = json::read(&body)?;
    let mapping = node.mapping(address)?;
    let parked = parked_as(node, &mapping, address, &key).await?;
    let mut released_records = 0;
    for parked in &parked {
        released_records += node.release_parked(parked).await;
    }
    if released_records == 0 {
        return Err(not_running(address, &key));
    }
    one(&ReleaseStatus {
        id: mapping.id.to_string(),
        name: node.view(|view| view.registry().address(&mapping)),
        partition_key: key,
        released_records,
    })
}

/// `POST /v1/mappings/{m}/parked/dead-letter`: in every shard that has the key. Its failing records, or all
/// of it that is not done, become dead letters without another call; what waited behind them runs on.
/// Works while the mapping is paused.
pub(super) async fn dead_letter(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let who = asked
        .peer
        .map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let GiveUpKey { key, all, dry_run } = json::read(&body)?;
    let mapping = node.mapping(address)?;
    let whole = (
        "giving up a parked key",
        "with windows a group of keys waits as a whole",
        "fnctl mappings release, or fnctl mappings seek",
    );
    later::without_windows(&mapping, address, whole)?;
    let name = node.view(|view| view.registry().address(&mapping));
    let by: Arc<str> = who.as_str().into();
    let (mut meant, mut dead_lettered_records, mut ended_records) = (0, 0, 0);
    for parked in parked_as(node, &mapping, address, &key).await? {
        let Some(records) = node.parked_records(&parked, all).await else {
            continue;
        };
        let count = records.len() as u64;
        meant += count;
        if dry_run {
            dead_lettered_records += count;
            continue;
        }
        let (letters, others) = node.give_up_parked(&parked, records, Arc::clone(&by)).await;
        dead_lettered_records += letters;
        ended_records += others;
        tracing::warn!(
            mapping = name,
            shard = parked.status.shard_id,
            key,
            records = count,
            all,
            who,
            "records of a parked key were given up by hand"
        );
    }
    if meant == 0 {
        return Err(not_running(address, &key));
    }
    one(&GiveUpStatus {
        id: mapping.id.to_string(),
        name,
        partition_key: key,
        dead_lettered_records,
        ended_records,
        pending_records: meant - dead_lettered_records - ended_records,
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
    let mut parked = node.parked_keys(mapping).await;
    parked.retain(|parked| parked.status.partition_key == key);
    if parked.is_empty() {
        let words = format!("no key `{key}` of `{address}` waits for a retry");
        return Err(ApiError::new(ErrorCode::NoSuchParkedKey, words)
            .at("key")
            .fix(format!("fnctl mappings parked {address}")));
    }
    Ok(parked)
}

fn not_running(address: &str, key: &str) -> ApiError {
    let words = format!("`{address}` does not run: nobody could be told of key `{key}`");
    ApiError::new(ErrorCode::MappingNotRunning, words)
        .at(address)
        .fix(format!("fnctl mappings describe {address}"))
}
