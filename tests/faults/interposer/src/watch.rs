//! What is known of the program: its open files, how many calls it has made, and where records go.

use std::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use crate::{
    names::Name,
    plan::{How, Kind, Of, Plan},
    raw,
    record::{self, Op},
};

/// Open files that can be told apart.
const FILES_MAX: usize = 4096;
/// Where the log is opened, above what a program's own files reach.
pub(crate) const LOG_FILE: i32 = 4090;

/// What a call does, for those that count only some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Open,
    Read,
    Write,
    Sync,
    Other,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Runs,
    /// It answers this error and does nothing.
    Fails(i32),
    /// It writes half.
    Short,
    /// It runs to this point, then the program is killed.
    Dies(How),
}

/// What only one thread looks at at a time.
struct Counted {
    calls: u64,
    meant: u64,
    syncs: u64,
    random: u64,
    has_failed: bool,
}

/// Everything there is to know; made once, before the program runs.
pub(crate) struct Watch {
    pub(crate) plan: Plan,
    files: [AtomicU32; FILES_MAX],
    handles: AtomicU32,
    is_locked: AtomicBool,
    counted: UnsafeCell<Counted>,
}

// SAFETY: `counted` is touched through `Turn` alone, which holds the lock.
unsafe impl Sync for Watch {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Watch {}

/// A turn at the log: records are in the order of the calls because both happen in one turn.
pub(crate) struct Turn<'a> {
    watch: &'a Watch,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.watch.is_locked.store(false, Ordering::Release);
    }
}

impl Watch {
    pub(crate) fn new(plan: Plan) -> Self {
        let counted = Counted {
            calls: 0,
            meant: 0,
            syncs: 0,
            random: plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            has_failed: false,
        };
        Self {
            plan,
            files: [const { AtomicU32::new(0) }; FILES_MAX],
            handles: AtomicU32::new(0),
            is_locked: AtomicBool::new(false),
            counted: UnsafeCell::new(counted),
        }
    }

    /// The handle of an open file in the watched directory; 0 for any other.
    pub(crate) fn handle(&self, file: i32) -> u32 {
        usize::try_from(file)
            .ok()
            .and_then(|file| self.files.get(file))
            .map_or(0, |handle| handle.load(Ordering::Acquire))
    }

    /// Another file has this number now; 0: none of ours.
    pub(crate) fn set(&self, file: i32, handle: u32) {
        if let Some(slot) = usize::try_from(file).ok().and_then(|f| self.files.get(f)) {
            slot.store(handle, Ordering::Release);
        } else if handle != 0 {
            raw::say(b"interposer: more files are open than can be told apart\n");
            raw::die();
        }
    }

    pub(crate) fn new_handle(&self) -> u32 {
        self.handles.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Waits for a turn. All signals are blocked in a handler, so whoever has it goes on.
    pub(crate) fn turn(&self) -> Turn<'_> {
        while self.is_locked.swap(true, Ordering::Acquire) {
            // SAFETY: no pointers.
            unsafe { raw::call(libc::SYS_sched_yield, [0; 6]) };
        }
        Turn { watch: self }
    }
}

