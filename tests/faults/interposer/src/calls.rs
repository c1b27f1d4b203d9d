//! Each call: what it means for files, what becomes of it, what is written down.

use crate::{
    names::{self, Name},
    plan::How,
    raw::{self, Arguments, call},
    record::Op,
    watch::{Does, Fate, Turn, Watch},
};

/// Answers a call in the kernel's place.
///
/// # Safety
/// The arguments are those of a call that the program made.
pub(crate) unsafe fn answer(watch: &Watch, number: i64, a: Arguments) -> i64 {
    let at = libc::AT_FDCWD as u64;
    // SAFETY: every branch makes the call the program asked for, or less of it, with its arguments.
    unsafe {
        match number {
            libc::SYS_write
            | libc::SYS_pwrite64
            | libc::SYS_writev
            | libc::SYS_pwritev
            | libc::SYS_pwritev2 => write(watch, number, a),
            libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_pread64
            | libc::SYS_preadv
            | libc::SYS_preadv2 => read(watch, number, a),
            libc::SYS_open => open(watch, at, a[0], a[1], a[2]),
            libc::SYS_creat => {
                let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
                open(watch, at, a[0], flags as u64, a[1])
            }
            libc::SYS_openat => open(watch, a[0], a[1], a[2], a[3]),
            libc::SYS_close => {
                watch.set(a[0] as i32, 0);
                call(number, a)
            }
            libc::SYS_close_range => close_range(watch, number, a),
            libc::SYS_dup | libc::SYS_dup2 | libc::SYS_dup3 | libc::SYS_fcntl => {
                let copy = call(number, a);
                if copy >= 0 {
                    watch.set(copy as i32, watch.handle(a[0] as i32));
                }
                copy
            }
            libc::SYS_ftruncate => on_file(watch, number, a, |turn, handle| {
                turn.log(Op::Truncate, handle, a[1], 0, b"", b"", &[]);
            }),
            libc::SYS_fallocate => allocate(watch, number, a),
            libc::SYS_fsync | libc::SYS_fdatasync => sync(watch, number, a, false),
            libc::SYS_syncfs => sync(watch, number, a, true),
            libc::SYS_sync => sync_everything(watch),
            // Neither the length nor the disk's own cache: it promises nothing.
            libc::SYS_sync_file_range => match watch.handle(a[0] as i32) {
                0 => call(number, a),
                _ => judged(watch, number, Does::Sync, a[0] as i32, |_| 0),
            },
            libc::SYS_rename => rename(watch, number, a, [at, a[0], at, a[1], 0]),
            libc::SYS_renameat => rename(watch, number, a, [a[0], a[1], a[2], a[3], 0]),
            libc::SYS_renameat2 => rename(watch, number, a, [a[0], a[1], a[2], a[3], a[4]]),
            libc::SYS_link => link(watch, number, a, [at, a[0], at, a[1]]),
            libc::SYS_linkat => link(watch, number, a, [a[0], a[1], a[2], a[3]]),
            libc::SYS_unlink => on_path(watch, number, a, at, a[0], Op::Unlink),
            libc::SYS_rmdir => on_path(watch, number, a, at, a[0], Op::RemoveDir),
            libc::SYS_unlinkat if a[2] & libc::AT_REMOVEDIR as u64 != 0 => {
                on_path(watch, number, a, a[0], a[1], Op::RemoveDir)
            }
            libc::SYS_unlinkat => on_path(watch, number, a, a[0], a[1], Op::Unlink),
            libc::SYS_mkdir => on_path(watch, number, a, at, a[0], Op::MakeDir),
            libc::SYS_mkdirat => on_path(watch, number, a, a[0], a[1], Op::MakeDir),
            libc::SYS_chdir | libc::SYS_fchdir => call(number, a),
            _ => stranger(watch, number, a),
        }
    }
}

