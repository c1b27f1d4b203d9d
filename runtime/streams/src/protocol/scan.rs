//! Reads JSON of an expected shape in one pass and without copies. It only ever says "as expected"
//! or "look again, slowly": what it refuses goes through the general parser, which knows why.

use std::borrow::Cow;

/// A place in a JSON text.
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Takes `byte`, and white space in front of it.
    pub(crate) fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.text.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    /// Takes a string. Its bytes are UTF-8 only if its text is; a raw control character passes.
    pub(crate) fn string(&mut self) -> Option<Cow<'a, [u8]>> {
        self.take(b'"')?;
        let start = self.at;
        let found = start + end_of_plain(self.text.get(start..)?)?;
        if self.text[found] == b'"' {
            self.at = found + 1;
            return Some(Cow::Borrowed(&self.text[start..found]));
        }
        self.escaped_string(start - 1, found)
    }

    /// A string with an escape at `at`; it begins, quote included, at `start`.
    #[cold]
    fn escaped_string(&mut self, start: usize, mut at: usize) -> Option<Cow<'a, [u8]>> {
        while self.text[at] != b'"' {
            // Past the backslash and what it escapes.
            at += 2;
            at += memchr::memchr2(b'"', b'\\', self.text.get(at..)?)?;
        }
        self.at = at + 1;
        let text: String = serde_json::from_slice(&self.text[start..self.at]).ok()?;
        Some(Cow::Owned(text.into_bytes()))
    }

    /// Takes an object; `member` is given each name and takes its value.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &[u8]) -> Option<()>,
    ) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.take(b':')?;
            member(self, &name)?;
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    /// Takes a list; `element` takes each element.
    pub(crate) fn list(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            element(self)?;
            if self.take(b',').is_none() {
                return self.take(b']');
            }
        }
    }

    /// Takes the end of the text.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.skip_space();
        (self.at == self.text.len()).then_some(())
    }

    fn skip_space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }
}

/// Where a string's plain part ends: at its quote or its first escape. Names and keys are short, and a
/// search that is fast on long texts costs more to call than they do to look at, eight bytes a step.
fn end_of_plain(text: &[u8]) -> Option<usize> {
    const SHORT_WORDS: usize = 3;
    let (words, _) = text.as_chunks();
    for (index, word) in words.iter().take(SHORT_WORDS).enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = zero_bytes(word ^ repeated(b'"')) | zero_bytes(word ^ repeated(b'\\'));
        if ends != 0 {
            return Some(index * 8 + ends.trailing_zeros() as usize / 8);
        }
    }
    let looked_at = words.len().min(SHORT_WORDS) * 8;
    let rest = memchr::memchr2(b'"', b'\\', &text[looked_at..]);
    rest.map(|at| looked_at + at)
}

const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Marks bytes that are zero with their high bit; the lowest mark is exact, those above may not be.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(repeated(1)) & !word & repeated(0x80)
}

/// Characters of a string, checked: UTF-8 without raw control characters.
pub(crate) fn checked_chars(bytes: &[u8]) -> Option<usize> {
    if bytes.iter().all(|byte| (0x20..0x80).contains(byte)) {
        return Some(bytes.len());
    }
    checked_text(bytes).map(|text| text.chars().count())
}

/// Text of a string, checked: UTF-8 without raw control characters.
pub(crate) fn checked_text(bytes: &[u8]) -> Option<&str> {
    let is_plain = bytes.iter().all(|byte| *byte >= 0x20);
    is_plain.then(|| std::str::from_utf8(bytes).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Members = Vec<(Vec<u8>, Vec<u8>)>;

    /// Reads a list of objects of strings.
    fn read(text: &[u8]) -> Option<Vec<Members>> {
        let mut scanner = Scanner::new(text);
        let mut objects = Vec::new();
        scanner.list(|scanner| {
            let mut members = Vec::new();
            scanner.object(|scanner, name| {
                members.push((name.to_vec(), scanner.string()?.into_owned()));
                Some(())
            })?;
            objects.push(members);
            Some(())
        })?;
        scanner.end()?;
        Some(objects)
    }

    #[test]
    fn the_expected_shape_is_read_and_everything_else_refused() {
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        for (text, expected) in [
            ("[]", Some(vec![])),
            (" [ { } ] ", Some(vec![vec![]])),
            (r#"[{"a":"b"}]"#, Some(vec![vec![pair("a", "b")]])),
            (
                "[{\"a\" :\t\"b\",\n\"c\": \"\"},{}]",
                Some(vec![vec![pair("a", "b"), pair("c", "")], vec![]]),
            ),
            (
                r#"[{"\u0061":"\"\\\/\ud83d\ude00"}]"#,
                Some(vec![vec![pair("a", "\"\\/\u{1f600}")]]),
            ),
            ("", None),
            ("[", None),
            ("[{}", None),
            ("[{},]", None),
            ("[{}]x", None),
            (r#"[{"a"}]"#, None),
            (r#"[{"a":1}]"#, None),
            (r#"[{"a":null}]"#, None),
            (r#"[{"a":"b",}]"#, None),
            (r#"[{"a":"b\"#, None),
            (r#"[{"a":"\x"}]"#, None),
            (r#"[{"a":"\ud83d"}]"#, None),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_it_reads_is_what_a_parser_reads(
            text in r#"[\[\]{}:,"\\ aué0/]{0,24}"#
        ) {
            if let Some(objects) = read(text.as_bytes()) {
                let parsed: Vec<serde_json::Map<String, serde_json::Value>> =
                    serde_json::from_str(&text).unwrap();
                prop_assert_eq!(parsed.len(), objects.len());
                for (parsed, members) in parsed.iter().zip(&objects) {
                    // A repeated name: the last one counts.
                    for (name, value) in parsed {
                        let last = members.iter().rfind(|(n, _)| n == name.as_bytes()).unwrap();
                        prop_assert_eq!(value.as_str().unwrap().as_bytes(), &last.1[..]);
                    }
                }
            }
        }
    }
}
