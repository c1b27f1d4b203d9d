//! What the simulated disk holds.

mod crash;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::{
    disk::DirEntry,
    image::{ImageBatch, ImageValue},
};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// What goes wrong at a planned operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine or the process goes down: this operation and all later ones fail.
    Down,
    /// The first sync from then on fails; its pages look clean and never reach the disk.
    FailedSync,
    /// The first write from then on fails.
    FailedWrite,
}

/// How often each thing happened: a simulator that stops exploring shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Unsynced pages lost.
    pub lost_pages: u64,
    /// Unsynced pages kept.
    pub kept_pages: u64,
    /// Unsynced pages of which a part was kept.
    pub torn_pages: u64,
    /// Unsynced names lost.
    pub lost_names: u64,
    /// Unsynced names kept.
    pub kept_names: u64,
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Writes that failed.
    pub failed_writes: u64,
    /// Writes refused for want of room.
    pub full_writes: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    volatile: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Pages whose sync failed: clean to look at, never durable until written again.
    ghosts: BTreeSet<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

/// A change of one directory's names that is not synced.
#[derive(Clone, Debug)]
struct NameChange {
    directory: PathBuf,
    changes: Vec<(PathBuf, Option<Node>)>,
}

#[derive(Debug)]
pub(super) struct State {
    seed: u64,
    inodes: Vec<Inode>,
    durable: BTreeMap<PathBuf, Node>,
    volatile: BTreeMap<PathBuf, Node>,
    pending: Vec<NameChange>,
    images: BTreeMap<PathBuf, BTreeMap<Vec<u8>, Vec<u8>>>,
    locks: BTreeSet<PathBuf>,
    operations: u64,
    plan: Option<(u64, Fault)>,
    is_down: bool,
    capacity: u64,
    counts: Counts,
}

fn down() -> io::Error {
    io::Error::other("the machine is down")
}

