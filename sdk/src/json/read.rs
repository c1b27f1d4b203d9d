//! Reads JSON: what a record is usually made of here, and everything else by `serde_json`.
//!
//! The reader below gives a value or declines; it never gives a value that `serde_json` would not. Where it
//! declines, `serde_json` reads the record again, so that its errors are the ones people know.

use serde::de::{self, Deserialize, Visitor};

mod access;
mod number;
mod skip;
mod text;

#[cfg(test)]
mod tests;

use access::{List, Members, UnitVariant, Variant};
use number::{FLOAT_DIGITS_MAX, Number, SINGLE_DIGITS_MAX};

/// Reads a record's body.
#[inline]
pub(crate) fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> serde_json::Result<T> {
    // Checked as a whole, UTF-8 goes by in words. What is not UTF-8 may stand where no text is asked for.
    let Ok(text) = std::str::from_utf8(body) else {
        return serde_json::from_slice(body);
    };
    match quickly(text) {
        Some(value) => Ok(value),
        None => serde_json::from_str(text),
    }
}

#[inline]
fn quickly<'de, T: Deserialize<'de>>(text: &'de str) -> Option<T> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
        unescaped: String::new(),
        has_declined: false,
    };
    let value = T::deserialize(&mut reader).ok()?;
    // A type may swallow an error and go on; then this is not what `serde_json` would have read.
    (!reader.has_declined && reader.peek().is_none()).then_some(value)
}

/// Lists and objects in one another, read here; `serde_json` goes to 128.
const DEPTH_MAX: u8 = 64;

/// Names under which `serde_json` asks itself for what only it can give: text that stays JSON.
const VERBATIM: &str = "$serde_json::private::";

struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: u8,
    /// A text that had escapes.
    unescaped: String,
    has_declined: bool,
}

/// It is for `serde_json` to read, or to say what is wrong.
#[derive(Debug)]
struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("declined")
    }
}

impl std::error::Error for Declined {}

impl de::Error for Declined {
    #[cold]
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Reader<'de> {
    #[inline]
    fn bytes(&self) -> &'de [u8] {
        self.text.as_bytes()
    }

    /// The next byte that is no white space; the reader stands on it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let byte = *self.bytes().get(self.at)?;
        if byte > b' ' {
            Some(byte)
        } else {
            self.peek_far()
        }
    }

    #[cold]
    fn peek_far(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Takes this byte, after white space.
    #[inline]
    fn take(&mut self, byte: u8) -> Result<(), Declined> {
        if self.peek() != Some(byte) {
            return Err(Declined);
        }
        self.at += 1;
        Ok(())
    }

    /// Takes these bytes, where the reader stands.
    #[inline]
    fn word<const N: usize>(&mut self, word: &[u8; N]) -> Result<(), Declined> {
        if self
            .bytes()
            .get(self.at..)
            .and_then(<[u8]>::first_chunk::<N>)
            != Some(word)
        {
            return Err(Declined);
        }
        self.at += N;
        Ok(())
    }

    /// One list or object deeper.
    #[inline]
    fn deeper<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, Declined>,
    ) -> Result<T, Declined> {
        if self.depth == DEPTH_MAX {
            return Err(Declined);
        }
        self.at += 1;
        self.depth += 1;
        let value = run(self)?;
        self.depth -= 1;
        Ok(value)
    }

    #[inline]
    fn list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        self.deeper(|reader| {
            let value = visitor.visit_seq(List::new(reader))?;
            reader.take(b']')?;
            Ok(value)
        })
    }

    #[inline]
    fn object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        self.deeper(|reader| {
            let value = visitor.visit_map(Members::new(reader))?;
            reader.take(b'}')?;
            Ok(value)
        })
    }

    #[inline]
    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        self.number_of(FLOAT_DIGITS_MAX, visitor)
    }

    fn number_of<V: Visitor<'de>>(
        &mut self,
        digits_max: usize,
        visitor: V,
    ) -> Result<V::Value, Declined> {
        match self.read_number(digits_max)? {
            Number::Unsigned(value) => visitor.visit_u64(value),
            Number::Negative(value) => visitor.visit_i64(value),
            Number::Float(value) => visitor.visit_f64(value),
        }
    }

    fn any<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        match self.peek().ok_or(Declined)? {
            b'"' => self.visit_text(visitor),
            b'{' => self.object(visitor),
            b'[' => self.list(visitor),
            b't' => {
                self.word(b"true")?;
                visitor.visit_bool(true)
            }
            b'f' => {
                self.word(b"false")?;
                visitor.visit_bool(false)
            }
            b'n' => {
                self.word(b"null")?;
                visitor.visit_unit()
            }
            _ if number::keeps_digits() => Err(Declined),
            _ => self.number(visitor),
        }
    }

    #[inline]
    fn boolean<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        let value = self.peek() == Some(b't');
        if value {
            self.word(b"true")?;
        } else {
            self.word(b"false")?;
        }
        visitor.visit_bool(value)
    }

    #[inline]
    fn optional<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        if self.peek() == Some(b'n') {
            self.word(b"null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    #[inline]
    fn unit<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        self.peek();
        self.word(b"null")?;
        visitor.visit_unit()
    }

    #[inline]
    fn text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        if self.peek() != Some(b'"') {
            return Err(Declined);
        }
        self.visit_text(visitor)
    }

    #[inline]
    fn one_of<V: Visitor<'de>>(
        &mut self,
        visitor: V,
        object: fn(&mut Self, V) -> Result<V::Value, Declined>,
        list: fn(&mut Self, V) -> Result<V::Value, Declined>,
    ) -> Result<V::Value, Declined> {
        match self.peek() {
            Some(b'{') => object(self, visitor),
            Some(b'[') => list(self, visitor),
            _ => Err(Declined),
        }
    }

    #[inline]
    fn newtype<V: Visitor<'de>>(&mut self, name: &str, visitor: V) -> Result<V::Value, Declined> {
        if name.starts_with(VERBATIM) {
            return Err(Declined);
        }
        visitor.visit_newtype_struct(self)
    }

    fn variant<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        match self.peek() {
            Some(b'"') => visitor.visit_enum(UnitVariant::new(self)),
            Some(b'{') => self.deeper(|reader| {
                let value = visitor.visit_enum(Variant::new(reader))?;
                reader.take(b'}')?;
                Ok(value)
            }),
            _ => Err(Declined),
        }
    }

    fn ignored<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        self.skip(DEPTH_MAX)?;
        visitor.visit_unit()
    }
}

