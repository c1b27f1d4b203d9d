//! One version as a shadow calls it: records in, how each of them ended out.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use fnctl_core::{
    function::{Function, Version},
    id::UnitId,
    invoker::{Call, CallContext, Completed, Invoker},
    mapping::Mapping,
    outcome::{self, Outcome, WHOLE_CALL},
    record::Records,
    registry::Refusal,
    status::{DataText, ShadowEnd, ShadowFailure, ShadowRow},
    window::WindowCall,
};

use super::{Picked, Place};
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

/// Records of one window that a version was called with.
pub(super) struct Folded {
    /// How each of them ended.
    pub(super) ends: Vec<ShadowEnd>,
    /// The state that those left which succeeded; `None`: none did.
    pub(super) state: Option<Bytes>,
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
        let count = picked.len();
        let mut ends = vec![ShadowEnd::default(); count];
        let mut pieces: Vec<Range<usize>> = std::iter::once(0..count).collect();
        while let Some(piece) = pieces.pop() {
            if piece.is_empty() {
                continue;
            }
            let completed = self.call(picked, &piece, None).await?;
            let mut told = piece.clone();
            match &completed.outcome {
                Outcome::Returned { failures, .. } => {
                    // What is behind was not looked at.
                    if let Some(at) = outcome::ended_at(failures) {
                        told.end = piece.start + at + 1;
                        pieces.push(told.end..piece.end);
                    }
                }
                _ if piece.len() > 1 => {
                    halve(&piece, &mut pieces);
                    continue;
                }
                _ => {}
            }
            note(&completed.outcome, &self.context, &mut ends[told]);
        }
        Ok(ends)
    }

    /// How each record of one window ends that is called with this, and the state behind it. A call that fails in any
    /// part leaves nothing, as in the mapping: what is in front of the first record that failed is called again, that
    /// one is given up, and then what is behind it is called.
    ///
    /// # Errors
    /// The host is at fault, or stops.
    pub(super) async fn fold(
        &self,
        picked: &Picked,
        window: WindowCall,
    ) -> Result<Folded, ApiError> {
        let count = picked.len();
        let mut ends = vec![ShadowEnd::default(); count];
        let mut state: Option<Bytes> = None;
        let mut pieces: Vec<Range<usize>> = std::iter::once(0..count).collect();
        while let Some(piece) = pieces.pop() {
            if piece.is_empty() {
                continue;
            }
            let before = state.as_ref().unwrap_or(&window.state).clone();
            let call = WindowCall {
                state: before.clone(),
                ..window.clone()
            };
            let completed = self.call(picked, &piece, Some(call)).await?;
            let first = match &completed.outcome {
                Outcome::Returned { failures, .. } => failures.first().map(|item| item.index),
                _ if piece.len() > 1 => {
                    halve(&piece, &mut pieces);
                    continue;
                }
                _ => Some(0),
            };
            let Some(first) = first else {
                note(&completed.outcome, &self.context, &mut ends[piece]);
                state = Some(completed.state.unwrap_or(before));
                continue;
            };
            let at = piece.start + first as usize;
            ends[at].failure = failure(&completed.outcome, first);
            pieces.push(at + 1..piece.end);
            pieces.push(piece.start..at);
        }
        Ok(Folded { ends, state })
    }

    /// How the call ends that ends a window, or its state.
    ///
    /// # Errors
    /// The host is at fault, or stops.
    pub(super) async fn close(
        &self,
        place: Place,
        window: WindowCall,
    ) -> Result<ShadowEnd, ApiError> {
        let none = Picked {
            runs: Vec::new(),
            place,
        };
        let completed = self.call(&none, &(0..0), Some(window)).await?;
        let mut end = [ShadowEnd::default()];
        note(&completed.outcome, &self.context, &mut end);
        let [end] = end;
        Ok(end)
    }

    /// Makes one call, and leaves the guests' threads to others as long as it had one.
    async fn call(
        &self,
        picked: &Picked,
        piece: &Range<usize>,
        window: Option<WindowCall>,
    ) -> Result<Completed, ApiError> {
        let Place {
            stream,
            shard,
            shard_created_at,
        } = picked.place;
        let runs = Run::cut(&picked.runs, piece);
        let records = match runs.is_empty() {
            true => Records::default(),
            false => Run::gather(&runs),
        };
        let call = Call {
            context: Arc::new(CallContext {
                shard,
                ..self.context.clone()
            }),
            records,
            facts: Arc::new(Facts::uncharged(runs, stream, shard_created_at)),
            is_fresh: piece.len() < picked.len(),
            window,
        };
        let completed = self.callable.invoke(call).await;
        let completed = completed.map_err(ApiError::internal)?;
        if completed.outcome == Outcome::Interrupted {
            return Err(ApiError::stopping("the call was taken back"));
        }
        tokio::time::sleep(Duration::from_nanos(completed.stats.duration_ns)).await;
        Ok(completed)
    }
}

/// Both halves, the first one first.
fn halve(piece: &Range<usize>, pieces: &mut Vec<Range<usize>>) {
    let middle = piece.start + piece.len() / 2;
    pieces.push(middle..piece.end);
    pieces.push(piece.start..middle);
}

fn failure(outcome: &Outcome, index: u32) -> Option<ShadowFailure> {
    outcome.cause_of(index).map(|cause| ShadowFailure {
        error_kind: cause.kind.as_str().to_owned(),
        code: cause.code.to_string(),
        error: cause.error.to_string(),
    })
}

/// What an outcome says of each of its records. A row of the whole call counts for the last one, as in the
/// output stream.
fn note(outcome: &Outcome, context: &CallContext, ends: &mut [ShadowEnd]) {
    for (index, end) in ends.iter_mut().enumerate() {
        let index = u32::try_from(index).expect("a batch is far below 2^32 records");
        end.failure = failure(outcome, index);
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
