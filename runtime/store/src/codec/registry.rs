//! Streams, functions and mappings: the values of a `Meta` entry, of the image and of a snapshot.

use fnctl_core::{
    canary::Rollout,
    function::{Function, Isolation, SecretValue, Version, VersionSettings},
    id::Timestamp,
    limits::STREAM_RECORD_BYTES_DEFAULT,
    mapping::{Mapping, MappingState, OutputBinding},
    registry::RegistryChange,
    shard::{Ack, HashKeyRange, Shard, Stream, StreamMode, StreamOptions},
};

use crate::codec::{DecodeError, Decoder, Value, fields, newtypes, plain};

newtypes!(SecretValue);

fields!(HashKeyRange { start, end });
fields!(Shard {
    number,
    range,
    created_at,
    parents,
    is_closed
});
fields!(VersionSettings {
    digest,
    config,
    secrets,
    memory_bytes,
    timeout_ms,
    isolation,
});
fields!(Version {
    number,
    settings,
    component_bytes,
    outputs,
    uses,
    created_at
});
fields!(Mapping {
    id,
    function,
    stream,
    stream_name,
    dead_letters,
    settings,
    outputs,
    state,
    state_since,
    starting_after,
    created_at,
});
fields!(RegistryChange {
    streams,
    deleted_streams,
    functions,
    deleted_functions,
    mappings,
    deleted_mappings,
    next_stream,
    next_function,
    next_mapping,
});

/// A stream is internal. This byte was a flag, 0 or 1, before there were options: a stream without any is
/// still written so, and one with some is refused by whoever does not know them.
const INTERNAL: u8 = 1;
/// A largest record follows.
const RECORD_BYTES: u8 = 1 << 1;
/// The stream is on demand.
const ON_DEMAND: u8 = 1 << 2;
/// Tags follow.
const TAGS: u8 = 1 << 3;
/// A quota of bytes follows.
const QUOTA: u8 = 1 << 4;
/// A retention by size follows.
const RETENTION_BYTES: u8 = 1 << 5;
/// Shards were split or merged. Nothing follows: who does not know what order that asks of mappings must
/// not open it.
const RESHARDED: u8 = 1 << 6;
const OPTIONS: u8 =
    INTERNAL | RECORD_BYTES | ON_DEMAND | TAGS | QUOTA | RETENTION_BYTES | RESHARDED;

impl Value for Stream {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            id,
            name,
            shards,
            retention_ms,
            ack,
            created_at,
            is_internal,
            options,
        } = self;
        let StreamOptions {
            record_bytes_max,
            mode,
            tags,
            quota_bytes,
            retention_bytes,
        } = options;
        id.put(out);
        name.put(out);
        shards.put(out);
        retention_ms.put(out);
        ack.put(out);
        created_at.put(out);
        let when = |is: bool, flag: u8| if is { flag } else { 0 };
        let is_resharded = shards
            .iter()
            .any(|shard| shard.is_closed || !shard.parents.is_empty());
        let is_other_size = *record_bytes_max != STREAM_RECORD_BYTES_DEFAULT;
        out.push(
            when(*is_internal, INTERNAL)
                | when(is_other_size, RECORD_BYTES)
                | when(*mode == StreamMode::OnDemand, ON_DEMAND)
                | when(!tags.is_empty(), TAGS)
                | when(is_resharded, RESHARDED)
                | when(quota_bytes.is_some(), QUOTA)
                | when(retention_bytes.is_some(), RETENTION_BYTES),
        );
        if is_other_size {
            record_bytes_max.put(out);
        }
        if !tags.is_empty() {
            tags.put(out);
        }
        for bytes in [quota_bytes, retention_bytes].into_iter().flatten() {
            bytes.put(out);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let mut stream = Self {
            id: Value::take(from)?,
            name: Value::take(from)?,
            shards: Value::take(from)?,
            retention_ms: Value::take(from)?,
            ack: Value::take(from)?,
            created_at: Value::take(from)?,
            is_internal: false,
            options: StreamOptions::default(),
        };
        let flags = u8::take(from)?;
        if flags & !OPTIONS != 0 {
            return Err(from.fail("a stream has an option that this version does not know"));
        }
        if !stream.shards.is_sorted_by(|a, b| a.number < b.number) {
            return Err(from.fail("a stream's shards do not ascend"));
        }
        stream.is_internal = flags & INTERNAL != 0;
        if flags & RECORD_BYTES != 0 {
            stream.options.record_bytes_max = Value::take(from)?;
        }
        if flags & ON_DEMAND != 0 {
            stream.options.mode = StreamMode::OnDemand;
        }
        if flags & TAGS != 0 {
            stream.options.tags = Value::take(from)?;
        }
        if flags & QUOTA != 0 {
            stream.options.quota_bytes = Some(Value::take(from)?);
        }
        if flags & RETENTION_BYTES != 0 {
            stream.options.retention_bytes = Some(Value::take(from)?);
        }
        Ok(stream)
    }
}

