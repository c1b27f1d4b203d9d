//! Components, against their names and against the catalogue.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::Path,
    sync::Arc,
};

use super::{DoctorError, Finding, FindingKind, Patient, at};
use crate::{
    Store, artifact,
    digest::read_through,
    disk::{Disk as _, DiskFile},
};

impl Patient<'_> {
    /// Every component; without a store it is not known which of them are named by a version.
    pub(super) fn artifacts(&mut self, store: Option<&Store>) -> Result<(), DoctorError> {
        let mut used = store.map(used).unwrap_or_default();
        let directory = artifact::directory(&self.data);
        let entries = match self.reading.list(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            entries => entries.map_err(at(&directory))?,
        };
        for entry in entries {
            let path = directory.join(&entry.name);
            if entry.name.ends_with(".tmp") {
                continue;
            }
            let Some(digest) = artifact::parse_file_name(&entry.name) else {
                let words = "no component; it is left alone";
                self.add(Finding::new(FindingKind::Unknown, &path, words));
                continue;
            };
            let file = self.reading.open_to_read(&path).map_err(at(&path))?;
            let found = self.digest(&path, &*file)?;
            match (found.as_deref() == Some(digest), used.remove(digest)) {
                (true, _) => {}
                (false, Some(functions)) => {
                    let words = format!("the component of {functions} is not what was uploaded");
                    self.add(damaged(&path, words));
                }
                (false, None) => {
                    let words = "a component that no version names is not what was uploaded";
                    self.add(Finding::new(FindingKind::UnusedArtifact, &path, words));
                }
            }
        }
        for (digest, functions) in used {
            let path = artifact::path(&self.data, &digest);
            self.add(damaged(
                &path,
                format!("the component of {functions} is not there"),
            ));
        }
        Ok(())
    }

    /// Its SHA-256; `None`: it got shorter meanwhile.
    fn digest(
        &mut self,
        path: &Path,
        file: &dyn DiskFile,
    ) -> Result<Option<Arc<str>>, DoctorError> {
        let length = file.length().map_err(at(path))?;
        self.report.artifacts.add(length);
        read_through(file, length, at(path), |piece| {
            (self.progress)(piece.len() as u64);
            Ok(())
        })
    }
}

fn damaged(path: &Path, words: String) -> Finding {
    Finding::new(FindingKind::Artifact, path, words)
        .fix("deploy the same component again: fnctl deploy")
}

/// Digests that versions name, and the functions, in words.
fn used(store: &Store) -> BTreeMap<Arc<str>, String> {
    let mut found: BTreeMap<Arc<str>, BTreeSet<String>> = BTreeMap::new();
    store.view(|view| {
        for function in view.registry().functions() {
            for (number, version) in &function.versions {
                let names = found
                    .entry(Arc::clone(&version.settings.digest))
                    .or_default();
                names.insert(format!("`{}` version {number}", function.name));
            }
        }
    });
    let words = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    found
        .into_iter()
        .map(|(digest, names)| (digest, words(names)))
        .collect()
}
