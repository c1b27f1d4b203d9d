//! What a crash leaves, and how a test looks behind the store's back.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{Node, PAGE, SECTOR, State};

impl State {
    /// Up again with everything that was written.
    pub(in crate::disk::simulated) fn revive(&mut self) {
        self.is_down = false;
        self.plan.clear();
        self.locks.clear();
        self.forget_files();
    }

    /// Files that no name leads to any more give their memory back.
    fn forget_files(&mut self) {
        let named = self.volatile.values().chain(self.durable.values());
        let pending = self.pending.iter().flat_map(|change| &change.changes);
        let pending = pending.filter_map(|(_, node)| node.as_ref());
        let live: BTreeSet<usize> = named
            .chain(pending)
            .filter_map(|node| match node {
                Node::File(inode) => Some(*inode),
                Node::Directory => None,
            })
            .collect();
        for (inode, file) in self.inodes.iter_mut().enumerate() {
            if !live.contains(&inode) {
                *file = super::Inode::default();
            }
        }
    }

    /// The machine lost power: each unsynced page and name is kept or lost on its own, except that the
    /// names of one directory are lost from the newest back.
    pub(in crate::disk::simulated) fn power_loss(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let directories: BTreeSet<PathBuf> = pending
            .iter()
            .map(|change| change.directory.clone())
            .collect();
        for directory in directories {
            let changes: Vec<_> = pending
                .iter()
                .filter(|change| change.directory == directory)
                .collect();
            let kept = self.below(changes.len() + 1);
            self.counts.kept_names += kept as u64;
            self.counts.lost_names += (changes.len() - kept) as u64;
            for change in &changes[..kept] {
                self.make_durable(change);
            }
        }
        for inode in 0..self.inodes.len() {
            self.crash_inode(inode);
        }
        self.restart();
    }

    pub(in crate::disk::simulated) fn lose_unsynced(&mut self) {
        for inode in &mut self.inodes {
            inode.volatile.clone_from(&inode.durable);
            inode.dirty.clear();
            inode.ghosts.clear();
        }
        self.pending.clear();
        self.restart();
    }

    fn restart(&mut self) {
        // What lies in a directory that is not there is not there either.
        let mut kept: BTreeMap<PathBuf, Node> = BTreeMap::new();
        for (path, node) in &self.durable {
            let is_root = path.parent().is_none();
            let above = path.parent().unwrap_or(Path::new(""));
            if is_root || kept.get(above) == Some(&Node::Directory) {
                kept.insert(path.clone(), node.clone());
            }
        }
        self.durable.clone_from(&kept);
        self.volatile = kept;
        self.images
            .retain(|path, _| self.volatile.contains_key(path));
        self.revive();
    }

    fn crash_inode(&mut self, inode: usize) {
        let mut file = std::mem::take(&mut self.inodes[inode]);
        let (old, new) = (file.durable.len(), file.volatile.len());
        let length = match self.below(3) {
            0 => old,
            1 => new,
            _ if self.habits.keeps_lengths_whole => new,
            _ => old.min(new) + self.below(old.abs_diff(new) + 1),
        };
        file.durable.resize(length, 0);
        for page in std::mem::take(&mut file.dirty) {
            let range = page * PAGE..((page + 1) * PAGE).min(new).min(length);
            if range.start >= range.end {
                continue;
            }
            match self.below(3) {
                0 => self.counts.lost_pages += 1,
                1 => {
                    self.counts.kept_pages += 1;
                    file.durable[range.clone()].copy_from_slice(&file.volatile[range]);
                }
                _ => {
                    self.counts.torn_pages += 1;
                    let sectors = self.below(range.len().div_ceil(SECTOR) + 1);
                    let end = (range.start + sectors * SECTOR).min(range.end);
                    file.durable[range.start..end]
                        .copy_from_slice(&file.volatile[range.start..end]);
                }
            }
        }
        self.counts.lost_ghosts += file.ghosts.len() as u64;
        file.ghosts.clear();
        file.volatile.clone_from(&file.durable);
        self.inodes[inode] = file;
    }

    pub(in crate::disk::simulated) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        Some(self.inodes[self.find(path).ok()?].volatile.clone())
    }

    pub(in crate::disk::simulated) fn tamper(
        &mut self,
        path: &Path,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        let inode = self.find(path).expect("the file is there");
        let file = &mut self.inodes[inode];
        change(&mut file.volatile);
        file.durable.clone_from(&file.volatile);
        file.dirty.clear();
    }

    pub(in crate::disk::simulated) fn files(&self) -> Vec<PathBuf> {
        let files = self
            .volatile
            .iter()
            .filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }
}
