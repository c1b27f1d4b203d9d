//! What a function wrote: from memory, oldest first, followed on request.

use std::{sync::Arc, time::Duration};

use fnctl_core::{
    error_code::ErrorCode, id::FunctionName, rfc3339, spec::StartingPosition,
    status::LogLine as LogText,
};

use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, with_type},
    http::{Chunks, streamed},
    limits,
    logs::{FunctionLog, LogLine},
    node::HostNode,
};

/// `GET /v1/functions/{name}/logs`: `since` is a time or a duration ago, `tail` the number of last
/// lines; with `follow`, until the reader goes.
pub(super) fn logs(node: &Arc<HostNode>, name: &str, asked: &Asked) -> Answer {
    let query = asked.query(&["follow", "since", "tail"])?;
    let function = node.function(name)?;
    let since = match query.text("since") {
        None => None,
        Some(text) => {
            let position = StartingPosition::parse(text)
                .map_err(|why| ApiError::new(ErrorCode::Usage, why.words()).at("since"))?;
            position.moment(node.now())
        }
    };
    let tail = query.count("tail")?;
    let is_following = query.switch("follow")?;
    let log = node.logs().of(&function.name);
    let from = log.start(since, tail);
    let (chunks, body) = streamed();
    let name = function.name.clone();
    tokio::spawn(serve(
        Arc::clone(node),
        name,
        log,
        from,
        is_following,
        chunks,
    ));
    Ok(with_type(body, NDJSON))
}

async fn serve(
    node: Arc<HostNode>,
    function: FunctionName,
    log: Arc<FunctionLog>,
    mut from: u64,
    is_following: bool,
    chunks: Chunks,
) {
    let mut added = log.watch();
    let mut drain = node.drain();
    loop {
        added.mark_unchanged();
        let read = log.read(from, limits::LOG_READ_LINES_MAX, node.now());
        from = read.next;
        let mut text = String::new();
        if read.missed > 0 {
            text.push_str(&missed(&node, &function, read.missed));
        }
        for line in &read.lines {
            let line =
                serde_json::to_string(&shown(line, &function)).expect("a log line is always JSON");
            text.push_str(&line);
            text.push('\n');
        }
        if !text.is_empty() {
            if chunks.send(text.into()).await.is_err() {
                return;
            }
            continue;
        }
        if !is_following {
            return;
        }
        tokio::select! {
            _ = drain.wait_for(|draining| *draining) => return,
            () = chunks.closed() => return,
            () = tokio::time::sleep(limits::LOG_DROPPED_TOLD_AFTER), if log.has_dropped() => {}
            changed = added.changed() => if changed.is_err() {
                return;
            },
        }
        // Lines come in bursts: one chunk for those of a call.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Says that lines fell out of memory in front of a reader.
fn missed(node: &HostNode, function: &FunctionName, count: u64) -> String {
    let line = LogText {
        time: rfc3339::format(node.now()),
        level: "warn".to_owned(),
        function: function.to_string(),
        version: 0,
        mapping: None,
        shard_id: None,
        sequence_number: None,
        source: "log".to_owned(),
        message: format!("{count} older lines are not kept any more"),
    };
    let mut text = serde_json::to_string(&line).expect("a log line is always JSON");
    text.push('\n');
    text
}

fn shown(line: &LogLine, function: &FunctionName) -> LogText {
    LogText {
        time: rfc3339::format(line.time),
        level: line.level.to_owned(),
        function: function.to_string(),
        version: line.version.0,
        mapping: (!line.mapping.is_empty()).then(|| line.mapping.to_string()),
        shard_id: line.shard.map(fnctl_core::id::ShardNumber::shard_id),
        sequence_number: line.sequence_number.as_deref().map(str::to_owned),
        source: line.source.to_owned(),
        message: line.message.to_string(),
    }
}
