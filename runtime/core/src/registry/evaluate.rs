//! Judges commands: the same value, the same command and the same time give the same answer.

use std::sync::Arc;

use super::{Applied, Command, Evaluated, Refusal, Registry, Tails, canary, deploy, draft::Draft};
use crate::{
    canary::SwitchKind,
    function::Function,
    id::{FunctionName, FunctionVersion, MappingId, StreamName, Timestamp},
    mapping::{Mapping, MappingState},
    spec::{
        StreamSpec,
        resolve::{self, Problems, StreamSettings},
    },
};

impl Registry {
    /// Turns a command into an absolute change, or refuses it.
    ///
    /// # Errors
    /// The refusal; nothing changes.
    pub fn evaluate(
        &self,
        command: &Command,
        tails: &impl Tails,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        match command {
            Command::CreateStream { name, settings } => {
                self.create_stream(name, settings.clone(), now)
            }
            Command::DeleteStream { name, force } => self.delete_stream(name, *force, now),
            Command::SetRetention { name, retention_ms } => self.set_retention(name, *retention_ms),
            Command::AlterStream { name, spec } => self.alter_stream(name, spec),
            Command::Reshard { name, how } => self.reshard(name, how, tails, now),
            Command::Deploy(deploy) => deploy::evaluate(self, deploy, tails, now),
            Command::Rollback { function, to } => self.rollback(function, *to, now),
            Command::Promote { function, canary } => self.promote(function, canary.as_ref(), now),
            Command::GuardTripped {
                function,
                version,
                tripped,
            } => self.guard_tripped(*function, *version, tripped, now),
            Command::PauseMapping { mapping } => {
                self.set_state(*mapping, MappingState::Paused, now)
            }
            Command::ResumeMapping { mapping } => {
                self.set_state(*mapping, MappingState::Running, now)
            }
            Command::StopMapping {
                mapping,
                code,
                message,
                version,
            } => self.stop(*mapping, (code, message), *version, now),
            Command::DeleteMapping { mapping, force } => {
                self.delete_mapping(*mapping, *force, tails)
            }
            Command::DeleteFunction { name, force } => self.delete_function(name, *force, tails),
            Command::SetConcurrency {
                function,
                concurrency,
            } => self.set_concurrency(function, *concurrency),
        }
    }

    fn create_stream(
        &self,
        name: &StreamName,
        settings: StreamSettings,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        if self.stream_by_name(name).is_some() {
            return Err(Refusal::StreamExists(name.clone()));
        }
        let mut draft = Draft::new(self);
        let stream = draft.create_stream(name.clone(), settings, false, now);
        Ok(draft.done(Applied::Stream(stream)))
    }

    fn delete_stream(
        &self,
        name: &StreamName,
        force: bool,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        let stream = self
            .stream_by_name(name)
            .ok_or_else(|| Refusal::NoSuchStream(name.clone()))?;
        let readers: Vec<&Arc<Mapping>> = self.mappings_of(stream.id).collect();
        let users: Vec<String> = self
            .mappings()
            .filter(|mapping| mapping.state != MappingState::Failed)
            .filter(|mapping| mapping.stream == stream.id || writes(mapping, name))
            .map(|mapping| self.address(mapping))
            .collect();
        if !users.is_empty() && !force {
            return Err(Refusal::StreamInUse {
                stream: name.clone(),
                users,
            });
        }
        let mut draft = Draft::new(self);
        draft.change.deleted_streams.push(stream.id);
        for mapping in readers {
            let mut failed = Mapping::clone(mapping);
            failed.state = MappingState::Failed;
            failed.state_since = now;
            draft.fence(mapping);
            draft.put_mapping(&Arc::new(failed));
        }
        Ok(draft.done(Applied::StreamDeleted(stream.id)))
    }

