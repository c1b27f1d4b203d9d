//! Passes over what nobody asks for, and still sees that it is JSON.

use super::{Declined, Reader, number::FLOAT_DIGITS_MAX};
use crate::json::scan::special;

impl Reader<'_> {
    /// Passes over one value, with at most `depth` lists and objects in one another.
    pub(super) fn skip(&mut self, depth: u8) -> Result<(), Declined> {
        match self.peek().ok_or(Declined)? {
            b'"' => self.skip_text(),
            b'{' => self.skip_members(b'}', depth, |reader| {
                if reader.peek() != Some(b'"') {
                    return Err(Declined);
                }
                reader.skip_text()?;
                reader.take(b':')
            }),
            b'[' => self.skip_members(b']', depth, |_| Ok(())),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            // One that is too long to be read here is also none to be passed over here.
            _ => self.read_number(FLOAT_DIGITS_MAX).map(|_| ()),
        }
    }

    fn skip_members(
        &mut self,
        close: u8,
        depth: u8,
        key: fn(&mut Self) -> Result<(), Declined>,
    ) -> Result<(), Declined> {
        let depth = depth.checked_sub(1).ok_or(Declined)?;
        self.at += 1;
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            key(self)?;
            self.skip(depth)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Declined),
            }
        }
    }

    fn skip_text(&mut self) -> Result<(), Declined> {
        let mut end = special(self.bytes(), self.at + 1);
        while self.bytes().get(end) == Some(&b'\\') {
            end = special(self.bytes(), self.behind_escape(end + 1)?);
        }
        if self.bytes().get(end) != Some(&b'"') {
            return Err(Declined);
        }
        self.at = end + 1;
        Ok(())
    }

    /// Where the text goes on behind the escape whose letter is at `at`. Halves of letters are let pass:
    /// nobody reads them.
    fn behind_escape(&self, at: usize) -> Result<usize, Declined> {
        match self.bytes().get(at..).ok_or(Declined)? {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Ok(at + 1),
            [b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => {
                Ok(at + 5)
            }
            _ => Err(Declined),
        }
    }
}
