//! The values of a view under their keys: what image and snapshot store.

use std::collections::BTreeMap;

use bytes::Bytes;
use fnctl_core::{
    breaker::Outages,
    id::{FunctionId, MappingId, Ordinal, ShardNumber, StreamId, UnitId},
    settled::{Settled, SettledRanges},
    view::{
        LettersParts, LettersView, ProducerState, ShardTail, UnitView, Value as ViewValue, ValueKey,
    },
    window::{GroupWindow, OpenWindow, Window},
};

use crate::codec::{DecodeError, Decoder, Value, fields};

/// First byte of every key of the view in an image or snapshot.
pub(crate) const VIEW_SPACE: u8 = b'v';
const FORMAT: u8 = 1;

const IDS: u8 = 1;
const STREAM: u8 = 2;
const FUNCTION: u8 = 3;
const MAPPING: u8 = 4;
const TAIL: u8 = 5;
const PRODUCER: u8 = 6;
const UNIT: u8 = 7;
const GONE: u8 = 8;
const LETTERS: u8 = 16;
const WINDOW: u8 = 17;
const BEFORE_SEEKS: u8 = 18;

fields!(ShardTail {
    next,
    last_arrival,
    horizon,
    floor,
    bytes
});
fields!(ProducerState { last, seen });
/// A group has no open window.
const CLOSED: u8 = 0;
/// It has one, from before it was kept which version left its state.
const OPEN: u8 = 1;
/// The version that left the state follows an open window: who does not know that would take a state that a
/// version cannot read for its own fault.
const OPEN_LEFT_BY: u8 = 2;

impl Value for GroupWindow {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            version,
            closed_through,
            open,
        } = self;
        version.put(out);
        closed_through.put(out);
        let Some(open) = open else {
            return out.push(CLOSED);
        };
        match open.left_by {
            None => {
                out.push(OPEN);
                open.put(out);
            }
            Some(left_by) => {
                out.push(OPEN_LEFT_BY);
                open.put(out);
                left_by.put(out);
            }
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (version, closed_through) = (Value::take(from)?, Value::take(from)?);
        let open = match u8::take(from)? {
            CLOSED => None,
            OPEN => Some(OpenWindow::take(from)?),
            OPEN_LEFT_BY => {
                let open = OpenWindow::take(from)?;
                Some(OpenWindow {
                    left_by: Some(Value::take(from)?),
                    ..open
                })
            }
            _ => return Err(from.fail("a window's state has a sort that is not known")),
        };
        Ok(Self {
            version,
            closed_through,
            open,
        })
    }
}

fields!(LettersParts {
    closed,
    resolved,
    moved,
    ids,
    closed_bytes
});

impl Value for LettersView {
    fn put(&self, out: &mut Vec<u8>) {
        self.parts().put(out);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let parts = LettersParts::take(from)?;
        let is_sound = parts.ids.iter().all(|(body, id)| id < body)
            && parts.ids.is_sorted_by(|a, b| a.0 < b.0);
        if !is_sound {
            return Err(from.fail("a letter lies before itself"));
        }
        Ok(Self::from_parts(parts))
    }
}

/// Without its windows, which are values of their own: a large state is written when it has changed. What is
/// said of circuits follows where one is open; otherwise it is encoded as before there were such.
impl Value for UnitView {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            epoch,
            settled,
            attempts,
            totals,
            windows: _,
            outages,
        } = self;
        epoch.put(out);
        settled.put(out);
        attempts.put(out);
        totals.put(out);
        if !outages.is_none() {
            outages.put(out);
        }
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let mut unit = Self {
            epoch: Value::take(from)?,
            settled: Value::take(from)?,
            attempts: Value::take(from)?,
            totals: Value::take(from)?,
            windows: BTreeMap::new(),
            outages: Outages::default(),
        };
        if from.remaining() > 0 {
            unit.outages = Value::take(from)?;
            if unit.outages.is_none() {
                return Err(from.fail("circuits are told of, and none is open"));
            }
        }
        Ok(unit)
    }
}

