//! Loaded into an unmodified program by `LD_PRELOAD`: its wall clock is off by as many milliseconds as the
//! file says that `FNCTL_SKEW` names: eight bytes, signed, as this machine has them. Whoever writes there moves
//! the clock of the running program at once.
//!
//! No other clock is touched: what the program measures (monotonic) and what it is told of the time since boot
//! go on, as they do when somebody sets the time of a machine. Without the variable nothing is off.

#[cfg(target_os = "linux")]
mod wall {
    use std::{
        ptr,
        sync::atomic::{AtomicI64, AtomicPtr, Ordering},
    };

    use libc::{c_int, clockid_t, timespec};

    /// The file's eight bytes; null: the clock is right.
    static SKEW_MS: AtomicPtr<AtomicI64> = AtomicPtr::new(ptr::null_mut());

    #[used]
    #[unsafe(link_section = ".init_array")]
    static AT_LOAD: extern "C" fn() = at_load;

    extern "C" fn at_load() {
        // SAFETY: both names end with a zero, the environment is not changed before the program runs, and the
        // mapping is a new one of a whole page that is never unmapped. A file shorter than eight bytes is a
        // mistake of the test that ends the program when it is looked at.
        unsafe {
            let path = libc::getenv(c"FNCTL_SKEW".as_ptr());
            if path.is_null() {
                return;
            }
            let file = libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC);
            let shared = libc::MAP_SHARED;
            let at = libc::mmap(ptr::null_mut(), 8, libc::PROT_READ, shared, file, 0);
            libc::close(file);
            // A test whose clock does not move must not pass.
            if at == libc::MAP_FAILED {
                libc::abort();
            }
            SKEW_MS.store(at.cast(), Ordering::Release);
        }
    }

    /// In the place of the C library's.
    ///
    /// # Safety
    /// As that one: `time` is where a time can be written, or null.
    #[unsafe(no_mangle)]
    pub(super) unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
        // SAFETY: the caller's own arguments.
        let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        // SAFETY: null, or mapped for as long as the program runs.
        let skew = unsafe { SKEW_MS.load(Ordering::Acquire).as_ref() };
        let is_wall = clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE;
        if let Some(skew) = skew.filter(|_| answer == 0 && is_wall) {
            // SAFETY: the kernel has just written there.
            let time = unsafe { &mut *time };
            let skew_ms = skew.load(Ordering::Relaxed);
            let nanoseconds = time.tv_nsec + skew_ms % 1_000 * 1_000_000;
            time.tv_sec += skew_ms / 1_000 + nanoseconds.div_euclid(1_000_000_000);
            time.tv_nsec = nanoseconds.rem_euclid(1_000_000_000);
        }
        c_int::try_from(answer).unwrap_or(-1)
    }
}
