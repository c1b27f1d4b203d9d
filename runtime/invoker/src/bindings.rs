//! The wire contract as Rust types.
//!
//! `context`, `config` and the types are generated. The hot functions are bound by hand, because
//! generated bindings copy: `handle` takes borrowed columns, `emit` and `log` see their arguments where
//! they lie in the guest's memory (`WasmList`, `WasmStr`: valid until the host function returns).
#![allow(
    unsafe_code,
    reason = "derived ABI implementations, and one that delegates to a derived one"
)]

use std::{
    mem::MaybeUninit,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use fnctl_core::{
    record::{ByteColumn, Records},
    series::SeriesKind,
};
use wasmtime::{
    Result,
    component::{
        __internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext},
        ComponentType, Lift, Lower, TypedFunc, WasmList, WasmStr,
    },
};

wasmtime::component::bindgen!({
    inline: "
        package fnctl:invoker;
        world host {
            import fnctl:function/context@0.1.0;
            import fnctl:function/config@0.1.0;
        }
    ",
    path: "../../wit",
    imports: { default: trappable },
});

/// The package and version served, as imports and exports spell it.
pub(crate) const PACKAGE: &str = "fnctl:function";
/// The world's version.
pub(crate) const VERSION: &str = "0.1.0";
/// The export called.
pub(crate) const HANDLER: &str = "fnctl:function/handler@0.1.0";
/// The import through which rows come.
pub(crate) const EMIT: &str = "fnctl:function/emit@0.1.0";
/// The import through which log entries come.
pub(crate) const LOG: &str = "fnctl:function/log@0.1.0";
/// The import through which a function counts.
pub(crate) const METRICS: &str = "fnctl:function/metrics@0.1.0";
/// The import through which a window's state is read and set.
pub(crate) const STATE: &str = "fnctl:function/state@0.1.0";
/// What each interface offered has: an import of anything else is refused at deploy.
pub(crate) const OFFERED: [(&str, &[&str]); 6] = [
    (
        "context",
        &[
            "mapping",
            "stream-name",
            "shard-id",
            "function-version",
            "remaining-ms",
            "attempt",
            "sequence-number",
            "record-id",
            "header",
        ],
    ),
    ("log", &["write", "max-level", "panicking"]),
    ("config", &["get", "secret"]),
    ("emit", &["find-output", "emit", "forward"]),
    ("state", &["window", "get", "set"]),
    ("metrics", &["series", "add", "set"]),
];

/// `handle`, typed.
pub(crate) type Handle =
    TypedFunc<(Lowered<'static>,), (Result<Vec<GuestItemFailure>, GuestFailure>,)>;

/// A column on its way in: copied once, into the guest.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct ColumnIn<'a> {
    bytes: &'a [u8],
    ends: &'a [u32],
    nulls: &'a [u32],
}

/// The records on their way in.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct RecordsIn<'a> {
    keys: ColumnIn<'a>,
    data: ColumnIn<'a>,
    #[component(name = "arrival-ms")]
    arrival_ms: &'a [u64],
}

impl<'a> ColumnIn<'a> {
    fn new(column: &'a ByteColumn) -> Self {
        Self {
            bytes: &column.bytes,
            ends: &column.ends,
            nulls: &column.nulls,
        }
    }
}

/// Records that note how long it took to copy them into the guest.
pub(crate) struct Lowered<'a> {
    records: RecordsIn<'a>,
    nanoseconds: &'a AtomicU64,
}

impl<'a> Lowered<'a> {
    pub(crate) fn new(records: &'a Records, nanoseconds: &'a AtomicU64) -> Self {
        let records = RecordsIn {
            keys: ColumnIn::new(&records.keys),
            data: ColumnIn::new(&records.data),
            arrival_ms: &records.arrival_ms,
        };
        Self {
            records,
            nanoseconds,
        }
    }

    fn timed<R>(&self, lower: impl FnOnce(&RecordsIn<'a>) -> R) -> R {
        let start = Instant::now();
        let lowered = lower(&self.records);
        let spent = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(spent, Ordering::Relaxed);
        lowered
    }
}

// SAFETY: every item is that of `RecordsIn`, whose implementation is derived; the wrapper changes
// neither layout nor type, it only reads the clock around the derived functions.
unsafe impl<'a> ComponentType for Lowered<'a> {
    type Lower = <RecordsIn<'a> as ComponentType>::Lower;

    const ABI: CanonicalAbiInfo = <RecordsIn<'a> as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        RecordsIn::typecheck(ty, types)
    }
}

// SAFETY: as above; `dst` and `offset` are handed on unchanged.
unsafe impl Lower for Lowered<'_> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        self.timed(|records| records.linear_lower_to_flat(cx, ty, dst))
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        self.timed(|records| records.linear_lower_to_memory(cx, ty, offset))
    }
}

/// `failure-kind`.
#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "made by lifting, from its discriminant")]
pub(crate) enum GuestFailureKind {
    #[component(name = "retry")]
    Retry,
    #[component(name = "skip")]
    Skip,
    #[component(name = "fatal")]
    Fatal,
}

/// `failure`. Owned: the guest frees its own before the host gets to look.
#[derive(ComponentType, Lift, Clone, Debug)]
#[component(record)]
pub(crate) struct GuestFailure {
    pub(crate) kind: GuestFailureKind,
    #[component(name = "retry-after-ms")]
    pub(crate) retry_after_ms: Option<u32>,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// `item-failure`.
#[derive(ComponentType, Lift, Clone, Debug)]
#[component(record)]
pub(crate) struct GuestItemFailure {
    pub(crate) index: u32,
    pub(crate) failure: GuestFailure,
}

/// A column where it lies in the guest.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ColumnOut {
    pub(crate) bytes: WasmList<u8>,
    pub(crate) ends: WasmList<u32>,
    pub(crate) nulls: WasmList<u32>,
}

/// `rows` where they lie in the guest.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct RowsOut {
    pub(crate) sources: WasmList<u32>,
    pub(crate) keys: Option<ColumnOut>,
    pub(crate) data: ColumnOut,
}

/// `level`.
#[derive(ComponentType, Lift, Lower, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum GuestLevel {
    #[component(name = "error")]
    Error,
    #[component(name = "warn")]
    Warn,
    #[component(name = "info")]
    Info,
    #[component(name = "debug")]
    Debug,
    #[component(name = "trace")]
    Trace,
}

/// `kind` of `metrics`.
#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "made by lifting, from its discriminant")]
pub(crate) enum GuestSeriesKind {
    #[component(name = "counter")]
    Counter,
    #[component(name = "gauge")]
    Gauge,
}

impl From<GuestSeriesKind> for SeriesKind {
    fn from(kind: GuestSeriesKind) -> Self {
        match kind {
            GuestSeriesKind::Counter => Self::Counter,
            GuestSeriesKind::Gauge => Self::Gauge,
        }
    }
}

/// `tumbling-window`.
#[derive(ComponentType, Lower, Clone, Copy, Debug, PartialEq, Eq)]
#[component(record)]
pub(crate) struct WindowIn {
    #[component(name = "start-ms")]
    pub(crate) start_ms: u64,
    #[component(name = "end-ms")]
    pub(crate) end_ms: u64,
    #[component(name = "is-final")]
    pub(crate) is_final: bool,
    #[component(name = "is-terminated-early")]
    pub(crate) is_terminated_early: bool,
}

/// The arguments of `log.write`.
pub(crate) type WriteArguments = (GuestLevel, u32, WasmStr);
