//! Room on the disk: writes are refused in tiers before it is full, those that free space last
//! (commit and storage rules §7).

use std::sync::atomic::{AtomicU64, Ordering};

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Everything.
    Puts,
    /// Commits with outputs, but no puts.
    Outputs,
    /// Commits that only settle, trims and deletes.
    Settling,
    /// Nothing.
    Nothing,
}

impl Room {
    /// What is refused where there is room for this and no more.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Puts => "nothing is refused",
            Self::Outputs => "puts are refused until more is free",
            Self::Settling => "puts and outputs are refused until more is free",
            Self::Nothing => "everything is refused until more is free",
        }
    }
}

/// Accounts for free space between two looks at the disk.
#[derive(Debug)]
pub(crate) struct Space {
    ballast: u64,
    unapplied_max: u64,
    view_bytes: AtomicU64,
    /// Free at the last look.
    free: AtomicU64,
    /// Bytes applied in all when that was.
    applied_then: AtomicU64,
    accepted: AtomicU64,
    applied: AtomicU64,
}

impl Space {
    pub(crate) const fn new(ballast: u64, unapplied_max: u64) -> Self {
        Self {
            ballast,
            unapplied_max,
            view_bytes: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            applied_then: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            applied: AtomicU64::new(0),
        }
    }

    /// Counts bytes that will have to be written to segments.
    pub(crate) fn accept(&self, bytes: u64) {
        self.accepted.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that were.
    pub(crate) fn apply(&self, bytes: u64) {
        let before = self.applied.fetch_add(bytes, Ordering::Relaxed);
        debug_assert!(
            before + bytes <= self.accepted.load(Ordering::Relaxed),
            "what is applied was accepted: else the budget grows"
        );
    }

    /// Bytes accepted and not applied.
    pub(crate) fn unapplied(&self) -> u64 {
        let applied = self.applied.load(Ordering::Relaxed);
        self.accepted
            .load(Ordering::Relaxed)
            .saturating_sub(applied)
    }

    /// Whether the budget of unapplied bytes has room.
    pub(crate) fn has_budget(&self) -> bool {
        self.unapplied() < self.unapplied_max
    }

    /// Takes a look at the disk over.
    pub(crate) fn sample(&self, free: u64) {
        let applied = self.applied.load(Ordering::Relaxed);
        self.applied_then.store(applied, Ordering::Relaxed);
        self.free.store(free, Ordering::Relaxed);
    }

    /// Size of the view as it is stored.
    pub(crate) fn set_view_bytes(&self, bytes: u64) {
        self.view_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Size of the view as it is stored.
    pub(crate) fn view_bytes(&self) -> u64 {
        self.view_bytes.load(Ordering::Relaxed)
    }

    /// Bytes kept back so that what frees space can always be written.
    pub(crate) fn reserve(&self) -> u64 {
        self.ballast + 2 * self.view_bytes() + self.unapplied_max
    }

    /// Bytes free: what is accepted and not yet applied counts as used.
    pub(crate) fn free(&self) -> u64 {
        let applied_then = self.applied_then.load(Ordering::Relaxed);
        let promised = self
            .accepted
            .load(Ordering::Relaxed)
            .saturating_sub(applied_then);
        self.free.load(Ordering::Relaxed).saturating_sub(promised)
    }

    /// Free bytes that puts are taken from.
    pub(crate) fn needed_by_puts(&self) -> u64 {
        2 * self.reserve()
    }

    /// What there is room for now.
    pub(crate) fn room(&self) -> Room {
        let (free, reserve) = (self.free(), self.reserve());
        if free >= self.needed_by_puts() {
            Room::Puts
        } else if free >= reserve {
            Room::Outputs
        } else if free >= self.ballast {
            Room::Settling
        } else {
            Room::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_close_in_order_and_accepted_bytes_count_as_used() {
        let space = Space::new(10, 30);
        space.set_view_bytes(5);
        assert_eq!(space.reserve(), 50);
        for (free, room) in [
            (100, Room::Puts),
            (99, Room::Outputs),
            (50, Room::Outputs),
            (49, Room::Settling),
            (10, Room::Settling),
            (9, Room::Nothing),
        ] {
            space.sample(free);
            assert_eq!(space.room(), room, "{free} bytes free");
        }
        space.sample(100);
        space.accept(1);
        assert_eq!(space.room(), Room::Outputs);
        // Applied is still used until the next look at the disk, which then shows it itself.
        space.apply(1);
        assert_eq!(space.room(), Room::Outputs);
        space.sample(100);
        assert_eq!(space.room(), Room::Puts);
    }
}
