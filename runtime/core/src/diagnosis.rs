//! Says of a mapping which one thing keeps it where it is, since when, and what can be done about it
//! (command line and SDK §5, `why`).
//!
//! A mapping may have many troubles at once, of which one makes the others: what calls fail with parks keys,
//! keys that are parked let records grow old. [`diagnose`] asks in one order, the cause before what it causes,
//! and names the first that holds.

mod aged;
mod calls;
mod canary;
mod failing;
mod held;
mod in_time;
mod records;
mod slow;
mod stalls;
mod words;

pub use self::{
    held::room_for,
    words::{age, quoted},
};
use crate::{
    commit::Unavailable,
    id::{FunctionVersion, Timestamp},
    limits::{BEHIND_AGE_MS, BUSY_OVER_MS, CLOCK_APART_MS, DIAGNOSIS_ACTIONS_MAX, RECENT_PIECE_MS},
    recent::{RecentFigures, RecentVersion},
    rfc3339,
    status::{Diagnosis, MappingStatus, NextStep, RecentRates, ShardStatus, Trend},
};

/// What a mapping's state can be told by. Ascending by how well it is: a list begins with the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It is being deleted.
    Deleting,
    /// Its stream was deleted: final.
    StreamDeleted,
    /// The function said `fatal`.
    StoppedFatal,
    /// What it reads cannot be read.
    Damaged,
    /// The disk has no room.
    DiskFull,
    /// A stream that it writes to is not there.
    BlockedOutput,
    /// A stream that it writes to is at its quota.
    OutputFull,
    /// Its dead letters are at their quota.
    DeadLettersFull,
    /// The server cannot make its calls.
    HostFault,
    /// Calls end badly.
    FunctionFailing,
    /// What the function needs is down: calls are held.
    CircuitOpen,
    /// Calls wait for their turn.
    Throttled,
    /// Calls are well and take their time.
    FunctionSlow,
    /// Records wait for those of the shards that theirs came from.
    WaitingForParents,
    /// Keys wait for a retry.
    ParkedKeys,
    /// It is behind, and none of what is asked for is the reason.
    Behind,
    /// It is behind, and will not be for long.
    CatchingUp,
    /// A person paused it.
    Paused,
    /// The filter lets nothing through.
    FilteredAway,
    /// Nothing ever came.
    NoData,
    /// All is settled, or as good as.
    CaughtUp,
}

impl Why {
    /// All of them, the worst first.
    pub const ALL: [Self; 21] = [
        Self::Deleting,
        Self::StreamDeleted,
        Self::StoppedFatal,
        Self::Damaged,
        Self::DiskFull,
        Self::BlockedOutput,
        Self::OutputFull,
        Self::DeadLettersFull,
        Self::HostFault,
        Self::FunctionFailing,
        Self::CircuitOpen,
        Self::Throttled,
        Self::FunctionSlow,
        Self::WaitingForParents,
        Self::ParkedKeys,
        Self::Behind,
        Self::CatchingUp,
        Self::Paused,
        Self::FilteredAway,
        Self::NoData,
        Self::CaughtUp,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleting => "deleting",
            Self::StreamDeleted => "stream-deleted",
            Self::StoppedFatal => "stopped-fatal",
            Self::Damaged => "damaged",
            Self::DiskFull => "disk-full",
            Self::BlockedOutput => "blocked-output",
            Self::OutputFull => "output-full",
            Self::DeadLettersFull => "dead-letters-full",
            Self::HostFault => "host-fault",
            Self::FunctionFailing => "function-failing",
            Self::CircuitOpen => "circuit-open",
            Self::Throttled => "throttled",
            Self::FunctionSlow => "function-slow",
            Self::WaitingForParents => "waiting-for-parents",
            Self::ParkedKeys => "parked-keys",
            Self::Behind => "behind",
            Self::CatchingUp => "catching-up",
            Self::Paused => "paused",
            Self::FilteredAway => "filtered-away",
            Self::NoData => "no-data",
            Self::CaughtUp => "caught-up",
        }
    }

    /// That of a commit that is refused.
    #[must_use]
    pub const fn of_refusal(refusal: &Unavailable) -> Self {
        match refusal {
            Unavailable::NoSuchOutput(_) => Self::BlockedOutput,
            Unavailable::DiskFull => Self::DiskFull,
            Unavailable::DeadLettersFull => Self::DeadLettersFull,
            Unavailable::OutputFull(_) => Self::OutputFull,
        }
    }

    /// The one of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == word)
    }
}

