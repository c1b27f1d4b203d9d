//! Every bound on a guest, in one place (hostile-guest limits; commit and storage rules §4).

use std::time::Duration;

use fnctl_core::limits::OUTPUT_BYTES_MAX;

/// Largest component accepted.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// Most core functions of one component: a bound on compile time and memory.
pub const COMPONENT_FUNCTIONS_MAX: u64 = 200_000;
/// Largest body of one core function, bytes: Cranelift's time grows faster than a body.
pub const FUNCTION_BODY_BYTES_MAX: usize = 2 << 20;
/// Longest compilation of one component, and longest wait of an upload for its turn.
pub const COMPILE_TIME_MAX: Duration = Duration::from_secs(60);
/// Address space of a compiling process: a 12 MiB component takes 365 MiB.
pub const COMPILE_MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Largest machine code of one component: it is about three times the component's size.
pub const ARTEFACT_BYTES_MAX: u64 = 512 << 20;
/// Cores a compilation needs to itself; a node compiles one component at a time for each so many.
pub const COMPILE_CORES: usize = 2;
/// Compilations at once, however many cores there are: each may take `COMPILE_MEMORY_BYTES_MAX`.
pub const COMPILATIONS_MAX: usize = 4;
/// KiB of uploads that wait for their turn to be compiled, all together.
pub const COMPILE_WAITING_KIB_MAX: usize = 256 << 10;
/// Outputs a component may declare besides `default`.
pub const DECLARED_OUTPUTS_MAX: usize = 64;
/// Longest trial instantiation at deploy.
pub const TRIAL_TIME_MAX: Duration = Duration::from_secs(1);

/// Stores that may live at once on a node, running and warm ones together.
pub const SLOTS_DEFAULT: u32 = 256;
/// Warm instances are dropped after this long without a call.
pub const WARM_IDLE: Duration = Duration::from_secs(10);
/// Calls an instance serves before a new one takes its place.
pub const WARM_CALLS_MAX: u64 = 100_000;
/// An instance whose memory grew above this is not kept warm.
pub const WARM_MEMORY_BYTES_MAX: u64 = 64 << 20;

/// Ceiling of any version's `memory`.
pub const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Memory of the trial instantiation at deploy; a version's own limit is applied at load.
pub const TRIAL_MEMORY_BYTES: u64 = 256 << 20;
/// Elements of one table.
pub const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Core instances of one store.
pub const CORE_INSTANCES_MAX: usize = 16;
/// Memories of one store.
pub const MEMORIES_MAX: usize = 2;
/// Tables of one store.
pub const TABLES_MAX: usize = 8;
/// Component-model handles, and host resources, of one store.
pub const HANDLES_MAX: usize = 1_024;
/// Steps of the clocks that a guest sees.
pub const CLOCK_RESOLUTION: Duration = Duration::from_millis(1);
/// Largest answer of `wasi:random`.
pub const RANDOM_BYTES_MAX: u64 = 1 << 20;
/// Bytes one host call may copy from a guest: the largest output and its columns.
pub const HOSTCALL_BYTES_MAX: usize = OUTPUT_BYTES_MAX as usize + (8 << 20);
/// Guest stack. A host function runs on the same fiber, hence the difference to [`FIBER_STACK_BYTES`].
pub const GUEST_STACK_BYTES: usize = 512 << 10;
/// Stack of the fiber a call runs on.
pub const FIBER_STACK_BYTES: usize = 1 << 20;

/// How often the epoch advances while a guest runs: the resolution of a deadline.
pub const EPOCH_TICK: Duration = Duration::from_millis(5);
/// How long after its deadline a guest may sit in a host call before its store is dropped under it.
pub const STOP_GRACE: Duration = Duration::from_millis(50);
/// `context.remaining-ms` keeps back a tenth of the timeout, at most this, to return in.
pub const RETURN_MARGIN: Duration = Duration::from_millis(500);

/// Rows of one call: a commit carries about 64 bytes for each besides its payload.
pub const OUTPUT_ROWS_MAX: usize = 131_072;
/// Log lines of one call.
pub const LOG_LINES_MAX: u32 = 1_000;
/// Bytes of log lines of one call.
pub const LOG_BYTES_MAX: usize = 256 << 10;
/// Bytes of one log line; the rest is cut.
pub const LOG_LINE_BYTES_MAX: usize = 8 << 10;
/// Last bytes of stderr that go with a trap that has no message of its own.
pub const STDERR_TAIL_BYTES_MAX: usize = 4 << 10;
/// A failure's code, in characters.
pub const CODE_CHARS_MAX: usize = 64;
/// Random bytes of a world that is the same each time; whoever needs more is given them again.
pub(crate) const FIXED_RANDOM_BYTES: usize = 4 << 10;
