//! One store with one instance in it: made, called, and either kept warm or dropped whole.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, atomic::AtomicU64},
    task::Poll,
    time::Instant,
};

use tokio::time::{Sleep, sleep_until};
use wasmtime::{Result, Store, UpdateDeadline, component::Instance as ComponentInstance};

use crate::{
    bindings::{GuestFailure, GuestItemFailure, Handle, Lowered},
    function::Version,
    host::{CallState, HostState, log::LogSink},
    limits::{HANDLES_MAX, HOSTCALL_BYTES_MAX, STOP_GRACE},
    stop::{MemoryRefused, StopSignal, Stopped},
};

/// A store, its instance and the function to call.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    handle: Handle,
    /// Calls served.
    pub(crate) calls: u64,
}

impl Instance {
    /// Makes a store and an instance of `version` in it. Start-up code of the guest runs here, under the
    /// same deadline and stop as the call that needs the instance.
    pub(crate) async fn create(
        engine: &wasmtime::Engine,
        version: &Arc<Version>,
        sink: &Arc<dyn LogSink>,
        deadline: Instant,
        stop: &Arc<StopSignal>,
    ) -> Result<Self> {
        let state = HostState::new(
            Arc::clone(version),
            Arc::clone(sink),
            deadline,
            Arc::clone(stop),
        );
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        store.set_max_component_handles(HANDLES_MAX);
        // Before the instance is made: the first instruction already looks at it.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            let state = store.data();
            if state.stop.is_raised() {
                Err(Stopped::TakenBack.into())
            } else if Instant::now() >= state.deadline {
                Err(Stopped::Deadline.into())
            } else {
                // One busy guest does not hold a thread against the others.
                Ok(UpdateDeadline::YieldCustom(
                    1,
                    Box::pin(tokio::task::yield_now()),
                ))
            }
        });
        let made = drive(
            version.compiled.pre.instantiate_async(&mut store),
            deadline,
            stop,
        )
        .await?;
        let instance = made.map_err(|error| {
            let limiter = &store.data().limiter;
            let limit_bytes = limiter.memory_bytes_max;
            // A deadline that passed is the reason, whatever was refused before.
            if limiter.is_memory_refused && !error.is::<Stopped>() {
                error.context(MemoryRefused { limit_bytes })
            } else {
                error
            }
        })?;
        let handle = typed_handle(&mut store, instance, version)?;
        Ok(Self {
            store,
            handle,
            calls: 0,
        })
    }

    /// Calls `handle` with the records of `call`. The call's state stays in the store for
    /// [`Self::end`]; after an error the store is good for nothing but that.
    pub(crate) async fn call(
        &mut self,
        call: CallState,
        deadline: Instant,
        stop: &Arc<StopSignal>,
        lower_ns: &AtomicU64,
    ) -> Result<Result<Vec<GuestItemFailure>, GuestFailure>> {
        self.calls += 1;
        let records = Arc::clone(&call.records);
        let state = self.store.data_mut();
        state.log().begin(&call.context, &call.facts, records.len());
        state.limiter.is_memory_refused = false;
        state.deadline = deadline;
        state.stop = Arc::clone(stop);
        state.call = Some(call);
        self.store.set_epoch_deadline(1);
        let lowered = Lowered::new(&records, lower_ns);
        let (answer,) = drive(
            self.handle.call_async(&mut self.store, (lowered,)),
            deadline,
            stop,
        )
        .await??;
        Ok(answer)
    }

    /// Takes the state of the call that ended.
    pub(crate) fn end(&mut self) -> Option<CallState> {
        let state = self.store.data_mut();
        state.log().end();
        state.call.take()
    }
}

fn typed_handle(
    store: &mut Store<HostState>,
    instance: ComponentInstance,
    version: &Version,
) -> Result<Handle> {
    instance.get_typed_func(store, version.compiled.handle)
}

/// Runs a guest to its end. The epoch callback ends one that computes; one that sits in a host call is
/// left behind a moment after its deadline, and its store is dropped with it.
async fn drive<F: Future>(
    guest: F,
    deadline: Instant,
    stop: &StopSignal,
) -> Result<F::Output, Stopped> {
    let mut guest = pin!(guest);
    // Most calls end in one poll: timers are set only for one that waits or was interrupted.
    let first = poll_fn(|cx| Poll::Ready(guest.as_mut().poll(cx))).await;
    if let Poll::Ready(output) = first {
        return Ok(output);
    }
    let mut late = pin!(sleep_until((deadline + STOP_GRACE).into()));
    let mut taken_back = pin!(taken_back(stop));
    poll_fn(|cx| {
        if let Poll::Ready(output) = guest.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if Sleep::poll(late.as_mut(), cx).is_ready() {
            return Poll::Ready(Err(Stopped::Deadline));
        }
        taken_back
            .as_mut()
            .poll(cx)
            .map(|()| Err(Stopped::TakenBack))
    })
    .await
}

async fn taken_back(stop: &StopSignal) {
    stop.raised().await;
    tokio::time::sleep(STOP_GRACE).await;
}