/// What is asked of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// What is told of it in any case. Of `reason` the word decides.
    pub status: &'a MappingStatus,
    /// The present.
    pub now: Timestamp,
    /// Its calls of late, lanes asked over [`busy_over_ms`].
    pub recent: &'a RecentFigures,
    /// Records that came to its shards over the same time; `None`: nobody looked.
    pub arrived: Option<u64>,
    /// Since when the live version is.
    pub live_since: Timestamp,
    /// The version that a rollback makes live, where that would be another one in what it does
    /// ([`crate::function::Function::worth_going_back_to`]).
    pub before: Option<FunctionVersion>,
    /// How long a call may take, ms.
    pub timeout_ms: u64,
    /// Calls of the function at once; `None`: no bound of its own.
    pub concurrency: Option<u32>,
    /// Calls at once that the node makes.
    pub node_calls: u32,
    /// Records that the stream holds and that the mapping began behind.
    pub older_records: u64,
    /// Records that ended in front of its seeks, which count anew; `None`: it was never sought.
    pub before_seeks: Option<u64>,
    /// The stream that takes most of the disk, and how much, bytes; `None`: there is none, or nobody looked.
    pub largest: Option<(&'a str, u64)>,
    /// A key that waits for a retry, the one of the oldest such record.
    pub parked_key: Option<&'a str>,
    /// The output stream that is missing, or full.
    pub output: Option<&'a str>,
    /// What cannot be read: the shard, and where it goes on behind that, as a seek takes it.
    pub behind_hole: Option<(&'a str, &'a str)>,
    /// How far the wall clock is ahead of the time that arrivals are given, ms; below 0: behind it.
    pub wall_ahead_ms: i64,
    /// Calls of the mapping that wait for their turn now; they are among those under way.
    pub waiting_calls: u32,
    /// Whether the server tries record by record what was not tried before, because it died again and again.
    pub is_careful: bool,
}

/// What holds, and what can be done.
#[derive(Clone, Debug)]
struct Found {
    since: Option<String>,
    message: String,
    actions: Vec<NextStep>,
}

