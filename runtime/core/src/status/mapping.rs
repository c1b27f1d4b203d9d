//! Mappings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    canary::CanaryStatus,
    diagnosis::{Diagnosis, RecentRates},
    record::{RedriveLine, RedrivingStatus},
};
use crate::{
    breaker::Open,
    commit::UnitTotals,
    mapping::{Mapping, MaxAttempts, OutputBinding},
    rfc3339,
    spec::mapping::OnFailure,
};

/// `mappings list`: one mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingLine {
    /// Its id.
    pub id: String,
    /// `<function>/<stream>`.
    pub name: String,
    /// `running paused stopped blocked failed deleting`.
    pub state: String,
    /// What holds the state; `null` while running.
    pub reason: Option<String>,
    /// Age of the oldest unsettled record over all shards, ms.
    pub iterator_age_ms: u64,
    /// Records not settled.
    pub pending_records: u64,
    /// Tumbling windows with records in them that had no final call yet, over all shards.
    #[serde(default)]
    pub open_windows: u64,
    /// Its circuits that are open; `null`: none is.
    #[serde(default)]
    pub circuit: Option<OpenCircuits>,
    /// What it is doing, or what keeps it from it; `null` from an older server.
    #[serde(default)]
    pub diagnosis: Option<Diagnosis>,
}

/// The circuits of a mapping that are open: what the function needs is down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCircuits {
    /// Only a canary is held: all other keys go on.
    #[serde(default)]
    pub of_canary: bool,
    /// Shards whose circuit is open.
    pub open_shards: u64,
    /// Shards in all.
    pub shards: u64,
    /// Since when the first of them is, RFC 3339.
    pub since: String,
    /// Since when that one recovers, RFC 3339; `null`: it holds calls.
    #[serde(default)]
    pub recovering_since: Option<String>,
    /// How the last call of that shard failed: the author's code, else the kind.
    pub code: String,
    /// Words to it.
    pub error: String,
}

/// One shard of a mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// `shardId-000000000000`.
    pub shard_id: String,
    /// Age of its oldest unsettled record, ms; 0 when caught up.
    pub iterator_age_ms: u64,
    /// Records not settled.
    pub pending_records: u64,
    /// Sequence number of the low watermark; `null` before the first record.
    pub checkpoint: Option<String>,
    /// Keys that wait, for whatever it is, as `mappings parked` lists them. Of what an owner has yet to read,
    /// 256 charged records at most are looked at.
    pub parked_keys: u64,
    /// Those of them that failed; the others are held by no fault of their own.
    #[serde(default)]
    pub failed_keys: u64,
    /// When the next of those that failed is tried, RFC 3339; `null`: none is, the mapping does not run, or its time has
    /// come and commits are refused until there is room.
    pub next_retry_at: Option<String>,
    /// Tumbling windows with records in them that had no final call yet.
    #[serde(default)]
    pub open_windows: u64,
    /// When the oldest of them ends, RFC 3339.
    #[serde(default)]
    pub oldest_window_ends_at: Option<String>,
    /// Why nothing of it is called, or nothing but what `circuit` lets through: `waiting-for-parents`,
    /// `circuit-open`; `null` otherwise.
    #[serde(default)]
    pub why: Option<String>,
    /// The circuit of the version that most keys meet, while it is open; `null` otherwise.
    #[serde(default)]
    pub circuit: Option<CircuitStatus>,
    /// The circuit of the canary, while it is open: it holds the keys that meet the canary, and no others.
    #[serde(default)]
    pub canary_circuit: Option<CircuitStatus>,
    /// The shard whose records come first, where it waits for one.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// A key that is parked there, where that is what it waits for.
    #[serde(default)]
    pub waits_for_key: Option<String>,
    /// Whether the shard is closed and settled to its end: its children are read instead.
    #[serde(default)]
    pub ended: bool,
}

