//! Gives dead letters to their function again (commit and storage rules §7).
//!
//! The API only hands them over, at the rate asked for: each goes to the worker of the unit that owns its
//! key now. What became of it is in the worker's commit, so whatever happens to this task, a letter is
//! resolved once or still open.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fnctl_core::{
    commit::{ErrorKind, Redriven},
    error_code::ErrorCode,
    id::{FunctionVersion, MappingId, Ordinal, StreamId, UnitId},
    mapping::{Mapping, MappingState},
    pipeline::RedriveEnding,
    status::RedriveStatus,
    view::LetterStatus,
};
use serde::Deserialize;
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

use super::selection::{Meant, Selection};
use crate::{
    api::{Answer, Asked, error::ApiError, json, one},
    limits,
    node::{HostNode, StoredLetter},
    shard_worker::RedriveRequest,
    supervisor::Work,
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

/// `POST /v1/mappings/{m}/dead-letters/redrive`: those of `ids`, of a `code`, or all that are open now.
pub(in crate::api) async fn redrive(node: &Arc<HostNode>, address: &str, asked: Asked) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let body: Body = json::read(&body)?;
    let mapping = node.mapping(address)?;
    let version = body.version.map(FunctionVersion);
    check(node, address, &mapping, version)?;
    let stream = mapping.dead_letters;
    let selection = Selection {
        ids: body.ids,
        code: body.code,
        all: body.all,
        through: None,
    };
    let meant = Meant::of(node, address, stream, selection).await?;
    let meant = meant.without_moved();
    let mut letters = meant.clone().read(node, stream);
    let (mut count, mut without_record) = (0, 0);
    loop {
        let found = letters.next().await?;
        if found.is_empty() {
            break;
        }
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
        open_codes: match count {
            0 => Some(node.letters_by_code(&mapping).await),
            _ => None,
        },
        dry_run: body.dry_run,
    };
    if body.dry_run || count == 0 && body.wait_ms.is_none() {
        return one(&told);
    }
    let progress = Arc::new(Progress::default());
    let task = Task {
        node: Arc::clone(node),
        mapping: mapping.id,
        stream,
        version,
        progress: Arc::clone(&progress),
    };
    tracing::info!(
        mapping = address,
        letters = count,
        "dead letters are redriven"
    );
    let mut job = tokio::spawn(task.run(meant, body.rate));
    let Some(wait_ms) = body.wait_ms else {
        return one(&told);
    };
    let wait = Duration::from_millis(wait_ms);
    let ended = tokio::time::timeout(wait, &mut job).await;
    let has_ended = ended.is_ok();
    if let Ok(ended) = ended {
        ended.map_err(ApiError::internal)??;
    }
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (processed, failed) = (read(&progress.processed), read(&progress.failed));
    let skipped = read(&progress.skipped);
    let rest = count.saturating_sub(processed + failed + skipped);
    // Those that somebody else closed meanwhile were not met again.
    let (skipped, pending) = match has_ended {
        true => (skipped + rest, 0),
        false => (skipped, rest),
    };
    one(&RedriveStatus {
        processed: Some(processed),
        dead_lettered: Some(failed),
        skipped: Some(skipped),
        pending: Some(pending),
        ..told
    })
}

