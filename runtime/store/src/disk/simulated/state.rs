//! What the simulated disk holds.

mod crash;
mod faults;
mod image;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

pub use self::faults::{Counts, Fault, Habits};
use crate::disk::DirEntry;

const PAGE: usize = 4096;
const SECTOR: usize = 512;

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
    plan: Vec<(u64, Fault)>,
    habits: Habits,
    is_down: bool,
    /// Where writeback happens.
    last_written: usize,
    capacity: u64,
    /// Type of the file system, as `statfs` tells it.
    pub(super) magic: u64,
    counts: Counts,
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
            plan: Vec::new(),
            habits: Habits::default(),
            is_down: false,
            last_written: 0,
            capacity: u64::MAX,
            magic: 0,
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

    pub(super) fn used(&self) -> u64 {
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
        if grown > 0 && self.takes_fault(Fault::NoRoom) {
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
        self.operate_on_names()?;
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
        self.operate_on_names()?;
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
        self.operate_on_names()?;
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
        self.operate_on_names()?;
        self.find(path)?;
        self.change_names(directory_of(path), vec![(path.to_owned(), None)]);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        self.operate_on_names()?;
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
        self.operate_on_names()?;
        if self.habits.ignores_dir_sync {
            return Ok(());
        }
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
            self.last_written = inode;
        }
    }

    pub(super) fn read_at(
        &mut self,
        inode: usize,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        self.operate()?;
        if self.takes_fault(Fault::FailedRead) {
            self.counts.failed_reads += 1;
            return Err(io::Error::other("the read failed"));
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
            if self.habits.hides_failed_sync {
                return Ok(());
            }
            return Err(io::Error::other("the sync failed"));
        }
        if self.habits.ignores_sync {
            return Ok(());
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
        if self.habits.ignores_sync {
            return Ok(());
        }
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
        let file = &mut self.inodes[inode];
        let old = file.volatile.len();
        file.volatile.resize(length, 0);
        // Bytes that are cut off must not come back when the file grows again.
        if length < old {
            file.dirty.extend(length / PAGE..=(old - 1) / PAGE);
        }
        Ok(())
    }

    pub(super) fn length(&mut self, inode: usize) -> io::Result<u64> {
        self.operate()?;
        Ok(self.inodes[inode].volatile.len() as u64)
    }
}
