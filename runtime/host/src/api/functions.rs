//! Functions and their versions.

use std::sync::Arc;

use fnctl_core::{
    id::FunctionVersion,
    registry::{Applied, Command},
    spec::request::{RollbackRequest, RollbackResult},
    status::{FunctionLine, FunctionStatus},
};

use crate::{
    api::{Answer, Asked, error::ApiError, json, many, one},
    limits,
    node::HostNode,
};

fn mappings_of(
    registry: &fnctl_core::registry::Registry,
    id: fnctl_core::id::FunctionId,
) -> Vec<String> {
    registry
        .mappings_of_function(id)
        .map(|mapping| registry.address(mapping))
        .collect()
}

/// `GET /v1/functions`.
pub(super) fn list(node: &HostNode, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let mut lines: Vec<FunctionLine> = node.view(|view| {
        let registry = view.registry();
        let functions = registry.functions();
        functions
            .map(|f| FunctionLine::of(f, mappings_of(registry, f.id)))
            .collect()
    });
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    many(lines)
}

/// `GET /v1/functions/{name}`.
pub(super) fn describe(node: &HostNode, name: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let function = node.function(name)?;
    let mappings = node.view(|view| mappings_of(view.registry(), function.id));
    one(&FunctionStatus::of(&function, mappings))
}

/// `DELETE /v1/functions/{name}`.
pub(super) async fn delete(node: &Arc<HostNode>, name: &str, asked: &Asked) -> Answer {
    let force = asked.query(&["force"])?.switch("force")?;
    let function = node.function(name)?;
    let hold = match force {
        true => Some(node.supervisor().hold(node.mappings_of(function.id)).await),
        false => None,
    };
    let name = function.name.clone();
    node.command(Command::DeleteFunction { name, force })
        .await?;
    drop(hold);
    one(&serde_json::json!({"deleted": format!("function/{}", function.name)}))
}

/// `POST /v1/functions/{name}/rollback`.
pub(super) async fn rollback(node: &Arc<HostNode>, name: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let request: RollbackRequest = json::read(&body)?;
    let function = node.function(name)?;
    let to = request.to.map(FunctionVersion);
    // The version that comes back is made ready while the present one still works.
    let target = to.or_else(|| function.live_before.last().copied());
    if let Some(version) = target.and_then(|number| function.versions.get(&number)) {
        node.functions()
            .get(&function, version)
            .await
            .map_err(|error| ApiError::from(error.clone()))?;
    }
    let hold = node.supervisor().hold(node.mappings_of(function.id)).await;
    let command = Command::Rollback {
        function: function.name.clone(),
        to,
    };
    let applied = node.command(command).await;
    drop(hold);
    match applied? {
        Applied::RolledBack { function, previous } => {
            node.live(&function).await;
            one(&RollbackResult {
                function: function.name.to_string(),
                version: function.live.0,
                previous_version: previous.0,
            })
        }
        other => Err(ApiError::internal(format!(
            "a rollback was answered {other:?}"
        ))),
    }
}
