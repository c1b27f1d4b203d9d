//! What a worker is made for, and what tells two workers of one unit apart.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fnctl_core::{
    canary::{Canary, Share, UnitVersions},
    function::{Function, Version},
    id::{FunctionVersion, MappingId, OutputName, Timestamp, UnitId},
    invoker::CallContext,
    limits::STREAM_RECORD_BYTES_DEFAULT,
    mapping::{Mapping, MappingSettings, OutputBinding},
    pipeline::{OtherVersion, PipelineCanary},
    reconcile::{self, Stamp},
    shard::Stream,
    view::{NodeView, UnitTurn},
};

use crate::{
    canaries::WatchedCanary,
    shard_worker::{Assignment, CalledVersion},
};

/// One unit as a worker of it needs to know it.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    mapping: Arc<Mapping>,
    function: Arc<Function>,
    version: Arc<Version>,
    /// Another one, and what meets it.
    canary: Option<(Arc<Version>, Share)>,
    shard_created_at: Timestamp,
    /// Those that its outputs go to.
    output_streams: Vec<Arc<Stream>>,
}

impl Work {
    /// What the published view says of a unit; `None`: it is gone.
    pub(super) fn of(view: &NodeView, unit: UnitId) -> Option<Self> {
        let registry = view.registry();
        let mapping = registry.mapping(unit.mapping)?;
        let function = registry.function(mapping.function)?;
        let stream = registry.stream(unit.stream)?;
        let shard = stream.shard(unit.shard)?;
        let live = function.versions.get(&function.live)?;
        let canary = function.canary().zip(function.canary_version());
        let (version, canary) = match canary {
            None => (live, None),
            Some((canary, other)) => {
                match canary.of_unit(function.id, &mapping.settings, unit.stream, unit.shard) {
                    UnitVersions::Live => (live, None),
                    UnitVersions::Canary => (other, None),
                    UnitVersions::Both(share) => (live, Some((Arc::clone(other), share))),
                }
            }
        };
        Some(Self {
            mapping: Arc::clone(mapping),
            function: Arc::clone(function),
            version: Arc::clone(version),
            canary,
            shard_created_at: shard.created_at,
            output_streams: mapping
                .outputs
                .values()
                .filter_map(|binding| registry.stream_by_name(binding.stream()?).cloned())
                .collect(),
        })
    }

    /// What a letter of a unit that is redriven with this version is called with; `None`: the unit or the
    /// version is gone.
    pub(crate) fn other(
        view: &NodeView,
        unit: UnitId,
        version: FunctionVersion,
    ) -> Option<CalledVersion> {
        let work = Self::of(view, unit)?;
        let version = work.function.versions.get(&version)?;
        Some(work.called(unit, version))
    }

    /// Facts of calls of a unit's records with any version of its function, also one that is not deployed;
    /// `None`: the unit is gone.
    pub(crate) fn context(
        view: &NodeView,
        unit: UnitId,
        version: &Arc<Version>,
    ) -> Option<Arc<CallContext>> {
        Some(Self::of(view, unit)?.called(unit, version).context)
    }

    /// The largest row that an output takes, bytes.
    fn row_bytes_max(&self, to: &OutputBinding) -> u64 {
        let OutputBinding::Stream(name) = to else {
            return STREAM_RECORD_BYTES_DEFAULT;
        };
        let stream = self
            .output_streams
            .iter()
            .find(|stream| stream.name == *name);
        stream.map_or(STREAM_RECORD_BYTES_DEFAULT, |stream| {
            stream.options.record_bytes_max
        })
    }

    /// The mapping.
    pub(crate) const fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Its function.
    pub(crate) const fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// The version that is called, for all that its canary is not.
    pub(crate) const fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Whether [`Self::version`] is the function's canary, called for the whole shard.
    pub(crate) fn is_canary(&self) -> bool {
        let canary = self.function.canary();
        canary.is_some_and(|canary| canary.version == self.version.number)
    }

    /// Which of the versions that are called ask for no window's state.
    pub(crate) fn stateless(&self) -> Vec<FunctionVersion> {
        let canary = self.canary.iter().map(|(version, _)| version);
        let called = std::iter::once(&self.version).chain(canary);
        let stateless = called.filter(|version| !version.reads_states());
        stateless.map(|version| version.number).collect()
    }

