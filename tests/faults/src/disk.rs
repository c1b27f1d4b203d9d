//! What a disk keeps of what a program did to it: two states of each file and each directory, one that
//! the program sees and one that a power cut leaves.
//!
//! A write is kept once a sync of its file that began after it has returned; a name once a sync of its
//! directory has. What was not synced is lost, or kept in part: of a file any pages, of a directory the
//! changes up to some point. Stricter than most file systems, and no stricter than they promise.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::{self, Write as _},
    os::unix::fs::FileExt,
    path::Path,
};

use fnctl_interposer::record::{self, Op, Record};

use crate::{
    content::{Change, Content, PAGE_BYTES, torn},
    random::Random,
};

/// Flags of `open` as records have them.
const CREATE: u64 = 0o100;
const TRUNCATE: u64 = 0o1000;

type Id = usize;
type Names = BTreeMap<Vec<u8>, Id>;

#[derive(Clone, Debug)]
enum Rename {
    Add(Vec<u8>, Id),
    Remove(Vec<u8>),
    Move(Vec<u8>, Vec<u8>),
}

#[derive(Clone, Debug)]
struct Pending<T> {
    /// When it happened.
    at: u64,
    what: T,
    /// A sync of it failed: the program's cache shows it clean, so later syncs pass it over.
    is_lost: bool,
}

#[derive(Clone, Debug)]
enum Node {
    File {
        synced: Content,
        pending: Vec<Pending<Change>>,
    },
    Directory {
        synced: Names,
        live: Names,
        pending: Vec<Pending<Rename>>,
    },
}

impl Node {
    fn directory() -> Self {
        Self::Directory {
            synced: Names::new(),
            live: Names::new(),
            pending: Vec::new(),
        }
    }

    fn file() -> Self {
        Self::File {
            synced: Content::default(),
            pending: Vec::new(),
        }
    }
}

/// How much of what was not synced a power cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing.
    Nothing,
    /// Some of it.
    Some,
    /// All of it.
    All,
}

/// A disk below one directory.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: Vec<Node>,
    handles: HashMap<u32, Id>,
    syncs: HashMap<u64, u64>,
    now: u64,
}

/// What a program's records say besides changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The program was killed at this call of its.
    pub killed: Option<u64>,
    /// Calls that failed on purpose: number of the system call, error, path.
    pub faults: Vec<(u64, u64, String)>,
    /// Syncs that returned.
    pub syncs: u64,
}

const ROOT: Id = 0;

impl Default for Disk {
    fn default() -> Self {
        Self {
            nodes: vec![Node::directory()],
            handles: HashMap::new(),
            syncs: HashMap::new(),
            now: 0,
        }
    }
}

