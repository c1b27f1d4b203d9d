//! Gathers what a diagnosis of a mapping is made from.

use fnctl_core::{
    diagnosis::{self, Figures, Why},
    function::Function,
    id::{MappingId, StreamName, Timestamp, UnitId},
    recent::RecentFault,
    spec::{request::NoRoom, size::ByteSize},
    status::MappingStatus,
};

use crate::{node::HostNode, supervisor::UnitStatus};

/// What is asked of a mapping beside its status.
pub(super) struct Asked<'a> {
    pub(super) mapping: MappingId,
    pub(super) function: &'a Function,
    pub(super) units: Vec<UnitId>,
    /// Records that are kept and that its units are past.
    pub(super) older_records: u64,
    /// Records that ended in front of its seeks; `None`: it was never sought.
    pub(super) before_seeks: Option<u64>,
    /// The stream that it writes to and waits for.
    pub(super) output: Option<StreamName>,
    /// What takes a look into the stream is asked, too.
    pub(super) details: bool,
}

impl HostNode {
    /// Says of a mapping what it is doing, or what keeps it from it.
    pub(super) async fn diagnose(&self, status: &mut MappingStatus, asked: Asked<'_>) {
        let (now, function) = (self.now(), asked.function);
        let statuses = self.supervisor().statuses();
        let busy_over = diagnosis::busy_over_ms(status.iterator_age_ms);
        let recent = statuses.recents().figures(asked.mapping, busy_over);
        let has_run = recent.is_some();
        let mut recent = recent.unwrap_or_default();
        if recent.fault.is_none() {
            recent.fault = self.worker_fault(&asked.units);
        }
        // Of what keeps up nobody asks how much comes: that is a search in each shard.
        let arrived = if asked.details || diagnosis::is_behind(status) {
            let since = Timestamp(now.0.saturating_sub(recent.over_ms));
            self.arrived(&asked.units, since).await
        } else {
            None
        };
        let parked_key = match asked.details {
            true => self.parked_key(status, &asked.units).await,
            false => None,
        };
        let hole = match asked.details {
            true => self.behind_hole(&asked.units).await,
            false => None,
        };
        let is_full = status.reason.as_deref() == Some(Why::DiskFull.as_str());
        let largest = is_full.then(|| self.largest_stream()).flatten();
        let settings = &function.live_version().settings;
        let slots = self.functions().engine().stats().allocation.slots();
        let figures = Figures {
            status,
            now,
            recent: &recent,
            arrived,
            live_since: function.live_since,
            before: function.worth_going_back_to(),
            timeout_ms: settings.timeout_ms,
            concurrency: function.concurrency,
            node_calls: slots,
            older_records: asked.older_records,
            before_seeks: asked.before_seeks,
            largest: largest
                .as_ref()
                .map(|(name, bytes)| (name.as_str(), *bytes)),
            parked_key: parked_key.as_deref(),
            output: asked.output.as_ref().map(StreamName::as_str),
            wall_ahead_ms: self.store().wall_ahead_ms(),
            behind_hole: hole.as_ref().map(|(shard, to)| (&**shard, &**to)),
            waiting_calls: self.functions().waiting_calls(function.id, &status.name),
            is_careful: *self.store().is_careful().borrow(),
        };
        let found = diagnosis::diagnose(&figures);
        let rates = has_run.then(|| diagnosis::rates(&figures, settings.memory_bytes));
        status.diagnosis = Some(found);
        status.rates = rates;
    }

    /// What there is no room for on the disk, and what gives room; `None`: there is room for everything.
    pub(crate) fn no_room(&self) -> Option<NoRoom> {
        let refused = self.store().refused_for_room()?;
        let (free, needed) = self.store().room_of_puts();
        let largest = self.largest_stream();
        let largest = largest
            .as_ref()
            .map(|(name, bytes)| (name.as_str(), *bytes));
        Some(NoRoom {
            message: format!(
                "the disk of the data directory is full: {refused} ({} are, and puts are taken from {} on)",
                ByteSize::from_bytes(free >> 20 << 20),
                ByteSize::from_bytes(needed.div_ceil(1 << 20) << 20)
            ),
            actions: diagnosis::room_for(largest),
        })
    }

