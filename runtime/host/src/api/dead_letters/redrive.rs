//! Gives dead letters to their function again (commit and storage rules §7). Here it is understood and answered;
//! the work is [`crate::redrives`]'.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use fnctl_core::{
    commit::ErrorKind,
    error_code::ErrorCode,
    id::FunctionVersion,
    mapping::{Mapping, MappingState},
    status::RedriveStatus,
};
use serde::Deserialize;

use super::{
    damaged::Damaged,
    selection::{Meant, Selection},
};
use crate::{
    api::{Answer, Asked, error::ApiError, json, many, one},
    limits,
    node::{HostNode, StoredLetter},
    redrives::{self, Ended, Request, has_record},
};

/// What is redriven, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    all: bool,
    /// Another version than the live one.
    #[serde(default)]
    version: Option<u64>,
    /// At most so many a second.
    #[serde(default)]
    rate: Option<NonZeroU32>,
    /// Only say how many it would be.
    #[serde(default)]
    dry_run: bool,
    /// Answer when all have ended, at the latest after this; without, at once.
    #[serde(default)]
    wait_ms: Option<u64>,
}

/// `POST /v1/mappings/{m}/dead-letters/redrive`: those of `ids`, those that `code`, `kind`,
/// `key` and `since` take, or all that are open now.
pub(in crate::api) async fn redrive(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let who = asked.who();
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let body: Body = json::read(&body)?;
    let mapping = node.mapping(address)?;
    let version = body.version.map(FunctionVersion);
    check(node, address, &mapping, version)?;
    let stream = mapping.dead_letters;
    let selection = Selection {
        ids: body.ids,
        code: body.code,
        kind: body.kind,
        key: body.key,
        since: body.since,
        all: body.all,
        through: None,
    };
    let meant = Meant::of(node, address, stream, selection).await?;
    let meant = meant.without_moved();
    let mut letters = meant.clone().read(node, stream);
    let (mut count, mut without_record) = (0, 0);
    let mut damaged = Damaged::default();
    loop {
        let found = letters.next().await?;
        if found.is_empty() {
            break;
        }
        damaged.add(&found.damaged);
        if let Some(error) = damaged.error(address).filter(|_| meant.are_named()) {
            return Err(error);
        }
        let found = found.letters;
        let holding = found.iter().filter(|found| has_record(found)).count();
        count += holding as u64;
        without_record += (found.len() - holding) as u64;
        let has_no_record = |found: &&StoredLetter| !has_record(found);
        let named = found.iter().find(has_no_record);
        if let Some(found) = named.filter(|_| meant.are_named()) {
            let (id, kind) = (found.id, found.letter.kind);
            let (what, why, tool) = match kind {
                ErrorKind::WindowFailed => (
                    "holds no record",
                    "it is the state of a window that was given up",
                    "show",
                ),
                _ => (
                    "has no payload",
                    "its record was too large to be kept",
                    "purge",
                ),
            };
            let words = format!("dead letter {id} of `{address}` {what}");
            return Err(ApiError::new(ErrorCode::NothingToRedrive, words)
                .because(why)
                .fix(format!("fnctl dlq {tool} {address} {id}")));
        }
    }
    let told = RedriveStatus {
        redriven: count,
        processed: None,
        dead_lettered: None,
        skipped: None,
        pending: None,
        without_record,
        damaged: damaged.status(),
        open_codes: match count {
            0 => Some(node.letters_by_code(&mapping).await.0),
            _ => None,
        },
        is_stopping: false,
        is_cancelled: false,
        dry_run: body.dry_run,
    };
    if body.dry_run {
        return one(&told);
    }
    if count == 0 {
        let none = body.wait_ms.map(|_| 0);
        return one(&RedriveStatus {
            processed: none,
            dead_lettered: none,
            skipped: none,
            pending: none,
            ..told
        });
    }
    let request = Request {
        mapping: mapping.id,
        meant,
        version,
        rate: body.rate,
        by: who,
        at: node.now(),
    };
    let begun = redrives::begin(node, request, count).await?;
    tracing::info!(
        mapping = address,
        letters = count,
        "dead letters are redriven"
    );
    let Some(wait_ms) = body.wait_ms else {
        return one(&told);
    };
    let (progress, mut job) = (begun.progress, begun.ended);
    let wait = Duration::from_millis(wait_ms);
    let ended = match tokio::time::timeout(wait, &mut job).await {
        Ok(ended) => Some(ended.map_err(ApiError::internal)??),
        Err(_) => None,
    };
    let reached = progress.now();
    let (skipped, pending) = match ended {
        // Those that somebody else closed meanwhile were not met again.
        Some(Ended::All) => (reached.skipped + reached.left, 0),
        Some(Ended::Stopping | Ended::Cancelled) | None => (reached.skipped, reached.left),
    };
    one(&RedriveStatus {
        processed: Some(reached.processed),
        dead_lettered: Some(reached.failed),
        skipped: Some(skipped),
        pending: Some(pending),
        is_stopping: ended == Some(Ended::Stopping),
        is_cancelled: ended == Some(Ended::Cancelled),
        ..told
    })
}

/// `GET /v1/mappings/{m}/dead-letters/redrives`: what is under way.
pub(in crate::api) fn under_way(node: &HostNode, address: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    let mapping = node.mapping(address)?;
    many(node.redrives().lines(mapping.id))
}

/// A body that says nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// `POST /v1/mappings/{m}/dead-letters/redrives/cancel`: calls off what is under way.
pub(in crate::api) async fn cancel(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let who = asked.who();
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let Nothing {} = json::read(&body)?;
    let mapping = node.mapping(address)?;
    one(&redrives::cancel(node, mapping.id, who).await?)
}

/// Whether letters of the mapping can be redriven now, with this version.
fn check(
    node: &HostNode,
    address: &str,
    mapping: &Mapping,
    version: Option<FunctionVersion>,
) -> Result<(), ApiError> {
    if mapping.state != MappingState::Running {
        let words = format!("`{address}` does not run: nobody takes its dead letters");
        return Err(ApiError::new(ErrorCode::MappingNotRunning, words)
            .at(address)
            .fix(format!("fnctl mappings resume {address}")));
    }
    let Some(version) = version else {
        return Ok(());
    };
    let is_kept = node.view(|view| {
        let function = view.registry().function(mapping.function);
        function.is_some_and(|function| function.versions.contains_key(&version))
    });
    if is_kept {
        return Ok(());
    }
    let words = format!("the function of `{address}` has no version {version}");
    Err(ApiError::new(ErrorCode::NoSuchVersion, words).fix("fnctl functions list"))
}