/// Whether a letter holds a record that a function can be given.
fn has_record(found: &StoredLetter) -> bool {
    found.letter.kind.holds_record()
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

#[derive(Debug, Default)]
struct Progress {
    processed: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
}

/// Hands letters over until there are none, the mapping goes, or the server does.
#[derive(Clone)]
struct Task {
    node: Arc<HostNode>,
    mapping: MappingId,
    stream: StreamId,
    version: Option<FunctionVersion>,
    progress: Arc<Progress>,
}

impl Task {
    async fn run(self, meant: Meant, rate: Option<NonZeroU32>) -> Result<(), ApiError> {
        let node = Arc::clone(&self.node);
        let mut drain = node.drain();
        let work = self.hand_over(meant, rate);
        tokio::select! {
            _ = drain.wait_for(|draining| *draining) => Ok(()),
            done = work => done,
        }
    }

    async fn hand_over(&self, meant: Meant, rate: Option<NonZeroU32>) -> Result<(), ApiError> {
        let mut letters = meant.read(&self.node, self.stream);
        let pause = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
        let mut next_at = Instant::now();
        let mut under_way = JoinSet::new();
        loop {
            let found = letters.next().await?;
            if found.is_empty() {
                break;
            }
            // The others are not counted, and nobody could be given them.
            for letter in found.into_iter().filter(has_record) {
                if under_way.len() >= limits::REDRIVES_AT_ONCE {
                    self.count(under_way.join_next().await);
                }
                tokio::time::sleep_until(next_at).await;
                next_at = next_at.max(Instant::now()) + pause;
                let task = self.clone();
                under_way.spawn(async move { task.one(letter).await });
            }
        }
        while let Some(ended) = under_way.join_next().await {
            self.count(Some(ended));
        }
        Ok(())
    }

    fn count(&self, ended: Option<Result<Option<RedriveEnding>, tokio::task::JoinError>>) {
        let counter = match ended {
            Some(Ok(Some(RedriveEnding::Resolved))) => &self.progress.processed,
            Some(Ok(Some(RedriveEnding::FailedAgain))) => &self.progress.failed,
            _ => &self.progress.skipped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands one letter over, to the next owner when one ends before it has answered; `None`: nothing was
    /// done with it.
    async fn one(&self, found: StoredLetter) -> Option<RedriveEnding> {
        let (id, before) = (found.id, found.body);
        let mut found = found;
        loop {
            if let Some(answer) = self.ask(&found).await?
                && let Ok(ending) = answer.await
            {
                return (ending != RedriveEnding::Closed).then_some(ending);
            }
            // Nobody is there yet; or whoever took it has ended, before or after its commit.
            tokio::time::sleep(limits::REDRIVE_RETRY).await;
            found = self.node.dead_letter(self.stream, id).await.ok()??;
            match found.status {
                LetterStatus::Open if found.body == before => {}
                LetterStatus::Open => return Some(RedriveEnding::FailedAgain),
                LetterStatus::Resolved => return Some(RedriveEnding::Resolved),
                LetterStatus::Purged => return None,
            }
        }
    }

    /// Gives a letter to the worker of the unit that owns its key now: how it answers, or nothing where
    /// there is none at the moment.
    ///
    /// Answers `None` when there will be none: the mapping is gone, or has failed for good.
    async fn ask(&self, found: &StoredLetter) -> Option<Option<oneshot::Receiver<RedriveEnding>>> {
        let (unit, with) = self.node.view(|view| {
            let mapping = view.registry().mapping(self.mapping)?;
            if mapping.state == MappingState::Failed {
                return None;
            }
            // A paused one has a worker that starts nothing, a stopped one none: letters wait for it.
            let stream = view.registry().stream(mapping.stream)?;
            let unit = UnitId {
                mapping: mapping.id,
                stream: stream.id,
                shard: stream.route(found.letter.hash_key)?,
            };
            let with = match self.version {
                None => None,
                Some(version) => Some(Work::other(view, unit, version)?),
            };
            Some((unit, with))
        })?;
        let redrivers = self.node.supervisor().statuses().redrivers();
        let Some(worker) = redrivers.of(unit) else {
            return Some(None);
        };
        let (answer, answered) = oneshot::channel();
        let request = RedriveRequest {
            redriven: Redriven {
                id: found.id,
                body: Ordinal(found.body.0),
                bytes: found.letter.byte_len(),
            },
            letter: found.letter.clone(),
            with,
            answer,
        };
        Some(worker.send(request).await.is_ok().then_some(answered))
    }
}
