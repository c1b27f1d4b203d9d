//! Streams, functions and mappings: the values of a `Meta` entry, of the image and of a snapshot.

use fnctl_core::{
    function::{Function, Isolation, SecretValue, Version, VersionSettings},
    mapping::{Mapping, MappingSettings, MappingState, MaxAttempts, OutputBinding},
    registry::RegistryChange,
    shard::{Ack, HashKeyRange, Shard, Stream},
};

use crate::codec::{DecodeError, Decoder, Value, fields, newtypes};

newtypes!(SecretValue);

fields!(HashKeyRange { start, end });
fields!(Shard {
    number,
    range,
    created_at,
    parents,
    is_closed
});
fields!(Stream {
    id,
    name,
    shards,
    retention_ms,
    ack,
    created_at,
    is_internal
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
fields!(MappingSettings {
    batch_size,
    batch_bytes,
    batch_window_ms,
    parallelization_factor,
    max_attempts,
    backoff_initial_ms,
    backoff_max_ms,
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
        } = self;
        id.put(out);
        name.put(out);
        versions.put(out);
        live.put(out);
        live_before.put(out);
        rolled_back.put(out);
        live_since.put(out);
        concurrency.put(out);
        created_at.put(out);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let function = Self {
            id: Value::take(from)?,
            name: Value::take(from)?,
            versions: Value::take(from)?,
            live: Value::take(from)?,
            live_before: Value::take(from)?,
            rolled_back: Value::take(from)?,
            live_since: Value::take(from)?,
            concurrency: Value::take(from)?,
            created_at: Value::take(from)?,
        };
        if !function.versions.contains_key(&function.live) {
            return Err(from.fail("a function's live version is not among its versions"));
        }
        Ok(function)
    }
}

/// Encodes an enum whose variants hold nothing, by number.
macro_rules! plain {
    ($type:ty, $what:literal, $($variant:ident = $number:literal),+ $(,)?) => {
        impl Value for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $( Self::$variant => $number ),+ });
            }
            fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
                match u8::take(from)? {
                    $( $number => Ok(Self::$variant), )+
                    _ => Err(from.fail($what)),
                }
            }
        }
    };
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

impl Value for MaxAttempts {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unlimited => out.push(0),
            Self::Count(count) => {
                out.push(1);
                count.put(out);
            }
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(Self::Unlimited),
            1 => Ok(Self::Count(Value::take(from)?)),
            _ => Err(from.fail("a number of attempts is not known")),
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
