//! The storage schedules that broke simpler rules (commit and storage rules §10), by their numbers.

mod engines;
mod image;
mod journal;
mod letters;
mod outside;
mod quota;
mod room;
mod shard_logs;

use std::{
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use fnctl_core::{
    commit::{Commit, CommitAnswer, OutputRecords, UnitTotals},
    committer::{Committer, Ticket},
    id::{FunctionVersion, LeaseEpoch, Ordinal, ShardNumber, SlotId, StreamId, StreamName, UnitId},
    settled::{SettledRange, SettledRanges},
};

use crate::{
    AppendError, Appended, Options, Sizes, Step,
    disk::simulated::SimDisk,
    testing::{ManualClock, Node, add_mapping, engines::Kind, records},
};

fn options() -> Options {
    Options {
        ballast_bytes: 0,
        unapplied_bytes_max: 1 << 20,
        tail_bytes_max: 0,
        sizes: Sizes {
            journal_file: 16 << 10,
            segment: 2 << 10,
            segment_frame: 256,
            ..Sizes::default()
        },
        ..Options::new("/data")
    }
}

struct Machine {
    disk: SimDisk,
    clock: Arc<ManualClock>,
}

impl Machine {
    fn new(seed: u64) -> Self {
        Self::on(SimDisk::new(seed))
    }

    /// A machine whose image is of that kind.
    fn with(kind: Kind, seed: u64) -> Self {
        Self::on(kind.disk(seed))
    }

    fn on(disk: SimDisk) -> Self {
        Self {
            disk,
            clock: ManualClock::new(),
        }
    }

    fn start(&self) -> Node {
        Node::open_with(options(), self.disk.clone(), &self.clock)
    }

    /// A node with one stream `s` of one shard that holds `count` records.
    fn with_records(&self, count: u64) -> (Node, StreamId) {
        let mut node = self.start();
        let stream = node.create_stream("s", 1);
        for number in 0..count {
            node.put("s", records(&[payload(number)]));
        }
        (node, stream)
    }

    fn cut(&self, node: &mut Node) {
        self.clock.advance(3_000);
        node.settle().unwrap();
        assert_eq!(node.store.stats().cut, node.store.published());
    }

    /// Cuts and takes a snapshot, which the size of the journal would only make later.
    fn snapshot(&self, node: &mut Node) {
        node.loops.applier.cutter.ask_for_snapshot();
        node.put("s", records(&["snapshot"]));
        self.cut(node);
    }
}

fn payload(number: u64) -> Vec<u8> {
    format!("{number:0>100}").into_bytes()
}

fn payloads(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(payload).collect()
}

type Put = Pin<Box<dyn Future<Output = Result<Appended, AppendError>>>>;

fn poll(put: &mut Put) -> Poll<Result<Appended, AppendError>> {
    put.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// A put that was taken and waits for its sync.
fn unanswered(node: &Node, stream: StreamId, number: u64) -> Put {
    let store = node.store.clone();
    let mut put: Put = Box::pin(async move {
        store
            .append(stream, records(&[payload(number)]), None)
            .await
    });
    assert!(poll(&mut put).is_pending());
    put
}

fn last_file(disk: &SimDisk, ending: &str) -> std::path::PathBuf {
    let files = disk.files();
    let found = files
        .into_iter()
        .rfind(|file| file.to_string_lossy().ends_with(ending));
    found.expect("there is one")
}

fn is_segment(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "segment")
}
impl Machine {
    fn snapshot_without_put(&self, node: &mut Node) {
        node.loops.applier.cutter.ask_for_snapshot();
        self.clock.advance(3_000);
        while node.loops.applier.step().unwrap() == Step::Worked {}
    }
}
/// Maps `stream` and answers the unit of its first shard.
pub(super) fn unit_on(node: &mut Node, stream: StreamId) -> UnitId {
    let store = node.store.clone();
    let mapping = node.run(add_mapping(&store, "s")).unwrap().unwrap();
    UnitId {
        mapping,
        stream,
        shard: ShardNumber(0),
    }
}

pub(super) fn lease(node: &mut Node, unit: UnitId) -> LeaseEpoch {
    let store = node.store.clone();
    node.run(store.lease(vec![unit])).unwrap().unwrap()[0].1
}

fn answered(node: &mut Node, commit: Commit) -> CommitAnswer {
    let mut ticket = node.store.commit(commit);
    node.run(ticket.answer()).unwrap().unwrap()
}

/// Settles `(after, through]` with that many rows to each of the outputs.
pub(super) fn commit(
    unit: UnitId,
    epoch: LeaseEpoch,
    number: u64,
    (after, through): (u64, u64),
    outputs: &[&str],
) -> Commit {
    let rows: Vec<String> = (after + 1..=through)
        .map(|position| format!("{position}"))
        .collect();
    let range = SettledRange {
        after: Ordinal(after),
        through: Ordinal(through),
    };
    Commit {
        unit,
        epoch,
        slot: SlotId::Lane(0),
        number,
        settles: SettledRanges::from_iter([range]),
        attempts: Vec::new(),
        totals: UnitTotals::default(),
        dead_letters: Vec::new(),
        outputs: outputs
            .iter()
            .map(|name| OutputRecords {
                stream: StreamName::parse(name).unwrap(),
                records: records(&rows),
            })
            .collect(),
        function_version: FunctionVersion(1),
        redriven: None,
        window: None,
        outages: None,
    }
}
