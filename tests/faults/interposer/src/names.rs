//! Paths as the program gives them, and as they are below the watched directory.

use crate::raw;

const BYTES_MAX: usize = 1024;

/// A path in place: a handler of signals has no heap to rely on.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    bytes: [u8; BYTES_MAX],
    length: usize,
    /// Bytes in front that are the watched directory.
    root: usize,
}

impl Name {
    const fn empty() -> Self {
        Self {
            bytes: [0; BYTES_MAX],
            length: 0,
            root: 0,
        }
    }

    /// The path below the watched directory; empty: itself.
    pub(crate) fn below(&self) -> &[u8] {
        let rest = &self.bytes[self.root..self.length];
        rest.strip_prefix(b"/").unwrap_or(rest)
    }

    /// Appends a path component by component, `.` and `..` taken in.
    fn join(&mut self, path: &[u8]) -> Option<()> {
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    let parent = self.bytes[..self.length].iter().rposition(|b| *b == b'/');
                    self.length = parent.unwrap_or(0);
                }
                part => {
                    let end = self.length + 1 + part.len();
                    let room = self.bytes.get_mut(self.length..end)?;
                    room[0] = b'/';
                    room[1..].copy_from_slice(part);
                    self.length = end;
                }
            }
        }
        Some(())
    }

    fn whole(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn settle(mut self, root: &[u8]) -> Option<Self> {
        let rest = self.whole().strip_prefix(root)?;
        if !rest.is_empty() && rest[0] != b'/' {
            return None;
        }
        self.root = root.len();
        Some(self)
    }
}

/// The bytes in front of a zero.
///
/// # Safety
/// `path` points to bytes that end with a zero and that nobody changes meanwhile.
unsafe fn text<'a>(path: u64) -> &'a [u8] {
    // SAFETY: the caller's word.
    unsafe { std::ffi::CStr::from_ptr(path as *const libc::c_char) }.to_bytes()
}

/// What a path names, if that lies in the watched directory. A path too long to be told counts as not.
///
/// # Safety
/// As the system call that was given these: `path` is null or points to a path.
pub(crate) unsafe fn resolve(root: &[u8], directory: i32, path: u64) -> Option<Name> {
    if path == 0 {
        return None;
    }
    // SAFETY: the kernel would read it the same way.
    let path = unsafe { text(path) };
    let mut name = Name::empty();
    if !path.starts_with(b"/") {
        let base = if directory == libc::AT_FDCWD {
            current_directory(&mut name)
        } else {
            path_of(directory, &mut name)
        };
        base?;
    }
    name.join(path)?;
    name.settle(root)
}

fn current_directory(name: &mut Name) -> Option<()> {
    let room = name.bytes.as_mut_ptr() as u64;
    // SAFETY: the kernel writes at most as many bytes as there are.
    let length = unsafe { raw::call(libc::SYS_getcwd, [room, BYTES_MAX as u64, 0, 0, 0, 0]) };
    // It counts the zero at the end.
    name.length = usize::try_from(length).ok()?.checked_sub(1)?;
    Some(())
}

/// What an open file is called.
fn path_of(file: i32, name: &mut Name) -> Option<()> {
    let mut link = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut digits = [0_u8; 10];
    let (mut rest, mut count) = (u32::try_from(file).ok()?, 0);
    while count == 0 || rest > 0 {
        digits[count] = b'0' + (rest % 10) as u8;
        (rest, count) = (rest / 10, count + 1);
    }
    for (at, digit) in digits[..count].iter().rev().enumerate() {
        link[14 + at] = *digit;
    }
    let room = name.bytes.as_mut_ptr() as u64;
    let link = link.as_ptr() as u64;
    // SAFETY: a path that ends with a zero; the kernel writes at most as many bytes as there are.
    let length = unsafe { raw::call(libc::SYS_readlink, [link, room, BYTES_MAX as u64, 0, 0, 0]) };
    name.length = usize::try_from(length).ok()?;
    Some(())
}

/// What an open file is called, if that lies in the watched directory.
pub(crate) fn of_file(root: &[u8], file: i32) -> Option<Name> {
    let mut name = Name::empty();
    path_of(file, &mut name)?;
    name.settle(root)
}
