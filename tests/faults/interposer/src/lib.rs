//! Loaded into an unmodified program by `LD_PRELOAD`: every system call of it that can change a file
//! below one directory is recorded, can be made to fail, and can be the last one.
//!
//! System calls are caught, not functions of the C library: a seccomp filter turns each into a signal,
//! so that a call made past the library (as rustix does) is seen as well, and a way to write that is
//! not understood here ends the program with a reason instead of passing unseen. The handler makes its
//! own calls at one address that the filter lets through.
//!
//! Nothing is synced: a sync is recorded, and whoever reads the records ([`record`]) works out what a
//! disk would have kept (the package `fnctl-faults`). What to do is told by the variable [`PLAN`].

#[cfg(target_os = "linux")]
pub mod proof;
pub mod record;

/// The environment variable that says what to do, `key=value` joined by `;`. Without it nothing is done.
///
/// | Key | Value |
/// |---|---|
/// | `root` | absolute path of the directory that is watched |
/// | `log` | absolute path of the file that records are appended to |
/// | `seed` | of what is random here: how long a sync takes |
/// | `delay` | longest time a sync takes, µs |
/// | `kill` | number of the call at which the program dies, from 1; 0: never |
/// | `how` | `before` the call, `after` it, or in the middle of it (`half`) |
/// | `fault` | number of the call that fails, from 1; 0: none |
/// | `kind` | an error number, or `short` |
/// | `lasting` | `1`: every later one fails too |
/// | `release` | a path: once it exists, nothing fails any more |
/// | `hit` | a path: this file is made when the first call fails |
/// | `deaf` | syncs of what begins like this below the root are not recorded: a disk that lies |
/// | `of` | which calls are counted for `kill` and `fault`: `all`, `syncs` or `writes` |
/// | `under` | only those on paths below the root that begin like this |
/// | `not` | only those on paths that do not begin like this |
/// | `reads` | `1`: reads are counted too |
pub const PLAN: &str = "FNCTL_FAULTS";

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod calls;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod filter;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod handler;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod names;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod plan;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod raw;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod watch;
