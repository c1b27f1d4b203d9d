//! Texts: borrowed as they lie, or freed of their escapes.

use serde::de::Visitor;

use super::{Declined, Reader};
use crate::json::scan::special;

impl<'de> Reader<'de> {
    /// Reads the text whose `"` the reader stands on.
    #[inline]
    pub(super) fn visit_text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Declined> {
        let start = self.at + 1;
        let end = special(self.bytes(), start);
        match self.bytes().get(end) {
            Some(b'"') => {
                self.at = end + 1;
                visitor.visit_borrowed_str(self.text.get(start..end).ok_or(Declined)?)
            }
            Some(b'\\') => {
                self.unescape(start, end)?;
                visitor.visit_str(&self.unescaped)
            }
            _ => Err(Declined),
        }
    }

    /// Reads a text with escapes; the first is at `escape`.
    #[cold]
    fn unescape(&mut self, mut start: usize, mut escape: usize) -> Result<(), Declined> {
        self.unescaped.clear();
        loop {
            self.unescaped
                .push_str(self.text.get(start..escape).ok_or(Declined)?);
            match self.bytes().get(escape) {
                Some(b'"') => {
                    self.at = escape + 1;
                    return Ok(());
                }
                Some(b'\\') => self.at = escape + 1,
                _ => return Err(Declined),
            }
            let letter = self.escaped()?;
            self.unescaped.push(letter);
            start = self.at;
            escape = special(self.bytes(), start);
        }
    }

    /// Reads what stands behind a `\`.
    fn escaped(&mut self) -> Result<char, Declined> {
        let byte = *self.bytes().get(self.at).ok_or(Declined)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.code_unit()?;
                // Half a letter needs its other half.
                let units = match first {
                    0xd800..0xdc00 => {
                        self.word(br"\u")?;
                        [first, self.code_unit()?]
                    }
                    _ => [first, first],
                };
                let letter = char::decode_utf16(units).next().ok_or(Declined)?;
                letter.map_err(|_| Declined)?
            }
            _ => return Err(Declined),
        })
    }

    /// Reads four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u16, Declined> {
        let digits = self
            .bytes()
            .get(self.at..)
            .and_then(<[u8]>::first_chunk::<4>);
        self.at += 4;
        let mut unit = 0;
        for digit in digits.ok_or(Declined)? {
            let value = char::from(*digit).to_digit(16).ok_or(Declined)?;
            unit = unit << 4 | value as u16;
        }
        Ok(unit)
    }
}
