//! One version as a shadow calls it: records in, how each of them ended out.

use std::{ops::Range, sync::Arc, time::Duration};

use fnctl_core::{
    error_code::ErrorCode,
    function::{Function, Version},
    id::{Ordinal, ShardNumber, UnitId},
    invoker::{Call, CallContext, CallFacts, Invoker},
    mapping::Mapping,
    outcome::{Outcome, WHOLE_CALL},
    record::Records,
    status::{DataText, ShadowEnd, ShadowFailure, ShadowRow},
};

use super::{Fact, Picked};
use crate::{api::error::ApiError, node::HostNode, supervisor::Work, text};

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
        let context = context.ok_or_else(|| {
            let words = format!("stream `{}` is gone", mapping.stream_name);
            ApiError::new(ErrorCode::NoSuchStream, words).fix("fnctl streams list")
        })?;
        Ok(Self {
            callable: node.functions().beside(function, version).await?,
            context: CallContext::clone(&context),
        })
    }

    /// How each record ends. A call that fails as a whole is cut in two until one record is left.
    ///
    /// # Errors
    /// The host is at fault, or stops.
    pub(super) async fn ends(
        &self,
        shard: ShardNumber,
        picked: &Picked,
    ) -> Result<Vec<ShadowEnd>, ApiError> {
        let context = Arc::new(CallContext {
            shard,
            ..self.context.clone()
        });
        let count = picked.facts.len();
        let mut ends = vec![ShadowEnd::default(); count];
        let mut pieces: Vec<Range<usize>> = std::iter::once(0..count).collect();
        while let Some(piece) = pieces.pop() {
            let call = Call {
                context: Arc::clone(&context),
                records: slice(&picked.records, piece.clone()),
                facts: Arc::new(Facts {
                    all: Arc::clone(&picked.facts),
                    first: piece.start,
                }),
                is_fresh: piece.len() < count,
                window: None,
            };
            let completed = self.callable.invoke(call).await;
            let completed = completed.map_err(ApiError::internal)?;
            match completed.outcome {
                Outcome::Interrupted => return Err(ApiError::stopping("the call was taken back")),
                Outcome::Returned { .. } => {}
                _ if piece.len() > 1 => {
                    let middle = piece.start + piece.len() / 2;
                    pieces.push(middle..piece.end);
                    pieces.push(piece.start..middle);
                    self.rest(completed.stats.duration_ns).await;
                    continue;
                }
                _ => {}
            }
            note(&completed.outcome, &context, &mut ends[piece]);
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

fn slice(records: &Records, range: Range<usize>) -> Records {
    Records {
        keys: records.keys.slice(range.clone()),
        data: records.data.slice(range.clone()),
        arrival_ms: records.arrival_ms[range].to_vec(),
    }
}

/// Facts of records behind the `first` of them: each is tried for the first time.
struct Facts {
    all: Arc<Vec<Fact>>,
    first: usize,
}

impl Facts {
    fn of(&self, index: u32) -> Option<&Fact> {
        self.all.get(self.first + index as usize)
    }
}

impl CallFacts for Facts {
    fn attempt(&self, _: u32) -> u32 {
        1
    }

    fn ordinal(&self, index: u32) -> Ordinal {
        self.of(index).map_or(Ordinal(0), |fact| fact.ordinal)
    }

    fn sequence_number(&self, index: u32) -> String {
        self.of(index)
            .map_or_else(String::new, |fact| fact.sequence_number.clone())
    }

    fn record_id(&self, index: u32) -> String {
        self.of(index)
            .map_or_else(String::new, |fact| fact.record_id.clone())
    }

    fn header(&self, _: u32, _: &str) -> Option<Vec<u8>> {
        // Embedded streams have no headers.
        None
    }
}
