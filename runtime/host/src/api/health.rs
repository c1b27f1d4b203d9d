//! Whether the server lives, serves, and what it counts.

use std::sync::Arc;

use fnctl_core::{error_code::ErrorCode, spec::request::VersionResult};
use hyper::Method;

use crate::{
    api::{Answer, error::ApiError, one, with_type},
    http::whole,
    node::HostNode,
};

/// `GET /healthz`: the process answers.
pub(super) fn alive(_: &Method) -> Answer {
    Ok(with_type(whole("ok\n"), "text/plain; charset=utf-8"))
}

/// `GET /readyz` and `GET /v1/health`: requests are served.
pub(super) fn ready(node: &HostNode, _: &Method) -> Answer {
    if *node.drain().borrow() {
        return Err(ApiError::new(
            ErrorCode::Stopping,
            "the server is shutting down",
        ));
    }
    let words = match (node.store().read_only(), node.no_room()) {
        (Some(why), _) => format!("ready, for reads alone: {why}\n"),
        // What it holds goes on being read and called: it is no help to take it out of service.
        (None, Some(no_room)) => format!("ready, for reads: {}\n", no_room.message),
        (None, None) => "ready\n".to_owned(),
    };
    Ok(with_type(whole(words), "text/plain; charset=utf-8"))
}

/// `GET /metrics`.
pub(super) async fn metrics(node: &Arc<HostNode>, _: &Method) -> Answer {
    let text = node.expose().await;
    Ok(with_type(
        whole(text),
        "text/plain; version=0.0.4; charset=utf-8",
    ))
}

/// `GET /v1/version`.
pub(super) fn version(node: &HostNode, _: &Method) -> Answer {
    let (build, place) = (node.build(), node.place());
    one(&VersionResult {
        version: build.version.to_owned(),
        commit: build.commit.to_owned(),
        wasmtime: build.wasmtime.to_owned(),
        // Whoever asks stands elsewhere: the path as it is from everywhere.
        data_dir: std::fs::canonicalize(&place.data_dir)
            .unwrap_or_else(|_| place.data_dir.clone())
            .display()
            .to_string(),
        pid: std::process::id(),
        kinesis: place.kinesis.clone(),
        read_only: node.store().read_only().map(str::to_owned),
        no_room: node.no_room(),
    })
}
