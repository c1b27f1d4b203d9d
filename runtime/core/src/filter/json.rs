//! Reads JSON text from left to right, piece by piece: nothing is built, duplicate keys stay where they
//! stand, and every piece has its byte.

use crate::limits;

/// Why a text is not JSON, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: usize,
    pub(super) why: &'static str,
}

/// What a value begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start<'a> {
    /// `{`, which is passed.
    Object,
    /// `[`, which is passed.
    Array,
    /// A string, passed; as it is written between its quotes.
    Text(Raw<'a>),
    /// A number, passed; as it is written.
    Number(&'a str),
    /// `true` or `false`, passed.
    Bool(bool),
    /// `null`, passed.
    Null,
}

/// A string as it is written: with its escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    text: &'a str,
    has_escapes: bool,
}

impl<'a> Raw<'a> {
    /// What it says; `buffer` is used only where it has escapes. Half of a surrogate pair is U+FFFD.
    pub(super) fn decoded<'b>(self, buffer: &'b mut String) -> &'b str
    where
        'a: 'b,
    {
        if !self.has_escapes {
            return self.text;
        }
        buffer.clear();
        let mut rest = self.text;
        while let Some((literal, escape)) = rest.split_once('\\') {
            buffer.push_str(literal);
            let (decoded, length) = unescaped(escape);
            buffer.push(decoded);
            rest = escape.get(length..).unwrap_or_default();
        }
        buffer.push_str(rest);
        buffer
    }
}