/// A call that can write and is not understood: let through elsewhere, the end of the program here.
///
/// # Safety
/// As [`answer`].
unsafe fn stranger(watch: &Watch, number: i64, a: Arguments) -> i64 {
    let at = libc::AT_FDCWD as u64;
    let (paths, files, words): (&[(u64, u64)], &[u64], &[u8]) = match number {
        libc::SYS_mmap => (&[], &[a[4]], b"a shared mapping of a file"),
        libc::SYS_truncate => (&[(at, a[0])], &[], b"truncate"),
        libc::SYS_mknod => (&[(at, a[0])], &[], b"mknod"),
        libc::SYS_mknodat => (&[(a[0], a[1])], &[], b"mknodat"),
        libc::SYS_symlink => (&[(at, a[1])], &[], b"symlink"),
        libc::SYS_symlinkat => (&[(a[1], a[2])], &[], b"symlinkat"),
        libc::SYS_openat2 => (&[(a[0], a[1])], &[], b"openat2"),
        libc::SYS_copy_file_range | libc::SYS_splice => (&[], &[a[2]], b"a copy in the kernel"),
        libc::SYS_sendfile => (&[], &[a[0]], b"sendfile"),
        libc::SYS_vmsplice => (&[], &[a[0]], b"vmsplice"),
        // Promises nothing for private mappings, and shared ones are refused.
        libc::SYS_msync => (&[], &[], b""),
        libc::SYS_io_uring_setup | libc::SYS_io_submit => watch
            .turn()
            .not_understood(b"calls in a ring of the kernel's"),
        _ => watch
            .turn()
            .not_understood(b"a system call that nobody thought of"),
    };
    let is_ours = files.iter().any(|file| watch.handle(*file as i32) != 0)
        || paths.iter().any(|(directory, path)| {
            // SAFETY: the caller's word.
            unsafe { names::resolve(&watch.plan.root, *directory as i32, *path) }.is_some()
        });
    if is_ours {
        watch.turn().not_understood(words);
    }
    // SAFETY: the program's own call.
    unsafe { call(number, a) }
}

/// Runs what a call on an open file does, unless its fate is another.
fn judged(
    watch: &Watch,
    number: i64,
    does: Does,
    file: i32,
    run: impl FnOnce(&Turn<'_>) -> i64,
) -> i64 {
    let turn = watch.turn();
    let name = || names::of_file(&watch.plan.root, file);
    match turn.fate(number, does, &name) {
        Fate::Fails(error) => -i64::from(error),
        Fate::Dies(How::After) => {
            run(&turn);
            turn.die()
        }
        Fate::Dies(_) => turn.die(),
        Fate::Runs | Fate::Short => run(&turn),
    }
}

/// # Safety
/// As [`answer`].
unsafe fn on_file(
    watch: &Watch,
    number: i64,
    a: Arguments,
    note: impl FnOnce(&Turn<'_>, u32),
) -> i64 {
    let handle = watch.handle(a[0] as i32);
    // SAFETY: the program's own call, here and below.
    let run = || unsafe { call(number, a) };
    if handle == 0 {
        return run();
    }
    judged(watch, number, Does::Write, a[0] as i32, |turn| {
        let answer = run();
        if answer >= 0 {
            note(turn, handle);
        }
        answer
    })
}

/// # Safety
/// As [`answer`].
unsafe fn allocate(watch: &Watch, number: i64, a: Arguments) -> i64 {
    if watch.handle(a[0] as i32) != 0 && a[1] != 0 {
        watch.turn().not_understood(b"fallocate with a mode");
    }
    let note = |turn: &Turn<'_>, handle| {
        turn.log(
            Op::Allocate,
            handle,
            a[2].saturating_add(a[3]),
            0,
            b"",
            b"",
            &[],
        );
    };
    // SAFETY: the caller's word.
    unsafe { on_file(watch, number, a, note) }
}

/// # Safety
/// As [`answer`].
unsafe fn read(watch: &Watch, number: i64, a: Arguments) -> i64 {
    // SAFETY: the program's own call.
    let run = || unsafe { call(number, a) };
    if watch.handle(a[0] as i32) == 0 {
        return run();
    }
    judged(watch, number, Does::Read, a[0] as i32, |_| run())
}

/// # Safety
/// As [`answer`].
unsafe fn close_range(watch: &Watch, number: i64, a: Arguments) -> i64 {
    for file in a[0]..=a[1].min(u64::from(u16::MAX)) {
        watch.set(file as i32, 0);
    }
    // SAFETY: the program's own call.
    unsafe { call(number, a) }
}

/// # Safety
/// As [`answer`].
unsafe fn open(watch: &Watch, directory: u64, path: u64, flags: u64, mode: u64) -> i64 {
    let number = libc::SYS_openat;
    // SAFETY: the program's own call, in the form that takes a directory.
    let run = || unsafe { call(number, [directory, path, flags, mode, 0, 0]) };
    // SAFETY: the caller's word.
    let Some(name) = (unsafe { names::resolve(&watch.plan.root, directory as i32, path) }) else {
        return run();
    };
    if flags & libc::O_TMPFILE as u64 == libc::O_TMPFILE as u64 {
        watch.turn().not_understood(b"a file without a name");
    }
    let turn = watch.turn();
    let open = |turn: &Turn<'_>| {
        let file = run();
        if file >= 0 {
            let handle = watch.new_handle();
            watch.set(file as i32, handle);
            turn.log(Op::Open, handle, flags, 0, name.below(), b"", &[]);
        }
        file
    };
    match turn.fate(number, Does::Open, &|| Some(name)) {
        Fate::Fails(error) => -i64::from(error),
        Fate::Dies(How::After) => {
            open(&turn);
            turn.die()
        }
        Fate::Dies(_) => turn.die(),
        Fate::Runs | Fate::Short => open(&turn),
    }
}

