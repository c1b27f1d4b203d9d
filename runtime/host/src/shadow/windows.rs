//! Two versions side by side in windows, each with states of its own.
//!
//! What is called when is decided by [`ShadowWindows`]. The first window of a shard is whole: reading begins where the
//! window does that was asked for, or the window is left out where its beginning is not there any more.

use std::sync::Arc;

use fnctl_core::{
    error_code::ErrorCode,
    id::{Ordinal, ShardNumber, StreamId, Timestamp},
    limits::BATCH_BYTES_MAX,
    mapping::MappingSettings,
    record::RecordBlock,
    rfc3339,
    shadow::{ShadowSide, ShadowStep, ShadowWindows},
    spec::StartingPosition,
    status::{ShadowEnd, ShadowLine, ShadowWindow},
    window::Window,
};

use super::{Ended, Picked, Place, Shadow, Side, side::Folded};
use crate::{api::error::ApiError, limits, node::HostNode, shard_worker::Run, source};

/// Where a shard is read from so that the window is whole that lies behind `after`, and its windows; `None`: the
/// mapping has none.
///
/// # Errors
/// The stream is gone, or cannot be read.
pub(crate) async fn begin(
    node: &HostNode,
    settings: &MappingSettings,
    (stream, shard): (StreamId, ShardNumber),
    after: Ordinal,
) -> Result<(Ordinal, Option<ShadowWindows>), ApiError> {
    if !settings.has_windows() {
        return Ok((after, None));
    }
    let span_ms = settings.tumbling_window_ms;
    let first = arrival_behind(node, stream, shard, after).await;
    let start = Window::at(first.unwrap_or_else(|| node.now()), span_ms).start;
    let from = node.resolve(stream, shard, StartingPosition::At(start));
    let from = from.await?.min(after);
    // What is in front of it shows that the window begins there. Of a shard that begins there nothing is missing.
    let before = match from.0.checked_sub(1) {
        None => Some(Timestamp(0)),
        Some(before) => arrival_behind(node, stream, shard, Ordinal(before)).await,
    };
    let is_whole = before.is_some_and(|before| before < start);
    Ok((from, Some(windows(settings, is_whole))))
}

/// The windows of a shard of which nothing was read yet.
pub(super) fn windows(settings: &MappingSettings, is_whole: bool) -> ShadowWindows {
    ShadowWindows::new(
        settings.tumbling_window_ms,
        settings.window_groups(),
        is_whole,
    )
}

/// When the record behind this one arrived; `None`: there is none, or not any more.
async fn arrival_behind(
    node: &HostNode,
    stream: StreamId,
    shard: ShardNumber,
    after: Ordinal,
) -> Option<Timestamp> {
    let bytes = usize::try_from(BATCH_BYTES_MAX).unwrap_or(usize::MAX);
    let read = source::read(node.store(), stream, shard, after, 1, bytes).await;
    let blocks = read.ok()?;
    let next = after.next();
    let block = blocks
        .iter()
        .find(|block| block.first <= next && next <= block.last())?;
    let index = usize::try_from(next.0 - block.first.0).ok()?;
    Some(block.arrival(index))
}

/// When the first and the last record behind `after` up to `last` arrived.
pub(super) fn read_between(
    blocks: &[Arc<RecordBlock>],
    after: Ordinal,
    last: Ordinal,
) -> Option<(Timestamp, Timestamp)> {
    let records = blocks.iter().flat_map(|block| {
        let of = |index| (block.ordinal(index), block.arrival(index));
        (0..block.len()).map(of)
    });
    let mut read = records.filter(|(ordinal, _)| *ordinal > after && *ordinal <= last);
    let (_, first) = read.next()?;
    Some((
        first,
        read.next_back().map_or(first, |(_, arrival)| arrival),
    ))
}

impl Shadow {
    /// Calls both versions with records of a shard in windows, and ends those that are over: how many records they were
    /// given.
    pub(super) async fn in_windows(
        &mut self,
        number: ShardNumber,
        picked: Option<Picked>,
        read: (Timestamp, Timestamp),
    ) -> Result<u64, Ended> {
        let Some(windows) = self.windows.get_mut(&number) else {
            return Ok(0);
        };
        let runs = picked
            .as_ref()
            .map_or(&[][..], |picked| picked.runs.as_slice());
        let records = runs.iter().flat_map(Run::keys);
        let plan = windows.plan(records, read);
        let given: usize = plan.steps.iter().map(records_of).sum();
        self.summary.left_out += plan.left_out;
        self.take(number, runs, plan.steps).await?;
        Ok(given as u64)
    }

    /// Ends the windows of shards that have ended, and of those that are quiet, once all of them was read.
    pub(super) async fn close_quiet(&mut self) -> Result<(), Ended> {
        let now = self.node.now();
        let numbers: Vec<ShardNumber> = self.windows.keys().copied().collect();
        for number in numbers {
            let stream = self.mapping.stream;
            let last = self.node.last(stream, number);
            let is_read = self.shards.get(&number).is_some_and(|of| of.after >= last);
            let Some(windows) = self.windows.get_mut(&number).filter(|_| is_read) else {
                continue;
            };
            let is_closed = self.node.view(|view| {
                let shard = view.registry().stream(stream)?.shard(number)?;
                Some(shard.is_closed)
            });
            let steps = match is_closed {
                Some(true) => windows.close_all(),
                Some(false) => windows.close_quiet(now),
                // Its stream is gone.
                None => Vec::new(),
            };
            if !steps.is_empty() {
                self.take(number, &[], steps).await?;
                self.tell(&ShadowLine::Progress(self.summary.clone()))
                    .await?;
            }
        }
        Ok(())
    }

