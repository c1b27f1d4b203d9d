//! Another version beside the live one, on the records of a mapping's stream.

use std::{collections::BTreeMap, sync::Arc};

use fnctl_core::{
    error_code::ErrorCode,
    function::{Function, Version, VersionSettings},
    id::{FunctionVersion, Ordinal},
    status::ShadowSummary,
};
use tokio::sync::Semaphore;

use super::seek::{self, Target};
use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, with_type},
    http::{path::Query, streamed},
    limits,
    node::HostNode,
    shadow::{self, Reading, Shadow, Side},
};

/// Places for shadows under way.
static PLACES: Semaphore = Semaphore::const_new(limits::SHADOWS_MAX);

/// `GET /v1/mappings/{m}/shadow`: `version`, or `digest` of an uploaded component; `from` a position or a
/// sequence number (`latest` unless said otherwise), with windows the beginning of that which it lies in; to the end as it is now, with `follow` on and on; at most
/// `count` records.
pub(super) async fn shadow(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let query = asked.query(&["version", "digest", "from", "follow", "count"])?;
    let mapping = node.mapping(address)?;
    let function = node.function_of(&mapping)?;
    let stream = node.stream_of(&mapping)?;
    let live = Arc::clone(function.live_version());
    let (other, shadow_version) = other(node, &function, &live, &query)?;
    let from = query.text("from").unwrap_or("latest");
    let target = seek::read(from).map_err(|error| error.at("from"))?;
    seek::refuse_future(node, target, "from")?;
    let follows = query.switch("follow")?;
    let (mut shards, mut windows) = (BTreeMap::new(), BTreeMap::new());
    for shard in seek::shards(&stream, None, target, from)? {
        let after = match target {
            Target::Sequence(decoded) => Ordinal(decoded.index.saturating_sub(1)),
            Target::Position(position) => node.resolve(stream.id, shard.number, position).await?,
        };
        let until = (!follows).then(|| node.last(stream.id, shard.number));
        let place = (stream.id, shard.number);
        let (after, first) = shadow::begin(node, &mapping.settings, place, after).await?;
        windows.extend(first.map(|first| (shard.number, first)));
        shards.insert(shard.number, Reading { after, until });
    }
    let place = PLACES.try_acquire().map_err(|_| {
        let words = format!("{} comparisons are under way", limits::SHADOWS_MAX);
        ApiError::new(ErrorCode::Throttled, words).fix("wait for one of them to end")
    })?;
    let summary = ShadowSummary {
        live_version: live.number.0,
        shadow_version: shadow_version.map(|version| version.0),
        ..ShadowSummary::default()
    };
    let (chunks, body) = streamed();
    let comparison = Shadow {
        live: Side::load(node, &mapping, &function, &live).await?,
        other: Side::load(node, &mapping, &function, &other).await?,
        node: Arc::clone(node),
        mapping,
        shards,
        windows,
        follows,
        left: query.number("count")?.unwrap_or(u64::MAX).max(1),
        summary,
        chunks,
    };
    tokio::spawn(async move {
        comparison.run().await;
        drop(place);
    });
    Ok(with_type(body, NDJSON))
}

/// What is compared with the live version, and its number if it is deployed.
fn other(
    node: &HostNode,
    function: &Function,
    live: &Arc<Version>,
    query: &Query,
) -> Result<(Arc<Version>, Option<FunctionVersion>), ApiError> {
    let name = &function.name;
    match (query.number("version")?, query.text("digest")) {
        (Some(number), None) => {
            let number = FunctionVersion(number);
            let version = function.versions.get(&number).ok_or_else(|| {
                let words = format!("function `{name}` has no version {number}");
                ApiError::new(ErrorCode::NoSuchVersion, words)
                    .at("version")
                    .fix(format!("fnctl functions describe {name}"))
            })?;
            Ok((Arc::clone(version), Some(number)))
        }
        (None, Some(digest)) => {
            let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
            let facts = node.upload(digest).ok_or_else(|| {
                let words = format!("no component `{digest}` was uploaded");
                ApiError::new(ErrorCode::NoSuchArtifact, words)
                    .at("digest")
                    .fix("PUT /v1/artifacts")
            })?;
            let version = Version {
                settings: VersionSettings {
                    digest: facts.digest,
                    ..live.settings.clone()
                },
                component_bytes: facts.bytes,
                outputs: facts.outputs,
                uses: facts.uses,
                ..Version::clone(live)
            };
            Ok((Arc::new(version), None))
        }
        _ => Err(ApiError::new(
            ErrorCode::Usage,
            "what is compared with the live version is not said in one way",
        )
        .fix("its number, or a component: --version N or --component FILE.wasm")),
    }
}
