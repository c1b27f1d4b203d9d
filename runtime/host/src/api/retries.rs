//! Retries of a mapping, as they happen.

use std::{fmt::Write as _, sync::Arc};

use fnctl_core::{
    error_code::ErrorCode,
    status::{RetryLine, RetryStatus},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, with_type},
    http::{Chunks, streamed},
    node::HostNode,
};

/// `GET /v1/mappings/{m}/retries?follow`: an object a line for each record that was charged and waits
/// for its next attempt, from now on, until the reader goes or the mapping does. Nothing is kept: a
/// reader that is too slow is told how many it missed, `{"missed":7}`.
pub(super) fn follow(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let is_following = asked.query(&["follow"])?.switch("follow")?;
    let mapping = node.mapping(address)?;
    if !is_following {
        return Err(ApiError::new(
            ErrorCode::Usage,
            "retries are told as they happen, and not kept: `follow` is needed",
        )
        .fix(format!(
            "add ?follow=true; what waits for a retry now: fnctl mappings describe {address}"
        )));
    }
    let retries = node.supervisor().statuses().retries().follow(mapping.id);
    let (chunks, body) = streamed();
    tokio::spawn(push(Arc::clone(node), retries, chunks));
    Ok(with_type(body, NDJSON))
}

async fn push(node: Arc<HostNode>, mut retries: Receiver<Arc<RetryStatus>>, chunks: Chunks) {
    let mut drain = node.drain();
    loop {
        let told = tokio::select! {
            _ = drain.wait_for(|draining| *draining) => return,
            () = chunks.closed() => return,
            told = retries.recv() => told,
        };
        let line = match told {
            Ok(retry) => RetryLine::Retry(Box::new(Arc::unwrap_or_clone(retry))),
            Err(RecvError::Lagged(missed)) => RetryLine::Missed { missed },
            Err(RecvError::Closed) => return,
        };
        let mut text = String::new();
        let line = serde_json::to_string(&line).expect("a retry is always JSON");
        writeln!(text, "{line}").expect("writing to memory does not fail");
        if chunks.send(text.into()).await.is_err() {
            return;
        }
    }
}
