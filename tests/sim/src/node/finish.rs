//! The end of a run: a life without a fault, in which everything must come to rest.

use std::path::{Path, PathBuf};

use fnctl_core::{clock::Clock as _, view::NodeView};
use fnctl_store::Step as LoopStep;

use super::{
    Branch, World,
    ledger::Rules,
    life::{Node, Over},
    steps::Step,
};

/// Steps after which a quiet node must have come to rest.
const QUIET_STEPS_MAX: u64 = 20_000;
/// The longest that a pipeline may wait for anything, whatever the wall clock did, ms.
const WAIT_MS_MAX: u64 = 3_600_000;

impl World {
    /// A life without a fault, in which everything must come to its end.
    pub(super) fn finish(&mut self) {
        self.disk.cancel_plan();
        self.disk.set_capacity(u64::MAX);
        self.say(format_args!("calm"));
        let mut node = match self.start(Rules::STRICT) {
            Ok(Some(node)) => node,
            other => panic!("a calm disk does not open: {:?}", other.map(drop)),
        };
        self.is_calm = true;
        self.is_mended = true;
        self.people.is_down = false;
        let went_on = self.settle_down(&mut node);
        assert!(went_on.is_ok(), "a calm node stopped");
        self.shut_down(&mut node);
        assert!(node.is_shut_down, "a calm node does not end");
        assert_eq!(node.store.stats().cut, node.store.published());
        self.leave(node);
        self.disk.power_loss();
        let node = match self.start(Rules::STRICT) {
            Ok(Some(node)) => node,
            other => panic!("a whole directory does not open: {:?}", other.map(drop)),
        };
        assert_eq!(
            node.store.stats().unapplied_bytes,
            0,
            "nothing is left to redo"
        );
        let files = self.disk.files();
        let words = format_args!("{} files at {}", files.len(), node.store.published()).to_string();
        self.say(format_args!("{words}"));
        self.leave(node);
        let is_snapshot = |path: &Path| path.to_string_lossy().contains("snapshot-");
        if files.iter().any(|path| is_snapshot(path)) {
            self.coverage.note(Branch::SnapshotWritten);
        }
        let is_journal = |path: &&PathBuf| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            path.starts_with("/data/journal") && !is_snapshot(path) && !name.ends_with(".tmp")
        };
        let journals = files.iter().filter(is_journal).count();
        if journals > 0 && self.disk_lost_journals() {
            self.coverage.note(Branch::JournalRemoved);
        }
    }

    /// Whether the first journal file is gone.
    fn disk_lost_journals(&self) -> bool {
        let files = self.disk.files();
        let mut numbers: Vec<String> = files
            .iter()
            .filter(|path| path.starts_with("/data/journal"))
            .map(|path| {
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| !name.starts_with("snapshot") && !name.ends_with(".tmp"))
            .collect();
        numbers.sort();
        numbers.first().is_some_and(|first| !first.ends_with("01"))
    }

    fn settle_down(&mut self, node: &mut Node) -> Result<(), Over> {
        self.set_up(node)?;
        self.put(node, "in");
        let probe = node.puts.last().expect("it was just put").number;
        // Thousands of records may wait that are called one by one: as long as more of them are done it goes on.
        let mut reached = None;
        loop {
            if self.comes_to_rest(node, probe)? {
                return self.judge(node);
            }
            let stats: Vec<_> = node.workers.iter().map(|w| w.pipeline.stats()).collect();
            let done: u64 = stats.iter().map(|stats| stats.low_watermark.0).sum();
            assert!(
                reached.is_none_or(|before| before < done),
                "a quiet node does not come to rest: {stats:?}"
            );
            reached = Some(done);
        }
    }

    /// Goes on for some steps; whether nothing is left to do after that.
    fn comes_to_rest(&mut self, node: &mut Node, probe: usize) -> Result<bool, Over> {
        for _ in 0..QUIET_STEPS_MAX {
            self.steps += 1;
            let mut steps = self.enabled_workers(node);
            steps.extend(self.idle_units(node).into_iter().map(Step::Lease));
            if !(node.puts.is_empty() && node.leases.is_empty() && node.scratches.is_empty()) {
                steps.push(Step::Poll);
            }
            steps.extend([Step::Sequence, Step::Apply]);
            let is_idle = steps.len() == 2;
            if is_idle {
                if self.is_at_rest(node)? {
                    assert!(self.ledger.is_answered(probe), "service does not resume");
                    return Ok(true);
                }
                self.wait(node);
                continue;
            }
            // What waits for a cut waits for time.
            if self.steps.is_multiple_of(32) {
                self.wait(node);
            }
            let step = self.random.pick(&steps);
            self.say(format_args!("{step:?}"));
            self.perform(node, step)?;
        }
        Ok(false)
    }

    /// Waits for what is due next.
    fn wait(&mut self, node: &Node) {
        let now = self.clock.now();
        let deadlines = node
            .workers
            .iter()
            .filter_map(|worker| worker.pipeline.deadline());
        let wait = deadlines
            .min()
            .map_or(1_000, |deadline| deadline.since_ms(now).max(1));
        assert!(wait <= WAIT_MS_MAX, "a pipeline waits for {wait} ms");
        self.say(format_args!("wait {wait}"));
        self.pass(wait);
    }

    fn is_at_rest(&mut self, node: &mut Node) -> Result<bool, Over> {
        let has_written = self.sequence(node)? == LoopStep::Worked;
        let has_applied = self.apply(node)? == LoopStep::Worked;
        let is_done = node.store.view(|view| {
            let mut units = view.units();
            units.all(|(unit, state)| {
                view.pending(unit) == Some(0) && state.open_windows().next().is_none()
            })
        });
        let present = node.workers.iter().filter(|worker| {
            let epoch = |view: &NodeView| view.unit(worker.unit).map(|unit| unit.epoch);
            node.store.view(epoch) == Some(worker.epoch)
        });
        let has_letters = present
            .into_iter()
            .any(|worker| !worker.redrives.is_empty());
        Ok(is_done && !has_letters && !has_written && !has_applied)
    }

    fn judge(&mut self, node: &mut Node) -> Result<(), Over> {
        self.overhear(node);
        let next = node.store.published();
        let effects = &mut self.ledger.effects;
        node.store.view(|view| effects.survives(view, next, false));
        let (facts, attempts_max) = (&self.facts, self.attempts_max);
        let verified = self
            .ledger
            .verify(&node.store, Rules::STRICT, facts, attempts_max);
        if verified.is_err() {
            panic!("a calm disk cannot be read");
        }
        for worker in &node.workers {
            let stats = worker.pipeline.stats();
            assert_eq!(stats.window_records, 0, "nothing is held at rest");
        }
        // Retention and cuts have their turn once more.
        self.pass(3_000);
        self.apply(node)?;
        self.sequence(node)?;
        Ok(())
    }
}
