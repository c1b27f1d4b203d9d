//! The filter: which system calls come to the handler.

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_TRAP, sock_filter, sock_fprog,
};

use crate::raw;

/// Calls that always come.
const CAUGHT: [i64; 45] = [
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
    libc::SYS_sync,
    libc::SYS_msync,
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_creat,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_rmdir,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_vmsplice,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_io_submit,
    libc::SYS_io_uring_setup,
    libc::SYS_chdir,
    libc::SYS_fchdir,
];

/// Calls that come when reads are counted.
const READS: [i64; 5] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
];

/// `AUDIT_ARCH_X86_64`: the machine, 64 bits, little-endian.
const ARCHITECTURE: u32 = 62 | 0x8000_0000 | 0x4000_0000;

// Offsets in what the kernel shows a filter.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const RETURN: u32 = 8;
const fn argument(n: u32) -> u32 {
    16 + 8 * n
}

const fn step(code: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: yes,
        jf: no,
        k,
    }
}

const fn load(offset: u32) -> sock_filter {
    step(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
}

const fn equal(k: u32, yes: u8, no: u8) -> sock_filter {
    step(BPF_JMP | BPF_JEQ | BPF_K, k, yes, no)
}

const fn answer(k: u32) -> sock_filter {
    step(BPF_RET | BPF_K, k, 0, 0)
}

const ALLOW: sock_filter = answer(SECCOMP_RET_ALLOW);
const TRAP: sock_filter = answer(SECCOMP_RET_TRAP);

fn program(are_reads_caught: bool) -> Vec<sock_filter> {
    let our_return = raw::return_address();
    let mut program = vec![
        load(ARCH),
        equal(ARCHITECTURE, 1, 0),
        ALLOW,
        load(RETURN + 4),
        equal((our_return >> 32) as u32, 0, 3),
        load(RETURN),
        equal(our_return as u32, 0, 1),
        ALLOW,
        load(NUMBER),
    ];
    let reads: &[i64] = if are_reads_caught { &READS } else { &[] };
    for number in CAUGHT.iter().chain(reads) {
        program.push(equal(*number as u32, 0, 1));
        program.push(TRAP);
    }
    program.extend([
        // A mapping of a file that others see.
        equal(libc::SYS_mmap as u32, 0, 6),
        load(argument(3)),
        step(BPF_JMP | BPF_JSET | BPF_K, libc::MAP_SHARED as u32, 0, 3),
        load(argument(4)),
        equal(u32::MAX, 1, 0),
        TRAP,
        ALLOW,
        // Another number for an open file.
        equal(libc::SYS_fcntl as u32, 0, 4),
        load(argument(1)),
        equal(libc::F_DUPFD as u32, 1, 0),
        equal(libc::F_DUPFD_CLOEXEC as u32, 0, 1),
        TRAP,
        ALLOW,
    ]);
    program
}

/// Installs the filter for this thread and all that it will start; answers whether that went well.
pub(crate) fn install(are_reads_caught: bool) -> bool {
    let mut program = program(are_reads_caught);
    let handle = sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: plain numbers; the program outlives the call that copies it.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const handle,
            ) == 0
    }
}
