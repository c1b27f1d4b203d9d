//! What the interposer must stop, for the test that shows it does.

use std::{fs::File, io, os::fd::AsRawFd};

/// Maps the first page of a file so that others see what is written to it, and lets go of it again.
///
/// # Errors
/// The system refuses.
pub fn map_shared(file: &File) -> io::Result<()> {
    // SAFETY: a new mapping at an address of the system's choice, which nobody reads or writes, and
    // which is unmapped as it was mapped.
    unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let at = libc::mmap(
            std::ptr::null_mut(),
            4096,
            access,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        libc::munmap(at, 4096);
    }
    Ok(())
}