/// The character of an escape behind its backslash, and how many bytes that takes. The scanner has
/// seen that it is well-formed.
fn unescaped(escape: &str) -> (char, usize) {
    let hex = |at: usize| {
        let digits = escape.get(at..at + 4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    match escape.as_bytes().first() {
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(b'u') => {
            let unit = hex(1).unwrap_or(0xFFFD);
            let is_pair = (0xD800..0xDC00).contains(&unit) && escape.get(5..7) == Some("\\u");
            let low = hex(7).filter(|low| is_pair && (0xDC00..0xE000).contains(low));
            match low {
                Some(low) => {
                    let code = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                    (
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                        11,
                    )
                }
                None => (
                    char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                    5,
                ),
            }
        }
        // A quote, a slash, a backslash.
        Some(&other) => (char::from(other), 1),
        None => (char::REPLACEMENT_CHARACTER, 0),
    }
}

/// A place in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte that is next; spaces are passed by [`Self::start`] and its like.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Passes spaces and the beginning of a value: of a string, a number or a word all of it.
    #[inline]
    pub(super) fn start(&mut self) -> Result<Start<'a>, Malformed> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string().map(Start::Text)
            }
            Some(b'{') => {
                self.at += 1;
                Ok(Start::Object)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Start::Array)
            }
            Some(b't') => self.word("true", Start::Bool(true)),
            Some(b'f') => self.word("false", Start::Bool(false)),
            Some(b'n') => self.word("null", Start::Null),
            Some(b'-' | b'0'..=b'9') => self.number().map(Start::Number),
            Some(_) => Err(self.malformed("a value is expected")),
            None => Err(self.malformed("the text ends where a value is expected")),
        }
    }

    /// Passes what stands in front of an object's next member, and its key and colon; `None`: the
    /// object ended.
    #[inline]
    pub(super) fn key(&mut self, is_first: bool) -> Result<Option<Raw<'a>>, Malformed> {
        if self.ends(b'}', is_first, "a comma or `}` is expected")? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.malformed("a key in quotes is expected"));
        }
        self.at += 1;
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.malformed("a colon is expected"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Passes what stands in front of an array's next value; `false`: the array ended.
    #[inline]
    pub(super) fn item(&mut self, is_first: bool) -> Result<bool, Malformed> {
        Ok(!self.ends(b']', is_first, "a comma or `]` is expected")?)
    }

    /// Passes the rest of a value that began, looking only at its form. `depth` containers are open
    /// around it.
    pub(super) fn skip(&mut self, start: Start<'a>, depth: u32) -> Result<(), Malformed> {
        let mut is_first = true;
        match start {
            Start::Object => {
                let depth = self.deeper(depth)?;
                while self.key(is_first)?.is_some() {
                    is_first = false;
                    let start = self.start()?;
                    self.skip(start, depth)?;
                }
            }
            Start::Array => {
                let depth = self.deeper(depth)?;
                while self.item(is_first)? {
                    is_first = false;
                    let start = self.start()?;
                    self.skip(start, depth)?;
                }
            }
            Start::Text(_) | Start::Number(_) | Start::Bool(_) | Start::Null => {}
        }
        Ok(())
    }

    /// One container more is open.
    pub(super) fn deeper(&self, depth: u32) -> Result<u32, Malformed> {
        if depth == limits::JSON_DEPTH_MAX {
            return Err(self.malformed("it is nested too deeply"));
        }
        Ok(depth + 1)
    }

    /// Looks that nothing but spaces follows.
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.malformed("there is more behind the value")),
        }
    }

    /// Passes spaces.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    #[inline]
    fn ends(
        &mut self,
        closing: u8,
        is_first: bool,
        otherwise: &'static str,
    ) -> Result<bool, Malformed> {
        match self.peek() {
            Some(byte) if byte == closing => {
                self.at += 1;
                Ok(true)
            }
            Some(b',') if !is_first => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if is_first => Ok(false),
            Some(_) => Err(self.malformed(otherwise)),
            None => Err(self.malformed("the text ends too early")),
        }
    }

    fn malformed(&self, why: &'static str) -> Malformed {
        Malformed { at: self.at, why }
    }

    fn word(&mut self, word: &str, start: Start<'a>) -> Result<Start<'a>, Malformed> {
        let behind = self.at + word.len();
        if self.text.as_bytes().get(self.at..behind) != Some(word.as_bytes()) {
            return Err(self.malformed("a value is expected"));
        }
        self.at = behind;
        Ok(start)
    }

    /// The rest of a string, and its closing quote.
    #[inline]
    fn string(&mut self) -> Result<Raw<'a>, Malformed> {
        let bytes = self.text.as_bytes();
        let begin = self.at;
        let mut has_escapes = false;
        loop {
            self.at += plain(bytes.get(self.at..).unwrap_or_default());
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.malformed("a control character in a string")),
                None => return Err(self.malformed("a string without its closing quote")),
            }
        }
        let text = self.text.get(begin..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Raw { text, has_escapes })
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let bytes = self.text.as_bytes();
        let length = match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = bytes.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.malformed("four hexadecimal digits follow `\\u`"));
                }
                6
            }
            _ => return Err(self.malformed("no such escape")),
        };
        self.at += length;
        Ok(())
    }

    #[inline]
    fn number(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.text.as_bytes();
        let begin = self.at;
        if bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        if bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            return Err(self.malformed("a number does not begin with 0 and go on"));
        }
        Ok(self.text.get(begin..self.at).unwrap_or_default())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.malformed("a digit is expected"));
        }
        self.at += count;
        Ok(())
    }
}

/// How many bytes go on a string as they are: up to a quote, a backslash or a control character. Eight
/// are looked at in one step.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The highest bit of each byte that is 0; above the first such byte it may be wrong.
    let zeros = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let mut passed = 0;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight"));
        let quotes = zeros(word ^ (LOW * u64::from(b'"')));
        let backslashes = zeros(word ^ (LOW * u64::from(b'\\')));
        let controls = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        let found = quotes | backslashes | controls;
        if found != 0 {
            return passed + found.trailing_zeros() as usize / 8;
        }
        passed += 8;
    }
    let is_plain = |byte: &&u8| **byte != b'"' && **byte != b'\\' && **byte >= 0x20;
    passed + words.remainder().iter().take_while(is_plain).count()
}
