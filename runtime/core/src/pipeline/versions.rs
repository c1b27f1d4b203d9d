//! Which of a unit's versions is called for what. Beside a canary a unit has twice its lanes: those behind
//! the others are the canary's. So every batch is of one version, and a canary that is slow or fails holds
//! no lane of the keys that meet the live one. Reading ahead and the retry slot are of both, except for what an
//! open circuit of one of them holds (`aside`).

use super::{OtherVersion, PipelineConfig, ShardPipeline, backlog::Serial};
use crate::{
    canary::Share,
    id::FunctionVersion,
    lane::KeyHash,
    mapping::{MappingSettings, OutputBinding},
    window::group_of,
};

/// A version that some keys of a unit meet, or some groups of keys where the mapping has windows.
#[derive(Clone, Debug)]
pub struct PipelineCanary {
    /// Which keys or groups.
    pub share: Share,
    /// The version.
    pub version: OtherVersion,
}

/// Whether a key meets the canary: with windows its group decides.
fn takes(share: Share, settings: &MappingSettings, key: KeyHash) -> bool {
    share.takes(match settings.has_windows() {
        true => group_of(key, settings.window_groups()).into(),
        false => key.0,
    })
}

impl PipelineConfig {
    /// Whether a key meets the canary.
    pub(super) fn meets_canary(&self, key: KeyHash) -> bool {
        let canary = self.canary.as_ref();
        canary.is_some_and(|canary| takes(canary.share, &self.settings, key))
    }
}

impl ShardPipeline {
    /// The lane of a key.
    pub(super) fn lane_of(&self, key: KeyHash) -> usize {
        let lane = usize::from(key.lane(self.factor));
        match self.meets_canary(key) {
            true => usize::from(self.factor) + lane,
            false => lane,
        }
    }

    pub(super) fn meets_canary(&self, key: KeyHash) -> bool {
        self.config.meets_canary(key)
    }

    /// Whether a group of keys meets the canary.
    pub(super) fn is_canarys_group(&self, group: u32) -> bool {
        let canary = self.config.canary.as_ref();
        canary.is_some_and(|canary| canary.share.takes(group.into()))
    }

    /// Whether a lane is the canary's.
    pub(super) fn is_canary_lane(&self, lane: usize) -> bool {
        lane >= usize::from(self.factor)
    }

    /// The version that a key meets.
    pub(super) fn version_of(&self, key: KeyHash) -> FunctionVersion {
        match &self.config.canary {
            Some(canary) if self.meets_canary(key) => canary.version.version,
            _ => self.config.version,
        }
    }

    /// The version that a slot calls for these records: a lane its own, the retry slot that of the key in
    /// hand, or of the redrive. Of records that are not called it is the one that they would have met.
    pub(super) fn version_in(&self, slot: usize, records: &[Serial]) -> FunctionVersion {
        let Some(canary) = &self.config.canary else {
            return self.config.version;
        };
        if slot < self.lanes.len() {
            return match self.is_canary_lane(slot) {
                true => canary.version.version,
                false => self.config.version,
            };
        }
        let key = match records.first() {
            Some(&serial) => Some(self.backlog.get(serial).key),
            None => self.redrives.key(),
        };
        key.map_or(self.config.version, |key| self.version_of(key))
    }

    /// Whether a version is one that the unit calls: charges by another one start from nothing.
    pub(super) fn calls(&self, version: FunctionVersion) -> bool {
        let canary = self.config.canary.as_ref();
        version == self.config.version
            || canary.is_some_and(|canary| canary.version.version == version)
    }

    /// The bindings of a version by output number.
    pub(super) fn outputs_of(&self, version: FunctionVersion) -> &[OutputBinding] {
        match &self.config.canary {
            Some(canary) if canary.version.version == version => &canary.version.outputs,
            _ => &self.config.outputs,
        }
    }
}
