//! A file that reproduces what fails: records, configuration, component and outcome.

use std::sync::Arc;

use fnctl_core::{
    capture::{CaptureEnd, CaptureHead, CaptureLine, CapturedPiece, CapturedVersion, format_of},
    error_code::ErrorCode,
    id::Ordinal,
    mapping::MappingState,
    registry::Refusal,
    rfc3339,
};
use fnctl_invoker::hex;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    api::{Answer, Asked, NDJSON, error::ApiError, with_type},
    http::{Chunks, streamed},
    limits,
    node::{
        HostNode,
        capture::{Captured, Wanted},
    },
    source::blocking,
    text,
};

/// `GET /v1/mappings/{m}/capture`: the file. `dead_letters` are ids with commas between them; `key`, `count`;
/// `component=false` leaves the component out.
pub(super) async fn capture(node: &Arc<HostNode>, address: &str, asked: &Asked) -> Answer {
    let query = asked.query(&["dead_letters", "key", "count", "component"])?;
    let ids = query.text("dead_letters").unwrap_or_default();
    let letters = ids.split(',').filter(|id| !id.is_empty()).map(|id| {
        id.parse().map(Ordinal).map_err(|_| {
            let words = format!("no dead letter `{id}` of `{address}`");
            ApiError::new(ErrorCode::NoSuchDeadLetter, words)
                .at("dead_letters")
                .fix(format!("fnctl dlq list {address}"))
        })
    });
    let count = query
        .count("count")?
        .unwrap_or(limits::CAPTURE_RECORDS_DEFAULT);
    let wanted = Wanted {
        letters: letters.collect::<Result<_, _>>()?,
        key: query.text("key").map(str::to_owned),
        count: count.clamp(1, limits::CAPTURE_RECORDS_MAX),
    };
    let has_component = query.text("component").is_none() || query.switch("component")?;
    let mapping = node.mapping(address)?;
    let name = node.view(|view| view.registry().address(&mapping));
    let function = node.function_of(&mapping)?;
    let captured = node.failing(&mapping, &function, &wanted).await?;
    if captured.batches.is_empty() {
        let words = format!("nothing of `{name}` fails now");
        let why = match &wanted.key {
            _ if matches!(mapping.state, MappingState::Stopped { .. }) => {
                "a `fatal` stopped it, and of that no record is kept; with --on-fatal dead-letter one is"
                    .to_owned()
            }
            None => "no record or window waits for a retry, and no dead letter is open".to_owned(),
            Some(key) => format!("none of key `{key}` waits for a retry or is an open dead letter"),
        };
        return Err(ApiError::new(ErrorCode::NothingToCapture, words)
            .at(address)
            .because(why)
            .fix(format!("fnctl mappings describe {name}")));
    }
    let numbers = captured.versions().into_iter();
    let versions: Option<Vec<CapturedVersion>> = numbers
        .map(|number| node.captured_version(&mapping, &function, number))
        .collect();
    let gone = || Refusal::NoSuchStream(mapping.stream_name.clone()).to_error();
    let versions = versions.ok_or_else(gone)?;
    let now = node.now();
    let head = CaptureHead {
        fnctl_capture: format_of(&captured.batches),
        written_by: node.build().version.to_owned(),
        captured_at: rfc3339::format(now),
        mapping: name,
        function: function.name.to_string(),
        stream: mapping.stream_name.to_string(),
        seed: now.0,
        versions,
    };
    let (chunks, body) = streamed();
    let node = Arc::clone(node);
    tokio::spawn(async move {
        let mut file = File {
            chunks,
            hash: Sha256::new(),
        };
        // An error says that the reader has gone.
        drop(file.write(&node, head, captured, has_component).await);
    });
    Ok(with_type(body, NDJSON))
}

/// Nobody reads any more, or a last line said why there is no more.
struct Ended;

/// The file while it is sent.
struct File {
    chunks: Chunks,
    hash: Sha256,
}

impl File {
    async fn write(
        &mut self,
        node: &HostNode,
        head: CaptureHead,
        captured: Captured,
        has_component: bool,
    ) -> Result<(), Ended> {
        self.line(&head).await?;
        let has_more = captured.has_more;
        let batches = captured.batches.len() as u64;
        let records = captured
            .batches
            .iter()
            .map(|b| b.records.len() as u64)
            .sum();
        for batch in captured.batches {
            self.line(&CaptureLine::Batch(batch)).await?;
        }
        let mut digests: Vec<&String> = head.versions.iter().map(|v| &v.digest).collect();
        digests.sort_unstable();
        digests.dedup();
        for digest in digests.into_iter().filter(|_| has_component) {
            self.component(node, digest).await?;
        }
        let end = CaptureLine::End(CaptureEnd {
            batches,
            records,
            has_more,
            sha256: hex(&std::mem::take(&mut self.hash).finalize()),
        });
        self.line(&end).await
    }

    async fn component(&mut self, node: &HostNode, digest: &str) -> Result<(), Ended> {
        let store = node.store().clone();
        let bare = digest.trim_start_matches("sha256:").to_owned();
        let read = blocking(move || store.artifact(&bare)).await;
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                let words = format!("component {digest} cannot be read: {error}");
                let error = ApiError::new(ErrorCode::Damaged, words)
                    .fix("--without-component leaves it out; fnctl doctor says what is damaged");
                drop(self.chunks.send(error.into_line().into()).await);
                return Err(Ended);
            }
        };
        for piece in bytes.chunks(limits::CAPTURE_PIECE_BYTES) {
            let piece = CaptureLine::Component(CapturedPiece {
                digest: digest.to_owned(),
                base64: text::base64(piece),
            });
            self.line(&piece).await?;
        }
        Ok(())
    }

    async fn line(&mut self, value: &impl Serialize) -> Result<(), Ended> {
        let mut line = serde_json::to_vec(value).expect("a capture is always JSON");
        line.push(b'\n');
        self.hash.update(&line);
        self.chunks.send(line.into()).await.map_err(|_| Ended)
    }
}