/// Without the version that left its state, which follows it where it is known.
impl Value for OpenWindow {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            window: Window { start, end },
            state,
            hops,
            last,
            groups,
            left_by: _,
        } = self;
        start.put(out);
        end.put(out);
        state.put(out);
        hops.put(out);
        last.put(out);
        groups.put(out);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (start, end) = (Value::take(from)?, Value::take(from)?);
        if start >= end {
            return Err(from.fail("a window ends before it begins"));
        }
        // A slice would keep the whole frame in memory, for as long as the window is open.
        let state = Bytes::copy_from_slice(&Bytes::take(from)?);
        Ok(Self {
            window: Window { start, end },
            state,
            hops: Value::take(from)?,
            last: Value::take(from)?,
            groups: Value::take(from)?,
            left_by: None,
        })
    }
}

impl Value for Settled {
    fn put(&self, out: &mut Vec<u8>) {
        self.low_watermark().put(out);
        self.done().put(out);
    }

    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (low_watermark, done) = (Ordinal::take(from)?, SettledRanges::take(from)?);
        if done
            .as_slice()
            .iter()
            .any(|range| range.after <= low_watermark)
        {
            return Err(from.fail("a done-set lies below its low watermark"));
        }
        Ok(Self::from_parts(low_watermark, &done))
    }
}

/// The stored name of a value. Numbers are big-endian, so that neighbours lie together.
pub(crate) fn encode_key(key: &ValueKey) -> Vec<u8> {
    let mut out = vec![VIEW_SPACE];
    match key {
        ValueKey::Ids => out.push(IDS),
        ValueKey::Stream(id) => {
            out.push(STREAM);
            out.extend_from_slice(&id.0.to_be_bytes());
        }
        ValueKey::Function(id) => {
            out.push(FUNCTION);
            out.extend_from_slice(&id.0.to_be_bytes());
        }
        ValueKey::Mapping(id) => {
            out.push(MAPPING);
            out.extend_from_slice(&id.0.to_be_bytes());
        }
        ValueKey::Tail(stream, shard) => {
            out.push(TAIL);
            out.extend_from_slice(&stream.0.to_be_bytes());
            out.extend_from_slice(&shard.0.to_be_bytes());
        }
        ValueKey::Producer(stream, producer) => {
            out.push(PRODUCER);
            out.extend_from_slice(&stream.0.to_be_bytes());
            out.extend_from_slice(producer.as_bytes());
        }
        ValueKey::Letters(stream) => {
            out.push(LETTERS);
            out.extend_from_slice(&stream.0.to_be_bytes());
        }
        ValueKey::Unit(unit) => {
            out.push(UNIT);
            out.extend_from_slice(&unit.mapping.0.to_be_bytes());
            out.extend_from_slice(&unit.stream.0.to_be_bytes());
            out.extend_from_slice(&unit.shard.0.to_be_bytes());
        }
        ValueKey::Window(unit, group) => {
            out.push(WINDOW);
            out.extend_from_slice(&unit.mapping.0.to_be_bytes());
            out.extend_from_slice(&unit.stream.0.to_be_bytes());
            out.extend_from_slice(&unit.shard.0.to_be_bytes());
            out.extend_from_slice(&group.to_be_bytes());
        }
        ValueKey::Gone(mapping) => {
            out.push(GONE);
            out.extend_from_slice(&mapping.0.to_be_bytes());
        }
        ValueKey::BeforeSeeks(unit) => {
            out.push(BEFORE_SEEKS);
            out.extend_from_slice(&unit.mapping.0.to_be_bytes());
            out.extend_from_slice(&unit.stream.0.to_be_bytes());
            out.extend_from_slice(&unit.shard.0.to_be_bytes());
        }
    }
    out
}

fn take_u64(from: &mut Decoder) -> Result<u64, DecodeError> {
    let bytes = from.slice(8)?;
    Ok(u64::from_be_bytes(
        bytes.try_into().expect("the slice has this length"),
    ))
}

fn take_u32(from: &mut Decoder) -> Result<u32, DecodeError> {
    let bytes = from.slice(4)?;
    Ok(u32::from_be_bytes(
        bytes.try_into().expect("the slice has this length"),
    ))
}

fn take_shard(from: &mut Decoder) -> Result<ShardNumber, DecodeError> {
    Ok(ShardNumber(take_u32(from)?))
}

fn take_unit(from: &mut Decoder) -> Result<UnitId, DecodeError> {
    Ok(UnitId {
        mapping: MappingId(take_u64(from)?),
        stream: StreamId(take_u64(from)?),
        shard: take_shard(from)?,
    })
}