/// A circuit that is open: what the function needs is down, or was just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitStatus {
    /// Since when, RFC 3339.
    pub since: String,
    /// Since when it recovers, RFC 3339: new records are called, and what failed is let through one by one;
    /// `null`: it holds calls.
    #[serde(default)]
    pub recovering_since: Option<String>,
    /// When the next probe is made at the latest, of what is due, RFC 3339; of a circuit that recovers, of what
    /// failed. `null`: the mapping does not run, and probes when it is resumed.
    pub next_probe_at: Option<String>,
    /// Probes that failed since it opened.
    pub probes_failed: u32,
    /// How the last call failed: the author's code, else the kind.
    pub code: String,
    /// Words to it.
    pub error: String,
}

impl CircuitStatus {
    /// Of a circuit.
    #[must_use]
    pub fn of(open: &Open) -> Self {
        Self {
            since: rfc3339::format(open.since),
            recovering_since: open.recovering_since().map(rfc3339::format),
            next_probe_at: Some(rfc3339::format(open.next_at_latest())),
            probes_failed: open.probes_failed,
            code: open.cause.code.to_string(),
            error: open.cause.error.to_string(),
        }
    }

    /// Of a mapping that does not run: it probes when it is resumed, whenever that is.
    #[must_use]
    pub fn until_resumed(self) -> Self {
        Self {
            next_probe_at: None,
            ..self
        }
    }
}

/// Records and calls since the mapping was made or last sent elsewhere. They are stored: a restart takes nothing
/// back but of `polled` what was read and is not settled, which is read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Read from the stream, each record once: what ended (filtered, processed, dead-lettered, expired, dropped), and
    /// what was read and has not. Never below their sum.
    pub polled: u64,
    /// Let fall by a filter.
    pub filtered: u64,
    /// Handled.
    pub processed: u64,
    /// Charged attempts.
    pub failed: u64,
    /// Given up, and kept.
    pub dead_lettered: u64,
    /// Taken by retention.
    pub expired: u64,
    /// Rows published.
    pub emitted: u64,
    /// Given up, and not kept: the dead letters were full.
    #[serde(default)]
    pub dropped: u64,
}

impl Totals {
    /// Records that ended, whatever the end.
    #[must_use]
    pub const fn settled(&self) -> u64 {
        self.filtered + self.processed + self.dead_lettered + self.expired + self.dropped
    }