fn directory_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            inodes: Vec::new(),
            durable: BTreeMap::from([(PathBuf::from("/"), Node::Directory)]),
            volatile: BTreeMap::from([(PathBuf::from("/"), Node::Directory)]),
            pending: Vec::new(),
            images: BTreeMap::new(),
            locks: BTreeSet::new(),
            operations: 0,
            plan: None,
            is_down: false,
            capacity: u64::MAX,
            counts: Counts::default(),
        }
    }

    /// SplitMix64: the next number of the seed's sequence.
    pub(super) fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random() % (bound as u64).max(1)).expect("below a usize")
    }

    pub(super) fn plan(&mut self, after: u64, fault: Fault) {
        self.plan = Some((self.operations + after, fault));
    }

    pub(super) const fn is_down(&self) -> bool {
        self.is_down
    }

    pub(super) const fn operations(&self) -> u64 {
        self.operations
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    /// Counts an operation; fails when the machine is, or just went, down.
    pub(super) fn operate(&mut self) -> io::Result<()> {
        if self.is_down {
            return Err(down());
        }
        self.operations += 1;
        if matches!(self.plan, Some((at, Fault::Down)) if at <= self.operations) {
            self.is_down = true;
            self.plan = None;
            return Err(down());
        }
        Ok(())
    }

    fn takes_fault(&mut self, fault: Fault) -> bool {
        let is_due = matches!(self.plan, Some((at, f)) if f == fault && at <= self.operations);
        if is_due {
            self.plan = None;
        }
        is_due
    }

    fn used(&self) -> u64 {
        let live: BTreeSet<usize> = self
            .volatile
            .values()
            .filter_map(|node| match node {
                Node::File(inode) => Some(*inode),
                Node::Directory => None,
            })
            .collect();
        live.iter()
            .map(|&inode| self.inodes[inode].volatile.len() as u64)
            .sum()
    }

    pub(super) fn free_bytes(&mut self) -> io::Result<u64> {
        self.operate()?;
        Ok(self.capacity.saturating_sub(self.used()))
    }

    fn check_room(&mut self, inode: usize, end: usize) -> io::Result<()> {
        let grown = end.saturating_sub(self.inodes[inode].volatile.len()) as u64;
        if self.capacity < u64::MAX && grown > 0 && self.used() + grown > self.capacity {
            self.counts.full_writes += 1;
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn change_names(&mut self, directory: PathBuf, changes: Vec<(PathBuf, Option<Node>)>) {
        for (path, node) in &changes {
            match node {
                Some(node) => self.volatile.insert(path.clone(), node.clone()),
                None => self.volatile.remove(path),
            };
        }
        self.pending.push(NameChange { directory, changes });
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.operate()?;
        let mut missing = Vec::new();
        let mut at = Some(path);
        while let Some(path) = at {
            if path.as_os_str().is_empty() || self.volatile.contains_key(path) {
                break;
            }
            missing.push(path.to_owned());
            at = path.parent();
        }
        for path in missing.into_iter().rev() {
            self.change_names(directory_of(&path), vec![(path, Some(Node::Directory))]);
        }
        Ok(())
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.operate()?;
        if self.volatile.get(&directory_of(path)) != Some(&Node::Directory) {
            return Err(ErrorKind::NotFound.into());
        }
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.change_names(
            directory_of(path),
            vec![(path.to_owned(), Some(Node::File(inode)))],
        );
        Ok(inode)
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        match self.volatile.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn open(&mut self, path: &Path) -> io::Result<usize> {
        self.operate()?;
        self.find(path)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate()?;
        let inode = self.find(from)?;
        assert_eq!(
            from.parent(),
            to.parent(),
            "renames stay in their directory"
        );
        // One change: a rename happens or it does not.
        let changes = vec![
            (from.to_owned(), None),
            (to.to_owned(), Some(Node::File(inode))),
        ];
        self.change_names(directory_of(from), changes);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.operate()?;
        self.find(path)?;
        self.change_names(directory_of(path), vec![(path.to_owned(), None)]);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        self.operate()?;
        self.images.remove(path);
        if !self.volatile.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        let below: Vec<PathBuf> = self
            .volatile
            .keys()
            .filter(|known| known.starts_with(path))
            .cloned()
            .collect();
        for path in below.into_iter().rev() {
            self.change_names(directory_of(&path), vec![(path, None)]);
        }
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.operate()?;
        let pending = std::mem::take(&mut self.pending);
        for change in pending {
            if change.directory == path {
                self.make_durable(&change);
            } else {
                self.pending.push(change);
            }
        }
        Ok(())
    }

    fn make_durable(&mut self, change: &NameChange) {
        for (path, node) in &change.changes {
            match node {
                Some(node) => self.durable.insert(path.clone(), node.clone()),
                None => self.durable.remove(path),
            };
        }
    }

    pub(super) fn list(&mut self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.operate()?;
        if self.volatile.get(path) != Some(&Node::Directory) {
            return Err(ErrorKind::NotFound.into());
        }
        let of = |(known, node): (&PathBuf, &Node)| {
            (known.parent() == Some(path)).then(|| DirEntry {
                name: known
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                is_dir: *node == Node::Directory,
            })
        };
        Ok(self.volatile.iter().filter_map(of).collect())
    }

    pub(super) fn lock(&mut self, path: &Path) -> io::Result<bool> {
        self.operate()?;
        Ok(self.locks.insert(path.to_owned()))
    }

    pub(super) fn unlock(&mut self, path: &Path) {
        self.locks.remove(path);
    }

    pub(super) fn write(&mut self, inode: usize, bytes: &[u8], offset: u64) -> io::Result<()> {
        let was_down = self.is_down;
        let offset = usize::try_from(offset).expect("simulated files are small");
        if let Err(error) = self.operate() {
            if !was_down {
                // The write that was under way got somewhere.
                let length = self.below(bytes.len() + 1);
                self.put(inode, &bytes[..length], offset);
            }
            return Err(error);
        }
        self.check_room(inode, offset + bytes.len())?;
        if self.takes_fault(Fault::FailedWrite) {
            self.counts.failed_writes += 1;
            let length = self.below(bytes.len() + 1);
            self.put(inode, &bytes[..length], offset);
            return Err(io::Error::other("the write failed"));
        }
        self.put(inode, bytes, offset);
        Ok(())
    }

    fn put(&mut self, inode: usize, bytes: &[u8], offset: usize) {
        let file = &mut self.inodes[inode];
        let end = offset + bytes.len();
        if file.volatile.len() < end {
            file.volatile.resize(end, 0);
        }
        file.volatile[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            for page in offset / PAGE..=(end - 1) / PAGE {
                file.dirty.insert(page);
                file.ghosts.remove(&page);
            }
        }
    }

    pub(super) fn read_at(
        &mut self,
        inode: usize,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        if self.is_down {
            return Err(down());
        }
        let content = &self.inodes[inode].volatile;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let length = buffer.len().min(content.len() - start);
        buffer[..length].copy_from_slice(&content[start..start + length]);
        Ok(length)
    }

    pub(super) fn sync(&mut self, inode: usize) -> io::Result<()> {
        self.operate()?;
        if self.takes_fault(Fault::FailedSync) {
            self.counts.failed_syncs += 1;
            let file = &mut self.inodes[inode];
            let dirty = std::mem::take(&mut file.dirty);
            file.ghosts.extend(dirty);
            return Err(io::Error::other("the sync failed"));
        }
        self.sync_inode(inode);
        Ok(())
    }

    fn sync_inode(&mut self, inode: usize) {
        let file = &mut self.inodes[inode];
        file.durable.resize(file.volatile.len(), 0);
        for page in std::mem::take(&mut file.dirty) {
            let range = page * PAGE..((page + 1) * PAGE).min(file.volatile.len());
            if range.start < range.end {
                file.durable[range.clone()].copy_from_slice(&file.volatile[range]);
            }
        }
    }

    pub(super) fn sync_all(&mut self) -> io::Result<()> {
        self.operate()?;
        for inode in 0..self.inodes.len() {
            self.sync_inode(inode);
        }
        for change in std::mem::take(&mut self.pending) {
            self.make_durable(&change);
        }
        Ok(())
    }

    pub(super) fn allocate(&mut self, inode: usize, length: u64) -> io::Result<()> {
        self.operate()?;
        let length = usize::try_from(length).expect("simulated files are small");
        self.check_room(inode, length)?;
        let file = &mut self.inodes[inode];
        if file.volatile.len() < length {
            file.volatile.resize(length, 0);
        }
        Ok(())
    }

    pub(super) fn truncate(&mut self, inode: usize, length: u64) -> io::Result<()> {
        self.operate()?;
        let length = usize::try_from(length).expect("simulated files are small");
        self.inodes[inode].volatile.resize(length, 0);
        Ok(())
    }

    pub(super) fn length(&mut self, inode: usize) -> io::Result<u64> {
        self.operate()?;
        Ok(self.inodes[inode].volatile.len() as u64)
    }
}