    /// The stream of people's that takes most of the disk, and how much, bytes.
    fn largest_stream(&self) -> Option<(StreamName, u64)> {
        let streams: Vec<_> = self.view(|view| {
            let streams = view.registry().streams().filter(|of| !of.is_internal);
            streams.cloned().collect()
        });
        let streams = streams.iter();
        let taken = streams.map(|of| (self.store().stored_bytes(of.id), of));
        let (bytes, of) = taken.max_by_key(|(bytes, _)| *bytes)?;
        Some((of.name.clone(), bytes))
    }

    /// Whether calls of the mapping cannot be made, by a fault of ours: what [`Why::HostFault`] says,
    /// without its words.
    pub(super) fn is_host_at_fault(&self, mapping: MappingId, units: &[UnitId]) -> bool {
        let statuses = self.supervisor().statuses();
        let has_ended = |unit: &UnitId| statuses.is_faulted(*unit);
        statuses.recents().is_faulted(mapping) || units.iter().any(has_ended)
    }

    /// A worker that ended by a fault of ours and is started again.
    fn worker_fault(&self, units: &[UnitId]) -> Option<RecentFault> {
        let statuses = self.supervisor().statuses();
        let faults: Vec<String> = units
            .iter()
            .filter_map(|unit| match statuses.of(*unit)? {
                UnitStatus::Faulted(words) => Some(words),
                UnitStatus::Running { .. } | UnitStatus::Damaged(_) => None,
            })
            .collect();
        Some(RecentFault {
            ago_ms: 0,
            words: faults.first()?.as_str().into(),
            count: faults.len() as u64,
        })
    }

    /// The first of these shards that a worker cannot read any further, and the sequence number behind that, or
    /// `latest`.
    async fn behind_hole(&self, units: &[UnitId]) -> Option<(String, String)> {
        let statuses = self.supervisor().statuses();
        let is_damaged = |unit: &&UnitId| {
            let status = statuses.of(**unit);
            status.is_some_and(|status| status.damage().is_some())
        };
        let unit = units.iter().find(is_damaged)?;
        let (next, created_at) = self.view(|view| {
            let low = view.unit(*unit)?.settled.low_watermark();
            let stream = view.registry().stream(unit.stream)?;
            Some((low.next(), stream.shard(unit.shard)?.created_at))
        })?;
        // What lies in front of it is settled, or can be read.
        let behind = self.first_behind_hole(*unit, next).await;
        let to = match behind <= self.last(unit.stream, unit.shard) {
            true => {
                let (stream, shard) = (unit.stream, unit.shard);
                self.sequence_number(stream, shard, created_at, behind)
                    .await?
            }
            false => "latest".to_owned(),
        };
        Some((unit.shard.shard_id(), to))
    }

    /// Records that came to these shards from a moment on; `None`: a shard is gone, or cannot be read.
    async fn arrived(&self, units: &[UnitId], since: Timestamp) -> Option<u64> {
        let mut arrived = 0;
        for unit in units {
            let last = self.last(unit.stream, unit.shard);
            let first = self.first_at(unit.stream, unit.shard, since).await.ok()?;
            arrived += last.next().0.saturating_sub(first.0);
        }
        Some(arrived)
    }

    /// A key that waits for a retry: the oldest of the shard that has waited for longest.
    async fn parked_key(&self, status: &MappingStatus, units: &[UnitId]) -> Option<String> {
        let shards = status.shards.iter().zip(units);
        let parked = shards.filter(|(shard, _)| shard.parked_keys > 0);
        let (_, unit) = parked.max_by_key(|(shard, _)| shard.iterator_age_ms)?;
        self.charged_key(*unit).await
    }
}