    /// Adds a unit's totals.
    pub fn add(&mut self, unit: &UnitTotals) {
        self.filtered += unit.filtered;
        self.processed += unit.processed;
        self.failed += unit.failed;
        self.dead_lettered += unit.dead_lettered;
        self.expired += unit.expired;
        self.emitted += unit.emitted;
        self.dropped += unit.dropped;
    }
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsStatus {
    /// Most records of a batch.
    pub batch_size: u32,
    /// Most bytes of a batch.
    pub batch_bytes: u64,
    /// How long a batch may wait to fill, ms.
    pub batch_window_ms: u64,
    /// Lanes per shard.
    pub parallelization_factor: u16,
    /// What order holds within.
    pub ordering: String,
    /// Calls per record; `null`: unlimited.
    pub max_attempts: Option<u32>,
    /// First backoff, ms.
    pub backoff_initial_ms: u64,
    /// Longest backoff, ms.
    pub backoff_max_ms: u64,
    /// Age above which a record is given up, ms; `null`: no bound.
    #[serde(default)]
    pub max_record_age_ms: Option<u64>,
    /// Patterns of which one must match, each JSON text; empty: every record.
    #[serde(default)]
    pub filter: Vec<String>,
    /// What becomes of records that the filter cannot judge.
    #[serde(default)]
    pub on_unparsable: String,
    /// Whether a call that failed as a whole is cut in two.
    #[serde(default)]
    pub bisect_on_error: bool,
    /// Whether calls are held while what the function needs is down.
    #[serde(default)]
    pub circuit_breaker: bool,
    /// Whether a record that failed fails itself alone.
    #[serde(default)]
    pub partial_failures: bool,
    /// What becomes of records given up.
    pub on_failure: String,
    /// What a `fatal` does.
    pub on_fatal: String,
    /// What becomes of a record given up when the dead letters are full.
    #[serde(default)]
    pub on_failure_full: String,
    /// Length of a tumbling window, ms; 0: none.
    #[serde(default)]
    pub tumbling_window_ms: u32,
    /// Groups of keys of a shard, each with windows of its own.
    #[serde(default)]
    pub key_groups: u32,
}

impl SettingsStatus {
    /// The settings of a mapping.
    #[must_use]
    pub fn of(mapping: &Mapping) -> Self {
        let settings = &mapping.settings;
        Self {
            batch_size: settings.batch_size,
            batch_bytes: settings.batch_bytes,
            batch_window_ms: settings.batch_window_ms,
            parallelization_factor: settings.parallelization_factor,
            ordering: settings.ordering.as_str().to_owned(),
            max_attempts: match settings.max_attempts {
                MaxAttempts::Count(count) => Some(count),
                MaxAttempts::Unlimited => None,
            },
            backoff_initial_ms: settings.backoff_initial_ms,
            backoff_max_ms: settings.backoff_max_ms,
            max_record_age_ms: settings.max_record_age_ms,
            filter: settings
                .filter
                .iter()
                .flat_map(|filter| filter.patterns().map(str::to_owned))
                .collect(),
            on_unparsable: settings.on_unparsable.as_str().to_owned(),
            bisect_on_error: settings.bisect_on_error,
            circuit_breaker: settings.circuit_breaker,
            partial_failures: settings.partial_failures,
            on_failure: OnFailure::of(settings).to_string(),
            on_fatal: settings.on_fatal.as_str().to_owned(),
            on_failure_full: settings.on_failure_full.as_str().to_owned(),
            tumbling_window_ms: settings.tumbling_window_ms,
            key_groups: settings.key_groups,
        }
    }
}

/// The relay of a mapping's dead letters. What it counts starts anew with the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// Where letters go, as it is written.
    pub to: String,
    /// Letters that are not there yet.
    pub pending_letters: u64,
    /// How long the oldest of them waits, ms.
    pub age_ms: u64,
    /// Letters brought.
    pub delivered: u64,
    /// Deliveries that were refused.
    pub failures: u64,
    /// What holds it; `null`: nothing.
    pub held: Option<RelayHeld>,
}

/// A destination that refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayHeld {
    /// Why.
    pub error: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// When it is tried again, RFC 3339.
    pub next_try_at: String,
}

/// `mappings describe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MappingStatus {
    /// Its id.
    pub id: String,
    /// `<function>/<stream>`.
    pub name: String,
    /// The function.
    pub function: String,
    /// The live version.
    pub version: u64,
    /// Since when it is, RFC 3339.
    #[serde(default)]
    pub live_since: String,
    /// The function's canary; `null`: all keys meet the live version.
    #[serde(default)]
    pub canary: Option<CanaryStatus>,
    /// The stream.
    pub stream: String,
    /// `running paused stopped blocked failed deleting`.
    pub state: String,
    /// What holds the state; `null` while running.
    pub reason: Option<String>,
    /// Words to it: the code and message of a `fatal`, the stream that is missing.
    #[serde(default)]
    pub detail: Option<String>,
    /// Since when the state is, RFC 3339.
    pub since: String,
    /// Age of the oldest unsettled record over all shards, ms.
    pub iterator_age_ms: u64,
    /// Records not settled, over all shards.
    #[serde(default)]
    pub pending_records: u64,
    /// The shards.
    pub shards: Vec<ShardStatus>,
    /// The totals.
    pub totals: Totals,
    /// Where outputs go; `none`: counted, not kept.
    pub outputs: BTreeMap<String, String>,
    /// What is in force.
    pub settings: SettingsStatus,
    /// Open dead letters by code.
    pub dead_letters_by_code: BTreeMap<String, u64>,
    /// Open dead letters that cannot be read: their code is not known.
    #[serde(default)]
    pub dead_letters_damaged: u64,
    /// Who copies them; `null`: nobody.
    #[serde(default)]
    pub relay: Option<RelayStatus>,
    /// What is redriven of them now; `null`: nothing.
    #[serde(default)]
    pub redriving: Option<RedrivingStatus>,
    /// Each redrive of them that is under way.
    #[serde(default)]
    pub redrives: Vec<RedriveLine>,
    /// When it was made, RFC 3339.
    #[serde(default)]
    pub created_at: String,
    /// What it is doing, or what keeps it from it; `null` from an older server.
    #[serde(default)]
    pub diagnosis: Option<Diagnosis>,
    /// Its last minutes; `null`: it has not run since the server started.
    #[serde(default)]
    pub rates: Option<RecentRates>,
}

