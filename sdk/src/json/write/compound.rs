//! Lists, maps and structs in the making.

use serde::ser::{self, Serialize};

use super::{JsonError, Writer, key::Key, text};

/// Names under which `serde_json` hands over text that is JSON already: its `RawValue`, and its
/// `Number` with arbitrary precision.
const VERBATIM: [&str; 2] = [
    "$serde_json::private::RawValue",
    "$serde_json::private::Number",
];

/// A list or object that is open.
pub(super) struct Compound<'o, const FINITE: bool> {
    out: &'o mut Vec<u8>,
    is_first: bool,
    /// Its one field is JSON already.
    is_verbatim: bool,
    /// It is the content of an enum's variant, which it closes too.
    is_variant: bool,
    close: u8,
}

impl<'o, const FINITE: bool> Compound<'o, FINITE> {
    #[inline]
    pub(super) fn list(out: &'o mut Vec<u8>, is_variant: bool) -> Self {
        out.push(b'[');
        Self {
            out,
            is_first: true,
            is_verbatim: false,
            is_variant,
            close: b']',
        }
    }

    #[inline]
    pub(super) fn object(out: &'o mut Vec<u8>, is_variant: bool) -> Self {
        out.push(b'{');
        Self {
            out,
            is_first: true,
            is_verbatim: false,
            is_variant,
            close: b'}',
        }
    }

    /// A struct, or what `serde_json` disguises as one.
    #[inline]
    pub(super) fn named(out: &'o mut Vec<u8>, name: &'static str) -> Self {
        if VERBATIM.contains(&name) {
            return Self {
                out,
                is_first: true,
                is_verbatim: true,
                is_variant: false,
                close: b' ',
            };
        }
        Self::object(out, false)
    }

    #[inline]
    fn separate(&mut self) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        value.serialize(Writer::<FINITE> {
            out: &mut *self.out,
        })
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.separate();
        self.value(value)
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        if self.is_verbatim {
            return self.verbatim(value);
        }
        self.separate();
        text::quoted(self.out, name);
        self.out.push(b':');
        self.value(value)
    }

    #[cold]
    fn verbatim<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        match serde_json::to_value(value) {
            Ok(serde_json::Value::String(json)) => {
                self.out.extend_from_slice(json.as_bytes());
                Ok(())
            }
            Ok(_) => Err(ser::Error::custom("not the JSON it claims to be")),
            Err(error) => Err(ser::Error::custom(error)),
        }
    }

    #[inline]
    fn close(self) {
        if !self.is_verbatim {
            self.out.push(self.close);
        }
        if self.is_variant {
            self.out.push(b'}');
        }
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident,)*) => {
        $(impl<const FINITE: bool> ser::$trait for Compound<'_, FINITE> {
            type Ok = ();
            type Error = JsonError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
                self.element(value)
            }

            #[inline]
            fn end(self) -> Result<(), JsonError> {
                self.close();
                Ok(())
            }
        })*
    };
}

elements! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

macro_rules! fields {
    ($($trait:ident,)*) => {
        $(impl<const FINITE: bool> ser::$trait for Compound<'_, FINITE> {
            type Ok = ();
            type Error = JsonError;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), JsonError> {
                self.field(name, value)
            }

            #[inline]
            fn end(self) -> Result<(), JsonError> {
                self.close();
                Ok(())
            }
        })*
    };
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}

impl<const FINITE: bool> ser::SerializeMap for Compound<'_, FINITE> {
    type Ok = ();
    type Error = JsonError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        self.separate();
        key.serialize(Key {
            out: &mut *self.out,
        })
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.out.push(b':');
        self.value(value)
    }

    #[inline]
    fn end(self) -> Result<(), JsonError> {
        self.close();
        Ok(())
    }
}
