//! The deserializer over a tree: a misfit learns its place on the way out.

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{Misfit, Step, Tree};

/// Reads a tree.
#[derive(Clone, Copy)]
pub(super) struct TreeReader<'a>(pub(super) &'a Tree);

impl<'de> Deserializer<'de> for TreeReader<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Tree::Null | Tree::Gone => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Integer(number) => visitor.visit_i64(*number),
            Tree::Large(number) => visitor.visit_u64(*number),
            Tree::Float(number) => visitor.visit_f64(*number),
            Tree::Text(text) => visitor.visit_borrowed_str(text),
            Tree::List(items) => visitor.visit_seq(Items { items, next: 0 }),
            Tree::Table(entries) => visitor.visit_map(Entries { entries, next: 0 }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    /// A list would do for a struct as well, by the order of its fields: it does not here.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Tree::List(_) => Err(Misfit::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Tree::Text(text) => {
                let variant: StrDeserializer<'_, Misfit> = text.as_str().into_deserializer();
                visitor.visit_enum(variant)
            }
            Tree::Table(entries) => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries { entries, next: 0 }))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'a> {
    items: &'a [Tree],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        while matches!(self.items.get(self.next), Some(Tree::Gone)) {
            self.next += 1;
        }
        let index = self.next;
        let Some(item) = self.items.get(index) else {
            return Ok(None);
        };
        self.next += 1;
        let read = seed.deserialize(TreeReader(item));
        read.map(Some)
            .map_err(|misfit| misfit.under(Step::Item(index)))
    }
}

struct Entries<'a> {
    entries: &'a [(String, Tree)],
    /// The key that is read next; its value is read right after it.
    next: usize,
}

impl<'a> Entries<'a> {
    fn at(&self, index: usize) -> Option<(Step, &'a Tree)> {
        let (key, value) = self.entries.get(index)?;
        Some((Step::Key(key.clone()), value))
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        let Some((key, _)) = self.entries.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        let name: StrDeserializer<'_, Misfit> = key.as_str().into_deserializer();
        let read = seed.deserialize(name);
        read.map(Some)
            .map_err(|misfit| misfit.under(Step::Key(key.clone())))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Misfit> {
        let (step, value) = self
            .next
            .checked_sub(1)
            .and_then(|index| self.at(index))
            .ok_or_else(|| Misfit::custom("a value is read behind its key"))?;
        seed.deserialize(TreeReader(value))
            .map_err(|misfit| misfit.under(step))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len() - self.next)
    }
}
