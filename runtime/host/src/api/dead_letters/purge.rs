//! Throws dead letters away.

use std::sync::Arc;

use fnctl_core::{id::Ordinal, status::PurgeStatus, view::NodeView};
use fnctl_store::DecideError;
use serde::Deserialize;

use super::{
    damaged::Damaged,
    selection::{Meant, Selection},
};
use crate::{
    api::{Answer, Asked, error::ApiError, json, one},
    limits,
    node::HostNode,
};

/// What is thrown away.
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
    #[serde(default)]
    through: Option<String>,
    /// Only say what it would be.
    #[serde(default)]
    dry_run: bool,
}

/// `POST /v1/mappings/{m}/dead-letters/purge`: those of `ids`, those that `code`, `kind`, `key` and `since` take, or
/// all that are open. The letters of a deleted mapping answer to its id.
pub(in crate::api) async fn purge(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let Body {
        ids,
        code,
        kind,
        key,
        since,
        all,
        through,
        dry_run,
    } = json::read(&body)?;
    let selection = Selection {
        ids,
        code,
        kind,
        key,
        since,
        all,
        through,
    };
    let stream = node.letters(address)?;
    let meant = Meant::of(node, address, stream, selection).await?;
    let mut status = PurgeStatus {
        purged: 0,
        data_bytes: 0,
        through: meant.through().to_string(),
        damaged: None,
        open_codes: None,
        dry_run,
    };
    let (mut damaged, takes_damaged) = (Damaged::default(), meant.takes_damaged());
    let mut letters = meant.read(node, stream);
    loop {
        let mut found = letters.next().await?;
        if found.is_empty() {
            break;
        }
        damaged.add(&found.damaged);
        if !takes_damaged {
            found.damaged.clear();
        }
        let read = found.letters.iter();
        status.data_bytes += read.map(|f| f.letter.data.len() as u64).sum::<u64>();
        if dry_run {
            status.purged += (found.letters.len() + found.damaged.len()) as u64;
            continue;
        }
        let read = found.letters.iter();
        let read = read.map(|found| (found.body, found.letter.byte_len()));
        // How long one is that cannot be read nobody knows: its bytes are given back with those of the last letter.
        let lost = found.damaged.iter().map(|found| (found.body, 0));
        let bodies: Vec<(Ordinal, u64)> = read.chain(lost).collect();
        let decide = move |view: &NodeView, _| {
            let purged = view.evaluate_purge(stream, &bodies);
            let (entry, count) = purged.map_or((None, 0), |(entry, count)| (Some(entry), count));
            Ok::<_, ApiError>((entry, count))
        };
        status.purged += node
            .store()
            .decide(decide)
            .await
            .map_err(|error| match error {
                DecideError::Refused(error) => error,
                DecideError::Stopped(stopped) => ApiError::stopping(stopped),
            })?;
    }
    if status.purged == 0
        && let Ok(mapping) = node.mapping(address)
    {
        status.open_codes = Some(node.letters_by_code(&mapping).await.0);
    }
    status.damaged = damaged.status();
    if status.purged > 0 && !dry_run {
        tracing::info!(
            mapping = address,
            letters = status.purged,
            "dead letters were purged"
        );
    }
    one(&status)
}
