//! Loads the plan before the program runs, and answers the signal that the filter makes of a call.

use std::{
    ffi::CStr,
    sync::atomic::{AtomicPtr, Ordering},
};

use libc::{c_int, c_void, siginfo_t, ucontext_t};

use crate::{
    PLAN, calls, filter,
    plan::Plan,
    raw,
    record::Op,
    watch::{LOG_FILE, Watch},
};

static WATCH: AtomicPtr<Watch> = AtomicPtr::new(std::ptr::null_mut());

#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

/// `si_code` of a signal that a filter made.
const SYS_SECCOMP: c_int = 1;

/// Whether this code lies in the library that is loaded, and not in a test that reads its records.
fn is_library() -> bool {
    // SAFETY: zeros are a valid value of this plain structure; the name it is given lives as long as
    // the object is loaded.
    let name = unsafe {
        let mut object: libc::Dl_info = std::mem::zeroed();
        let found = libc::dladdr(at_load as *const () as *const c_void, &raw mut object) != 0;
        (found && !object.dli_fname.is_null()).then(|| CStr::from_ptr(object.dli_fname))
    };
    name.is_some_and(|name| name.to_bytes().ends_with(b".so"))
}

extern "C" fn at_load() {
    if !is_library() {
        return;
    }
    let name = format!("{PLAN}\0");
    // SAFETY: the name ends with a zero; no other thread runs yet.
    let words = unsafe { libc::getenv(name.as_ptr().cast()) };
    if words.is_null() {
        return;
    }
    // SAFETY: the environment's own text, which nothing changes before the program runs.
    let words = unsafe { CStr::from_ptr(words) }
        .to_string_lossy()
        .into_owned();
    let plan = match Plan::parse(&words) {
        Ok(plan) => plan,
        Err(word) => refuse(&format!("`{word}` in {PLAN} says nothing")),
    };
    open_log(&plan);
    let reads = plan.counts_reads;
    let watch = Box::leak(Box::new(Watch::new(plan)));
    watch.turn().log(Op::Started, 0, 0, 0, b"", b"", &[]);
    WATCH.store(watch, Ordering::Release);
    catch();
    if !filter::install(reads) {
        refuse("the kernel takes no filter of system calls");
    }
}

fn refuse(words: &str) -> ! {
    raw::say(format!("interposer: {words}\n").as_bytes());
    raw::die();
}

fn open_log(plan: &Plan) {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    let path = plan.log.as_ptr() as u64;
    // SAFETY: a path that ends with a zero, then plain numbers.
    let moved = unsafe {
        let at = libc::AT_FDCWD as u64;
        let file = raw::call(libc::SYS_openat, [at, path, flags as u64, 0o600, 0, 0]);
        let flags = libc::O_CLOEXEC as u64;
        raw::call(
            libc::SYS_dup3,
            [file as u64, LOG_FILE as u64, flags, 0, 0, 0],
        )
    };
    if moved != i64::from(LOG_FILE) {
        refuse("the log cannot be opened");
    }
}

fn catch() {
    // SAFETY: zeros are a valid value of these plain structures; the handler has the signature that
    // SA_SIGINFO asks for. All signals wait while it runs, so it is never entered twice by a thread.
    let caught = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_call as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigfillset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut())
    };
    if caught != 0 {
        refuse("the signal cannot be caught");
    }
}

extern "C" fn on_call(_signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands both over, and the context is the interrupted thread's registers.
    let (code, registers) = unsafe {
        let context = &mut *context.cast::<ucontext_t>();
        ((*info).si_code, &mut context.uc_mcontext.gregs)
    };
    // SAFETY: set before the filter was, never freed.
    let watch = unsafe { WATCH.load(Ordering::Acquire).as_ref() };
    let Some(watch) = watch.filter(|_| code == SYS_SECCOMP) else {
        refuse("a signal that no filter made");
    };
    let argument = |register: i32| registers[register as usize] as u64;
    let arguments = [
        argument(libc::REG_RDI),
        argument(libc::REG_RSI),
        argument(libc::REG_RDX),
        argument(libc::REG_R10),
        argument(libc::REG_R8),
        argument(libc::REG_R9),
    ];
    let number = registers[libc::REG_RAX as usize];
    // SAFETY: these are the arguments of a call that the program made.
    let answer = unsafe { calls::answer(watch, number, arguments) };
    registers[libc::REG_RAX as usize] = answer;
}
