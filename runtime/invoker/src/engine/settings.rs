//! How Wasmtime is set up: what is off, how much is pooled, how a guest is stopped.

use std::num::NonZeroUsize;

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, ModuleVersionStrategy, OptLevel,
    PoolingAllocationConfig, Result, WasmBacktraceDetails,
};

use super::EngineOptions;
use crate::limits::{
    CORE_INSTANCES_MAX, FIBER_STACK_BYTES, GUEST_STACK_BYTES, MEMORIES_MAX, TABLE_ELEMENTS_MAX,
    TABLES_MAX,
};

/// The Wasmtime inside, as the workspace pins it.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// Goes into every artefact, and one with another is refused: Wasmtime itself compares major versions
/// only, and a Cranelift fix must reach every cached artefact. The exact version that the workspace
/// pins (a test compares), and a count of incompatible changes of ours.
pub(crate) const MODULE_VERSION: &str = "48.0.8+fnctl.1";

/// Core instances, tables and memories that the pool holds for each slot.
const CORE_INSTANCES_PER_SLOT: u32 = 8;
const TABLES_PER_SLOT: u32 = 4;
/// Metadata of one component or core instance, bytes.
const INSTANCE_METADATA_BYTES: usize = 4 << 20;
/// Linear memory kept resident in a free slot. Only worth it where the kernel says which pages are
/// dirty: without, all of it is cleared at each drop, dirty or not (72 µs against 12 µs measured).
const KEEP_RESIDENT_BYTES: usize = 4 << 20;
const KEEP_RESIDENT_BYTES_WITHOUT_SCAN: usize = 64 << 10;
/// Slots that stay warm for their component: with `KEEP_RESIDENT_BYTES`, the ceiling of what free slots
/// may hold of the node's memory.
const WARM_SLOTS_MAX: u32 = 64;
/// Largest heap image mapped copy-on-write: snapshots of JavaScript and Python are 9 to 13 MiB.
const IMAGE_BYTES_MAX: u64 = 64 << 20;

/// Where instances live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// In a pool reserved at the start.
    Pool {
        /// Stores at once.
        slots: u32,
        /// Whether the kernel tells which pages are dirty (`PAGEMAP_SCAN`, Linux 6.7).
        has_pagemap_scan: bool,
    },
    /// Mapped as needed: there was not enough address space for any pool. Slower, and as safe.
    OnDemand {
        /// Stores at once.
        slots: u32,
    },
}

impl Allocation {
    /// Stores at once.
    #[must_use]
    pub fn slots(self) -> u32 {
        match self {
            Self::Pool { slots, .. } | Self::OnDemand { slots } => slots,
        }
    }
}

/// The largest pool that this machine's address space holds, or none.
pub(super) fn engine(options: &EngineOptions) -> Result<(wasmtime::Engine, Allocation)> {
    let has_pagemap_scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let wanted = options.slots.max(1);
    for slots in [wanted, wanted / 4, wanted / 16]
        .into_iter()
        .filter(|&slots| slots > 0)
    {
        let mut config = config(options.epoch_interruption)?;
        let pool = pool(slots, options.memory_bytes_max, has_pagemap_scan);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        if let Ok(engine) = wasmtime::Engine::new(&config) {
            return Ok((
                engine,
                Allocation::Pool {
                    slots,
                    has_pagemap_scan,
                },
            ));
        }
    }
    let engine = wasmtime::Engine::new(&config(options.epoch_interruption)?)?;
    Ok((engine, Allocation::OnDemand { slots: wanted }))
}

/// An engine that only compiles: what it makes runs in every engine of the same settings, because a pool
/// is no part of the code.
pub(crate) fn compiling(epoch_interruption: bool) -> Result<wasmtime::Engine> {
    wasmtime::Engine::new(&config(epoch_interruption)?)
}

/// Everything that machine code depends on.
fn config(epoch_interruption: bool) -> Result<Config> {
    let mut config = Config::new();
    config
        .module_version(ModuleVersionStrategy::Custom(MODULE_VERSION.to_owned()))?
        .epoch_interruption(epoch_interruption)
        .concurrency_support(false)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .async_stack_zeroing(true)
        .memory_guaranteed_dense_image_size(IMAGE_BYTES_MAX)
        .cranelift_opt_level(OptLevel::Speed)
        // One component is compiled at a time and on one core, so that serving keeps the others.
        .parallel_compilation(false)
        // Names come from the name section: reading DWARF costs 27 ms a trap, on a guest's thread, and
        // functions that trap often would starve their neighbours.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(32))
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false);
    Ok(config)
}

fn pool(slots: u32, memory_bytes_max: u64, has_pagemap_scan: bool) -> PoolingAllocationConfig {
    let keep = if has_pagemap_scan {
        KEEP_RESIDENT_BYTES
    } else {
        KEEP_RESIDENT_BYTES_WITHOUT_SCAN
    };
    let count = |count: usize| u32::try_from(count).expect("limits of one store are small");
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_stacks(slots)
        .total_memories(slots)
        .total_tables(slots * TABLES_PER_SLOT)
        .total_core_instances(slots * CORE_INSTANCES_PER_SLOT)
        .max_memories_per_component(count(MEMORIES_MAX))
        .max_tables_per_component(count(TABLES_MAX))
        .max_core_instances_per_component(count(CORE_INSTANCES_MAX))
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES_PER_SLOT)
        .max_component_instance_size(INSTANCE_METADATA_BYTES)
        .max_core_instance_size(INSTANCE_METADATA_BYTES)
        .max_memory_size(usize::try_from(memory_bytes_max).unwrap_or(usize::MAX))
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(keep)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .max_unused_warm_slots(WARM_SLOTS_MAX.min(slots))
        .decommit_batch_size(if has_pagemap_scan { 1 } else { 16 })
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artefacts_carry_the_exact_version_that_the_workspace_pins() {
        let manifest = include_str!("../../../../Cargo.toml");
        let (version, _) = MODULE_VERSION
            .split_once('+')
            .expect("a version and a count");
        assert_eq!(version, WASMTIME_VERSION);
        assert!(manifest.contains(&format!("wasmtime = {{ version = \"={version}\"")));
    }
}
