//! One version as a shadow calls it: records in, how each of them ended out.

use std::{ops::Range, sync::Arc, time::Duration};

use fnctl_core::{
    function::{Function, Version},
    id::UnitId,
    invoker::{Call, CallContext, Invoker},
    mapping::Mapping,
    outcome::{self, Outcome, WHOLE_CALL},
    registry::Refusal,
    status::{DataText, ShadowEnd, ShadowFailure, ShadowRow},
};

use super::Picked;
use crate::{
    api::error::ApiError,
    node::HostNode,
    shard_worker::{Facts, Run},
    supervisor::Work,
    text,
};

/// A version that was loaded.
pub(crate) struct Side {
    callable: Arc<fnctl_invoker::Function>,
    context: CallContext,
}

impl Side {
    /// Loads a version, deployed or not, with a place of its own.
    ///
    /// # Errors
    /// The mapping's stream is gone, or the component is refused.
    pub(crate) async fn load(
        node: &HostNode,
        mapping: &Mapping,
        function: &Function,
        version: &Arc<Version>,
    ) -> Result<Self, ApiError> {
        let context = node.view(|view| {
            let stream = view.registry().stream(mapping.stream)?;
            let unit = UnitId {
                mapping: mapping.id,
                stream: stream.id,
                shard: stream.shards.first()?.number,
            };
            Work::context(view, unit, version)
        });
        let gone = || Refusal::NoSuchStream(mapping.stream_name.clone()).to_error();
        let context = context.ok_or_else(gone)?;
        Ok(Self {
            callable: node.functions().beside(function, version).await?,
            context: CallContext::clone(&context),
        })
    }

    /// How each record ends. A call that fails as a whole is cut in two until one record is left; what is
    /// behind a `fatal` one is called again.
    ///
    /// # Errors
    /// The host is at fault, or stops.
    pub(super) async fn ends(&self, picked: &Picked) -> Result<Vec<ShadowEnd>, ApiError> {
        let context = Arc::new(CallContext {
            shard: picked.shard,
            ..self.context.clone()
        });
        let count = picked.len();
        let mut ends = vec![ShadowEnd::default(); count];
        let mut pieces: Vec<Range<usize>> = std::iter::once(0..count).collect();
        while let Some(piece) = pieces.pop() {
            if piece.is_empty() {
                continue;
            }
            let runs = Run::cut(&picked.runs, &piece);
            let call = Call {
                context: Arc::clone(&context),
                records: Run::gather(&runs),
                facts: Arc::new(Facts::uncharged(
                    runs,
                    picked.stream,
                    picked.shard_created_at,
                )),
                is_fresh: piece.len() < count,
                window: None,
            };
            let completed = self.callable.invoke(call).await;
            let completed = completed.map_err(ApiError::internal)?;
            let mut told = piece.clone();
            match &completed.outcome {
                Outcome::Interrupted => return Err(ApiError::stopping("the call was taken back")),
                Outcome::Returned { failures, .. } => {
                    // What is behind was not looked at.
                    if let Some(at) = outcome::ended_at(failures) {
                        told.end = piece.start + at + 1;
                        pieces.push(told.end..piece.end);
                    }
                }
                _ if piece.len() > 1 => {
                    let middle = piece.start + piece.len() / 2;
                    pieces.push(middle..piece.end);
                    pieces.push(piece.start..middle);
                    self.rest(completed.stats.duration_ns).await;
                    continue;
                }
                _ => {}
            }
            note(&completed.outcome, &context, &mut ends[told]);
            self.rest(completed.stats.duration_ns).await;
        }
        Ok(ends)
    }

    /// Leaves the guests' threads to others as long as it had one.
    async fn rest(&self, duration_ns: u64) {
        tokio::time::sleep(Duration::from_nanos(duration_ns)).await;
    }
}

/// What an outcome says of each of its records. A row of the whole call counts for the last one, as in the
/// output stream.
fn note(outcome: &Outcome, context: &CallContext, ends: &mut [ShadowEnd]) {
    for (index, end) in ends.iter_mut().enumerate() {
        let index = u32::try_from(index).expect("a batch is far below 2^32 records");
        end.failure = outcome.cause_of(index).map(|cause| ShadowFailure {
            error_kind: cause.kind.as_str().to_owned(),
            code: cause.code.to_string(),
            error: cause.error.to_string(),
        });
    }
    let Outcome::Returned { rows, .. } = outcome else {
        return;
    };
    let last = ends.len() - 1;
    for rows in rows {
        let output = context.outputs.get(usize::from(rows.output));
        for (row, &source) in rows.sources.iter().enumerate() {
            let at = if source == WHOLE_CALL {
                last
            } else {
                source as usize
            };
            let is_whole = source == WHOLE_CALL;
            if let Some(end) = ends.get_mut(at)
                && (is_whole || end.failure.is_none())
            {
                end.rows.push(ShadowRow {
                    output: output.map_or("?", |name| name).to_owned(),
                    partition_key: String::from_utf8_lossy(rows.keys.get(row)).into_owned(),
                    data: DataText::of(rows.data.get(row), text::base64),
                });
            }
        }
    }
}
