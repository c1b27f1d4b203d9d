//! Mappings.

mod change;

use std::sync::Arc;

use fnctl_core::{
    mapping::Mapping,
    registry::{Applied, Command},
};

pub(super) use self::change::{create, update};
use crate::{
    api::{Answer, Asked, error::ApiError, json, many, one},
    limits,
    node::HostNode,
};

/// `GET /v1/mappings`.
pub(super) async fn list(node: &Arc<HostNode>, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let mappings: Vec<Arc<Mapping>> =
        node.view(|view| view.registry().mappings().cloned().collect());
    let mut lines = Vec::with_capacity(mappings.len());
    for mapping in mappings {
        // One that is deleted meanwhile is left out.
        lines.extend(
            node.mapping_status(&mapping, false)
                .await
                .map(|status| status.line()),
        );
    }
    many(lines)
}

/// `GET /v1/mappings/{m}`.
pub(super) async fn describe(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let mapping = node.mapping(address)?;
    match node.mapping_status(&mapping, true).await {
        Some(status) => one(&status),
        None => Err(ApiError::from(
            fnctl_core::registry::Refusal::NoSuchMapping(mapping.id).to_error(),
        )),
    }
}

/// `DELETE /v1/mappings/{m}`.
pub(super) async fn delete(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let force = asked.query(&["force"])?.switch("force")?;
    let mapping = node.mapping(address)?;
    let name = node.view(|view| view.registry().address(&mapping));
    let command = Command::DeleteMapping {
        mapping: mapping.id,
        force,
    };
    node.judge(&command)?;
    let shown = node.deleting(mapping.id);
    let hold = node.supervisor().hold(vec![mapping.id]).await;
    let applied = node.command(command).await;
    drop(hold);
    drop(shown);
    applied?;
    one(&serde_json::json!({"deleted": format!("mapping/{name}")}))
}

/// A body that says nothing.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// `POST /v1/mappings/{m}/pause|resume`.
pub(super) async fn set_state(
    node: &Arc<HostNode>,
    address: &str,
    is_pause: bool,
    asked: Asked,
) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let Nothing {} = json::read(&body)?;
    let mapping = node.mapping(address)?.id;
    let command = if is_pause {
        Command::PauseMapping { mapping }
    } else {
        Command::ResumeMapping { mapping }
    };
    node.judge(&command)?;
    let hold = match is_pause {
        true => Some(node.supervisor().hold(vec![mapping]).await),
        false => None,
    };
    let applied = node.command(command).await;
    drop(hold);
    match applied? {
        Applied::Mapping(mapping) => match node.mapping_status(&mapping, false).await {
            Some(status) => one(&status.line()),
            None => one(&serde_json::json!({"id": mapping.id.to_string()})),
        },
        other => Err(ApiError::internal(format!(
            "a pause or resume was answered {other:?}"
        ))),
    }
}
