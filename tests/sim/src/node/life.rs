//! One life of the process: opens, works until something ends it, ends.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use fnctl_core::{
    breaker::MappingWitnesses,
    clock::Clock as _,
    committer::Stopped,
    id::{LeaseEpoch, MappingId, UnitId},
};
use fnctl_store::{
    AppendError, Appended, Loops, Step as LoopStep, Store,
    disk::simulated::{Counts, Fault},
    open,
};

use super::{
    Branch, World,
    facts::{Rows, records},
    ledger::{Blind, Rules},
    worker::{Flight, Worker},
};

pub(super) const DATA: &str = "/data";
/// How far the retention clock may advance over a stop, ms (commit and storage rules §7).
const STOP_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Steps after which a request must have been answered.
const REQUEST_STEPS_MAX: u64 = 200;
/// Steps in which a shutdown must end, on a full disk too: what gathered, and the last cut.
const SHUTDOWN_STEPS_MAX: u64 = 10;

/// The life is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Over;

pub(super) type Request<T> = Pin<Box<dyn Future<Output = T>>>;

/// A put that was not answered yet.
pub(super) struct PendingPut {
    pub(super) number: usize,
    pub(super) rows: Rows,
    pub(super) answer: Request<Result<Appended, AppendError>>,
}

pub(super) type Leased = Result<Vec<(UnitId, LeaseEpoch)>, Stopped>;

/// A process.
pub(super) struct Node {
    pub(super) store: Store,
    pub(super) loops: Loops,
    pub(super) puts: Vec<PendingPut>,
    pub(super) leases: Vec<(UnitId, Request<Leased>)>,
    pub(super) scratches: Vec<Request<()>>,
    pub(super) workers: Vec<Worker>,
    /// Commits of workers that are gone.
    pub(super) orphans: Vec<Flight>,
    /// What the calls of each mapping said of what its function needs.
    pub(super) witnesses: BTreeMap<MappingId, MappingWitnesses>,
    pub(super) is_full: bool,
    pub(super) is_shut_down: bool,
}

pub(super) fn poll_once<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn failures(counts: &Counts) -> u64 {
    counts.failed_syncs + counts.failed_writes + counts.failed_names + counts.failed_images
}

impl World {
    pub(super) fn live(&mut self) {
        self.plan();
        let Ok(Some(mut node)) = self.start(Rules::STRICT) else {
            return;
        };
        // Else it is killed where it stands.
        if self.work(&mut node).is_ok() && self.random.chance(400) {
            self.shut_down(&mut node);
        }
        self.listen();
        self.was_shut_down = node.is_shut_down;
        self.leave(node);
        if self.was_shut_down {
            self.coverage.note(Branch::ShutDown);
        }
    }

    /// Draws what goes wrong in the life that begins.
    fn plan(&mut self) {
        let operations = self.profile.operations;
        if self.random.chance(self.profile.disk_error) {
            let errors = self.profile.errors.clone();
            let fault = self.random.pick(&errors);
            let after = self.random.between(1, operations);
            self.disk.plan(after, fault);
            self.say(format_args!("plan {fault:?} after {after}"));
        }
        if self.random.chance(self.profile.crash) {
            let after = self.random.between(1, operations);
            self.disk.plan(after, Fault::Down);
            self.say(format_args!("plan a crash after {after}"));
        }
    }

