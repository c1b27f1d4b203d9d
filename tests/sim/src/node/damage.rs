//! Damage that no store can mend: it must be named, never passed over.

use std::path::Path;

use fnctl_store::disk::Disk as _;

use super::{Branch, World, ledger::Rules, life::DATA};

const PAGE: usize = 4096;

impl World {
    /// Damages one synced file while the node is down; answers whether there was one.
    ///
    /// Inside of the journal's newest file nothing is touched: behind its last frame nothing is known, so
    /// damage there looks like a tail torn by the crash, which is no damage. It may go as a whole, where
    /// there was room to witness it.
    pub(super) fn damage(&mut self) -> bool {
        let mut files = self.disk.files();
        let newest = files.iter().filter(|path| is_journal(path)).max().cloned();
        if let Some(newest) = newest.as_ref().filter(|path| self.is_witnessed(path))
            && self.random.below(8) == 0
        {
            let directory = newest.parent().expect("a file of the journal");
            let gone = self.disk.remove(newest);
            gone.and_then(|()| self.disk.sync_dir(directory))
                .expect("a calm disk");
            self.say(format_args!("{} goes", newest.display()));
            self.coverage.note(Branch::Damaged);
            return true;
        }
        files.retain(|path| {
            path.starts_with(DATA)
                && Some(path) != newest.as_ref()
                && !path.ends_with("LOCK")
                && !path.ends_with("ballast")
                && !path.to_string_lossy().ends_with(".tmp")
                && self.disk.read(path).is_some_and(|bytes| !bytes.is_empty())
        });
        if files.is_empty() {
            return false;
        }
        let at = usize::try_from(self.random.below(files.len() as u64)).expect("an index");
        let path = files[at].clone();
        let length = self.disk.read(&path).map_or(0, |bytes| bytes.len());
        let offset = usize::try_from(self.random.below(length as u64)).expect("an index");
        let kind = self.random.below(4);
        let bit = self.random.below(8);
        self.disk.tamper(&path, |bytes| match kind {
            0 | 1 => bytes[offset] ^= 1 << bit,
            2 => {
                let start = offset / PAGE * PAGE;
                let end = (start + PAGE).min(bytes.len());
                bytes[start..end].fill(0);
            }
            _ => bytes.truncate(offset),
        });
        self.say(format_args!(
            "damage {kind} of {} at {offset}",
            path.display()
        ));
        self.coverage.note(Branch::Damaged);
        true
    }

    fn is_witnessed(&self, file: &Path) -> bool {
        let witness = self.disk.read(Path::new("/data/journal/newest"));
        let witness = String::from_utf8_lossy(&witness.unwrap_or_default()).into_owned();
        let number = file.file_stem().map(|stem| stem.to_string_lossy());
        number.is_some_and(|number| {
            witness.contains(&format!(" file {} of ", number.trim_start_matches('0')))
        })
    }

    /// Opens what is damaged: what was acknowledged is there, or something says why it is not.
    pub(super) fn judge_damage(&mut self) {
        self.disk.cancel_plan();
        self.disk.set_capacity(u64::MAX);
        let rules = Rules {
            may_be_damaged: true,
            ..Rules::STRICT
        };
        let branch = match self.start(rules) {
            Ok(Some(node)) => {
                self.leave(node);
                Branch::DamageHarmless
            }
            Ok(None) => panic!("a calm disk does not open"),
            Err(words) => {
                self.say(format_args!("damaged: {words}"));
                if words.contains("cannot be read") || words.contains("read-only") {
                    Branch::DamageReadOnly
                } else if words.contains("is damaged at offset") {
                    Branch::DamageNamed
                } else {
                    Branch::DamageRefused
                }
            }
        };
        self.coverage.note(branch);
    }
}

fn is_journal(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "journal")
}
