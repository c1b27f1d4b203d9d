//! System calls made here, past the filter.

use std::arch::global_asm;

// A function with one `syscall` in it, whose address the filter knows: number, then six arguments, as
// in the C calling convention.
global_asm!(
    ".text",
    ".hidden fnctl_interposer_call",
    ".globl fnctl_interposer_call",
    ".type fnctl_interposer_call,@function",
    "fnctl_interposer_call:",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "syscall",
    ".hidden fnctl_interposer_return",
    ".globl fnctl_interposer_return",
    "fnctl_interposer_return:",
    "ret",
);

unsafe extern "C" {
    fn fnctl_interposer_call(number: i64, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> i64;
    fn fnctl_interposer_return();
}

/// Arguments of a system call.
pub(crate) type Arguments = [u64; 6];

/// Where a call made here returns to: what the kernel shows the filter.
pub(crate) fn return_address() -> u64 {
    fnctl_interposer_return as *const () as u64
}

/// Makes a system call; the answer is the kernel's, an error negative.
///
/// # Safety
/// As the call itself: pointers among the arguments must be what the kernel takes them for.
pub(crate) unsafe fn call(number: i64, a: Arguments) -> i64 {
    // SAFETY: the function above has this signature and changes nothing but what the kernel changes.
    unsafe { fnctl_interposer_call(number, a[0], a[1], a[2], a[3], a[4], a[5]) }
}

/// Sleeps.
pub(crate) fn rest(micros: u64) {
    let time = libc::timespec {
        tv_sec: (micros / 1_000_000) as i64,
        tv_nsec: (micros % 1_000_000 * 1_000) as i64,
    };
    // SAFETY: the time outlives the call, and the kernel is not asked to say what is left of it.
    unsafe { call(libc::SYS_nanosleep, [&raw const time as u64, 0, 0, 0, 0, 0]) };
}

/// Writes words to standard error; whether somebody reads them is no concern of ours.
pub(crate) fn say(words: &[u8]) {
    // SAFETY: the words outlive the call.
    unsafe {
        call(
            libc::SYS_write,
            [2, words.as_ptr() as u64, words.len() as u64, 0, 0, 0],
        )
    };
}

/// Ends the program at once by a signal that cannot be caught.
pub(crate) fn die() -> ! {
    loop {
        // SAFETY: no pointers.
        unsafe {
            let this = call(libc::SYS_getpid, [0; 6]);
            call(
                libc::SYS_kill,
                [this as u64, libc::SIGKILL as u64, 0, 0, 0, 0],
            );
        }
    }
}