pub(crate) fn decode_key(bytes: Bytes) -> Result<ValueKey, DecodeError> {
    let mut from = Decoder::new(bytes);
    if u8::take(&mut from)? != VIEW_SPACE {
        return Err(from.fail("the key is none of the view's"));
    }
    let key = match u8::take(&mut from)? {
        IDS => ValueKey::Ids,
        STREAM => ValueKey::Stream(StreamId(take_u64(&mut from)?)),
        FUNCTION => ValueKey::Function(FunctionId(take_u64(&mut from)?)),
        MAPPING => ValueKey::Mapping(MappingId(take_u64(&mut from)?)),
        TAIL => ValueKey::Tail(StreamId(take_u64(&mut from)?), take_shard(&mut from)?),
        PRODUCER => {
            let stream = StreamId(take_u64(&mut from)?);
            let name = from.share(from.remaining())?;
            let name = std::str::from_utf8(&name).map_err(|_| from.fail("a text is not UTF-8"))?;
            ValueKey::Producer(stream, name.into())
        }
        LETTERS => ValueKey::Letters(StreamId(take_u64(&mut from)?)),
        UNIT => ValueKey::Unit(take_unit(&mut from)?),
        WINDOW => ValueKey::Window(take_unit(&mut from)?, take_u32(&mut from)?),
        GONE => ValueKey::Gone(MappingId(take_u64(&mut from)?)),
        BEFORE_SEEKS => ValueKey::BeforeSeeks(take_unit(&mut from)?),
        _ => return Err(from.fail("a value's kind is not known")),
    };
    from.end()?;
    Ok(key)
}

/// The stored form of a value.
pub(crate) fn encode_value(value: &ViewValue) -> Vec<u8> {
    let mut out = vec![FORMAT];
    match value {
        ViewValue::Ids(stream, function, mapping) => {
            out.push(IDS);
            stream.put(&mut out);
            function.put(&mut out);
            mapping.put(&mut out);
        }
        ViewValue::Stream(stream) => {
            out.push(STREAM);
            stream.put(&mut out);
        }
        ViewValue::Function(function) => {
            out.push(FUNCTION);
            function.put(&mut out);
        }
        ViewValue::Mapping(mapping) => {
            out.push(MAPPING);
            mapping.put(&mut out);
        }
        ViewValue::Tail(tail) => {
            out.push(TAIL);
            tail.put(&mut out);
        }
        ViewValue::Producer(producer) => {
            out.push(PRODUCER);
            producer.put(&mut out);
        }
        ViewValue::Letters(letters) => {
            out.push(LETTERS);
            letters.put(&mut out);
        }
        ViewValue::Unit(unit) => {
            out.push(UNIT);
            unit.put(&mut out);
        }
        ViewValue::Window(window) => {
            out.push(WINDOW);
            window.put(&mut out);
        }
        ViewValue::Gone(totals) => {
            out.push(GONE);
            totals.put(&mut out);
        }
        ViewValue::BeforeSeeks(totals) => {
            out.push(BEFORE_SEEKS);
            totals.put(&mut out);
        }
    }
    out
}

pub(crate) fn decode_value(bytes: Bytes) -> Result<ViewValue, DecodeError> {
    let mut from = Decoder::new(bytes);
    if u8::take(&mut from)? != FORMAT {
        return Err(from.fail("the value's format is not known"));
    }
    let value = match u8::take(&mut from)? {
        IDS => ViewValue::Ids(
            Value::take(&mut from)?,
            Value::take(&mut from)?,
            Value::take(&mut from)?,
        ),
        STREAM => ViewValue::Stream(Value::take(&mut from)?),
        FUNCTION => ViewValue::Function(Value::take(&mut from)?),
        MAPPING => ViewValue::Mapping(Value::take(&mut from)?),
        TAIL => ViewValue::Tail(Value::take(&mut from)?),
        PRODUCER => ViewValue::Producer(Value::take(&mut from)?),
        UNIT => ViewValue::Unit(Value::take(&mut from)?),
        WINDOW => ViewValue::Window(Value::take(&mut from)?),
        GONE => ViewValue::Gone(Value::take(&mut from)?),
        BEFORE_SEEKS => ViewValue::BeforeSeeks(Value::take(&mut from)?),
        LETTERS => ViewValue::Letters(Value::take(&mut from)?),
        _ => return Err(from.fail("a value's kind is not known")),
    };
    from.end()?;
    Ok(value)
}
