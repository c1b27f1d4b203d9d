//! Writes JSON into an output's memory, byte for byte what `serde_json` writes.

use std::{
    fmt::{self, Write as _},
    io,
};

use serde::ser::{self, Serialize};

mod compound;
mod key;
mod text;

#[cfg(test)]
mod tests;

use crate::append::append;
use compound::Compound;

/// Appends `value` as JSON. What was appended before an error stays: the caller takes it back.
#[inline]
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), JsonError> {
    value.serialize(Writer::<false> { out })
}

/// As [`write`], but refuses floats that are not finite, which [`write`] writes as `null` as `serde_json`
/// does: what is written is read back as the same value.
#[inline]
pub(crate) fn write_finite<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), JsonError> {
    value.serialize(Writer::<true> { out })
}

/// Why a value has no JSON.
#[derive(Debug)]
pub(crate) struct JsonError {
    words: Box<str>,
    is_not_finite: bool,
}

impl JsonError {
    /// Whether a float that is not finite is all that is wrong with the value.
    pub(crate) const fn is_not_finite(&self) -> bool {
        self.is_not_finite
    }

    #[cold]
    fn not_finite() -> Self {
        Self {
            words: "a float in it is NaN or infinite, which JSON cannot say".into(),
            is_not_finite: true,
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for JsonError {}

impl ser::Error for JsonError {
    #[cold]
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self {
            words: words.to_string().into(),
            is_not_finite: false,
        }
    }
}

/// Writes one value; whether floats must be finite is said by its type, so that rows pay nothing for it.
struct Writer<'o, const FINITE: bool> {
    out: &'o mut Vec<u8>,
}

/// Numbers are `serde_json`'s own: there is nothing to gain.
macro_rules! number {
    ($($method:ident: $type:ty,)*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<(), JsonError> {
            number(self.out, &value)
        })*
    };
}

#[inline]
fn number<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), JsonError> {
    serde_json::to_writer(Digits { out }, value).map_err(ser::Error::custom)
}

/// Takes the text of a number, which is short.
struct Digits<'o> {
    out: &'o mut Vec<u8>,
}

impl io::Write for Digits<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        append(self.out, bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        append(self.out, bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'o, const FINITE: bool> ser::Serializer for Writer<'o, FINITE> {
    type Ok = ();
    type Error = JsonError;
    type SerializeSeq = Compound<'o, FINITE>;
    type SerializeTuple = Compound<'o, FINITE>;
    type SerializeTupleStruct = Compound<'o, FINITE>;
    type SerializeTupleVariant = Compound<'o, FINITE>;
    type SerializeMap = Compound<'o, FINITE>;
    type SerializeStruct = Compound<'o, FINITE>;
    type SerializeStructVariant = Compound<'o, FINITE>;

    number! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), JsonError> {
        if FINITE && !value.is_finite() {
            return Err(JsonError::not_finite());
        }
        number(self.out, &value)
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), JsonError> {
        if FINITE && !value.is_finite() {
            return Err(JsonError::not_finite());
        }
        number(self.out, &value)
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), JsonError> {
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<(), JsonError> {
        text::quoted(self.out, value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), JsonError> {
        text::quoted(self.out, value);
        Ok(())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        self.out.push(b'"');
        write!(
            text::Escaped {
                out: &mut *self.out
            },
            "{value}"
        )
        .map_err(ser::Error::custom)?;
        self.out.push(b'"');
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), JsonError> {
        self.collect_seq(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), JsonError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), JsonError> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), JsonError> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), JsonError> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        open_variant(self.out, variant);
        value.serialize(Writer::<FINITE> {
            out: &mut *self.out,
        })?;
        self.out.push(b'}');
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'o, FINITE>, JsonError> {
        Ok(Compound::list(self.out, false))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Compound<'o, FINITE>, JsonError> {
        Ok(Compound::list(self.out, false))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Compound<'o, FINITE>, JsonError> {
        Ok(Compound::list(self.out, false))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'o, FINITE>, JsonError> {
        open_variant(self.out, variant);
        Ok(Compound::list(self.out, true))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'o, FINITE>, JsonError> {
        Ok(Compound::object(self.out, false))
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Compound<'o, FINITE>, JsonError> {
        Ok(Compound::named(self.out, name))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'o, FINITE>, JsonError> {
        open_variant(self.out, variant);
        Ok(Compound::object(self.out, true))
    }
}

/// `{"variant":`, which the compound or the caller closes.
fn open_variant(out: &mut Vec<u8>, variant: &str) {
    out.push(b'{');
    text::quoted(out, variant);
    out.push(b':');
}