type Judge = fn(&Figures<'_>) -> Option<Found>;

/// What is asked, in this order, and why there.
const ORDER: [(Why, Judge); 29] = [
    // What a person or the function did to the mapping: nothing is called, whatever else there is.
    (Why::Deleting, held::deleting),
    (Why::StreamDeleted, held::stream_deleted),
    (Why::StoppedFatal, held::stopped_fatal),
    (Why::Paused, held::paused),
    // What cannot be read or written: calls are made, if at all, for nothing.
    (Why::Damaged, held::damaged),
    (Why::DiskFull, held::disk_full),
    (Why::BlockedOutput, held::blocked_output),
    (Why::OutputFull, held::output_full),
    (Why::DeadLettersFull, held::dead_letters_full),
    // No call is made, so that what is known of calls is old.
    (Why::HostFault, calls::host_fault),
    // A version that fails where the one before did not: it is not what the function needs that is down, though
    // the circuit opens.
    (Why::FunctionFailing, failing::failing_since_deploy),
    // Calls are held: what they failed with stands here, and few are made by which to judge the function.
    (Why::CircuitOpen, calls::circuit_open),
    // Calls that fail keep lanes busy and park keys.
    (Why::FunctionFailing, failing::failing),
    // A canary that fails where the version beside it does not is named as such.
    (Why::FunctionFailing, canary::failing),
    (Why::FunctionFailing, failing::skipping),
    (Why::FunctionFailing, canary::skipping),
    // Lanes whose calls wait are busy, and would be told to be slow.
    (Why::Throttled, calls::throttled),
    // A call that hangs keeps its lane busy, and no other lane can help what waits for it.
    (Why::FunctionSlow, stalls::stalled),
    // More lanes for a canary that is slow would hide what it is.
    (Why::FunctionSlow, canary::slow),
    // Calls that are cut keep lanes busy, and with fewer records they would not be.
    (Why::FunctionSlow, in_time::oversized),
    // What is given up for its age does not wait, and is settled as well as any.
    (Why::FunctionSlow, aged::given_up),
    // A function that is slow makes all wait, also where some keys are parked.
    (Why::FunctionSlow, slow::slow),
    // A parent may wait for a parked key: then this names it.
    (Why::WaitingForParents, records::waiting_for_parents),
    (Why::ParkedKeys, records::parked_keys),
    // Records wait for nothing that is known.
    (Why::CatchingUp, records::catching_up),
    (Why::Behind, records::behind),
    // Nothing waits: was there anything?
    (Why::NoData, records::no_data),
    (Why::FilteredAway, records::filtered_away),
    (Why::CaughtUp, records::caught_up),
];

/// Names what keeps a mapping where it is.
#[must_use]
pub fn diagnose(figures: &Figures<'_>) -> Diagnosis {
    let found = ORDER
        .iter()
        .find_map(|(why, judge)| Some((*why, judge(figures)?)));
    let (why, found) = found.expect("the last one always holds");
    let mut actions = found.actions;
    actions.truncate(DIAGNOSIS_ACTIONS_MAX);
    let mut message = found.message;
    // Not what keeps it where it is, but what is told of it is to be read with that in mind.
    if figures.is_careful && is_behind(figures.status) {
        message.push_str(
            "; the server died again and again: until it has stood for ten minutes first tries and retries go record \
             by record (fnctl_careful)",
        );
    }
    if figures.wall_ahead_ms.unsigned_abs() > CLOCK_APART_MS {
        let apart = age(figures.wall_ahead_ms.unsigned_abs());
        let (way, so) = match figures.wall_ahead_ms {
            1.. => ("leapt ahead of", "for ten minutes nobody believes it"),
            _ => ("went back behind", "ages stand still meanwhile"),
        };
        message.push_str(&format!(
            "; the server's clock {way} the times of its records, by {apart}: {so}"
        ));
    }
    Diagnosis {
        code: why.as_str().to_owned(),
        since: found.since,
        message,
        actions,
    }
}

/// Over how long lanes are to be asked about whose oldest record is so old, ms: before it came they may have
/// had nothing to do.
#[must_use]
pub fn busy_over_ms(age_ms: u64) -> u64 {
    age_ms.clamp(RECENT_PIECE_MS, BUSY_OVER_MS)
}

/// Whether a mapping is behind: then it is worth asking what came.
#[must_use]
pub fn is_behind(status: &MappingStatus) -> bool {
    let waits = BEHIND_AGE_MS.saturating_add(status.settings.batch_window_ms);
    status.pending_records > 0 && status.iterator_age_ms >= waits
}

/// The last minutes as they are told.
#[must_use]
pub fn rates(figures: &Figures<'_>, memory_limit_bytes: u64) -> RecentRates {
    let recent = figures.recent;
    let per_second = |count: u64| ratio(count * 1_000, recent.over_ms.max(1));
    let ms = |ns: u64| ratio(ns / 1_000, 1_000);
    RecentRates {
        over_ms: recent.over_ms,
        in_per_second: figures.arrived.map(per_second),
        processed_per_second: per_second(recent.adds.processed),
        dead_lettered_per_second: per_second(recent.adds.dead_lettered),
        filtered_per_second: per_second(recent.adds.filtered),
        emitted_per_second: per_second(recent.adds.emitted),
        trend: figures.trend(),
        calls: recent.calls(),
        failed_calls: recent.failed_calls(),
        running_calls: recent.running.into(),
        call_p50_ms: recent.p50_ns.map(ms),
        call_p99_ms: recent.p99_ns.map(ms),
        busy_ratio: ratio(figures.busy_percent(), 100),
        waiting_ratio: ratio(recent.wait_ms, (recent.wait_ms + recent.run_ms).max(1)),
        memory_bytes: recent.memory_bytes,
        memory_limit_bytes,
    }
}

/// To three decimals: nobody wants more.
fn ratio(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "figures for reading")]
    let thousandths = (u128::from(part) * 1_000 / u128::from(whole)) as f64;
    thousandths / 1_000.0
}

