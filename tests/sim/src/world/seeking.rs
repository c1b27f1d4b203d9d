//! A person sends the mapping elsewhere in its stream.

use fnctl_core::{id::Ordinal, invariants};

use super::{Weakness, World};
use crate::coverage::Reached;

impl World {
    /// To the oldest record, the end, a sequence number or a time, as the API resolves them: from what is
    /// published, while the sequencer may be ahead of that.
    pub(super) fn seek(&mut self) {
        let tail = self.journal.published_tail();
        let (reached, after) = match self.random.below(4) {
            0 => (Reached::SeekTrimHorizon, Ordinal(0)),
            1 => (Reached::SeekLatest, tail),
            2 => {
                let after = Ordinal(self.random.between(0, tail.0));
                (Reached::SeekSequence, after)
            }
            _ => {
                let back = self.random.pick(&[0, 100, 5_000, 4_000_000]);
                let time = self.now.0.saturating_sub(self.random.between(0, back));
                let puts = &self.journal.puts[..usize::try_from(tail.0).expect("an index")];
                let before = puts.partition_point(|put| put.arrival.0 < time);
                (Reached::SeekTime, Ordinal(before as u64))
            }
        };
        self.note_seek(reached, after);
        let unit = self.journal.unit();
        let before = self.journal.accepted(unit).settled.low_watermark();
        let is_fenced = self.weakness != Some(Weakness::UnfencedSeek);
        let sought = self.journal.seek(after, is_fenced);
        self.trace
            .line(format_args!("{} seek {reached:?} {sought:?}", self.now));
        let last = self.journal.puts.len() as u64;
        assert_eq!((sought.from, sought.to), (before, after));
        assert_eq!(sought.pending, last - after.0, "{sought:?}");
        if let Err(broken) = invariants::sought_is_sound(self.journal.accepted(unit), after) {
            panic!("{broken}");
        }
        self.starting = None;
    }

    /// What a seek meets.
    fn note_seek(&mut self, reached: Reached, after: Ordinal) {
        self.coverage.note(reached);
        let view = self.journal.accepted(self.journal.unit());
        if after < view.settled.low_watermark() {
            self.coverage.note(Reached::SeekBack);
        }
        if view.unsettled_through(after) > 0 {
            self.coverage.note(Reached::SeekSkipped);
        }
        let mut met = Vec::new();
        for worker in self.workers.iter().filter(|worker| self.is_present(worker)) {
            if !worker.calls.is_empty() {
                met.push(Reached::SeekOverCall);
            }
            if !worker.outbox.is_empty() {
                met.push(Reached::SeekOverCommit);
            }
            if worker.pipeline.stats().parked_keys > 0 {
                met.push(Reached::SeekOverParkedKey);
            }
            if !worker.redrives.is_empty() {
                met.push(Reached::SeekOverRedrive);
            }
        }
        for reached in met {
            self.coverage.note(reached);
        }
    }
}
