//! What a store holds: the guest's view of its host, and the bounds on it.

mod clocks;
mod config;
mod context;
pub(crate) mod emit;
pub(crate) mod log;
mod metrics;
mod state;
mod stdio;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use fnctl_core::{
    invoker::{CallContext, CallFacts},
    record::Records,
    window::WindowCall,
};
use wasmtime::{
    ResourceLimiter, Result,
    component::{HasSelf, Linker},
};
use wasmtime_wasi::{Deterministic, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::{
    bindings,
    fixed::FixedWorld,
    function::Version,
    limits::{
        CORE_INSTANCES_MAX, HANDLES_MAX, MEMORIES_MAX, RANDOM_BYTES_MAX, TABLE_ELEMENTS_MAX,
        TABLES_MAX,
    },
    rows::Emitted,
    series::SeriesCell,
    stop::StopSignal,
};
use clocks::{CoarseMonotonicClock, CoarseWallClock, FixedClock};
use log::{CallLog, LogSink};
use stdio::{GuestStream, Which};

/// The data of a store.
pub(crate) struct HostState {
    wasi: WasiCtx,
    table: ResourceTable,
    /// Memory, tables, instances.
    pub(crate) limiter: Limiter,
    /// The version that runs.
    pub(crate) version: Arc<Version>,
    /// When the guest must be done, read by the epoch callback.
    pub(crate) deadline: Instant,
    /// Raised when nobody waits any more, read by the epoch callback.
    pub(crate) stop: Arc<StopSignal>,
    /// Lines on their way to the sink; shared with the guest's stdout and stderr.
    pub(crate) log: Arc<Mutex<CallLog>>,
    /// What the instance counts in, by number.
    series: Vec<Arc<SeriesCell>>,
    /// The call under way; none while an instance is made.
    pub(crate) call: Option<CallState>,
}

/// What the host keeps about the call under way.
pub(crate) struct CallState {
    pub(crate) context: Arc<CallContext>,
    pub(crate) facts: Arc<dyn CallFacts>,
    pub(crate) records: Arc<Records>,
    /// Rows so far.
    pub(crate) emitted: Emitted,
    /// The window of the records.
    pub(crate) window: Option<WindowCall>,
    /// Its state as the function set it; `None`: it did not.
    pub(crate) state: Option<Bytes>,
    /// Why a state that it set was refused.
    pub(crate) state_refusal: Option<String>,
    /// Time spent in taking rows over, ns.
    pub(crate) lift_ns: u64,
}

/// Asked for outside of `handle`, where there is no call.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` can only be called while `handle` runs")]
struct NoCall(&'static str);

/// A guest named a record that the call does not have.
#[derive(Debug, thiserror::Error)]
#[error("`{function}` was asked about record {index}, and the call has {count}")]
struct NoSuchRecord {
    function: &'static str,
    index: u32,
    count: usize,
}

impl HostState {
    pub(crate) fn new(
        version: Arc<Version>,
        sink: Arc<dyn LogSink>,
        deadline: Instant,
        stop: Arc<StopSignal>,
    ) -> Self {
        let log = Arc::new(Mutex::new(CallLog::new(
            sink,
            Arc::clone(&version.function),
        )));
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(GuestStream::new(Which::Stdout, &log))
            .stderr(GuestStream::new(Which::Stderr, &log))
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM_BYTES_MAX);
        match &version.fixed {
            None => wasi
                .wall_clock(CoarseWallClock)
                .monotonic_clock(CoarseMonotonicClock(Instant::now())),
            Some(fixed) => fix(&mut wasi, fixed),
        };
        let wasi = wasi.build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let limiter = Limiter {
            memory_bytes_max: version.memory_bytes,
            ..Limiter::default()
        };
        Self {
            wasi,
            table,
            limiter,
            version,
            deadline,
            stop,
            log,
            series: Vec::new(),
            call: None,
        }
    }

    /// The log of the call.
    pub(crate) fn log(&self) -> MutexGuard<'_, CallLog> {
        // A sink that panicked ended its own call; the lines of others are unharmed.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, function: &'static str) -> Result<&CallState> {
        Ok(self.call.as_ref().ok_or(NoCall(function))?)
    }

    fn call_with(&self, function: &'static str, index: u32) -> Result<&CallState> {
        let call = self.call(function)?;
        let count = call.records.len();
        if (index as usize) < count {
            Ok(call)
        } else {
            Err(NoSuchRecord {
                function,
                index,
                count,
            }
            .into())
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Shows a guest the same clocks and random numbers each time.
fn fix<'a>(wasi: &'a mut WasiCtxBuilder, fixed: &FixedWorld) -> &'a mut WasiCtxBuilder {
    let clock = FixedClock::at(fixed.now_ms());
    let seed = fixed.random(2);
    let seed = seed.first_chunk().copied().unwrap_or_default();
    wasi.wall_clock(clock.clone())
        .monotonic_clock(clock)
        .secure_random(Deterministic::new(fixed.random(0)))
        .insecure_random(Deterministic::new(fixed.random(1)))
        .insecure_random_seed(u128::from_le_bytes(seed))
}

/// Offers everything there is: WASI's baseline, with nothing behind it, and our interfaces.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    bindings::fnctl::function::context::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::fnctl::function::config::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    log::add_to_linker(linker)?;
    state::add_to_linker(linker)?;
    metrics::add_to_linker(linker)?;
    emit::add_to_linker(linker)
}

/// Bounds a store, and remembers what it refused.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// Bytes of all linear memories together.
    pub(crate) memory_bytes_max: u64,
    /// Bytes at most so far.
    pub(crate) memory_bytes_peak: u64,
    /// Whether the guest asked for more memory than it may have.
    pub(crate) is_memory_refused: bool,
    memory_bytes: u64,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        let growth = (desired - current) as u64;
        let bytes = self.memory_bytes.saturating_add(growth);
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if bytes > self.memory_bytes_max {
            self.is_memory_refused = true;
            return Ok(false);
        }
        self.memory_bytes = bytes;
        self.memory_bytes_peak = self.memory_bytes_peak.max(bytes);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