/// The function's concurrency is limited. This byte was a flag, 0 or 1, before there were canaries.
const CONCURRENCY: u8 = 1;
/// A canary, or what became of one, follows all else.
const ROLLOUT: u8 = 1 << 1;

impl Value for Function {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            id,
            name,
            versions,
            live,
            live_before,
            rolled_back,
            live_since,
            concurrency,
            created_at,
            rollout,
        } = self;
        id.put(out);
        name.put(out);
        versions.put(out);
        live.put(out);
        live_before.put(out);
        rolled_back.put(out);
        live_since.put(out);
        let has_rollout = !rollout.is_empty();
        let when = |is: bool, flag: u8| if is { flag } else { 0 };
        out.push(when(concurrency.is_some(), CONCURRENCY) | when(has_rollout, ROLLOUT));
        if let Some(concurrency) = concurrency {
            concurrency.put(out);
        }
        created_at.put(out);
        if has_rollout {
            rollout.put(out);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let mut function = Self {
            id: Value::take(from)?,
            name: Value::take(from)?,
            versions: Value::take(from)?,
            live: Value::take(from)?,
            live_before: Value::take(from)?,
            rolled_back: Value::take(from)?,
            live_since: Value::take(from)?,
            concurrency: None,
            created_at: Timestamp(0),
            rollout: Rollout::default(),
        };
        let flags = u8::take(from)?;
        if flags & !(CONCURRENCY | ROLLOUT) != 0 {
            return Err(from.fail("a function has an option that this version does not know"));
        }
        if flags & CONCURRENCY != 0 {
            function.concurrency = Some(Value::take(from)?);
        }
        function.created_at = Value::take(from)?;
        if flags & ROLLOUT != 0 {
            function.rollout = Value::take(from)?;
        }
        if !function.versions.contains_key(&function.live) {
            return Err(from.fail("a function's live version is not among its versions"));
        }
        let canary = function.canary();
        if canary.is_some_and(|canary| !function.versions.contains_key(&canary.version)) {
            return Err(from.fail("a function's canary is not among its versions"));
        }
        Ok(function)
    }
}

plain!(
    Ack,
    "an acknowledgement mode is not known",
    Synced = 0,
    Written = 1
);
plain!(Isolation, "an isolation is not known", Reuse = 0, Fresh = 1);

impl Value for OutputBinding {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.push(0),
            Self::Stream(name) => {
                out.push(1);
                name.put(out);
            }
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(Self::None),
            1 => Ok(Self::Stream(Value::take(from)?)),
            _ => Err(from.fail("an output binding is not known")),
        }
    }
}

impl Value for MappingState {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Running => out.push(0),
            Self::Paused => out.push(1),
            Self::Stopped { code, message } => {
                out.push(2);
                code.put(out);
                message.put(out);
            }
            Self::Failed => out.push(3),
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(Self::Running),
            1 => Ok(Self::Paused),
            2 => Ok(Self::Stopped {
                code: Value::take(from)?,
                message: Value::take(from)?,
            }),
            3 => Ok(Self::Failed),
            _ => Err(from.fail("a mapping's state is not known")),
        }
    }
}
