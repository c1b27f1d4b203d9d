//! Functions and their versions.

use std::sync::Arc;

use fnctl_core::{
    function::Function,
    id::FunctionVersion,
    registry::{Applied, Command},
    spec::request::{PromoteRequest, PromoteResult, RollbackRequest, RollbackResult},
    status::{FunctionLine, FunctionStatus},
};

use crate::{
    api::{Answer, Asked, error::ApiError, json, many, one},
    canaries, limits,
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
            .map(|f| {
                let canary = node.canaries().status(f);
                FunctionLine::of(f, mappings_of(registry, f.id), canary)
            })
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
    let canary = node.canaries().status(&function);
    one(&FunctionStatus::of(&function, mappings, canary))
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
    let who = asked.who();
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let request: RollbackRequest = json::read(&body)?;
    let function = node.function(name)?;
    let command = Command::Rollback {
        function: function.name.clone(),
        to: request.to.map(FunctionVersion),
    };
    // Judged once in front of the swap: a refusal, or nothing to do, must not disturb what runs.
    let foreseen = RolledBack::of(node.judge(&command)?)?;
    if *foreseen.function == *function {
        return one(&foreseen.result());
    }
    // The version that comes back is made ready while the present one still works.
    let version = foreseen.function.live_version();
    node.functions()
        .get(&foreseen.function, version)
        .await
        .map_err(|error| ApiError::from(error.clone()))?;
    let hold = node.supervisor().hold(node.mappings_of(function.id)).await;
    let applied = node.command(command).await;
    drop(hold);
    let done = RolledBack::of(applied?)?;
    canaries::log_switches(Some(&function), &done.function, &who);
    node.live(&done.function).await;
    one(&done.result())
}

/// What a rollback came to.
struct RolledBack {
    function: Arc<Function>,
    previous: FunctionVersion,
    dropped: Option<FunctionVersion>,
}

impl RolledBack {
    fn of(applied: Applied) -> Result<Self, ApiError> {
        match applied {
            Applied::RolledBack {
                function,
                previous,
                dropped,
            } => Ok(Self {
                function,
                previous,
                dropped,
            }),
            // It is what a rollback to the canary comes to.
            Applied::Promoted { function, previous } => Ok(Self {
                function,
                previous,
                dropped: None,
            }),
            other => {
                let words = format!("a rollback was answered {other:?}");
                Err(ApiError::internal(words))
            }
        }
    }

    fn result(&self) -> RollbackResult {
        RollbackResult {
            function: self.function.name.to_string(),
            version: self.function.live.0,
            previous_version: self.previous.0,
            dropped_canary: self.dropped.map(|version| version.0),
        }
    }
}

/// `POST /v1/functions/{name}/promote`: the canary becomes live, or has other settings.
pub(super) async fn promote(node: &Arc<HostNode>, name: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let who = asked.who();
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let request: PromoteRequest = json::read(&body)?;
    let function = node.function(name)?;
    let command = Command::Promote {
        function: function.name.clone(),
        canary: request.canary,
    };
    // Judged once in front of the swap: a refusal, or nothing to do, must not disturb what runs.
    let foreseen = node.judge(&command)?;
    let is_same = matches!(&foreseen, Applied::Function(same) if *same == function);
    if is_same {
        return one(&promoted(node, &function, function.live));
    }
    let hold = node.supervisor().hold(node.mappings_of(function.id)).await;
    let applied = node.command(command).await;
    drop(hold);
    let (after, previous) = match applied? {
        Applied::Promoted { function, previous } => (function, previous),
        Applied::Function(same) => (same, function.live),
        other => {
            let words = format!("a promotion was answered {other:?}");
            return Err(ApiError::internal(words));
        }
    };
    canaries::log_switches(Some(&function), &after, &who);
    node.live(&after).await;
    one(&promoted(node, &after, previous))
}

fn promoted(node: &HostNode, function: &Function, previous: FunctionVersion) -> PromoteResult {
    PromoteResult {
        function: function.name.to_string(),
        version: function.live.0,
        previous_version: previous.0,
        canary: node.canaries().status(function),
    }
}
