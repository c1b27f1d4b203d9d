//! Lists, maps and structs in the making.

use serde::ser::{self, Serialize};

use super::{JsonError, key::Key, text, write};

/// Names under which `serde_json` hands over text that is JSON already: its `RawValue`, and its
/// `Number` with arbitrary precision.
const VERBATIM: [&str; 2] = [
    "$serde_json::private::RawValue",
    "$serde_json::private::Number",
];

/// A list or object that is open.
pub(super) struct Compound<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
    /// Its one field is JSON already.
    is_verbatim: bool,
    /// It is the content of an enum's variant, which it closes too.
    is_variant: bool,
    close: u8,
}

impl<'o> Compound<'o> {
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
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.separate();
        write(self.out, value)
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
        write(self.out, value)
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
        $(impl ser::$trait for Compound<'_> {
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
        $(impl ser::$trait for Compound<'_> {
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

impl ser::SerializeMap for Compound<'_> {
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
        write(self.out, value)
    }

    #[inline]
    fn end(self) -> Result<(), JsonError> {
        self.close();
        Ok(())
    }
}