    /// Opens the directory and asks the oracle; `None` when the life ended with that.
    ///
    /// # Errors
    /// Words of the store about damage.
    pub(super) fn start(&mut self, rules: Rules) -> Result<Option<Node>, String> {
        let before = self.disk.counts();
        let wall = self.clock.now().0;
        let stopped = wall.saturating_sub(self.frame_wall).min(STOP_MS_MAX);
        self.ledger.retention_ms += stopped;
        let lengths = self.lengths();
        let had_image = !self
            .disk
            .copy_image(&Path::new(DATA).join("image"))
            .is_empty();
        let opened = open(
            self.profile.options.clone(),
            self.disk.clone(),
            Arc::clone(&self.clock),
        );
        self.listen();
        let (store, loops) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.frame_wall = self.frame_wall.min(wall);
                self.say(format_args!("does not open: {error}"));
                let after = self.disk.counts();
                let has_failed =
                    failures(&after) + after.failed_reads > failures(&before) + before.failed_reads;
                let is_new_and_full = !self.was_open && after.full_writes > before.full_writes;
                if self.disk.is_down() {
                    self.coverage.note(Branch::DownWhileOpening);
                } else if has_failed || is_new_and_full {
                    self.coverage.note(Branch::StartFailed);
                } else if rules.may_be_damaged {
                    return Err(error.to_string());
                } else {
                    panic!("the store does not open: {error}");
                }
                return Ok(None);
            }
        };
        self.was_open = true;
        self.note_start(&store, &lengths, had_image);
        let node = Node {
            store,
            loops,
            puts: Vec::new(),
            leases: Vec::new(),
            scratches: Vec::new(),
            workers: Vec::new(),
            witnesses: BTreeMap::new(),
            orphans: Vec::new(),
            is_full: false,
            is_shut_down: false,
        };
        let read_only = node.store.read_only().map(str::to_owned);
        self.say(format_args!(
            "opened at {}, read-only: {read_only:?}",
            node.store.published()
        ));
        if let Some(words) = &read_only {
            if rules.may_be_damaged && !words.contains("the disk is full") {
                return Err(words.clone());
            }
            let after = self.disk.counts();
            assert!(
                after.full_writes > before.full_writes,
                "no crash and no full disk makes a store read-only: {words}"
            );
            self.coverage.note(Branch::StartedReadOnlyFull);
        } else {
            self.frame_wall = wall;
        }
        assert!(
            node.store.published().0 >= self.published || rules.may_be_damaged,
            "{} was visible, {} is",
            self.published,
            node.store.published()
        );
        let rules = Rules {
            is_behind: node.store.published().0 < self.published,
            ..rules
        };
        if !rules.is_behind {
            let (next, is_rest_lost) = (node.store.published(), read_only.is_none());
            let effects = &mut self.ledger.effects;
            node.store
                .view(|view| effects.survives(view, next, is_rest_lost));
        }
        let (facts, attempts_max) = (&self.facts, self.attempts_max);
        match self.ledger.verify(&node.store, rules, facts, attempts_max) {
            Ok(()) => {
                self.ledger.close_open_puts(&node.store);
                if read_only.is_some() {
                    return Ok(None);
                }
                Ok(Some(node))
            }
            Err(Blind::Damaged(words)) => {
                assert!(rules.may_be_damaged, "damaged by a crash: {words}");
                Err(words)
            }
            Err(Blind::Disk) => {
                let after = self.disk.counts();
                let is_planned = self.disk.is_down() || after.failed_reads > before.failed_reads;
                assert!(is_planned, "a read failed for no reason");
                Ok(None)
            }
        }
    }

    fn lengths(&self) -> BTreeMap<PathBuf, usize> {
        let files = self.disk.files().into_iter();
        files
            .map(|path| {
                let length = self.disk.read(&path).map_or(0, |bytes| bytes.len());
                (path, length)
            })
            .collect()
    }

    /// Notes which branches of the recovery ran, by what became of the files.
    fn note_start(&mut self, store: &Store, before: &BTreeMap<PathBuf, usize>, had_image: bool) {
        let is_segment = |path: &Path| path.extension().is_some_and(|e| e == "segment");
        let after = self.lengths();
        let is_cut = |(path, &length): (&PathBuf, &usize)| {
            is_segment(path) && after.get(path).is_none_or(|&now| now < length)
        };
        if before.iter().any(is_cut) {
            self.coverage.note(Branch::SegmentsCutBack);
        }
        let was_shut_down = std::mem::take(&mut self.was_shut_down);
        if store.published().0 > 1 {
            self.coverage.note(if was_shut_down {
                Branch::StartedFromWhole
            } else {
                Branch::LastFrameRewritten
            });
        }
        if !had_image && store.published().0 > 1 {
            self.coverage.note(Branch::StartedWithoutImage);
        }
    }

    fn work(&mut self, node: &mut Node) -> Result<(), Over> {
        self.set_up(node)?;
        for _ in 0..self.profile.life_steps {
            if self.steps >= self.schedule.steps_max {
                break;
            }
            self.step(node)?;
        }
        Ok(())
    }

    /// One step of the sequencer.
    pub(super) fn sequence(&mut self, node: &mut Node) -> Result<LoopStep, Over> {
        let before = self.disk.counts();
        let published = node.store.published();
        let stepped = node.loops.sequencer.step();
        let wall = self.clock.now().0;
        let said = self.stepped(node, "sequencer", stepped, &before, Branch::SequencerFailed);
        if said.is_err() {
            self.frame_wall = self.frame_wall.min(wall);
        } else if node.store.published() > published || matches!(said, Ok(LoopStep::Finished)) {
            // The end of the journal has the time in it too.
            self.frame_wall = wall;
            self.published = node.store.published().0;
        }
        said
    }

    /// One step of the applier.
    pub(super) fn apply(&mut self, node: &mut Node) -> Result<LoopStep, Over> {
        let before = self.disk.counts();
        let cuts = node.store.stats().cuts;
        let stepped = node.loops.applier.step();
        if node.store.stats().cuts > cuts {
            self.coverage.note(Branch::Cut);
        }
        self.stepped(node, "applier", stepped, &before, Branch::ApplierFailed)
    }

    fn stepped(
        &mut self,
        node: &mut Node,
        which: &str,
        stepped: Result<LoopStep, Stopped>,
        before: &Counts,
        failed: Branch,
    ) -> Result<LoopStep, Over> {
        self.listen();
        let after = self.disk.counts();
        match stepped {
            Ok(step) => {
                // What a full disk left half done is cleared away as well as it can be.
                let is_full = after.full_writes > before.full_writes;
                let cleared = after.failed_names - before.failed_names;
                let passed_over = failures(&after) - failures(before);
                assert!(
                    passed_over == 0 || (is_full && passed_over == cleared),
                    "the {which} went on after a failed operation"
                );
                Ok(step)
            }
            Err(Stopped(words)) => {
                self.say(format_args!("the {which} stopped: {words}"));
                if !self.disk.is_down() {
                    let has_failed = failures(&after) > failures(before)
                        || after.failed_reads > before.failed_reads;
                    // Only the journal's own write may meet a full disk; the rest waits for room.
                    let is_full = after.full_writes > before.full_writes && which == "sequencer";
                    assert!(
                        has_failed || is_full,
                        "the {which} stopped for no reason: {words}"
                    );
                    self.coverage.note(failed);
                }
                self.check_stopped(node);
                Err(Over)
            }
        }
    }

    /// After a failure nothing is taken, and everyone who waits is told.
    fn check_stopped(&mut self, node: &mut Node) {
        let rows = vec![(b"k0".to_vec(), vec![0; 8])];
        let store = node.store.clone();
        let mut put = pin!(store.append(super::control::name("in"), records(&rows), None));
        let answer = poll_once(put.as_mut());
        assert!(
            matches!(answer, Poll::Ready(Err(AppendError::Stopped(_)))),
            "a stopped store answers {answer:?}"
        );
        assert!(
            node.loops.sequencer.step().is_err(),
            "the sequencer goes on"
        );
        assert!(node.loops.applier.step().is_err(), "the applier goes on");
        self.check_answered(node);
    }

    /// Once a store ended, nobody waits for it.
    fn check_answered(&mut self, node: &mut Node) {
        self.poll_requests(node);
        assert!(node.puts.is_empty(), "a put is never answered");
        assert!(node.leases.is_empty(), "a lease is never answered");
        assert!(node.scratches.is_empty(), "a command is never answered");
    }

    /// Takes the answers over that are there.
    pub(super) fn poll_requests(&mut self, node: &mut Node) {
        let mut at = 0;
        while at < node.puts.len() {
            let Poll::Ready(answer) = poll_once(node.puts[at].answer.as_mut()) else {
                at += 1;
                continue;
            };
            let put = node.puts.remove(at);
            self.say(format_args!("put {} is answered {answer:?}", put.number));
            match answer {
                Ok(appended) => {
                    self.ledger.acknowledged(put.number, &appended, &put.rows);
                }
                Err(AppendError::Stopped(_)) => {}
                Err(error) => {
                    if error == AppendError::DiskFull {
                        self.coverage.note(Branch::PutRefusedFull);
                    }
                    self.ledger.refused(put.number);
                }
            }
        }
        let mut at = 0;
        while at < node.leases.len() {
            let Poll::Ready(answer) = poll_once(node.leases[at].1.as_mut()) else {
                at += 1;
                continue;
            };
            drop(node.leases.remove(at));
            for (unit, epoch) in answer.unwrap_or_default() {
                self.start_worker(node, unit, epoch);
            }
        }
        node.scratches
            .retain_mut(|request| poll_once(request.as_mut()).is_pending());
    }

    /// Runs a request to its answer.
    pub(super) fn run_request<T>(
        &mut self,
        node: &mut Node,
        future: impl Future<Output = T>,
    ) -> Result<T, Over> {
        let mut future = pin!(future);
        for _ in 0..REQUEST_STEPS_MAX {
            if let Poll::Ready(answer) = poll_once(future.as_mut()) {
                return Ok(answer);
            }
            self.sequence(node)?;
            self.apply(node)?;
        }
        panic!("a request was never answered");
    }

    /// Shuts the store down in order, if the disk lets it.
    pub(super) fn shut_down(&mut self, node: &mut Node) {
        self.say(format_args!("shut down"));
        node.store.shutdown();
        for _ in 0..SHUTDOWN_STEPS_MAX {
            let Ok(written) = self.sequence(node) else {
                return;
            };
            let Ok(applied) = self.apply(node) else {
                return;
            };
            if (written, applied) == (LoopStep::Finished, LoopStep::Finished) {
                node.is_shut_down = true;
                return self.check_answered(node);
            }
        }
        panic!("the store is never shut down: {:?}", node.store.stats());
    }

    /// Time passes while the process lives.
    pub(super) fn pass(&mut self, ms: u64) {
        self.clock.advance(ms);
        self.ledger.retention_ms += ms;
    }

    /// The process is gone: what was answered counts.
    pub(super) fn leave(&mut self, mut node: Node) {
        self.poll_requests(&mut node);
        for worker in std::mem::take(&mut node.workers) {
            self.note_end(&worker);
            node.orphans.extend(worker.into_flights());
        }
        self.overhear(&mut node);
    }

    /// A worker goes; what it handed in goes on.
    pub(super) fn remove_worker(&mut self, node: &mut Node, at: usize) {
        let worker = node.workers.remove(at);
        self.note_end(&worker);
        node.orphans.extend(worker.into_flights());
    }

    fn note_end(&mut self, worker: &Worker) {
        if !worker.redrives.is_empty() {
            self.coverage.note(Branch::RedriveLost);
        }
    }

    /// Notes what the sequencer took that nobody waits for.
    pub(super) fn overhear(&mut self, node: &mut Node) {
        for flight in &mut node.orphans {
            if let Some((lsn, commit)) = flight.overheard() {
                self.ledger.effects.accepted(lsn, commit);
            }
        }
    }
}
