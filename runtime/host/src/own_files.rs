//! Files that are the server's own: no dead letter is ever written among them.
//!
//! A destination is compared by what it is, not by how it is spelt: links, `..` and mounts lead to the same
//! folder, and a hard link is the same file.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The data directory, and the files that the server was given or writes beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnFiles {
    data_dir: PathBuf,
    /// What each is, in words, and where.
    files: Vec<(&'static str, PathBuf)>,
}

/// Why a file is no destination, in words that follow its path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotWritten {
    /// It lies below the data directory.
    #[error("lies in the server's data directory: letters would be written among its own files")]
    InDataDirectory,
    /// It is this file.
    #[error("is the server's {0}: letters would destroy it")]
    Is(&'static str),
}

impl OwnFiles {
    /// Everything below `data_dir`, and `files`, each with what it is.
    pub(crate) fn new(
        data_dir: &Path,
        files: impl IntoIterator<Item = (&'static str, PathBuf)>,
    ) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            files: files.into_iter().collect(),
        }
    }

    /// Where letters for `path` really go: its folder without links. Asks the file system.
    ///
    /// # Errors
    /// It is one of the server's own files, or would be. What cannot be looked at is judged where it is opened.
    pub(crate) fn place_of(&self, path: &Path) -> Result<PathBuf, NotWritten> {
        let real = real(path);
        let data = fs::metadata(&self.data_dir);
        let is_data_dir = |folder: &Path| match (&data, fs::metadata(folder)) {
            (Ok(data), Ok(folder)) => is_same(data, &folder),
            _ => folder == self.data_dir,
        };
        // The file itself may be a link into it, or the directory's own name.
        let target = fs::canonicalize(&real).unwrap_or_else(|_| real.clone());
        if real.ancestors().chain(target.ancestors()).any(is_data_dir) {
            return Err(NotWritten::InDataDirectory);
        }
        let there = fs::metadata(&real).ok();
        let is_it = |own: &Path| match (&there, fs::metadata(own)) {
            (Some(there), Ok(own)) => is_same(there, &own),
            _ => self::real(own) == real,
        };
        match self.files.iter().find(|(_, own)| is_it(own)) {
            Some((what, _)) => Err(NotWritten::Is(what)),
            None => Ok(real),
        }
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The path with the links of its folders resolved, as far as they are there; not those of the file itself.
fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing = Vec::new();
    let mut folder = whole.as_path();
    while let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) {
        missing.push(name);
        folder = parent;
        match fs::canonicalize(folder) {
            Ok(found) => return found.join(missing.iter().rev().collect::<PathBuf>()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => break,
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_the_servers_own_is_known_however_it_is_spelt() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("data/cache")).unwrap();
        fs::create_dir(at("out")).unwrap();
        symlink(at("data"), at("way")).unwrap();
        symlink(at("data/cache"), at("out/deep")).unwrap();
        for name in ["token.json", "data/access.json"] {
            fs::write(at(name), "secret").unwrap();
        }
        symlink(at("data/access.json"), at("out/link.json")).unwrap();
        fs::hard_link(at("token.json"), at("out/hard.json")).unwrap();
        let files = [
            ("token file", at("token.json")),
            ("ready file", at("way/../ready.json")),
        ];
        let own = OwnFiles::new(&at("way"), files);
        for inside in [
            "data/access.json",
            "data/redrives.json",
            "data/new/x.ndjson",
            "way/access.json",
            "out/deep/x.ndjson",
            "out/../data/x.ndjson",
            "out/link.json",
        ] {
            let found = own.place_of(&at(inside));
            assert_eq!(found, Err(NotWritten::InDataDirectory), "{inside}");
        }
        for (path, what) in [
            ("token.json", "token file"),
            ("out/../token.json", "token file"),
            ("out/hard.json", "token file"),
            // Not there yet.
            ("ready.json", "ready file"),
        ] {
            let found = own.place_of(&at(path));
            assert_eq!(found, Err(NotWritten::Is(what)), "{path}");
        }
        let root = fs::canonicalize(folder.path()).unwrap();
        for outside in ["out/x.ndjson", "data.ndjson", "database/x.ndjson"] {
            assert_eq!(own.place_of(&at(outside)), Ok(root.join(outside)));
        }
    }
}
