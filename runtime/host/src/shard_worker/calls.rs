//! Calls under way, which the worker drives itself: guests compute on threads of their own, and a task a call would
//! wake one thread more for each. One that panics takes nothing with it.

use std::{any::Any, collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use fnctl_core::{
    id::{AttemptId, FunctionVersion, SlotId},
    invoker::{Completed, Invoker},
    mapping::MappingSettings,
    pipeline::Invocation,
    recent::Cutting,
};
use futures_util::{
    FutureExt, StreamExt,
    future::{AbortHandle, BoxFuture, abortable},
    stream::FuturesUnordered,
};
use prometheus::IntGauge;
use tokio::time::Instant;

use crate::{
    backoff,
    recent::{MappingRecent, Wanted},
    shard_worker::{
        blocks::Run,
        call::{self, Prepared},
    },
};

/// A call under way.
struct Running {
    handle: AbortHandle,
    slot: SlotId,
    wanted: Wanted,
}

/// Which call ended, and how, with a fault of ours as words.
pub(super) type Ended = (AttemptId, Result<Completed, String>);

/// How a call ended.
pub(super) struct OfCall {
    /// Which it was.
    pub(super) attempt: AttemptId,
    /// Of which version.
    pub(super) version: FunctionVersion,
    /// How long it took, from when it was asked for.
    pub(super) took: Duration,
    /// What it came to; a fault of ours as words.
    pub(super) result: Result<Completed, String>,
}

/// The calls of one worker. Dropped, it takes them all back.
pub(super) struct Calls {
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    handles: HashMap<AttemptId, Running>,
    /// The records of each slot's last call: its commit's rows inherit their hash keys.
    runs: HashMap<SlotId, Vec<Run>>,
    /// When each slot's last call ended.
    ended: HashMap<SlotId, Instant>,
    /// Pause in front of the next call, while the host is at fault.
    pause: Option<Duration>,
    in_flight: IntGauge,
    cutting: Cutting,
    recent: Arc<MappingRecent>,
}

impl Calls {
    /// No call yet; those under way are counted in `in_flight`, all of them in `recent`. What becomes of those that
    /// fail is as the mapping has it set.
    pub(super) fn new(
        in_flight: IntGauge,
        recent: Arc<MappingRecent>,
        settings: &MappingSettings,
    ) -> Self {
        Self {
            running: FuturesUnordered::new(),
            handles: HashMap::new(),
            runs: HashMap::new(),
            ended: HashMap::new(),
            pause: None,
            in_flight,
            cutting: Cutting {
                bisects: settings.bisect_on_error,
                by_name: settings.partial_failures,
            },
            recent,
        }
    }

    /// Makes a call.
    pub(super) fn start<I: Invoker>(
        &mut self,
        invoker: &Arc<I>,
        invocation: &Invocation,
        prepared: Prepared,
    ) {
        let attempt = invocation.attempt;
        let call = call::make(Arc::clone(invoker), prepared.call, self.pause);
        // What panics is a fault of the host, as any other: the call is made again.
        let call = AssertUnwindSafe(call).catch_unwind();
        let (call, handle) = abortable(call);
        self.running.push(Box::pin(async move {
            let result = match call.await {
                Ok(Ok(result)) => result.map_err(|fault| fault.to_string()),
                Ok(Err(panic)) => Err(format!("the host panicked: {}", words_of(&*panic))),
                Err(aborted) => Err(aborted.to_string()),
            };
            (attempt, result)
        }));
        let mut records = invocation.records.iter();
        // The last call of a window has none, and is made again until it is well.
        let is_untried = !invocation.records.is_empty() && records.all(|of| of.attempts == 0);
        let wanted = Wanted {
            version: invocation.version,
            records: u32::try_from(invocation.records.len()).unwrap_or(u32::MAX),
            // A part of a batch that failed as a whole goes to the retry slot, and none of it was charged: it is by
            // the parts that records of that batch end. What is redriven was given up once.
            is_first: invocation.redrive.is_none() && is_untried,
            cutting: self.cutting,
            at: Instant::now(),
        };
        let running = Running {
            handle,
            slot: invocation.slot,
            wanted,
        };
        self.handles.insert(attempt, running);
        self.recent.began(&wanted);
        self.runs.insert(invocation.slot, prepared.runs);
        self.in_flight.inc();
    }

    /// Takes a call back; nobody waits for it any more.
    pub(super) fn interrupt(&mut self, attempt: AttemptId) {
        if let Some(running) = self.handles.remove(&attempt) {
            self.in_flight.dec();
            self.recent.left(&running.wanted);
            running.handle.abort();
        }
    }

    /// The records of a slot's last call.
    pub(super) fn runs_of(&self, slot: SlotId) -> &[Run] {
        self.runs.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// When a slot's last call ended.
    pub(super) fn ended_at(&self, slot: SlotId) -> Option<Instant> {
        self.ended.get(&slot).copied()
    }

    /// The next call that ends; `None`: none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        self.running.next().await
    }

    /// Which call that was, and how it ended; `None`: it was taken back.
    pub(super) fn ended(&mut self, (attempt, result): Ended) -> Option<OfCall> {
        let Running { slot, wanted, .. } = self.handles.remove(&attempt)?;
        let now = Instant::now();
        self.ended.insert(slot, now);
        self.in_flight.dec();
        let told = result.as_ref();
        let told = told.map(|completed| (&completed.outcome, completed.stats));
        self.recent.ended(&wanted, told.map_err(String::as_str));
        self.pause = match &result {
            Ok(_) => None,
            Err(_) => Some(backoff::next(self.pause)),
        };
        Some(OfCall {
            attempt,
            version: wanted.version,
            took: now.saturating_duration_since(wanted.at),
            result,
        })
    }
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no words")
}

impl Drop for Calls {
    fn drop(&mut self) {
        for (_, running) in self.handles.drain() {
            self.in_flight.dec();
            self.recent.left(&running.wanted);
        }
    }
}
