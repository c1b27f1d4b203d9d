//! Writes what has gathered: one frame, one write, one sync at a time.

use std::{mem, sync::Arc, time::Instant};

use fnctl_core::committer::Stopped;

use super::{Gathering, Rest, State, publish};
use crate::{journal::writer::JournalWriter, limits::CHARGES_LINGER, shared::Shared};

/// What a step of a loop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something was done; there may be more.
    Worked,
    /// There was nothing to do.
    Idle,
    /// The store was shut down and everything is written.
    Finished,
}

/// Writes the journal: runs on a thread of its own.
pub struct SequencerLoop {
    pub(crate) shared: Arc<Shared>,
    /// None when the store is read-only.
    pub(crate) writer: Option<JournalWriter>,
    pub(crate) spent: Gathering,
    pub(crate) is_finished: bool,
}

impl SequencerLoop {
    /// Runs until the store is shut down.
    ///
    /// # Errors
    /// A write or a sync failed: the process must end within a second.
    pub fn run(mut self) -> Result<(), Stopped> {
        loop {
            if self.step()? == Step::Finished {
                return Ok(());
            }
            self.rest();
        }
    }

    /// Sleeps until there is something to write. What may linger is looked for at the end of a short sleep; one
    /// that finds nothing is the last, and then nothing but work wakes the thread.
    fn rest(&self) {
        let mut until = Instant::now() + CHARGES_LINGER;
        let mut sequencer = self.shared.lock_sequencer();
        while !sequencer.has_work(&self.shared) {
            if sequencer.lingers {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    if !sequencer.frame.is_empty() {
                        return;
                    }
                    sequencer.lingers = false;
                    continue;
                }
                sequencer.rest = Rest::Short;
                let woken = self.shared.work.wait_timeout(sequencer, left);
                (sequencer, _) = woken.expect("a panic here has ended the node");
            } else {
                sequencer.rest = Rest::Long;
                let woken = self.shared.work.wait(sequencer);
                sequencer = woken.expect("a panic here has ended the node");
                until = Instant::now() + CHARGES_LINGER;
            }
            sequencer.rest = Rest::None;
        }
    }

    /// Writes, syncs and publishes what has gathered.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn step(&mut self) -> Result<Step, Stopped> {
        let mut frame = mem::take(&mut self.spent);
        {
            let mut sequencer = self.shared.lock_sequencer();
            if let State::Stopped(stopped) = &sequencer.state {
                let is_read_only = self.shared.is_read_only();
                let is_ended = self.shared.is_ending();
                return match (is_read_only, is_ended) {
                    (true, false) => Ok(Step::Idle),
                    (true, true) => Ok(Step::Finished),
                    (false, _) => Err(stopped.clone()),
                };
            }
            if sequencer.frame.is_empty() {
                sequencer.judge_waiting(&self.shared);
            }
            mem::swap(&mut frame, &mut sequencer.frame);
            sequencer.judge_waiting(&self.shared);
            if frame.is_empty() {
                let is_draining = sequencer.state == State::Draining;
                drop(sequencer);
                self.spent = frame;
                return if is_draining {
                    self.finish()
                } else {
                    Ok(Step::Idle)
                };
            }
        }
        if frame.entries.is_empty() {
            frame.answer_all();
        } else {
            self.write(&mut frame)?;
        }
        frame.clear();
        self.spent = frame;
        Ok(Step::Worked)
    }

    fn write(&mut self, frame: &mut Gathering) -> Result<(), Stopped> {
        let writer = self
            .writer
            .as_mut()
            .expect("only a read-only store has no writer");
        let first = writer.next();
        let clocks = self.shared.clocks.frame();
        let entries = u32::try_from(frame.entries.len()).expect("a frame holds few entries");
        // For the statistics alone: nothing is decided by it.
        let started = Instant::now();
        let written = writer
            .write_entries(&mut frame.buffer, entries, clocks)
            .and_then(|place| {
                frame.answer_early();
                writer.sync().map(|()| place)
            });
        let place = written.map_err(|error| {
            let stopped = Stopped(format!("the journal could not be written: {error}"));
            self.shared.fail(&stopped);
            stopped
        })?;
        let bytes = frame.buffer.len() as u64;
        self.shared.counters.synced(started.elapsed(), bytes);
        publish::publish(&self.shared, first, place, frame);
        frame.answer_all();
        Ok(())
    }

    fn finish(&mut self) -> Result<Step, Stopped> {
        if !self.is_finished {
            let clocks = self.shared.clocks.frame();
            let writer = self
                .writer
                .as_mut()
                .expect("only a read-only store has no writer");
            if let Err(error) = writer.finish(clocks) {
                let stopped = Stopped(format!("the journal could not be ended: {error}"));
                self.shared.fail(&stopped);
                return Err(stopped);
            }
            self.is_finished = true;
            self.shared.journal_finished();
        }
        Ok(Step::Finished)
    }
}
