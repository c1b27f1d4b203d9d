//! Since when a version does badly, by what it did in one piece after the other.

use super::piece::OfVersion;
use crate::{
    id::Timestamp,
    limits::{SICK_PERCENT, SICK_PERCENT_SINCE_DEPLOY},
};

/// Since when a version does badly. A piece in which it was given nothing new changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sick {
    /// Most of what it is given fails.
    pub(super) mostly: Option<Timestamp>,
    /// Some of it fails, more than a well version has.
    pub(super) partly: Option<Timestamp>,
    /// Most of it is skipped.
    pub(super) skips: Option<Timestamp>,
}

impl Sick {
    /// One piece more.
    pub(super) fn pass(&mut self, piece: &OfVersion) {
        if piece.tried + piece.tried_cut == 0 {
            return;
        }
        // Parts of a batch that failed as a whole decide of its records: until one did, all calls failed.
        let is_undecided = piece.tried == 0 && piece.failed == piece.calls;
        let fails = |percent: u64| {
            let are_many = piece.tried_failed * 100 >= piece.tried * percent;
            is_undecided || are_many && piece.tried_failed > 0
        };
        let failed = |is_so: bool| piece.first_failed.filter(|_| is_so);
        self.mostly = since(self.mostly, failed(fails(SICK_PERCENT)));
        self.partly = since(self.partly, failed(fails(SICK_PERCENT_SINCE_DEPLOY)));
        let skips = piece.tried_skipped * 100 >= piece.tried * SICK_PERCENT;
        let skipped = piece.first_skipped.filter(|_| skips);
        self.skips = since(self.skips, skipped);
    }
}

/// What has been so stays so since then, as long as it is.
fn since(known: Option<Timestamp>, first: Option<Timestamp>) -> Option<Timestamp> {
    first.map(|first| known.unwrap_or(first))
}
