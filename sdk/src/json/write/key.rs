//! Keys of maps: a text, or what has an unambiguous text.

use std::fmt;

use serde::ser::{self, Impossible, Serialize};

use super::{JsonError, Writer, number};

/// Writes one key of a map.
pub(super) struct Key<'o> {
    pub(super) out: &'o mut Vec<u8>,
}

type No = Impossible<(), JsonError>;

#[cold]
fn no_text<T>() -> Result<T, JsonError> {
    Err(ser::Error::custom("key must be a string"))
}

impl Key<'_> {
    fn quoted<T: Serialize>(self, value: &T) -> Result<(), JsonError> {
        self.out.push(b'"');
        number(self.out, value)?;
        self.out.push(b'"');
        Ok(())
    }

    fn float<T: Serialize>(self, value: &T, is_finite: bool) -> Result<(), JsonError> {
        if !is_finite {
            return Err(JsonError::not_finite());
        }
        self.quoted(value)
    }
}

macro_rules! quoted {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method(self, value: $type) -> Result<(), JsonError> {
            self.quoted(&value)
        })*
    };
}

impl ser::Serializer for Key<'_> {
    type Ok = ();
    type Error = JsonError;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    quoted! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_bool: bool,
    }

    fn serialize_f32(self, value: f32) -> Result<(), JsonError> {
        self.float(&value, value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Result<(), JsonError> {
        self.float(&value, value.is_finite())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), JsonError> {
        Writer::<false> { out: self.out }.serialize_str(value)
    }

    fn serialize_char(self, value: char) -> Result<(), JsonError> {
        Writer::<false> { out: self.out }.serialize_char(value)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        Writer::<false> { out: self.out }.collect_str(value)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), JsonError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), JsonError> {
        no_text()
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), JsonError> {
        no_text()
    }

    fn serialize_unit(self) -> Result<(), JsonError> {
        no_text()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), JsonError> {
        no_text()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), JsonError> {
        no_text()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<No, JsonError> {
        no_text()
    }

    fn serialize_tuple(self, _: usize) -> Result<No, JsonError> {
        no_text()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<No, JsonError> {
        no_text()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No, JsonError> {
        no_text()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<No, JsonError> {
        no_text()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<No, JsonError> {
        no_text()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No, JsonError> {
        no_text()
    }
}
