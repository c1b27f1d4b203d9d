//! Writes lines to a file the way it is told, and says on standard output when one counts as durable.
//! The tests run it to see that the interposer loses what was not made durable, and only that.
//!
//! Arguments: a folder, then any of `no-sync`, `no-directory-sync`, `rename`, `rename-directory-sync`,
//! `raw`, `shared-map`, `copy`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_default());
    let wishes: Vec<String> = arguments.collect();
    let wants = |wish: &str| wishes.iter().any(|w| w == wish);

    let inner = folder.join("inner");
    fs::create_dir(&inner)?;
    File::open(&folder)?.sync_all()?;
    let path = inner.join(if wants("rename") {
        "lines.tmp"
    } else {
        "lines"
    });
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .read(true)
        .open(&path)?;
    if wants("shared-map") {
        file.set_len(4096)?;
        return fnctl_interposer::proof::map_shared(&file);
    }
    if wants("copy") {
        file.write_all(b"a copy in the kernel is not understood")?;
        return fs::copy(&path, inner.join("copy")).map(drop);
    }
    if !wants("no-directory-sync") {
        File::open(&inner)?.sync_all()?;
    }
    let mut length = 0;
    for line in 0..200 {
        let text = format!("line {line}\n");
        if wants("raw") {
            // Past the C library.
            rustix::io::pwrite(&file, text.as_bytes(), length).map_err(io::Error::from)?;
        } else if line % 2 == 0 {
            file.write_all_at(text.as_bytes(), length)?;
        } else {
            io::Seek::seek(&mut file, io::SeekFrom::Start(length))?;
            file.write_all(text.as_bytes())?;
        }
        length += text.len() as u64;
        match (wants("no-sync"), wants("raw")) {
            (true, _) => {}
            (false, true) => rustix::fs::fdatasync(&file).map_err(io::Error::from)?,
            (false, false) => file.sync_data()?,
        }
        if line == 50 && wants("rename") {
            fs::rename(&path, inner.join("lines"))?;
            if wants("rename-directory-sync") {
                File::open(&inner)?.sync_all()?;
            }
        }
        let mut out = io::stdout().lock();
        write!(out, "{text}")?;
        out.flush()?;
    }
    Ok(())
}
