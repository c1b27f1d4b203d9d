//! What people do beside the catalogue: records given up, letters redriven and thrown away, mappings sent
//! elsewhere, canaries. All of it is drawn apart, so that seeds make the days that they made before.

mod letters;
mod seeking;

use fnctl_core::{
    entry::Entry, id::Timestamp, mapping::Mapping, pipeline::RedriveEnding, view::NodeView,
};
use fnctl_store::DecideError;

use super::{
    Branch, World,
    ledger::{Asked, Did},
    life::{Node, poll_once},
    profile::Trouble,
    worker::Worker,
};
use crate::{hands, random::Random, versions::Switch};

/// An outage ends, of a thousand steps.
const OUTAGE_ENDS: u64 = 6;
/// Keys of a day with outages: with fewer no circuit is sure that it is one.
const KEYS_OF_OUTAGE: u64 = 40;

/// What people do on a day, each of a thousand steps.
#[derive(Debug)]
pub(super) struct People {
    random: Random,
    hand: u64,
    redrive: u64,
    purge: u64,
    seek: u64,
    /// Of a thousand owners, those before which a canary is switched.
    canary: u64,
    outage: u64,
    /// What the function needs is down.
    pub(super) is_down: bool,
    /// Of ten keys so many do not need it.
    pub(super) spared: u64,
}

impl People {
    pub(super) fn draw(seed: u64, without: &[Trouble]) -> Self {
        let mut random = Random::new(seed ^ 0x5045_4F50_4C45_2121);
        let mut rate = |trouble: Trouble, usual: u64, permille: u64| {
            let drawn = random.chance(usual);
            let rate = random.between(1, permille);
            let has = !without.contains(&trouble);
            if drawn && has { rate } else { 0 }
        };
        Self {
            hand: rate(Trouble::Hands, 300, 40),
            redrive: rate(Trouble::Letters, 400, 90),
            purge: rate(Trouble::Letters, 300, 30),
            seek: rate(Trouble::Seeks, 300, 15),
            canary: rate(Trouble::Canaries, 300, 600),
            outage: rate(Trouble::Outages, 250, 20),
            is_down: false,
            spared: 0,
            random,
        }
    }

    /// Keys of the day, where there would be so many.
    pub(super) const fn keys(&self, keys: u64) -> u64 {
        if self.outage > 0 {
            KEYS_OF_OUTAGE
        } else {
            keys
        }
    }

    /// Whether versions differ.
    pub(super) const fn has_canaries(&self) -> bool {
        self.canary > 0
    }
}

impl World {
    /// Now and then somebody does something.
    pub(super) fn people(&mut self, node: &mut Node) {
        let people = &mut self.people;
        let outage = match people.is_down {
            true => OUTAGE_ENDS.min(people.outage * OUTAGE_ENDS),
            false => people.outage,
        };
        if people.random.chance(outage) {
            people.is_down = !people.is_down;
            people.spared = people.random.pick(&[0, 0, 1, 3, 5]);
            self.coverage.note(Branch::Outage);
        }
        if self.people.random.chance(self.people.hand) {
            self.hand(node);
        }
        if self.people.random.chance(self.people.redrive) {
            self.redrive(node);
        }
        if self.people.random.chance(self.people.purge) {
            self.purge(node);
        }
        if self.people.random.chance(self.people.seek) {
            self.seek(node);
        }
    }

    /// Before an owner starts.
    pub(super) fn switch_canary(&mut self) {
        let people = &mut self.people;
        if self.is_calm || !people.random.chance(people.canary) {
            return;
        }
        let switch = self.versions.switch(&mut people.random);
        match switch {
            Switch::Begun => self.coverage.note(Branch::CanaryBegun),
            Switch::Promoted => self.coverage.note(Branch::CanaryPromoted),
            Switch::Dropped => self.coverage.note(Branch::CanaryDropped),
            Switch::Changed | Switch::Kept => {}
        }
        let versions = self.versions;
        self.say(format_args!("{switch:?}: {versions:?}"));
    }

    /// Notes what became of a worker's letters, and how its circuit is.
    pub(super) fn note_worker(&mut self, worker: &mut Worker) {
        for ending in worker.redriven.drain(..) {
            self.coverage.note(match ending {
                RedriveEnding::Resolved => Branch::RedriveResolved,
                RedriveEnding::FailedAgain => Branch::RedriveFailedAgain,
                RedriveEnding::Closed => Branch::RedriveClosed,
            });
        }
        if let Some(open) = worker.pipeline.circuit() {
            self.coverage.note(Branch::CircuitOpen);
            if open.is_recovering() {
                self.coverage.note(Branch::CircuitRecovering);
            }
        }
        if worker.calls_both() {
            self.coverage.note(Branch::CanaryBesideLive);
        }
        let mut calls = worker.calls.iter().map(|call| &call.invocation);
        if calls.any(|call| call.redrive.is_some() && call.window.is_some()) {
            self.coverage.note(Branch::RedriveInWindow);
        }
    }

    /// Records that are not done are given up, or tried now.
    fn hand(&mut self, node: &mut Node) {
        let living = (0..node.workers.len()).filter(|&at| node.workers[at].stopped.is_none());
        let living: Vec<usize> = living.collect();
        if living.is_empty() {
            return;
        }
        let at = self.people.random.pick(&living);
        let drawn = hands::draw(&node.workers[at].pipeline, &mut self.people.random);
        if let Some(event) = drawn {
            self.coverage.note(Branch::GivenUpByHand);
            self.tell(node, at, event);
        }
    }

    fn some_mapping(&mut self, node: &Node) -> Option<Mapping> {
        let mappings: Vec<Mapping> = node.store.view(|view| {
            let mappings = view.registry().mappings();
            mappings.map(|mapping| Mapping::clone(mapping)).collect()
        });
        let at = self.people.random.below((mappings.len() as u64).max(1));
        mappings.into_iter().nth(usize::try_from(at).expect("few"))
    }

    /// Has the sequencer judge something; the ledger learns what came of it.
    fn decide(
        &mut self,
        node: &mut Node,
        decide: impl FnOnce(&NodeView) -> Option<(Entry, Did)> + Send + 'static,
    ) {
        let asked = Asked::default();
        self.ledger.effects.asked(&asked);
        let (store, told) = (node.store.clone(), asked.clone());
        let mut request = Box::pin(async move {
            let decide = move |view: &NodeView, _: Timestamp| {
                let decided = decide(view);
                let (entry, did) = decided.unzip();
                asked.lock().did = did;
                Ok::<_, ()>((entry, ()))
            };
            let decided = store.decide(decide).await;
            told.lock().is_answered = !matches!(decided, Err(DecideError::Stopped(_)));
        });
        if poll_once(request.as_mut()).is_pending() {
            node.scratches.push(request);
        }
    }
}
