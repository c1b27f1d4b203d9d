//! A file: a line a letter, synced before the relay goes on.

use std::{
    fs::OpenOptions,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::{Delivered, Refused, RelayedLetter};
use crate::{own_files::OwnFiles, source::blocking};

/// Appends letters to a file, which is made when it is missing, readable by its owner alone. It is opened
/// each time, so that it may be moved away at any moment; never where the server has its own files, whatever
/// has become of the path since it was named.
pub(super) async fn deliver(path: &str, own: &OwnFiles, letters: Vec<RelayedLetter>) -> Delivered {
    let (file, own, count) = (path.to_owned(), own.clone(), letters.len());
    let written = blocking(move || {
        let place = own.place_of(Path::new(&file));
        append(&place.map_err(std::io::Error::other)?, &letters)
    });
    let written = written.await;
    match written {
        Ok(()) => (count, None),
        Err(error) => (0, Some(Refused(format!("{path}: {error}")))),
    }
}

fn append(path: &Path, letters: &[RelayedLetter]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        // Neither a link to elsewhere nor a pipe that nobody reads.
        .custom_flags((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut text = Vec::new();
    // A line that a crash cut stays as it is, and its letter is written again behind it.
    if file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push(b'\n');
        }
    }
    for letter in letters {
        text.extend_from_slice(&letter.json);
        text.push(b'\n');
    }
    file.write_all(&text)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnFiles {
        OwnFiles::new(Path::new("/nowhere"), [])
    }

    fn letter(json: &'static str) -> RelayedLetter {
        RelayedLetter {
            id: "1/1".to_owned(),
            key: bytes::Bytes::new(),
            hash_key: 0,
            json: bytes::Bytes::from_static(json.as_bytes()),
        }
    }

    #[tokio::test]
    async fn lines_are_appended_and_a_cut_one_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("letters.ndjson");
        let name = path.to_str().unwrap();
        let (taken, refused) = deliver(
            name,
            &own(),
            vec![letter("{\"id\":1}"), letter("{\"id\":2}")],
        )
        .await;
        assert!(taken == 2 && refused.is_none());
        let mut cut = std::fs::read(&path).unwrap();
        cut.extend_from_slice(b"{\"id\"");
        std::fs::write(&path, &cut).unwrap();
        let (taken, _) = deliver(name, &own(), vec![letter("{\"id\":3}")]).await;
        assert_eq!(taken, 1);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"id\":1}\n{\"id\":2}\n{\"id\"\n{\"id\":3}\n");
    }

    #[tokio::test]
    async fn a_link_a_folder_and_a_missing_folder_take_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(at("target"), "").unwrap();
        std::os::unix::fs::symlink(at("target"), at("link.ndjson")).unwrap();
        std::fs::create_dir(at("folder.ndjson")).unwrap();
        for name in ["link.ndjson", "folder.ndjson", "missing/x.ndjson"] {
            let (taken, refused) = deliver(&at(name), &own(), vec![letter("{}")]).await;
            assert!(taken == 0 && refused.is_some(), "{name}");
        }
        assert_eq!(std::fs::read(at("target")).unwrap(), b"");
    }

    #[tokio::test]
    async fn nothing_is_written_among_the_servers_own_files() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let own = OwnFiles::new(&data, []);
        // The folder became a link behind the deploy.
        let way = directory.path().join("way");
        std::os::unix::fs::symlink(&data, &way).unwrap();
        let name = way.join("access.json");
        let (taken, refused) = deliver(name.to_str().unwrap(), &own, vec![letter("{}")]).await;
        assert_eq!(taken, 0);
        let words = refused.unwrap().to_string();
        assert!(
            words.contains("lies in the server's data directory"),
            "{words}"
        );
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
    }
}
