//! Each code by the figures that make it, and by those that almost do.

mod aged;
mod canaries;
mod in_time;
mod near;
mod slow;
mod stalls;
mod words;

use std::collections::BTreeMap;

use super::*;
use crate::{
    commit::UnitTotals,
    recent::{RecentFault, TopCause, UnderWay},
    status::{SettingsStatus, ShardStatus, Totals},
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// Four minutes and fifty seconds: what thirty pieces hold at least.
const OVER_MS: u64 = 290_000;

/// A mapping with two shards of two lanes, and what else is asked of it. As made it is well and caught up.
struct World {
    status: MappingStatus,
    recent: RecentFigures,
    arrived: Option<u64>,
    live_since: Timestamp,
    before: Option<u64>,
    concurrency: Option<u32>,
    older_records: u64,
    before_seeks: Option<u64>,
    largest: Option<(&'static str, u64)>,
    parked_key: Option<&'static str>,
    output: Option<&'static str>,
    behind_hole: Option<(&'static str, &'static str)>,
    wall_ahead_ms: i64,
    waiting_calls: u32,
    is_careful: bool,
}

impl World {
    fn new() -> Self {
        Self {
            status: status(),
            recent: RecentFigures {
                over_ms: OVER_MS,
                busy_over_ms: 10_000,
                progressed_ago_ms: Some(2_000),
                adds: UnitTotals {
                    processed: 100,
                    ..UnitTotals::default()
                },
                versions: vec![version(7, 100, 0)],
                p50_ns: Some(2_000_000),
                p99_ns: Some(9_000_000),
                run_ms: 200,
                ..RecentFigures::default()
            },
            arrived: Some(100),
            live_since: Timestamp(NOW.0 - 86_400_000),
            before: None,
            concurrency: None,
            older_records: 0,
            before_seeks: None,
            largest: None,
            parked_key: None,
            output: None,
            behind_hole: None,
            wall_ahead_ms: 0,
            waiting_calls: 0,
            is_careful: false,
        }
    }

    fn diagnosed(&self) -> Diagnosis {
        self.with_figures(diagnose)
    }

    fn with_figures<T>(&self, ask: impl FnOnce(&Figures<'_>) -> T) -> T {
        ask(&Figures {
            status: &self.status,
            now: NOW,
            recent: &self.recent,
            arrived: self.arrived,
            live_since: self.live_since,
            before: self.before.map(FunctionVersion),
            timeout_ms: 30_000,
            concurrency: self.concurrency,
            node_calls: 64,
            older_records: self.older_records,
            before_seeks: self.before_seeks,
            largest: self.largest,
            parked_key: self.parked_key,
            output: self.output,
            behind_hole: self.behind_hole,
            wall_ahead_ms: self.wall_ahead_ms,
            waiting_calls: self.waiting_calls,
            is_careful: self.is_careful,
        })
    }

    fn held(&mut self, state: &str, why: Why, detail: &str) {
        self.status.state = state.to_owned();
        self.status.reason = Some(why.as_str().to_owned());
        self.status.detail = Some(detail.to_owned());
    }

    /// Many records wait, the oldest for ten minutes.
    fn behind(&mut self) {
        self.status.iterator_age_ms = 600_000;
        self.status.pending_records = 10_000;
        for shard in &mut self.status.shards {
            shard.iterator_age_ms = 600_000;
            shard.pending_records = 5_000;
        }
    }

    /// Every lane has a call all the time.
    fn busy(&mut self) {
        self.recent.busy_permille = 4_000;
    }

    /// Of the last hundred calls so many failed.
    fn failing(&mut self, failed: u64, code: &str) {
        let mut live = version(7, 100, failed);
        live.cause = Some(TopCause {
            code: code.into(),
            calls: failed,
        });
        live.sick_ago_ms = Some(60_000);
        self.recent.versions = vec![live];
    }

    /// One call, alone, has run for so long.
    fn hangs(&mut self, ran_ms: u64) {
        self.recent.running = 1;
        self.recent.under_way = vec![UnderWay {
            version: FunctionVersion(7),
            ran_ms,
            records: 1,
            calls: 1,
        }];
    }

    /// Half of the keys meet version 8, since ten minutes.
    fn canary(&mut self) {
        self.status.canary = Some(crate::status::CanaryStatus {
            version: 8,
            weight: "50%".to_owned(),
            since: rfc3339::format(Timestamp(NOW.0 - 600_000)),
            rollback_errors: None,
            rollback_age: None,
            calls: 0,
            failures: 0,
            live_calls: 0,
            live_failures: 0,
        });
    }

    fn circuit(&mut self) {
        let open = serde_json::json!({
            "since": "2026-03-01T02:58:00.000Z",
            "next_probe_at": "2026-03-01T03:00:00.000Z",
            "probes_failed": 3,
            "code": "busy",
            "error": "asked to fail",
        });
        let open = serde_json::from_value(open).expect("a circuit");
        self.status.shards[0].circuit = Some(open);
    }
}

fn version(number: u64, calls: u64, failed: u64) -> RecentVersion {
    RecentVersion {
        version: FunctionVersion(number),
        calls,
        failed,
        run_ns: calls * 2_000_000,
        well_ns: (calls - failed) * 2_000_000,
        well_longest_ns: 9_000_000,
        well_records: (calls - failed) * 10,
        cut_least: None,
        busy_permille: 0,
        tried: calls * 10,
        tried_failed: failed * 10,
        tried_cut: 0,
        evidence: failed,
        tried_skipped: 0,
        skip_code: None,
        cause: None,
        sick_ago_ms: None,
        failing_ago_ms: None,
        first_failed_ago_ms: None,
        skipping_ago_ms: None,
        calls_ever: calls,
        failed_ever: failed,
    }
}

/// Of what the API's JSON has, what must be there.
fn shard(number: u32) -> ShardStatus {
    let shard = serde_json::json!({
        "shard_id": crate::id::ShardNumber(number).shard_id(),
        "iterator_age_ms": 0,
        "pending_records": 0,
        "parked_keys": 0,
    });
    serde_json::from_value(shard).expect("a shard")
}

fn status() -> MappingStatus {
    MappingStatus {
        id: "1".to_owned(),
        name: "enrich/signups".to_owned(),
        function: "enrich".to_owned(),
        version: 7,
        live_since: String::new(),
        canary: None,
        stream: "signups".to_owned(),
        state: "running".to_owned(),
        reason: None,
        detail: None,
        since: "2026-03-01T02:50:00.000Z".to_owned(),
        iterator_age_ms: 0,
        pending_records: 0,
        shards: vec![shard(0), shard(1)],
        totals: Totals {
            processed: 1_000,
            ..Totals::default()
        },
        outputs: BTreeMap::from([("default".to_owned(), "enriched".to_owned())]),
        settings: SettingsStatus {
            batch_size: 100,
            batch_bytes: 6 << 20,
            batch_window_ms: 0,
            parallelization_factor: 2,
            ordering: "key".to_owned(),
            max_attempts: Some(5),
            backoff_initial_ms: 100,
            backoff_max_ms: 60_000,
            max_record_age_ms: None,
            filter: Vec::new(),
            on_unparsable: "drop".to_owned(),
            bisect_on_error: true,
            circuit_breaker: true,
            partial_failures: true,
            on_failure: "dlq".to_owned(),
            on_fatal: "stop".to_owned(),
            on_failure_full: "hold".to_owned(),
            tumbling_window_ms: 0,
            key_groups: 64,
        },
        dead_letters_by_code: BTreeMap::new(),
        dead_letters_damaged: 0,
        relay: None,
        redriving: None,
        redrives: Vec::new(),
        created_at: "2026-03-01T00:00:00.000Z".to_owned(),
        diagnosis: None,
        rates: None,
    }
}

/// What makes each code, with nothing else wrong.
fn makes(why: Why, world: &mut World) {
    let status = &mut world.status;
    match why {
        Why::Deleting => world.held("deleting", why, ""),
        Why::StreamDeleted => world.held("failed", why, ""),
        Why::StoppedFatal => world.held("stopped", why, "gone: asked to stop"),
        Why::Paused => world.held("paused", why, ""),
        Why::Damaged => world.held("blocked", why, "a block is damaged"),
        Why::DiskFull => world.held("blocked", why, "there is no room above the disk reserve"),
        Why::BlockedOutput => {
            world.output = Some("enriched");
            world.held("blocked", why, "stream `enriched` does not exist");
        }
        Why::OutputFull => {
            world.output = Some("enriched");
            world.held("blocked", why, "output stream `enriched` is at its quota");
        }
        Why::DeadLettersFull => {
            let letters = [("bad-json".to_owned(), 24), ("timeout".to_owned(), 114)];
            status.dead_letters_by_code = BTreeMap::from(letters);
            world.held("blocked", why, "the dead letters are full");
        }
        Why::HostFault => {
            world.recent.fault = Some(RecentFault {
                ago_ms: 3_000,
                words: "failed to load version 7 of enrich: no such file".into(),
                count: 4,
            });
        }
        Why::FunctionFailing => world.failing(96, "timeout"),
        Why::CircuitOpen => world.circuit(),
        Why::Throttled => {
            world.behind();
            world.recent.wait_ms = 9_000;
            world.recent.run_ms = 1_000;
            world.recent.waited_calls = 80;
            world.recent.busy_permille = 1_000;
            world.concurrency = Some(2);
        }
        Why::FunctionSlow => {
            world.behind();
            world.busy();
        }
        Why::WaitingForParents => {
            world.behind();
            let child = &mut world.status.shards[1];
            child.pending_records = 9_999;
            child.waits_for = Some("shardId-000000000000".to_owned());
            child.waits_for_key = Some("user 7".to_owned());
            world.status.shards[0].pending_records = 1;
        }
        Why::ParkedKeys => {
            status.pending_records = 3;
            status.iterator_age_ms = 1_000;
            status.shards[0].parked_keys = 2;
            world.parked_key = Some("it's");
        }
        Why::CatchingUp => {
            world.behind();
            world.recent.adds.processed = 20_000;
        }
        Why::Behind => world.behind(),
        Why::FilteredAway => {
            status.settings.filter = vec![r#"{"data":{"zip":["1"]}}"#.to_owned()];
            status.totals = Totals {
                filtered: 12,
                ..Totals::default()
            };
        }
        Why::NoData => status.totals = Totals::default(),
        Why::CaughtUp => {}
    }
}

#[test]
fn each_code_is_made_by_its_figures_alone() {
    for why in Why::ALL {
        let mut world = World::new();
        makes(why, &mut world);
        let found = world.diagnosed();
        assert_eq!(found.code, why.as_str(), "{found:?}");
        assert!(!found.message.is_empty() && !found.message.contains("  "));
        assert!(found.actions.len() <= DIAGNOSIS_ACTIONS_MAX);
        let has_actions = !matches!(why, Why::Deleting | Why::CatchingUp | Why::CaughtUp);
        assert_eq!(!found.actions.is_empty(), has_actions, "{found:?}");
        for action in &found.actions {
            assert!(action.command.starts_with("fnctl "), "{found:?}");
            assert!(!action.effect.is_empty(), "{found:?}");
        }
    }
}

#[test]
fn of_two_troubles_the_one_that_makes_the_other_is_told() {
    let order: Vec<Why> = ORDER.iter().map(|(why, _)| *why).collect();
    let place = |why: Why| order.iter().position(|of| *of == why);
    for first in Why::ALL {
        assert!(place(first).is_some(), "{first:?} is asked");
        for second in Why::ALL {
            let (mut world, mut other) = (World::new(), World::new());
            makes(second, &mut world);
            makes(first, &mut world);
            makes(first, &mut other);
            makes(second, &mut other);
            let told = world.diagnosed().code;
            // Some figures take the place of others: then one of both is told.
            let is_one = told == first.as_str() || told == second.as_str();
            let causes = [Why::Behind, Why::CatchingUp];
            let is_between = causes.iter().any(|why| told == why.as_str());
            assert!(is_one || is_between, "{first:?} and {second:?}: {told}");
        }
    }
    for (cause, caused) in [
        (Why::StoppedFatal, Why::ParkedKeys),
        (Why::Paused, Why::Behind),
        (Why::DiskFull, Why::FunctionSlow),
        (Why::HostFault, Why::FunctionFailing),
        (Why::CircuitOpen, Why::FunctionFailing),
        (Why::CircuitOpen, Why::ParkedKeys),
        (Why::FunctionFailing, Why::Throttled),
        (Why::FunctionFailing, Why::FunctionSlow),
        (Why::FunctionFailing, Why::ParkedKeys),
        (Why::Throttled, Why::FunctionSlow),
        (Why::FunctionSlow, Why::ParkedKeys),
        (Why::WaitingForParents, Why::ParkedKeys),
    ] {
        let mut world = World::new();
        makes(caused, &mut world);
        makes(cause, &mut world);
        assert_eq!(world.diagnosed().code, cause.as_str(), "not {caused:?}");
    }
}

#[test]
fn every_code_has_a_word_and_a_rank() {
    for (n, why) in Why::ALL.into_iter().enumerate() {
        assert_eq!(Why::parse(why.as_str()), Some(why));
        assert_eq!(Why::ALL.iter().filter(|other| **other < why).count(), n);
    }
    assert_eq!(Why::parse("well"), None);
}
