//! Keys of a mapping that wait for a retry, and what a person does to them.

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    status::{ParkedKey, ReleaseStatus},
};

use crate::{
    api::{Answer, Asked, error::ApiError, json, many, one},
    limits,
    node::HostNode,
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
    let mut parked = node.parked_keys(&mapping).await;
    parked.retain(|parked| parked.status.partition_key == key);
    if parked.is_empty() {
        let words = format!("no key `{key}` of `{address}` waits for a retry");
        return Err(ApiError::new(ErrorCode::NoSuchParkedKey, words)
            .at("key")
            .fix(format!("fnctl mappings parked {address}")));
    }
    let mut released_records = 0;
    for parked in &parked {
        released_records += node.release_parked(parked).await;
    }
    if released_records == 0 {
        let words = format!("`{address}` does not run: nobody could be told to try key `{key}`");
        return Err(ApiError::new(ErrorCode::MappingNotRunning, words)
            .at(address)
            .fix(format!("fnctl mappings describe {address}")));
    }
    one(&ReleaseStatus {
        id: mapping.id.to_string(),
        name: node.view(|view| view.registry().address(&mapping)),
        partition_key: key,
        released_records,
    })
}
