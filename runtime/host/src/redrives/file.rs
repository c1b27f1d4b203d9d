//! `redrives.json`: the redrives that are under way.

use std::{collections::BTreeSet, io, num::NonZeroU32, path::Path};

use fnctl_core::{
    commit::ErrorKind,
    id::{FunctionVersion, MappingId, Ordinal, Timestamp},
    view::LetterStatus,
};
use fnctl_store::{disk::real::RealDisk, redrives};
use serde::{Deserialize, Serialize};

use super::Request;
use crate::api::dead_letters::{Filter, Meant};

/// The layout that this version writes and reads.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    redrives: Vec<Line>,
}

/// One of them. What is not said is not asked for.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    mapping: MappingId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ids: Option<BTreeSet<Ordinal>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    through: Ordinal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<FunctionVersion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<NonZeroU32>,
    by: String,
    at: Timestamp,
}

impl Line {
    fn of(request: &Request) -> Self {
        let filter = request.meant.filter();
        Self {
            mapping: request.mapping,
            ids: request.meant.ids().cloned(),
            code: filter.code.clone(),
            kind: filter.kind.map(|kind| kind.as_str().to_owned()),
            key: filter.key.clone(),
            since: filter.since,
            through: request.meant.through(),
            version: request.version,
            rate: request.rate,
            by: request.by.clone(),
            at: request.at,
        }
    }

    fn request(self) -> Result<Request, String> {
        let kind = self.kind.map(|name| {
            let mut all = ErrorKind::ALL.into_iter();
            let found = all.find(|kind| kind.as_str() == name);
            found.ok_or_else(|| format!("`{name}` is no kind of error"))
        });
        let filter = Filter {
            status: Some(LetterStatus::Open),
            code: self.code,
            kind: kind.transpose()?,
            key: self.key,
            since: self.since,
        };
        Ok(Request {
            mapping: self.mapping,
            meant: Meant::stored_by(self.through, self.ids, filter),
            version: self.version,
            rate: self.rate,
            by: self.by,
            at: self.at,
        })
    }
}

/// Reads them; none where there is no file.
///
/// # Errors
/// Why it cannot be read, in words.
pub(super) fn read(data_dir: &Path) -> Result<Vec<Request>, String> {
    let bytes = redrives::read(&RealDisk, data_dir).map_err(|error| error.to_string())?;
    bytes.map_or(Ok(Vec::new()), |bytes| parse(&bytes))
}

fn parse(bytes: &[u8]) -> Result<Vec<Request>, String> {
    /// What is asked first: another version may say everything else otherwise.
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let unreadable = |error: serde_json::Error| error.to_string();
    let head: Head = serde_json::from_slice(bytes).map_err(unreadable)?;
    if head.version != VERSION {
        return Err(format!("its version is {}", head.version));
    }
    let file: File = serde_json::from_slice(bytes).map_err(unreadable)?;
    file.redrives.into_iter().map(Line::request).collect()
}

/// The file of these.
pub(super) fn text<'a>(requests: impl Iterator<Item = &'a Request>) -> Vec<u8> {
    let file = File {
        version: VERSION,
        redrives: requests.map(Line::of).collect(),
    };
    let mut text = serde_json::to_vec(&file).expect("a redrive is always JSON");
    text.push(b'\n');
    text
}

/// Replaces the file: durable when it returns.
pub(super) fn write(data_dir: &Path, bytes: &[u8]) -> io::Result<()> {
    redrives::write(&RealDisk, data_dir, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        let named = Request {
            mapping: MappingId(7),
            meant: Meant::stored_by(
                Ordinal(9),
                Some(BTreeSet::from([Ordinal(3), Ordinal(8)])),
                Filter::default(),
            ),
            version: Some(FunctionVersion(2)),
            rate: NonZeroU32::new(50),
            by: "127.0.0.1:5".to_owned(),
            at: Timestamp(1),
        };
        let filtered = Request {
            meant: Meant::stored_by(
                Ordinal(9),
                None,
                Filter {
                    code: Some("busy".to_owned()),
                    kind: Some(ErrorKind::WindowFailed),
                    key: Some("k".to_owned()),
                    since: Some(Timestamp(4)),
                    status: None,
                },
            ),
            version: None,
            rate: None,
            ..named.clone()
        };
        vec![named, filtered]
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(read(folder.path()).expect("there is none").is_empty());
        let written = text(requests().iter());
        write(folder.path(), &written).expect("written");
        let back = read(folder.path()).expect("it is ours");
        assert_eq!(text(back.iter()), written);
        // Only open letters are given to anybody.
        assert!(
            back.iter()
                .all(|request| request.meant.filter().status == Some(LetterStatus::Open))
        );
    }

    #[test]
    fn another_version_and_half_a_file_are_told() {
        let newer = br#"{"version":2,"wishes":[]}"#;
        assert_eq!(parse(newer).expect_err("newer"), "its version is 2");
        let whole = text(requests().iter());
        assert!(parse(&whole[..whole.len() / 2]).is_err());
        let strange = String::from_utf8(whole).expect("text");
        let strange = strange.replace("window-failed", "bad");
        assert_eq!(
            parse(strange.as_bytes()).expect_err("strange"),
            "`bad` is no kind of error"
        );
    }
}
