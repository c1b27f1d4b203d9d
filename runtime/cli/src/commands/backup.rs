//! `fnctl backup`: everything a running server holds, as of one moment, into a directory or a file.

mod file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use fnctl_core::error_code::ErrorCode;
use fnctl_store::{
    backup::{
        archive::{ArchiveError, Reader, Receive},
        directory::{DirectoryError, Receiver},
        manifest::{Item, Manifest},
    },
    disk::{Disk, real::RealDisk},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use self::file::FileReceiver;
use crate::{
    cli::Session,
    error::CliError,
    output::{progress::Progress, words},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to: a directory, which a later backup brings up to date, or a file ending in `.tar`
    #[arg(long, value_name = "DIR|FILE")]
    to: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    if let Some(data) = data_directory_around(&args.to) {
        let (to, data) = (args.to.display(), data.display());
        let words = format!("`{to}` lies in the data directory `{data}`, and would go with it");
        return Err(CliError::new(ErrorCode::FileUnwritable, words)
            .fix("a folder elsewhere, on another disk at best"));
    }
    let is_file = !args.to.is_dir() && args.to.extension().is_some_and(|e| e == "tar");
    let taken = if is_file {
        if args.to.exists() && !args.force {
            let words = format!("`{}` is there already", args.to.display());
            return Err(
                CliError::new(ErrorCode::TargetExists, words).fix("another name, or --force")
            );
        }
        to_file(&args.to, session).await?
    } else {
        to_directory(&args.to, session).await?
    };
    tell(&args.to, &taken, session)?;
    if taken.manifest.damaged.is_empty() {
        return Ok(());
    }
    let damaged = taken.manifest.damaged.len() as u64;
    let (count, verb) = (
        words::count(damaged, "file"),
        if damaged == 1 { "is" } else { "are" },
    );
    Err(CliError::new(
        ErrorCode::Damaged,
        format!("the backup is made, but {count} of the server's {verb} damaged"),
    )
    .because(taken.manifest.damaged.join("\n"))
    .fix("keep the backups before this one"))
}

/// The data directory that a path lies in, if any.
fn data_directory_around(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find_map(|path| path.canonicalize().ok())?;
    let is_one = |folder: &&Path| {
        let format = std::fs::read(folder.join("format"));
        format.is_ok_and(|text| text.starts_with(b"fnctl data directory"))
    };
    there.ancestors().find(is_one).map(Path::to_owned)
}

/// What a backup came to.
struct Taken {
    manifest: Manifest,
    /// Files that the directory had already.
    reused: u64,
    /// Bytes that were copied.
    copied: u64,
}

async fn to_directory(to: &Path, session: &Session) -> Result<Taken, CliError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut receiver = tokio::task::block_in_place(|| Receiver::open(disk, to)).map_err(written)?;
    let (manifest, copied) = receive(receiver.kept().to_vec(), &mut receiver, session).await?;
    let stored = tokio::task::block_in_place(|| receiver.finish(&manifest)).map_err(written)?;
    Ok(Taken {
        manifest: stored.manifest,
        reused: stored.reused,
        copied,
    })
}

async fn to_file(to: &Path, session: &Session) -> Result<Taken, CliError> {
    let mut receiver = FileReceiver::create(to).map_err(|error| file::failed(to, &error))?;
    let (manifest, copied) = receive(Vec::new(), &mut receiver, session).await?;
    let manifest = tokio::task::block_in_place(|| receiver.finish(&manifest))?;
    Ok(Taken {
        manifest,
        reused: 0,
        copied,
    })
}

/// Whoever takes a backup: the archive's bytes, or the files in it.
trait Take: Receive {
    /// The archive as it comes, in front of the files that are read off it.
    fn raw(&mut self, _bytes: &[u8]) -> Result<(), CliError> {
        Ok(())
    }
}

impl Take for Receiver {}

/// Asks for the backup and hands it on; answers its manifest and the bytes of its files.
async fn receive<T: Take>(
    kept: Vec<Item>,
    receiver: &mut T,
    session: &Session,
) -> Result<(Vec<u8>, u64), CliError> {
    let kept: Vec<Value> = kept
        .iter()
        .map(|item| {
            json!({
                "target": item.target,
                "bytes": item.bytes,
                "identity": item.identity,
                "sha256": &*item.sha256,
            })
        })
        .collect();
    let request = json!({ "kept": kept });
    let response = session
        .client
        .post_for_bytes(&["v1", "backup"], &request)
        .await?;
    let total = response.headers().get("x-fnctl-backup-bytes");
    let total = total.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mut progress = Progress::new(&session.out, "copying", total);
    let mut body: Incoming = response.into_body();
    let mut reader = Reader::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let words = format!("the connection to {} broke", session.client.server());
            CliError::new(ErrorCode::ServerUnreachable, words).because(error.to_string())
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        tokio::task::block_in_place(|| {
            receiver.raw(&data)?;
            reader.push(&data, receiver).map_err(broken)
        })?;
        progress.add(data.len() as u64);
    }
    let manifest = reader.finish().map_err(broken)?;
    Ok((manifest, total.unwrap_or(0)))
}

fn broken(error: ArchiveError) -> CliError {
    match error {
        ArchiveError::Receiver(error) => written(error),
        ArchiveError::GivenUp(words) => {
            CliError::new(ErrorCode::Damaged, format!("the server gave up: {words}"))
        }
        ArchiveError::Damaged(_) => CliError::new(ErrorCode::AnswerUnreadable, error.to_string()),
    }
}

fn written(error: DirectoryError) -> CliError {
    let words = error.to_string();
    match error {
        DirectoryError::NoBackup(_) | DirectoryError::OtherBackup(_) => {
            CliError::new(ErrorCode::TargetExists, words).fix("another directory")
        }
        DirectoryError::Manifest { .. } => {
            CliError::new(ErrorCode::BackupUnusable, words).fix("back up to another directory")
        }
        DirectoryError::Damaged(_) => CliError::new(ErrorCode::AnswerUnreadable, words),
        DirectoryError::Io { .. } => CliError::new(ErrorCode::FileUnwritable, words)
            .fix("name a folder with room that this user may write in: --to DIR"),
    }
}

fn tell(to: &Path, taken: &Taken, session: &mut Session) -> Result<(), CliError> {
    let (files, bytes) = (taken.manifest.items.len() as u64, taken.manifest.bytes());
    if session.out.is_json() {
        return session.out.json(&json!({
            "to": to,
            "lsn": taken.manifest.next.to_string(),
            "taken_at": fnctl_core::rfc3339::format(taken.manifest.taken),
            "bytes": bytes,
            "copied_bytes": taken.copied,
            "files": files,
            "reused": taken.reused,
            "damaged": taken.manifest.damaged,
        }));
    }
    session.out.line(&format!(
        "backed up  {}  {}, {}, as of LSN {}",
        to.display(),
        words::count(files, "file"),
        words::size(bytes),
        taken.manifest.next
    ))?;
    session.out.line(&format!(
        "copied     {}, {} were there already",
        words::size(taken.copied),
        words::count(taken.reused, "file")
    ))?;
    session.out.line(&format!(
        "next       fnctl restore --from {} --data-dir D",
        to.display()
    ))
}