    /// Waits until some window of a quiet shard is to end; for ever where none is open.
    pub(super) fn quiet_in(&self) -> impl Future<Output = ()> + use<> {
        let first = self
            .windows
            .values()
            .filter_map(ShadowWindows::quiet_at)
            .min();
        let wait = first.map(|at| at.0.saturating_sub(self.node.now().0));
        async move {
            match wait {
                Some(wait) => tokio::time::sleep(std::time::Duration::from_millis(wait)).await,
                None => std::future::pending().await,
            }
        }
    }

    async fn take(
        &mut self,
        number: ShardNumber,
        runs: &[Run],
        steps: Vec<ShadowStep>,
    ) -> Result<(), Ended> {
        let Some(place) = self.place_of(number) else {
            return Ok(());
        };
        for step in steps {
            match step {
                ShadowStep::Fold {
                    group,
                    window,
                    records,
                } => {
                    let picked = Picked {
                        runs: Run::choose(runs, &records),
                        place,
                    };
                    let live = self.fold(ShadowSide::Live, group, window, &picked).await?;
                    let other = self.fold(ShadowSide::Other, group, window, &picked).await?;
                    self.compare_records(&picked, live, other).await?;
                }
                ShadowStep::Close { group, window } => {
                    for side in ShadowSide::BOTH {
                        let windows = self.windows.get(&number);
                        let call = windows.and_then(|of| of.last_call(side, group, window));
                        if let Some(call) = call {
                            let end = self.side(side).close(place, call).await;
                            let end = end.map_err(Ended::With)?;
                            self.windows_of(number).ended(side, group, end);
                        }
                    }
                    let ends = self.windows_of(number).take_ends(group);
                    if let Some((live, shadow)) = ends {
                        self.compare_ends(number, (group, window), live, shadow)
                            .await?;
                    }
                }
            }
            self.check_room()?;
        }
        Ok(())
    }

    /// Calls one version with records of a window; how each of them ended.
    async fn fold(
        &mut self,
        side: ShadowSide,
        group: u32,
        window: Window,
        picked: &Picked,
    ) -> Result<Vec<ShadowEnd>, Ended> {
        let number = picked.place.shard;
        let call = self.windows_of(number).fold_call(side, group, window);
        let folded = self.side(side).fold(picked, call).await;
        let Folded { ends, state } = folded.map_err(Ended::With)?;
        let full = state.and_then(|state| {
            let windows = self.windows_of(number);
            windows.folded(side, group, window, state)
        });
        if let Some(early) = full {
            let end = self.side(side).close(picked.place, early).await;
            let end = end.map_err(Ended::With)?;
            self.windows_of(number).ended(side, group, end);
        }
        Ok(ends)
    }

    async fn compare_ends(
        &mut self,
        number: ShardNumber,
        (group, window): (u32, Window),
        live: ShadowEnd,
        shadow: ShadowEnd,
    ) -> Result<(), Ended> {
        self.summary.windows += 1;
        if live.is_like(&shadow) {
            return Ok(());
        }
        self.summary.windows_different += 1;
        let told = ShadowWindow {
            shard_id: number.shard_id(),
            group,
            starts_at: rfc3339::format(window.start),
            ends_at: rfc3339::format(window.end),
            live,
            shadow,
        };
        self.tell(&ShadowLine::DifferentWindow(Box::new(told)))
            .await
    }

    /// What the states of both versions take is bounded; how many windows are open is told.
    fn check_room(&mut self) -> Result<(), Ended> {
        let bytes: usize = self.windows.values().map(ShadowWindows::bytes).sum();
        self.summary.open_windows = self.windows.values().map(ShadowWindows::open).sum();
        if bytes <= limits::SHADOW_STATES_BYTES_MAX {
            return Ok(());
        }
        let mib = limits::SHADOW_STATES_BYTES_MAX >> 20;
        let words = format!("the states of open windows of both versions take more than {mib} MiB");
        let error = ApiError::new(ErrorCode::Throttled, words)
            .because("a comparison holds them in memory, beside those of the mapping")
            .fix("a component with a smaller state or a mapping with a shorter window can be compared");
        Err(Ended::With(error))
    }

    const fn side(&self, side: ShadowSide) -> &Side {
        match side {
            ShadowSide::Live => &self.live,
            ShadowSide::Other => &self.other,
        }
    }

    fn windows_of(&mut self, number: ShardNumber) -> &mut ShadowWindows {
        let settings = &self.mapping.settings;
        let new = || windows(settings, false);
        self.windows.entry(number).or_insert_with(new)
    }

    pub(super) fn place_of(&self, shard: ShardNumber) -> Option<Place> {
        let stream = self.mapping.stream;
        let shard_created_at = self.node.view(|view| {
            let stream = view.registry().stream(stream)?;
            Some(stream.shard(shard)?.created_at)
        })?;
        Some(Place {
            stream,
            shard,
            shard_created_at,
        })
    }
}

fn records_of(step: &ShadowStep) -> usize {
    match step {
        ShadowStep::Fold { records, .. } => records.len(),
        ShadowStep::Close { .. } => 0,
    }
}
