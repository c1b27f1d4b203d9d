//! What goes wrong, when, and how often it did.

use std::io;

use super::{PAGE, State};

/// What goes wrong at a planned operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The machine or the process goes down: this operation and all later ones fail.
    Down,
    /// The first sync from then on fails; its pages look clean and never reach the disk.
    FailedSync,
    /// The first write from then on fails, a part of it done.
    FailedWrite,
    /// The first read from then on fails.
    FailedRead,
    /// The first change or sync of a name from then on fails, undone.
    FailedName,
    /// The first batch for the image from then on fails, done or undone.
    FailedImage,
    /// The first write that makes a file longer finds no room.
    NoRoom,
}

/// What a disk does all its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// Of a thousand operations, those beside which a page that nobody synced reaches the disk.
    pub writeback_permille: u64,
    /// It lies: no sync of a file makes anything durable.
    pub ignores_sync: bool,
    /// It lies: no sync of a directory makes anything durable.
    pub ignores_dir_sync: bool,
    /// It lies: a sync that failed says that it did not.
    pub hides_failed_sync: bool,
    /// After a loss of power a file has its old or its new length and none between, as file systems have
    /// it that journal lengths; an engine that sets them by one call may count on that.
    pub keeps_lengths_whole: bool,
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
    /// Pages lost that looked clean since their sync failed.
    pub lost_ghosts: u64,
    /// Unsynced pages that reached the disk by themselves.
    pub written_back: u64,
    /// Unsynced names lost.
    pub lost_names: u64,
    /// Unsynced names kept.
    pub kept_names: u64,
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Writes that failed.
    pub failed_writes: u64,
    /// Reads that failed.
    pub failed_reads: u64,
    /// Changes and syncs of names that failed.
    pub failed_names: u64,
    /// Batches for the image that failed.
    pub failed_images: u64,
    /// Writes refused for want of room.
    pub full_writes: u64,
}

pub(super) fn down() -> io::Error {
    io::Error::other("the machine is down")
}

impl State {
    pub(in crate::disk::simulated) fn plan(&mut self, after: u64, fault: Fault) {
        self.plan.push((self.operations + after, fault));
    }

    pub(in crate::disk::simulated) fn cancel_plan(&mut self) {
        self.plan.clear();
    }

    pub(in crate::disk::simulated) const fn set_habits(&mut self, habits: Habits) {
        self.habits = habits;
    }

    pub(in crate::disk::simulated) const fn is_down(&self) -> bool {
        self.is_down
    }

    pub(in crate::disk::simulated) const fn operations(&self) -> u64 {
        self.operations
    }

    pub(in crate::disk::simulated) const fn counts(&self) -> Counts {
        self.counts
    }

    pub(in crate::disk::simulated) const fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    /// Counts an operation; fails when the machine is, or just went, down.
    pub(in crate::disk::simulated) fn operate(&mut self) -> io::Result<()> {
        if self.is_down {
            return Err(down());
        }
        self.operations += 1;
        if self.takes_fault(Fault::Down) {
            self.is_down = true;
            return Err(down());
        }
        let permille = self.habits.writeback_permille;
        if permille > 0 && self.random() % 1_000 < permille {
            self.write_back();
        }
        Ok(())
    }

    pub(super) fn operate_on_names(&mut self) -> io::Result<()> {
        self.operate()?;
        if self.takes_fault(Fault::FailedName) {
            self.counts.failed_names += 1;
            return Err(io::Error::other("the directory could not be written"));
        }
        Ok(())
    }

    pub(super) fn takes_fault(&mut self, fault: Fault) -> bool {
        let operations = self.operations;
        let is_due = |&(at, planned): &(u64, Fault)| planned == fault && at <= operations;
        let Some(due) = self.plan.iter().position(is_due) else {
            return false;
        };
        self.plan.swap_remove(due);
        true
    }

    /// One page of the file written last reaches the disk before those in front of it.
    fn write_back(&mut self) {
        let inode = self.last_written;
        let count = self.inodes.get(inode).map_or(0, |file| file.dirty.len());
        if count == 0 {
            return;
        }
        let nth = self.below(count);
        let file = &mut self.inodes[inode];
        let page = *file.dirty.iter().nth(nth).expect("there are as many");
        let range = page * PAGE..((page + 1) * PAGE).min(file.volatile.len());
        if range.start >= range.end {
            return;
        }
        if file.durable.len() < range.end {
            file.durable.resize(range.end, 0);
        }
        file.durable[range.clone()].copy_from_slice(&file.volatile[range]);
        self.counts.written_back += 1;
    }
}