impl Figures<'_> {
    /// `<function>/<stream>`, as commands take it.
    const fn name(&self) -> &String {
        &self.status.name
    }

    /// Open dead letters, those that are damaged at rest as well.
    fn open_letters(&self) -> u64 {
        let status = self.status;
        status.dead_letters_by_code.values().sum::<u64>() + status.dead_letters_damaged
    }

    /// How many calls at once the function may make, where that is fewer than the server makes.
    fn own_calls(&self) -> Option<u32> {
        self.concurrency.filter(|own| *own < self.node_calls)
    }

    /// Shards that are not at their end.
    fn shards(&self) -> u64 {
        self.status.shards.iter().filter(|s| !s.ended).count() as u64
    }

    /// Lanes of shards that have records to call.
    fn lanes(&self) -> u64 {
        let shards = self.status.shards.iter();
        let wanted = shards.filter(|s| s.pending_records > 0 && s.waits_for.is_none());
        let factor = u64::from(self.status.settings.parallelization_factor.max(1));
        (wanted.count() as u64).max(1) * factor
    }

    /// Share of their time that those had a call, per cent.
    fn busy_percent(&self) -> u64 {
        (self.recent.busy_permille / 10 / self.lanes()).min(100)
    }

    /// The same by calls of the live version alone, where there is a canary: that has lanes of its own.
    fn live_busy_percent(&self) -> u64 {
        match (&self.status.canary, self.live()) {
            (Some(_), Some(live)) => (live.busy_permille / 10 / self.lanes()).min(100),
            _ => self.busy_percent(),
        }
    }

    /// Records that came; where nobody looked and some are given up for their age, those that ended: as many.
    fn came(&self) -> Option<u64> {
        let ended = self.recent.aged.map(|_| self.recent.settled());
        self.arrived.or(ended)
    }

    /// The calls of the live version.
    fn live(&self) -> Option<&RecentVersion> {
        self.recent.of(FunctionVersion(self.status.version))
    }

    /// Keys that failed and wait; of a server that does not tell which failed, all that wait.
    fn parked_keys(&self) -> u64 {
        let sum = |of: fn(&ShardStatus) -> u64| self.status.shards.iter().map(of).sum();
        match sum(|shard| shard.failed_keys) {
            0 => sum(|shard| shard.parked_keys),
            failed => failed,
        }
    }

    /// Where the backlog goes.
    fn trend(&self) -> Option<Trend> {
        if self.status.pending_records == 0 {
            return None;
        }
        let (arrived, settled) = (self.arrived?, self.recent.settled());
        // What differs by less than a twentieth is the same.
        let slack = arrived.max(settled) / 20;
        Some(match (arrived, settled) {
            (0, 0) => Trend::Stuck,
            _ if arrived > settled + slack => Trend::Growing,
            _ if settled > arrived + slack => match stalls::is_stalled(self) {
                // The oldest record stands still whatever is settled behind it.
                true => Trend::Stuck,
                false => Trend::Shrinking,
            },
            _ => Trend::Steady,
        })
    }

    /// When the backlog is gone at this pace, ms; `None`: never, or nobody knows.
    fn caught_up_in_ms(&self) -> Option<u64> {
        let gained = self.recent.settled().checked_sub(self.arrived?)?;
        let over = self.recent.over_ms;
        let ms = u128::from(self.status.pending_records) * u128::from(over);
        u64::try_from(ms.checked_div(u128::from(gained))?).ok()
    }

    /// So long ago, as text.
    fn ago(&self, ms: u64) -> String {
        rfc3339::format(Timestamp(self.now.0.saturating_sub(ms)))
    }

    /// When the oldest record that waits came.
    fn oldest(&self) -> Option<String> {
        let waits = self.status.pending_records > 0;
        waits.then(|| self.ago(self.status.iterator_age_ms))
    }
}

fn step(command: String, effect: impl Into<String>) -> NextStep {
    NextStep {
        command,
        effect: effect.into(),
    }
}

#[cfg(test)]
mod tests;