/// # Safety
/// As [`answer`].
unsafe fn write(watch: &Watch, number: i64, a: Arguments) -> i64 {
    let file = a[0] as i32;
    let handle = watch.handle(file);
    if handle == 0 {
        // SAFETY: the program's own call.
        return unsafe { call(number, a) };
    }
    let turn = watch.turn();
    let name = || names::of_file(&watch.plan.root, file);
    let fate = turn.fate(number, Does::Write, &name);
    let is_short = matches!(fate, Fate::Short | Fate::Dies(How::Half));
    match fate {
        Fate::Fails(error) => return -i64::from(error),
        Fate::Dies(How::Before) => turn.die(),
        _ => {}
    }
    // SAFETY: the pieces are those the program named, none of them longer.
    let written = unsafe { write_pieces(&turn, handle, number, a, is_short) };
    if matches!(fate, Fate::Dies(_)) {
        turn.die();
    }
    written
}

/// Writes what the call names, half of its first piece if it is to be short, and notes what was written.
///
/// # Safety
/// As [`answer`]: the call is one of those that write.
unsafe fn write_pieces(
    turn: &Turn<'_>,
    handle: u32,
    number: i64,
    a: Arguments,
    is_short: bool,
) -> i64 {
    let one = libc::iovec {
        iov_base: a[1] as *mut libc::c_void,
        iov_len: a[2] as usize,
    };
    let is_plain = matches!(number, libc::SYS_write | libc::SYS_pwrite64);
    let pieces: &[libc::iovec] = if is_plain {
        std::slice::from_ref(&one)
    } else {
        // SAFETY: what the program handed the kernel as its pieces.
        unsafe { std::slice::from_raw_parts(a[1] as *const libc::iovec, a[2] as usize) }
    };
    let has_offset = !matches!(number, libc::SYS_write | libc::SYS_writev);
    let mut total = 0_i64;
    for piece in pieces.iter().filter(|piece| piece.iov_len > 0) {
        let wanted = if is_short {
            piece.iov_len / 2
        } else {
            piece.iov_len
        };
        let base = piece.iov_base as u64;
        // SAFETY: a piece of the program's own call.
        let (written, offset) = unsafe {
            if has_offset {
                let offset = a[3] + total as u64;
                let arguments = [a[0], base, wanted as u64, offset, 0, 0];
                (call(libc::SYS_pwrite64, arguments), offset)
            } else {
                let written = call(libc::SYS_write, [a[0], base, wanted as u64, 0, 0, 0]);
                let whence = libc::SEEK_CUR as u64;
                let end = call(libc::SYS_lseek, [a[0], 0, whence, 0, 0, 0]);
                (written, end.saturating_sub(written) as u64)
            }
        };
        if written < 0 {
            return if total > 0 { total } else { written };
        }
        // SAFETY: the kernel has just read these bytes.
        let data = unsafe { std::slice::from_raw_parts(base as *const u8, written as usize) };
        turn.log(Op::Write, handle, offset, 0, b"", b"", data);
        total += written;
        if is_short || (written as usize) < wanted {
            break;
        }
    }
    total
}