    fn set_retention(&self, name: &StreamName, retention_ms: u64) -> Result<Evaluated, Refusal> {
        let stream = self
            .stream_by_name(name)
            .ok_or_else(|| Refusal::NoSuchStream(name.clone()))?;
        if stream.retention_ms == retention_ms {
            return Ok(Evaluated::unchanged(Applied::Stream(Arc::clone(stream))));
        }
        let mut stream = crate::shard::Stream::clone(stream);
        stream.retention_ms = retention_ms;
        let stream = Arc::new(stream);
        let mut draft = Draft::new(self);
        draft.change.streams.push(Arc::clone(&stream));
        Ok(draft.done(Applied::Stream(stream)))
    }

    fn alter_stream(&self, name: &StreamName, spec: &StreamSpec) -> Result<Evaluated, Refusal> {
        let stream = self
            .stream_by_name(name)
            .ok_or_else(|| Refusal::NoSuchStream(name.clone()))?;
        let mut altered = crate::shard::Stream::clone(stream);
        let mut problems = Problems::default();
        resolve::alter_stream(&mut altered, spec, &mut problems);
        if !problems.0.is_empty() {
            return Err(Refusal::StreamInvalid {
                stream: name.clone(),
                problems: problems.0,
            });
        }
        if altered == **stream {
            return Ok(Evaluated::unchanged(Applied::Stream(Arc::clone(stream))));
        }
        let stream = Arc::new(altered);
        let mut draft = Draft::new(self);
        draft.change.streams.push(Arc::clone(&stream));
        Ok(draft.done(Applied::Stream(stream)))
    }

    fn rollback(
        &self,
        name: &FunctionName,
        to: Option<FunctionVersion>,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        let function = self.find_function(name)?;
        let previous = function.live;
        if function.canary().is_some() && to.is_none_or(|to| to == previous) {
            return self.take_back(function, SwitchKind::Dropped, "", now);
        }
        if function.canary().map(|canary| canary.version) == to && to.is_some() {
            return self.promote(name, None, now);
        }
        let target = match to {
            Some(version) => version,
            None => *function.live_before.last().ok_or(Refusal::NothingBefore {
                function: name.clone(),
                version: previous,
                is_only: function.versions.len() == 1,
            })?,
        };
        if !function.versions.contains_key(&target) {
            return Err(Refusal::NoSuchVersion {
                function: name.clone(),
                version: target,
            });
        }
        if target == previous {
            let function = Arc::clone(function);
            return Ok(Evaluated::unchanged(Applied::RolledBack {
                function,
                previous,
                dropped: None,
            }));
        }
        let mut changed = Function::clone(function);
        match changed
            .live_before
            .iter()
            .rposition(|&before| before == target)
        {
            Some(place) => changed.live_before.truncate(place),
            None => changed.live_before.push(previous),
        }
        changed.live = target;
        changed.live_since = now;
        if target < previous {
            changed.rolled_back.insert(previous, now);
        }
        let why = format!("version {target} was made live");
        let dropped = canary::end(&mut changed, SwitchKind::Dropped, &why, now);
        let dropped = dropped.map(|canary| canary.version);
        let (draft, function) = self.switched(changed, true, now)?;
        Ok(draft.done(Applied::RolledBack {
            function,
            previous,
            dropped,
        }))
    }

    fn set_state(
        &self,
        id: MappingId,
        state: MappingState,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        let mapping = self.find_mapping_id(id)?;
        if mapping.state == MappingState::Failed {
            return Err(Refusal::MappingFailed(self.address(mapping)));
        }
        if mapping.state == state {
            return Ok(Evaluated::unchanged(Applied::Mapping(Arc::clone(mapping))));
        }
        let mut changed = Mapping::clone(mapping);
        changed.state = state;
        changed.state_since = now;
        let changed = Arc::new(changed);
        let mut draft = Draft::new(self);
        draft.put_mapping(&changed);
        Ok(draft.done(Applied::Mapping(changed)))
    }

