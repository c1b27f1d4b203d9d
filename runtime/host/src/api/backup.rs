//! A backup while the server runs: one answer, a tar archive of everything as of one LSN.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fnctl_core::error_code::ErrorCode;
use fnctl_store::backup::{Backup, BackupError, Prepared, manifest::Item};
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{
    api::{Answer, Asked, error::ApiError, json, with_type},
    http::{Chunks, streamed},
    limits,
    node::HostNode,
    source::blocking,
};

/// Files of the server's own in the data directory that a backup takes along.
const OTHERS: [&str; 1] = ["secret"];
/// Bytes of files in the answer, for those who show progress.
const BYTES: HeaderName = HeaderName::from_static("x-fnctl-backup-bytes");
/// LSN after the last entry in the backup.
const LSN: HeaderName = HeaderName::from_static("x-fnctl-backup-lsn");

/// Places for backups under way.
static PLACES: Semaphore = Semaphore::const_new(limits::BACKUPS_MAX);

/// What the receiver has already, checked by it against these digests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    kept: Vec<Kept>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    target: String,
    bytes: u64,
    identity: String,
    sha256: String,
}

/// `POST /v1/backup`: everything but what the body names. The archive ends with its manifest; without
/// one it is not whole.
pub(super) async fn backup(node: &Arc<HostNode>, asked: Asked) -> Answer {
    asked.query(&[])?;
    let body = asked.bytes(limits::BACKUP_BODY_BYTES_MAX).await?;
    let request: Request = json::read(&body)?;
    let place = PLACES.try_acquire().map_err(|_| {
        let words = format!("{} backups are under way", limits::BACKUPS_MAX);
        ApiError::new(ErrorCode::Throttled, words).fix("wait for one of them to end")
    })?;
    let kept: Vec<Item> = request.kept.into_iter().map(item).collect();
    let backup: Backup = node.store().begin_backup().await?;
    let (lsn, taken) = (backup.lsn(), node.now());
    let prepared = blocking(move || backup.prepare(&kept, &OTHERS, taken)).await?;
    let bytes = prepared.bytes();
    let (chunks, body) = streamed();
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || send(prepared, &chunks, &handle, place));
    let mut response = with_type(body, "application/x-tar");
    let headers = response.headers_mut();
    headers.insert(BYTES, HeaderValue::from(bytes));
    headers.insert(LSN, HeaderValue::from(lsn.0));
    Ok(response)
}

fn item(kept: Kept) -> Item {
    Item {
        target: kept.target,
        bytes: kept.bytes,
        identity: Some(kept.identity),
        sha256: kept.sha256.into(),
    }
}

fn send(prepared: Prepared, chunks: &Chunks, handle: &Handle, _place: SemaphorePermit<'_>) {
    const IDLE: Duration = limits::BACKUP_IDLE_TIMEOUT;
    let sent = prepared.send(&mut |piece: Bytes| {
        let taken = handle.block_on(timeout(IDLE, chunks.send(piece)));
        matches!(taken, Ok(Ok(())))
            .then_some(())
            .ok_or(BackupError::Gone)
    });
    match sent {
        Ok(sent) => {
            for file in &sent.damaged {
                tracing::error!(path = file, "a damaged file was backed up as it is");
            }
            tracing::info!(files = sent.files, bytes = sent.bytes, "a backup was sent");
        }
        Err(error) => tracing::warn!(%error, "a backup ended early"),
    }
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        let words = error.to_string();
        match error {
            BackupError::ReadOnly(_) => Self::new(ErrorCode::DataDirectoryUnusable, words).fix(
                "stop the server and copy its data directory; fnctl doctor says what is damaged",
            ),
            BackupError::DiskFull => Self::new(ErrorCode::DiskFull, words),
            BackupError::Stopped => Self::stopping(words),
            BackupError::Gone => Self::new(ErrorCode::Internal, words),
            BackupError::Io { .. } => Self::internal(words),
        }
    }
}
