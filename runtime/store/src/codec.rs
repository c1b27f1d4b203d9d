//! How values become bytes, and back: ours by hand, little-endian, versioned, so that a data directory
//! outlives every refactoring.
//!
//! Each stored value starts with a format byte; a decoder refuses what it does not know and never
//! panics or allocates without bound, whatever the bytes are.

mod columns;
mod commit;
mod dead_letter;
mod entry;
mod registry;
mod rollout;
mod settings;
#[cfg(test)]
mod tests;
mod view;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

pub use self::dead_letter::{decode_dead_letter, encode_dead_letter};
pub(crate) use self::{
    columns::{block, put_u32s, take_u32s},
    entry::{decode_entry, encode_entry, entry_bytes},
    view::{decode_key, decode_value, encode_key, encode_value},
};

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct DecodeError {
    /// What is wrong.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

/// Reads values off shared bytes; variable-length ones are slices of them, never copies.
#[derive(Debug)]
pub(crate) struct Decoder {
    bytes: Bytes,
    at: usize,
}

impl Decoder {
    pub(crate) const fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) const fn fail(&self, what: &'static str) -> DecodeError {
        DecodeError { what, at: self.at }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `length` bytes, borrowed.
    pub(crate) fn slice(&mut self, length: usize) -> Result<&[u8], DecodeError> {
        if self.remaining() < length {
            return Err(self.fail("the value ends early"));
        }
        self.at += length;
        Ok(&self.bytes[self.at - length..self.at])
    }

    /// The next `length` bytes, shared.
    pub(crate) fn share(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if self.remaining() < length {
            return Err(self.fail("the value ends early"));
        }
        self.at += length;
        Ok(self.bytes.slice(self.at - length..self.at))
    }

    /// A count of elements that take at least `element_bytes` each, so that a wrong one cannot make us
    /// allocate more than the bytes at hand.
    pub(crate) fn count(&mut self, element_bytes: usize) -> Result<usize, DecodeError> {
        let count = u32::take(self)? as usize;
        if count.saturating_mul(element_bytes) > self.remaining() {
            return Err(self.fail("a count is larger than the bytes behind it"));
        }
        Ok(count)
    }

    /// Refuses bytes behind the value.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.remaining() > 0 {
            return Err(self.fail("bytes follow the value"));
        }
        Ok(())
    }
}

/// A value with one encoding.
pub(crate) trait Value: Sized {
    /// Appends the encoding.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads it back.
    fn take(from: &mut Decoder) -> Result<Self, DecodeError>;
}

/// Appends a length or count.
///
/// # Panics
/// From 4 GiB on; every value is bounded far below (`limits`).
pub(crate) fn put_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length)
        .expect("values stay below 4 GiB")
        .put(out);
}

/// Encodes a stored value: its format byte, then the value.
pub(crate) fn encode<T: Value>(format: u8, value: &T) -> Vec<u8> {
    let mut out = vec![format];
    value.put(&mut out);
    out
}

/// Decodes what [`encode`] wrote with the same format byte.
pub(crate) fn decode<T: Value>(format: u8, bytes: Bytes) -> Result<T, DecodeError> {
    let mut from = Decoder::new(bytes);
    if u8::take(&mut from)? != format {
        return Err(from.fail("the value's format is not known"));
    }
    let value = T::take(&mut from)?;
    from.end()?;
    Ok(value)
}

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl Value for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
                let bytes = from.slice(size_of::<$type>())?;
                Ok(Self::from_le_bytes(bytes.try_into().expect("the slice has this length")))
            }
        }
    )* };
}

integers!(u8, u16, u32, u64, u128);

/// Encodes a struct field by field, in the order named. A field added to the struct and not here does
/// not compile.
macro_rules! fields {
    ($type:path { $($field:ident),* $(,)? }) => {
        impl $crate::codec::Value for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $( $crate::codec::Value::put($field, out); )*
            }
            fn take(
                from: &mut $crate::codec::Decoder,
            ) -> Result<Self, $crate::codec::DecodeError> {
                Ok(Self { $( $field: $crate::codec::Value::take(from)? ),* })
            }
        }
    };
}
pub(crate) use fields;

/// Encodes an enum whose variants hold nothing, by number.
macro_rules! plain {
    ($type:ty, $what:literal, $($variant:ident = $number:literal),+ $(,)?) => {
        impl $crate::codec::Value for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $( Self::$variant => $number ),+ });
            }
            fn take(from: &mut $crate::codec::Decoder) -> Result<Self, $crate::codec::DecodeError> {
                match <u8 as $crate::codec::Value>::take(from)? {
                    $( $number => Ok(Self::$variant), )+
                    _ => Err(from.fail($what)),
                }
            }
        }
    };
}
pub(crate) use plain;

/// Encodes a newtype as what it wraps.
macro_rules! newtypes {
    ($($type:path),* $(,)?) => { $(
        impl $crate::codec::Value for $type {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(
                from: &mut $crate::codec::Decoder,
            ) -> Result<Self, $crate::codec::DecodeError> {
                Ok(Self($crate::codec::Value::take(from)?))
            }
        }
    )* };
}
pub(crate) use newtypes;

impl Value for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(from.fail("a flag is neither 0 nor 1")),
        }
    }
}

impl Value for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self);
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let length = from.count(1)?;
        from.share(length)
    }
}

impl Value for Arc<[u8]> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self);
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let length = from.count(1)?;
        Ok(from.slice(length)?.into())
    }
}

impl Value for Arc<str> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let length = from.count(1)?;
        match std::str::from_utf8(from.slice(length)?) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(from.fail("a text is not UTF-8")),
        }
    }
}

impl Value for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Arc::<str>::take(from)?.as_ref().to_owned())
    }
}

impl<T: Value> Value for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self::new(T::take(from)?))
    }
}

impl<T: Value> Value for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<T: Value> Value for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for value in self {
            value.put(out);
        }
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        // Every element takes a byte at least; capacity grows with what is really there.
        let count = from.count(1)?;
        let mut values = Self::new();
        for _ in 0..count {
            values.push(T::take(from)?);
        }
        Ok(values)
    }
}

impl<K: Value + Ord, V: Value> Value for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        let count = from.count(1)?;
        let mut values = Self::new();
        for _ in 0..count {
            let key = K::take(from)?;
            values.insert(key, V::take(from)?);
        }
        Ok(values)
    }
}

impl<A: Value, B: Value> Value for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok((A::take(from)?, B::take(from)?))
    }
}
