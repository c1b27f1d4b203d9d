//! Which files matter, and when they changed.

use std::path::{Path, PathBuf};

use fnctl_core::error_code::ErrorCode;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    error::CliError,
    limits,
    manifest::{self, Manifest},
};

/// Changes of a project's files.
pub(super) struct Changes {
    changed: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Watches what a manifest names, and the manifest itself.
    ///
    /// # Errors
    /// The system cannot watch.
    pub(super) fn of(manifest: &Manifest) -> Result<Self, CliError> {
        let failed = |error: notify::Error| {
            CliError::new(
                ErrorCode::FileUnreadable,
                format!("failed to watch files: {error}"),
            )
        };
        let folder = manifest
            .folder
            .canonicalize()
            .map_err(|error| failed(notify::Error::io(error)))?;
        let named = manifest.spec.function.watch.clone();
        let named = named.unwrap_or_else(|| manifest::WATCHED.map(str::to_owned).to_vec());
        let mut wanted: Vec<PathBuf> = named.iter().map(|path| folder.join(path)).collect();
        wanted.push(folder.join(manifest::FILE));
        // One wake is enough, however many files changed.
        let (sender, changed) = mpsc::channel(1);
        let matters = wanted.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let Ok(event) = event else { return };
                let is_change = !matches!(event.kind, EventKind::Access(_));
                if is_change
                    && event
                        .paths
                        .iter()
                        .any(|path| matters.iter().any(|wanted| path.starts_with(wanted)))
                {
                    // Full: the wake is on its way already.
                    let _full = sender.try_send(());
                }
            })
            .map_err(failed)?;
        // Files are watched through their folder: editors replace them.
        let mut folders: Vec<(PathBuf, RecursiveMode)> =
            vec![(folder, RecursiveMode::NonRecursive)];
        for path in &wanted {
            if path.is_dir() {
                folders.push((path.clone(), RecursiveMode::Recursive));
            } else if let Some(parent) = path.parent().filter(|parent| parent.is_dir()) {
                folders.push((parent.to_owned(), RecursiveMode::NonRecursive));
            }
        }
        folders.sort_by(|a, b| {
            a.0.cmp(&b.0)
                .then_with(|| is_recursive(b.1).cmp(&is_recursive(a.1)))
        });
        folders.dedup_by(|later, earlier| later.0 == earlier.0);
        for (path, mode) in &folders {
            watcher.watch(Path::new(path), *mode).map_err(failed)?;
        }
        Ok(Self {
            changed,
            _watcher: watcher,
        })
    }

    /// Waits for a change, and until no more come.
    pub(super) async fn next(&mut self) {
        if self.changed.recv().await.is_none() {
            return std::future::pending().await;
        }
        while let Ok(Some(())) = timeout(limits::WATCH_SETTLE, self.changed.recv()).await {}
    }
}

fn is_recursive(mode: RecursiveMode) -> bool {
    mode == RecursiveMode::Recursive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_edit_wakes_and_a_build_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "fnctl.toml",
            "[function]\nname = \"f\"\ncomponent = \"f.wasm\"\nwatch = [\"src\"]\n",
        );
        write("src/lib.rs", "");
        let mut changes = Changes::of(&Manifest::load(folder.path()).unwrap()).unwrap();
        write("target/out", "a build's output");
        write("src/deep/new.rs", "an edit");
        changes.next().await;
        write(
            "fnctl.toml",
            "[function]\nname = \"g\"\ncomponent = \"f.wasm\"\n",
        );
        changes.next().await;
        write("target/out", "another build's output");
        assert!(timeout(limits::WATCH_SETTLE, changes.next()).await.is_err());
    }
}