impl Disk {
    /// A disk that holds what is in a directory, all of it synced.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut disk = Self::default();
        disk.take(ROOT, path)?;
        Ok(disk)
    }

    fn take(&mut self, into: Id, path: &Path) -> io::Result<()> {
        let mut names = Names::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            let id = self.add(if is_dir {
                Node::directory()
            } else {
                Node::file()
            });
            if is_dir {
                self.take(id, &entry.path())?;
            } else {
                let content = Content::of(&fs::read(entry.path())?);
                self.nodes[id] = Node::File {
                    synced: content,
                    pending: Vec::new(),
                };
            }
            names.insert(entry.file_name().into_encoded_bytes(), id);
        }
        self.nodes[into] = Node::Directory {
            synced: names.clone(),
            live: names,
            pending: Vec::new(),
        };
        Ok(())
    }

    fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Takes the records of a program over.
    ///
    /// # Panics
    /// The program was not watched, or did what is not understood.
    pub fn replay(&mut self, records: &[u8]) -> Told {
        self.handles.clear();
        self.syncs.clear();
        let mut told = Told::default();
        let mut rest = records;
        let mut is_started = false;
        while let Some((record, behind)) = record::next(rest) {
            rest = behind;
            is_started |= record.op == Op::Started;
            self.now += 1;
            self.step(&record, &mut told);
        }
        assert!(
            is_started,
            "the interposer was not loaded: there is no record"
        );
        told
    }

    fn step(&mut self, record: &Record<'_>, told: &mut Told) {
        let words = || String::from_utf8_lossy(record.first).into_owned();
        match record.op {
            Op::Started => {}
            Op::Open => self.open(record),
            Op::Write => self.change(record.id, Change::Write(record.a, record.data.to_vec())),
            Op::Truncate => self.change(record.id, Change::Truncate(record.a)),
            Op::Allocate => self.change(record.id, Change::Allocate(record.a)),
            Op::SyncBegins | Op::SyncAllBegins => {
                self.syncs.insert(record.a, self.now);
            }
            Op::SyncDone => {
                told.syncs += 1;
                let before = self.syncs[&record.a];
                self.sync(self.handles[&record.id], before);
            }
            Op::SyncAllDone => {
                told.syncs += 1;
                let before = self.syncs[&record.a];
                for id in 0..self.nodes.len() {
                    self.sync(id, before);
                }
            }
            Op::SyncFailed => self.lose(self.handles[&record.id], self.syncs[&record.a]),
            Op::Rename => self.rename(record.first, record.second),
            Op::Unlink | Op::RemoveDir => {
                let (directory, name) = self.parent(record.first);
                self.name(directory, Rename::Remove(name.to_vec()));
            }
            Op::MakeDir => {
                let id = self.add(Node::directory());
                let (directory, name) = self.parent(record.first);
                self.name(directory, Rename::Add(name.to_vec(), id));
            }
            Op::Link => {
                let id = self.find(record.first).expect("what was linked is there");
                let (directory, name) = self.parent(record.second);
                self.name(directory, Rename::Add(name.to_vec(), id));
            }
            Op::Fault => told.faults.push((record.a, record.b, words())),
            Op::Killed => told.killed = Some(record.a),
            Op::NotUnderstood => panic!("the program did what cannot be judged: {}", words()),
        }
    }

    fn find(&self, path: &[u8]) -> Option<Id> {
        let parts = path
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty());
        parts
            .into_iter()
            .try_fold(ROOT, |id, part| match &self.nodes[id] {
                Node::Directory { live, .. } => live.get(part).copied(),
                Node::File { .. } => None,
            })
    }

    fn parent<'a>(&self, path: &'a [u8]) -> (Id, &'a [u8]) {
        let at = path.iter().rposition(|byte| *byte == b'/');
        let (directory, name) = at.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        let id = self.find(directory);
        (
            id.expect("a change of names in a directory that is there"),
            name,
        )
    }

    fn open(&mut self, record: &Record<'_>) {
        let id = self.find(record.first).unwrap_or_else(|| {
            let path = String::from_utf8_lossy(record.first).into_owned();
            assert!(
                record.a & CREATE != 0,
                "nobody made {path}, and it was opened"
            );
            let id = self.add(Node::file());
            let (directory, name) = self.parent(record.first);
            self.name(directory, Rename::Add(name.to_vec(), id));
            id
        });
        self.handles.insert(record.id, id);
        if record.a & TRUNCATE != 0 {
            self.change(record.id, Change::Truncate(0));
        }
    }

    fn change(&mut self, handle: u32, change: Change) {
        let at = self.now;
        if let Node::File { pending, .. } = &mut self.nodes[self.handles[&handle]] {
            pending.push(Pending {
                at,
                what: change,
                is_lost: false,
            });
        }
    }

    fn name(&mut self, directory: Id, change: Rename) {
        let at = self.now;
        let Node::Directory { live, pending, .. } = &mut self.nodes[directory] else {
            panic!("a name in a file");
        };
        rename_in(live, &change);
        pending.push(Pending {
            at,
            what: change,
            is_lost: false,
        });
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) {
        let ((old, old_name), (new, new_name)) = (self.parent(from), self.parent(to));
        assert_eq!(
            old, new,
            "a file moved between directories: how much of that is kept is not modelled"
        );
        self.name(old, Rename::Move(old_name.to_vec(), new_name.to_vec()));
    }

    fn sync(&mut self, id: Id, before: u64) {
        match &mut self.nodes[id] {
            Node::File { synced, pending } => {
                let (mut rewritten, mut cut_at) = (BTreeSet::new(), u64::MAX);
                for p in pending.iter().filter(|p| p.at < before && !p.is_lost) {
                    rewritten.extend(p.what.pages());
                    if let Change::Truncate(length) = p.what {
                        cut_at = cut_at.min(length.div_ceil(PAGE_BYTES as u64));
                    }
                }
                // A page that was lost goes with a later write to it.
                let is_due = |p: &Pending<Change>| {
                    p.at < before && (!p.is_lost || p.what.pages().all(|n| rewritten.contains(&n)))
                };
                for p in pending.iter().filter(|p| is_due(p)) {
                    synced.apply(&p.what, |_| true);
                }
                pending.retain(|p| {
                    let is_cut = p.is_lost && p.what.pages().start >= cut_at;
                    !is_due(p) && !is_cut
                });
            }
            Node::Directory {
                synced, pending, ..
            } => {
                for p in pending.iter().filter(|p| p.at < before) {
                    rename_in(synced, &p.what);
                }
                pending.retain(|p| p.at >= before);
            }
        }
    }

    /// Changes of a file that a failed sync leaves in the cache alone: from then on page by page, each
    /// until something else is written to it. What became of the length is not known, so nothing.
    fn lose(&mut self, id: Id, before: u64) {
        let Node::File { pending, .. } = &mut self.nodes[id] else {
            return;
        };
        let (lost, kept): (Vec<_>, Vec<_>) = std::mem::take(pending)
            .into_iter()
            .partition(|p| p.at < before && !p.is_lost);
        for p in lost {
            pending.extend(p.what.by_page().into_iter().map(|what| Pending {
                at: p.at,
                what,
                is_lost: true,
            }));
        }
        pending.extend(kept);
        pending.sort_by_key(|p| p.at);
    }

    /// The power goes: what is left of files and of names.
    #[must_use]
    pub fn power_cut(&self, files: Leaves, names: Leaves, random: &mut Random) -> Self {
        let mut kept = Self::default();
        self.keep(ROOT, &mut kept, ROOT, (files, names), random);
        kept
    }

    fn keep(
        &self,
        from: Id,
        kept: &mut Self,
        into: Id,
        leaves: (Leaves, Leaves),
        random: &mut Random,
    ) {
        match &self.nodes[from] {
            Node::File { synced, pending } => {
                let changes: Vec<Change> = pending.iter().map(|p| p.what.clone()).collect();
                let mut content = synced.clone();
                match leaves.0 {
                    Leaves::Nothing => {}
                    Leaves::Some => content = torn(synced, &changes, random),
                    Leaves::All => changes.iter().for_each(|c| content.apply(c, |_| true)),
                }
                kept.nodes[into] = Node::File {
                    synced: content,
                    pending: Vec::new(),
                };
            }
            Node::Directory {
                synced, pending, ..
            } => {
                let mut names = synced.clone();
                let count = match leaves.1 {
                    Leaves::Nothing => 0,
                    Leaves::Some => random.below(pending.len() as u64 + 1) as usize,
                    Leaves::All => pending.len(),
                };
                for p in &pending[..count] {
                    rename_in(&mut names, &p.what);
                }
                for id in names.values_mut() {
                    let new = kept.add(Node::file());
                    self.keep(*id, kept, new, leaves, random);
                    *id = new;
                }
                kept.nodes[into] = Node::Directory {
                    synced: names.clone(),
                    live: names,
                    pending: Vec::new(),
                };
            }
        }
    }

    /// Writes what the disk holds into a directory that is made for it; what is pending is left out.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        self.write_node(ROOT, path)
    }

    fn write_node(&self, id: Id, path: &Path) -> io::Result<()> {
        match &self.nodes[id] {
            Node::Directory { synced, .. } => {
                fs::create_dir(path)?;
                for (name, id) in synced {
                    let name = String::from_utf8_lossy(name).into_owned();
                    self.write_node(*id, &path.join(name))?;
                }
                Ok(())
            }
            Node::File { synced, .. } => {
                let mut file = fs::File::create(path)?;
                let mut is_dense = 0;
                for (offset, page) in synced.pages() {
                    let bytes = (synced.length.saturating_sub(offset)).min(page.len() as u64);
                    if offset == is_dense {
                        file.write_all(&page[..bytes as usize])?;
                        is_dense += bytes;
                    } else {
                        file.write_all_at(&page[..bytes as usize], offset)?;
                    }
                }
                file.set_len(synced.length)
            }
        }
    }
}

fn rename_in(names: &mut Names, change: &Rename) {
    match change {
        Rename::Add(name, id) => {
            names.insert(name.clone(), *id);
        }
        Rename::Remove(name) => {
            names.remove(name);
        }
        Rename::Move(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
