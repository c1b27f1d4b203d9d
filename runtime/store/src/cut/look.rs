//! What a start found no time to read, and what the scrub asks for: looked at before a cut, which makes up
//! for what is damaged.

use crate::{
    applier::ApplierLoop,
    journal::below::Looked,
    limits::SCAN_READ_BYTES,
    scrub::{MetBy, ScrubKind, damaged_file},
};

impl ApplierLoop {
    /// Looks at a piece of what the start did not read of the journal. What is damaged there is reported,
    /// and a snapshot makes sure that nobody needs it (commit and storage rules §5).
    pub(crate) fn look_below(&mut self) {
        if self.shared.scrub.takes_wish() {
            if self.shared.scrub.takes_image() {
                // Every value is in memory: the next cut begins an empty one.
                self.cutter.image = None;
            }
            self.cutter.make_anew();
        }
        let Some(below) = &mut self.cutter.below else {
            return;
        };
        match below.look(SCAN_READ_BYTES as u64) {
            Looked::Some => return,
            Looked::Sound => {}
            Looked::Damaged(file, offset) => {
                let words = "a frame that is no longer needed is damaged";
                let finding = damaged_file(ScrubKind::Journal, &file, offset, words);
                self.shared.found(finding, MetBy::Start);
                self.cutter.make_anew();
            }
        }
        self.cutter.below = None;
    }
}
