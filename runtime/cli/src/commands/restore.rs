//! `fnctl restore`: a data directory out of a backup.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use fnctl_core::error_code::ErrorCode;
use fnctl_store::{
    backup::{
        directory::DirectoryError,
        manifest::ManifestError,
        restore::{self, RestoreError},
    },
    disk::{Disk, real::RealDisk},
};
use serde_json::json;

use crate::{
    cli::Session,
    confirm::Destroying,
    error::CliError,
    output::{progress::Progress, words},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The backup: a directory or a file of `fnctl backup`
    #[arg(long, value_name = "DIR|FILE")]
    from: PathBuf,
    /// The data directory to make; `--force` when there is something in it
    #[arg(long, value_name = "D", default_value = ".fnctl")]
    data_dir: PathBuf,
    #[command(flatten)]
    destroying: Destroying,
}

pub(crate) fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let directory = args.data_dir.display();
    if !args.from.exists() {
        return Err(failed(RestoreError::NoBackup(args.from)));
    }
    if is_within(&args.from, &args.data_dir) {
        let from = args.from.display();
        let words = format!("`{from}` lies in `{directory}`, of which a restore keeps nothing");
        return Err(CliError::new(ErrorCode::TargetExists, words)
            .fix("another --data-dir, or move the backup out of this one first"));
    }
    let is_empty = restore::is_empty(&*disk, &args.data_dir).map_err(|e| failed(e.into()))?;
    if !is_empty {
        if !args.destroying.force {
            return Err(failed(RestoreError::NotEmpty(args.data_dir.clone())));
        }
        let loss = format!("everything in `{directory}` is lost");
        args.destroying.confirm(&session.out, &loss)?;
    }
    let mut progress = Progress::new(&session.out, "restoring", None);
    let restored = tokio::task::block_in_place(|| {
        let progress = &mut |bytes| progress.add(bytes);
        restore::restore(&disk, &args.from, &args.data_dir, !is_empty, progress)
    });
    drop(progress);
    let manifest = restored.map_err(failed)?;
    let (files, bytes) = (manifest.items.len() as u64, manifest.bytes());
    if session.out.is_json() {
        return session.out.json(&json!({
            "data_dir": args.data_dir,
            "lsn": manifest.next.to_string(),
            "files": files,
            "bytes": bytes,
            "taken_at": fnctl_core::rfc3339::format(manifest.taken),
            "damaged": manifest.damaged,
        }));
    }
    session.out.line(&format!(
        "restored   {directory}  {}, {}, as of LSN {}",
        words::count(files, "file"),
        words::size(bytes),
        manifest.next
    ))?;
    for file in &manifest.damaged {
        session
            .out
            .line(&format!("damaged    {file} (it was when it was backed up)"))?;
    }
    session
        .out
        .line(&format!("next       fnctl server --data-dir {directory}"))
}

/// Whether a path is a folder or lies in it, wherever links lead.
fn is_within(path: &Path, folder: &Path) -> bool {
    let (path, folder) = (path.canonicalize(), folder.canonicalize());
    matches!((path, folder), (Ok(path), Ok(folder)) if path.starts_with(&folder))
}

fn failed(error: RestoreError) -> CliError {
    let words = error.to_string();
    match error {
        RestoreError::NotEmpty(_) => CliError::new(ErrorCode::TargetExists, words)
            .fix("another --data-dir, or --force to lose what is there"),
        RestoreError::Locked(_) => {
            CliError::new(ErrorCode::DataDirectoryLocked, words).fix("stop that server")
        }
        RestoreError::NoBackup(_) => CliError::new(ErrorCode::FileUnreadable, words)
            .fix("--from FOLDER or --from FILE, as `fnctl backup --to` made it"),
        RestoreError::Archive(_) => unusable(words),
        RestoreError::Directory(error) => match error {
            DirectoryError::Manifest {
                error: ManifestError::NewerVersion(_),
                ..
            } => CliError::new(ErrorCode::DataDirectoryNewer, words)
                .fix("use the fnctl that made it, or a later one"),
            DirectoryError::Io { .. } => CliError::new(ErrorCode::FileUnwritable, words)
                .fix("read --from and write --data-dir as a user who may, on a disk with room"),
            _ => unusable(words),
        },
    }
}

fn unusable(words: String) -> CliError {
    CliError::new(ErrorCode::BackupUnusable, words)
        .because("every file is checked before a data directory is made of it; none was")
        .fix("restore an older backup, or make a new one")
}