    /// Only a running mapping stops: a paused one meets the same record again when it is resumed. What a
    /// version said that nobody calls any more stops nothing: of two shards that a canary was fatal to, the
    /// first one's words have taken it back.
    fn stop(
        &self,
        id: MappingId,
        (code, message): (&str, &str),
        version: FunctionVersion,
        now: Timestamp,
    ) -> Result<Evaluated, Refusal> {
        let mapping = self.find_mapping_id(id)?;
        if mapping.state != MappingState::Running {
            return Ok(Evaluated::unchanged(Applied::Mapping(Arc::clone(mapping))));
        }
        if let Some(function) = self.function(mapping.function) {
            if !function.calls(version) {
                return Ok(Evaluated::unchanged(Applied::Mapping(Arc::clone(mapping))));
            }
            if version != function.live {
                let words = format!("it said `fatal`: {code}: {message}");
                return self.take_back(function, SwitchKind::RolledBack, &words, now);
            }
        }
        let state = MappingState::Stopped {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        self.set_state(id, state, now)
    }

    fn delete_mapping(
        &self,
        id: MappingId,
        force: bool,
        tails: &impl Tails,
    ) -> Result<Evaluated, Refusal> {
        let mapping = self.find_mapping_id(id)?;
        let open = tails.open_dead_letters(id);
        if open > 0 && !force {
            let mapping = self.address(mapping);
            return Err(Refusal::OpenDeadLetters { mapping, id, open });
        }
        let mut draft = Draft::new(self);
        remove(&mut draft, mapping, tails);
        Ok(draft.done(Applied::MappingDeleted(id)))
    }

    fn delete_function(
        &self,
        name: &FunctionName,
        force: bool,
        tails: &impl Tails,
    ) -> Result<Evaluated, Refusal> {
        let function = self.find_function(name)?;
        let mappings: Vec<&Arc<Mapping>> = self.mappings_of_function(function.id).collect();
        if !mappings.is_empty() && !force {
            return Err(Refusal::FunctionInUse {
                function: name.clone(),
                mappings: mappings
                    .iter()
                    .map(|mapping| self.address(mapping))
                    .collect(),
            });
        }
        let mut draft = Draft::new(self);
        draft.change.deleted_functions.push(function.id);
        let ids = mappings.iter().map(|mapping| mapping.id).collect();
        for mapping in mappings {
            remove(&mut draft, mapping, tails);
        }
        Ok(draft.done(Applied::FunctionDeleted(function.id, ids)))
    }

    fn set_concurrency(
        &self,
        name: &FunctionName,
        concurrency: Option<u32>,
    ) -> Result<Evaluated, Refusal> {
        let function = self.find_function(name)?;
        if function.concurrency == concurrency {
            return Ok(Evaluated::unchanged(Applied::Function(Arc::clone(
                function,
            ))));
        }
        let mut changed = Function::clone(function);
        changed.concurrency = concurrency;
        let changed = Arc::new(changed);
        let mut draft = Draft::new(self);
        draft.put_function(&changed);
        Ok(draft.done(Applied::Function(changed)))
    }

    pub(super) fn find_function(&self, name: &FunctionName) -> Result<&Arc<Function>, Refusal> {
        self.function_by_name(name)
            .ok_or_else(|| Refusal::NoSuchFunction(name.clone()))
    }

    fn find_mapping_id(&self, id: MappingId) -> Result<&Arc<Mapping>, Refusal> {
        self.mapping(id).ok_or(Refusal::NoSuchMapping(id))
    }
}

/// Deletes a mapping. Open letters outlive it; a stream without an open one goes with it.
fn remove(draft: &mut Draft<'_>, mapping: &Mapping, tails: &impl Tails) {
    draft.change.deleted_mappings.push(mapping.id);
    if tails.open_dead_letters(mapping.id) == 0 {
        draft.change.deleted_streams.push(mapping.dead_letters);
    }
}

fn writes(mapping: &Mapping, stream: &StreamName) -> bool {
    mapping.written_streams().any(|name| name == stream)
}