    /// The canary of its pipeline.
    pub(crate) fn canary(&self, assignment: &Assignment) -> Option<PipelineCanary> {
        let (_, share) = self.canary.as_ref()?;
        let called = assignment.canary.as_ref()?;
        Some(PipelineCanary {
            share: *share,
            version: called.other.clone(),
        })
    }

    /// What the worker works on.
    pub(crate) fn assignment(&self, unit: UnitId) -> Assignment {
        let CalledVersion { other, context } = self.called(unit, &self.version);
        let canary = self.canary.as_ref();
        Assignment {
            mapping: unit.mapping,
            max_attempts: self.mapping.settings.max_attempts,
            filter: self.mapping.settings.filter.clone(),
            stream: unit.stream,
            shard_created_at: self.shard_created_at,
            context,
            outputs: other.outputs,
            canary: canary.map(|(version, _)| self.called(unit, version)),
            watched: self.function.canary().map(|canary| WatchedCanary {
                function: self.function.id,
                live: self.function.live,
                canary: *canary,
            }),
        }
    }

    /// A version as a unit calls it. Outputs are numbered as the component declares them, unbound ones left
    /// out.
    fn called(&self, unit: UnitId, version: &Version) -> CalledVersion {
        let bound: Vec<_> = version
            .outputs
            .iter()
            .filter_map(|name| Some((name, self.mapping.outputs.get(name)?)))
            .collect();
        let names = bound
            .iter()
            .map(|(name, _)| Arc::from(name.as_str()))
            .collect();
        let outputs: Vec<OutputBinding> = bound.into_iter().map(|(_, to)| to.clone()).collect();
        let context = CallContext {
            mapping: format!("{}/{}", self.function.name, self.mapping.stream_name).into(),
            stream: self.mapping.stream_name.as_str().into(),
            shard: unit.shard,
            version: version.number,
            outputs: names,
            row_bytes_max: outputs.iter().map(|to| self.row_bytes_max(to)).collect(),
        };
        let other = OtherVersion {
            version: version.number,
            outputs: outputs.into(),
        };
        CalledVersion {
            other,
            context: Arc::new(context),
        }
    }
}

/// What a worker is built from, besides its unit. The function's concurrency is none of it: its workers share
/// what bounds their calls, and that is changed in its place.
#[derive(Clone, Debug, PartialEq)]
struct Build {
    settings: MappingSettings,
    outputs: BTreeMap<OutputName, OutputBinding>,
    version: FunctionVersion,
    canary: Option<Canary>,
}

/// Numbers what workers are built from: equal numbers of one mapping, equal workers.
#[derive(Debug, Default)]
pub(super) struct Generations {
    builds: HashMap<MappingId, (Build, u64)>,
    last: u64,
}

impl Generations {
    /// The units that should have a worker, by the published view.
    pub(super) fn desired(&mut self, view: &NodeView) -> BTreeMap<UnitId, Stamp> {
        let registry = view.registry();
        self.builds
            .retain(|mapping, _| registry.mapping(*mapping).is_some());
        let mut desired = reconcile::desired(registry, |mapping| {
            let function = registry.function(mapping.function);
            let is_same = self.builds.get(&mapping.id).is_some_and(|(build, _)| {
                function.is_some_and(|function| {
                    build.version == function.live
                        && build.canary.as_ref() == function.canary()
                        && build.settings == mapping.settings
                        && build.outputs == mapping.outputs
                })
            });
            if !is_same {
                self.last += 1;
                let build = Build {
                    settings: mapping.settings.clone(),
                    outputs: mapping.outputs.clone(),
                    version: function.map(|function| function.live).unwrap_or_default(),
                    canary: function.and_then(|function| function.canary().copied()),
                };
                self.builds.insert(mapping.id, (build, self.last));
            }
            self.builds[&mapping.id].1
        });
        // A unit exists from the entry that made its mapping or its shard; its turn comes when what is in
        // front of it is settled, and is over when nothing can come any more.
        let resharded = registry.mappings().filter(|mapping| {
            let stream = registry.stream(mapping.stream);
            stream.is_some_and(|stream| stream.shards.iter().any(|shard| shard.is_closed))
        });
        for mapping in resharded {
            for (unit, turn) in view.turns(mapping) {
                if turn != UnitTurn::Due {
                    desired.remove(&unit);
                }
            }
        }
        desired.retain(|unit, _| view.unit(*unit).is_some());
        desired
    }
}