impl MappingStatus {
    /// The outputs of a mapping as text.
    #[must_use]
    pub fn outputs_of(mapping: &Mapping) -> BTreeMap<String, String> {
        mapping
            .outputs
            .iter()
            .map(|(name, binding)| {
                let to = match binding {
                    OutputBinding::Stream(stream) => stream.to_string(),
                    OutputBinding::None => "none".to_owned(),
                };
                (name.to_string(), to)
            })
            .collect()
    }

    /// Its line in the list.
    #[must_use]
    pub fn line(&self) -> MappingLine {
        MappingLine {
            id: self.id.clone(),
            name: self.name.clone(),
            state: self.state.clone(),
            reason: self.reason.clone(),
            iterator_age_ms: self.iterator_age_ms,
            pending_records: self.pending_records,
            open_windows: self.shards.iter().map(|shard| shard.open_windows).sum(),
            circuit: self.open_circuits(),
            diagnosis: self.diagnosis.clone(),
        }
    }

    /// Its circuits that are open, told by the one that has been for longest.
    #[must_use]
    pub fn open_circuits(&self) -> Option<OpenCircuits> {
        let open = self.shards.iter().filter_map(ShardStatus::open_circuit);
        let (first, of_canary) = open.clone().min_by(|(a, is), (b, of)| {
            // What holds all keys says more.
            is.cmp(of).then_with(|| a.since.cmp(&b.since))
        })?;
        Some(OpenCircuits {
            of_canary,
            open_shards: open.count() as u64,
            shards: self.shards.len() as u64,
            since: first.since.clone(),
            recovering_since: first.recovering_since.clone(),
            code: first.code.clone(),
            error: first.error.clone(),
        })
    }
}

impl ShardStatus {
    /// Its circuit that is open, and whether that is the canary's: then other keys go on.
    #[must_use]
    pub fn open_circuit(&self) -> Option<(&CircuitStatus, bool)> {
        let live = self.circuit.as_ref().map(|open| (open, false));
        live.or_else(|| Some((self.canary_circuit.as_ref()?, true)))
    }
}

/// `mappings seek`: where it went, or would go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeekStatus {
    /// The mapping's id.
    pub id: String,
    /// `<function>/<stream>`.
    pub name: String,
    /// Its shards that were meant.
    pub shards: Vec<SeekShard>,
    /// Nothing was done.
    pub dry_run: bool,
}

/// One shard of a mapping that was sent elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeekShard {
    /// The shard.
    pub shard_id: String,
    /// The checkpoint before, a sequence number; `null`: the start.
    pub from: Option<String>,
    /// The checkpoint now: the record behind it is the next. `null`: the start.
    pub to: Option<String>,
    /// It was to go further back than records are kept, and goes as far as they are.
    pub is_clamped: bool,
    /// Records that were pending before.
    pub pending_before: u64,
    /// Records that are pending now.
    pub pending_records: u64,
    /// Open windows that go without a final call: their records are called again, or passed over.
    #[serde(default)]
    pub dropped_windows: u64,
}