/// What serde asks for, and how it is read; whatever fails is remembered.
macro_rules! methods {
    ($($method:ident($($name:ident: $type:ty),*) => |$reader:ident, $visitor:ident| $read:expr;)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* $visitor: V) -> Result<V::Value, Declined> {
            let $reader = &mut *self;
            let value = $read;
            self.has_declined |= value.is_err();
            value
        })*
    };
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Declined;

    methods! {
        deserialize_any() => |reader, visitor| reader.any(visitor);
        deserialize_bool() => |reader, visitor| reader.boolean(visitor);
        deserialize_i8() => |reader, visitor| reader.number(visitor);
        deserialize_i16() => |reader, visitor| reader.number(visitor);
        deserialize_i32() => |reader, visitor| reader.number(visitor);
        deserialize_i64() => |reader, visitor| reader.number(visitor);
        deserialize_u8() => |reader, visitor| reader.number(visitor);
        deserialize_u16() => |reader, visitor| reader.number(visitor);
        deserialize_u32() => |reader, visitor| reader.number(visitor);
        deserialize_u64() => |reader, visitor| reader.number(visitor);
        deserialize_f32() => |reader, visitor| reader.number_of(SINGLE_DIGITS_MAX, visitor);
        deserialize_f64() => |reader, visitor| reader.number(visitor);
        deserialize_char() => |reader, visitor| reader.text(visitor);
        deserialize_str() => |reader, visitor| reader.text(visitor);
        deserialize_string() => |reader, visitor| reader.text(visitor);
        deserialize_identifier() => |reader, visitor| reader.text(visitor);
        deserialize_option() => |reader, visitor| reader.optional(visitor);
        deserialize_unit() => |reader, visitor| reader.unit(visitor);
        deserialize_unit_struct(_name: &'static str) => |reader, visitor| reader.unit(visitor);
        deserialize_newtype_struct(name: &'static str) => |reader, visitor| reader.newtype(name, visitor);
        deserialize_seq() => |reader, visitor| {
            reader.one_of(visitor, |_, _| Err(Declined), Reader::list)
        };
        deserialize_tuple(_len: usize) => |reader, visitor| {
            reader.one_of(visitor, |_, _| Err(Declined), Reader::list)
        };
        deserialize_tuple_struct(_name: &'static str, _len: usize) => |reader, visitor| {
            reader.one_of(visitor, |_, _| Err(Declined), Reader::list)
        };
        deserialize_map() => |reader, visitor| {
            reader.one_of(visitor, Reader::object, |_, _| Err(Declined))
        };
        deserialize_struct(_name: &'static str, _fields: &'static [&'static str]) => |reader, visitor| {
            reader.one_of(visitor, Reader::object, Reader::list)
        };
        deserialize_enum(_name: &'static str, _variants: &'static [&'static str]) => |reader, visitor| {
            reader.variant(visitor)
        };
        deserialize_ignored_any() => |reader, visitor| reader.ignored(visitor);
        // Rare, and full of rules of their own.
        deserialize_i128() => |_reader, _visitor| Err::<V::Value, _>(Declined);
        deserialize_u128() => |_reader, _visitor| Err::<V::Value, _>(Declined);
        deserialize_bytes() => |_reader, _visitor| Err::<V::Value, _>(Declined);
        deserialize_byte_buf() => |_reader, _visitor| Err::<V::Value, _>(Declined);
    }
}