impl Turn<'_> {
    #[allow(
        clippy::mut_from_ref,
        reason = "the turn is the lock, and is held for as long"
    )]
    fn counted(&self) -> &mut Counted {
        // SAFETY: there is one turn at a time, and no method keeps what this answers.
        unsafe { &mut *self.watch.counted.get() }
    }

    /// Counts a call and says what becomes of it. The path of what is open is asked for only when
    /// the plan tells paths apart.
    pub(crate) fn fate(&self, number: i64, does: Does, name: &dyn Fn() -> Option<Name>) -> Fate {
        let plan = &self.watch.plan;
        let counted = self.counted();
        counted.calls += 1;
        if plan.kill == 0 && plan.fault == 0 {
            return Fate::Runs;
        }
        let is_counted = match plan.of {
            Of::All => true,
            Of::Syncs => does == Does::Sync,
            Of::Writes => does == Does::Write,
        };
        if !is_counted {
            return Fate::Runs;
        }
        let name = if plan.tells_paths_apart() {
            name()
        } else {
            None
        };
        let path = name.as_ref().map_or(&b""[..], Name::below);
        if !plan.is_meant(path) {
            return Fate::Runs;
        }
        counted.meant += 1;
        if counted.meant == plan.kill {
            let is_half = plan.how == How::Half && does != Does::Write;
            return Fate::Dies(if is_half { How::Before } else { plan.how });
        }
        let is_due = counted.meant == plan.fault
            || plan.is_lasting && plan.fault > 0 && counted.meant > plan.fault;
        if !is_due || self.is_released() {
            return Fate::Runs;
        }
        let is_first = !std::mem::replace(&mut counted.has_failed, true);
        if is_first {
            self.tell_hit();
        }
        match plan.kind {
            Kind::Error(error) => {
                if is_first {
                    self.log(Op::Fault, 0, number as u64, error as u64, path, b"", &[]);
                }
                Fate::Fails(error)
            }
            Kind::Short if does == Does::Write => {
                self.log(Op::Fault, 0, number as u64, 0, path, b"", &[]);
                Fate::Short
            }
            Kind::Short => Fate::Runs,
        }
    }

    fn is_released(&self) -> bool {
        let release = &self.watch.plan.release;
        if release.is_empty() {
            return false;
        }
        let path = release.as_ptr() as u64;
        // SAFETY: a path that ends with a zero.
        unsafe { raw::call(libc::SYS_access, [path, libc::F_OK as u64, 0, 0, 0, 0]) == 0 }
    }

    fn tell_hit(&self) {
        let hit = &self.watch.plan.hit;
        if hit.is_empty() {
            return;
        }
        let (at, path) = (libc::AT_FDCWD as u64, hit.as_ptr() as u64);
        let flags = (libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC) as u64;
        // SAFETY: a path that ends with a zero, then plain numbers.
        unsafe {
            let file = raw::call(libc::SYS_openat, [at, path, flags, 0o600, 0, 0]);
            raw::call(libc::SYS_close, [file as u64, 0, 0, 0, 0, 0]);
        }
    }

    /// The number of the next sync.
    pub(crate) fn next_sync(&self) -> u64 {
        let counted = self.counted();
        counted.syncs += 1;
        counted.syncs
    }

    /// How long a sync takes, µs.
    pub(crate) fn delay(&self) -> u64 {
        let random = &mut self.counted().random;
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        match self.watch.plan.delay {
            0 => 0,
            // Most are short, few are long.
            delay if random.is_multiple_of(8) => *random >> 8 & 0xffff_ffff & (delay - 1).max(1),
            delay => (*random >> 8) % (delay / 8 + 1),
        }
    }

    /// Writes a record.
    #[allow(clippy::too_many_arguments, reason = "a record has as many parts")]
    pub(crate) fn log(
        &self,
        op: Op,
        id: u32,
        a: u64,
        b: u64,
        first: &[u8],
        second: &[u8],
        data: &[u8],
    ) {
        let head = record::head(op, id, a, b, first.len(), second.len(), data.len());
        let parts = [&head[..], first, second, data];
        let mut pieces = [const {
            libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            }
        }; 4];
        let mut total = 0;
        for (piece, part) in pieces.iter_mut().zip(parts) {
            piece.iov_base = part.as_ptr().cast_mut().cast();
            piece.iov_len = part.len();
            total += part.len();
        }
        let pieces = pieces.as_ptr() as u64;
        // SAFETY: the kernel reads what the four parts point to, which outlive the call.
        let written = unsafe { raw::call(libc::SYS_writev, [LOG_FILE as u64, pieces, 4, 0, 0, 0]) };
        if usize::try_from(written) != Ok(total) {
            raw::say(b"interposer: the log cannot be written\n");
            raw::die();
        }
    }

    /// Ends the program: what it does cannot be judged.
    pub(crate) fn not_understood(&self, words: &[u8]) -> ! {
        self.log(Op::NotUnderstood, 0, 0, 0, words, b"", &[]);
        raw::say(b"interposer: not understood: ");
        raw::say(words);
        raw::say(b"\n");
        raw::die();
    }

    /// Ends the program as the plan says.
    pub(crate) fn die(&self) -> ! {
        let calls = self.counted().calls;
        self.log(Op::Killed, 0, calls, 0, b"", b"", &[]);
        raw::die();
    }
}