/// # Safety
/// As [`answer`].
unsafe fn sync(watch: &Watch, number: i64, a: Arguments, is_all: bool) -> i64 {
    let handle = watch.handle(a[0] as i32);
    if handle == 0 {
        // SAFETY: the program's own call.
        return unsafe { call(number, a) };
    }
    let (begins, done) = if is_all {
        (Op::SyncAllBegins, Op::SyncAllDone)
    } else {
        (Op::SyncBegins, Op::SyncDone)
    };
    let turn = watch.turn();
    let id = turn.next_sync();
    let name = || names::of_file(&watch.plan.root, a[0] as i32);
    let is_lied_to = watch
        .plan
        .deaf
        .as_ref()
        .is_some_and(|deaf| name().is_some_and(|name| name.below().starts_with(deaf)));
    if is_lied_to {
        return 0;
    }
    let fate = turn.fate(number, Does::Sync, &name);
    if matches!(fate, Fate::Dies(How::Before | How::Half)) {
        turn.die();
    }
    turn.log(begins, handle, id, 0, b"", b"", &[]);
    let delay = turn.delay();
    drop(turn);
    if delay > 0 {
        raw::rest(delay);
    }
    let turn = watch.turn();
    if let Fate::Fails(error) = fate {
        turn.log(Op::SyncFailed, handle, id, 0, b"", b"", &[]);
        return -i64::from(error);
    }
    turn.log(done, handle, id, 0, b"", b"", &[]);
    if matches!(fate, Fate::Dies(_)) {
        turn.die();
    }
    0
}

fn sync_everything(watch: &Watch) -> i64 {
    let turn = watch.turn();
    let id = turn.next_sync();
    turn.log(Op::SyncAllBegins, 0, id, 0, b"", b"", &[]);
    turn.log(Op::SyncAllDone, 0, id, 0, b"", b"", &[]);
    0
}

/// # Safety
/// As [`answer`].
unsafe fn on_path(
    watch: &Watch,
    number: i64,
    a: Arguments,
    directory: u64,
    path: u64,
    op: Op,
) -> i64 {
    // SAFETY: the program's own call.
    let run = || unsafe { call(number, a) };
    // SAFETY: the caller's word.
    let Some(name) = (unsafe { names::resolve(&watch.plan.root, directory as i32, path) }) else {
        return run();
    };
    named(watch, number, name, |turn| {
        let answer = run();
        if answer >= 0 {
            turn.log(op, 0, 0, 0, name.below(), b"", &[]);
        }
        answer
    })
}

/// # Safety
/// As [`answer`].
unsafe fn rename(watch: &Watch, number: i64, a: Arguments, of: [u64; 5]) -> i64 {
    // SAFETY: the caller's word.
    let pair = unsafe { both(watch, [of[0], of[1], of[2], of[3]]) };
    // SAFETY: the program's own call.
    let run = || unsafe { call(number, a) };
    let Some((from, to)) = pair else { return run() };
    if of[4] != 0 {
        watch.turn().not_understood(b"renameat2 with flags");
    }
    named(watch, number, from, |turn| {
        let answer = run();
        if answer >= 0 {
            turn.log(Op::Rename, 0, 0, 0, from.below(), to.below(), &[]);
        }
        answer
    })
}

/// # Safety
/// As [`answer`].
unsafe fn link(watch: &Watch, number: i64, a: Arguments, of: [u64; 4]) -> i64 {
    // SAFETY: the caller's word.
    let pair = unsafe { both(watch, of) };
    // SAFETY: the program's own call.
    let run = || unsafe { call(number, a) };
    let Some((from, to)) = pair else { return run() };
    named(watch, number, from, |turn| {
        let answer = run();
        if answer >= 0 {
            turn.log(Op::Link, 0, 0, 0, from.below(), to.below(), &[]);
        }
        answer
    })
}

/// Both paths of a call, if both are watched; `None` if neither is.
///
/// # Safety
/// As [`answer`].
unsafe fn both(watch: &Watch, of: [u64; 4]) -> Option<(Name, Name)> {
    let root = &watch.plan.root;
    // SAFETY: the caller's word.
    let pair = unsafe {
        (
            names::resolve(root, of[0] as i32, of[1]),
            names::resolve(root, of[2] as i32, of[3]),
        )
    };
    match pair {
        (Some(from), Some(to)) => Some((from, to)),
        (None, None) => None,
        _ => watch
            .turn()
            .not_understood(b"a file moves into the watched directory, or out of it"),
    }
}

/// Runs what a call on a path does, unless its fate is another.
fn named(watch: &Watch, number: i64, name: Name, run: impl FnOnce(&Turn<'_>) -> i64) -> i64 {
    let turn = watch.turn();
    match turn.fate(number, Does::Other, &|| Some(name)) {
        Fate::Fails(error) => -i64::from(error),
        Fate::Dies(How::After) => {
            run(&turn);
            turn.die()
        }
        Fate::Dies(_) => turn.die(),
        Fate::Runs | Fate::Short => run(&turn),
    }
}
