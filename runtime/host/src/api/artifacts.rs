//! Uploads of components: judged, kept, and pinned until their deploy.

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode, id::OutputName, registry::ComponentFacts, spec::request::ArtifactResult,
};
use fnctl_invoker::ComponentError;

use crate::{
    api::{Answer, Asked, error::ApiError, one},
    limits,
    node::HostNode,
};

/// `PUT /v1/artifacts`: the body is the component. Durable when it is answered.
pub(super) async fn upload(node: &Arc<HostNode>, asked: Asked) -> Answer {
    asked.query(&[])?;
    let bytes = asked
        .bytes(limits::COMPONENT_BYTES_MAX)
        .await
        .map_err(|error| {
            if error.is(ErrorCode::BodyTooLarge) {
                let most = limits::COMPONENT_BYTES_MAX;
                return ApiError::new(
                    ErrorCode::ComponentTooLarge,
                    format!("the component is larger than {most} bytes"),
                )
                .fix("build with `--release` and `strip`; large tables belong in a stream");
            }
            error
        })?;
    let inspected = node.functions().engine().inspect(bytes.clone()).await?;
    let facts = ComponentFacts {
        digest: inspected.digest.as_str().into(),
        bytes: inspected.size_bytes,
        outputs: outputs(&inspected.outputs)?,
        uses: inspected.uses,
    };
    let result = ArtifactResult {
        digest: format!("sha256:{}", facts.digest),
        bytes: facts.bytes,
        outputs: facts.outputs.iter().map(ToString::to_string).collect(),
        uses: facts.uses.clone(),
    };
    node.keep_upload(facts, bytes).await?;
    one(&result)
}

/// All outputs of a component: `default` first, whether it is declared or not.
fn outputs(declared: &[String]) -> Result<Vec<OutputName>, ApiError> {
    let others = declared
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "default");
    std::iter::once("default")
        .chain(others)
        .map(|name| {
            OutputName::parse(name)
                .map_err(|error| ApiError::new(ErrorCode::OutputsUnreadable, error.to_string()))
        })
        .collect()
}

impl From<ComponentError> for ApiError {
    fn from(error: ComponentError) -> Self {
        if matches!(error, ComponentError::Internal { .. }) {
            return Self::internal(error);
        }
        let code = ErrorCode::parse(error.code()).unwrap_or(ErrorCode::NotAComponent);
        Self::new(code, error.message("the component"))
            .because(error.why())
            .fix(error.fix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_component_has_a_code_of_the_table() {
        let detail = String::new;
        for error in [
            ComponentError::NotWasm { bytes: 0 },
            ComponentError::TooLarge { bytes: 1 },
            ComponentError::CoreModule,
            ComponentError::Precompiled,
            ComponentError::Text,
            ComponentError::Invalid { detail: detail() },
            ComponentError::NeedsFeature { feature: "x" },
            ComponentError::WrongVersion { name: detail() },
            ComponentError::UnsupportedImport {
                imports: Vec::new(),
            },
            ComponentError::MissingExport { found: Vec::new() },
            ComponentError::DoesNotInstantiate { detail: detail() },
            ComponentError::BadOutputs { detail: detail() },
            ComponentError::TooComplex { detail: detail() },
            ComponentError::MemoryTooSmall {
                needed_bytes: 2,
                limit_bytes: 1,
            },
            ComponentError::Busy,
        ] {
            assert!(ErrorCode::parse(error.code()).is_some(), "{error:?}");
        }
    }
}
