//! Walks a record's payload once and notes which fields match.
//!
//! A field in arrays has several values, and one that matches is enough; but fields of one rule that lie
//! in one array must match in the same element of it. So each element is noted apart, and the array
//! answers for all that a rule asks for below it, or for nothing of that rule.

use super::{
    compiled::Compiled,
    json::{Malformed, Scanner, Start},
    matcher::Scalar,
    number::Number,
};

/// Room for the evaluation of one record after another: nothing is allocated per record.
#[derive(Debug, Default)]
pub struct FilterScratch {
    /// Bits that hold: those of the record, then those of each array element around the place where the
    /// walk is.
    frames: Vec<u64>,
    /// Where the innermost one begins.
    frame: usize,
    /// Words of a frame.
    words: usize,
    /// Nodes that have a value, as bits.
    present: Vec<u64>,
    /// Bits that held anywhere, if [`Self::is_explaining`].
    touched: Vec<u64>,
    /// Whether the reasons are asked for.
    is_explaining: bool,
    /// A string with its escapes resolved, and a key.
    text: String,
}

impl FilterScratch {
    /// One that keeps what the reasons are told from.
    pub(super) fn explaining() -> Self {
        Self {
            is_explaining: true,
            ..Self::default()
        }
    }

    /// Nothing holds.
    pub(super) fn reset(&mut self, compiled: &Compiled) {
        self.words = (compiled.bits as usize).div_ceil(64);
        self.frame = 0;
        self.frames.clear();
        self.frames.resize(self.words, 0);
        self.present.clear();
        self.present.resize(compiled.nodes.len().div_ceil(64), 0);
        if self.is_explaining {
            self.touched.clear();
            self.touched.resize(self.words, 0);
        }
    }

    /// Whether a bit holds for the record.
    pub(super) fn holds(&self, bit: u32) -> bool {
        self.frames[bit as usize / 64] >> (bit % 64) & 1 == 1
    }

    /// Whether a bit holds in some element of an array at least.
    pub(super) fn touches(&self, bit: u32) -> bool {
        self.touched[bit as usize / 64] >> (bit % 64) & 1 == 1
    }

    /// Whether a node has a value.
    pub(super) fn has(&self, node: u32) -> bool {
        self.present[node as usize / 64] >> (node % 64) & 1 == 1
    }

    /// A value at a node.
    #[inline]
    pub(super) fn value(&mut self, compiled: &Compiled, node: u32, value: Scalar<'_>) {
        self.present[node as usize / 64] |= 1 << (node % 64);
        for test in &compiled.nodes[node as usize].tests {
            if test.matchers.iter().any(|matcher| matcher.matches(value)) {
                for &bit in &test.bits {
                    self.frames[self.frame + bit as usize / 64] |= 1 << (bit % 64);
                    if self.is_explaining {
                        self.touched[bit as usize / 64] |= 1 << (bit % 64);
                    }
                }
            }
        }
    }

    /// A key stands there again with a value or an array: of these the last counts.
    #[inline]
    fn forget(&mut self, compiled: &Compiled, node: u32) {
        for test in &compiled.nodes[node as usize].tests {
            for &bit in &test.bits {
                self.frames[self.frame + bit as usize / 64] &= !(1 << (bit % 64));
            }
        }
    }

    fn enter_element(&mut self) {
        self.frame += self.words;
        self.frames.resize(self.frame + self.words, 0);
        self.frames[self.frame..].fill(0);
    }

    /// Ends an element of the array at `node`: for each rule it has all of what is asked for, or nothing
    /// counts.
    fn leave_element(&mut self, compiled: &Compiled, node: u32) {
        let (around, element) = self.frames.split_at_mut(self.frame);
        let around = &mut around[self.frame - self.words..];
        for run in &compiled.nodes[node as usize].runs {
            if masks(run).all(|(word, mask)| element[word] & mask == mask) {
                masks(run).for_each(|(word, mask)| around[word] |= mask);
            }
        }
        self.frames.truncate(self.frame);
        self.frame -= self.words;
    }
}

/// A run of bits as words and their masks.
fn masks(run: &std::ops::Range<u32>) -> impl Iterator<Item = (usize, u64)> + use<> {
    let (start, end) = (run.start, run.end);
    (start / 64..end.div_ceil(64)).map(move |word| {
        let low = start.max(word * 64) - word * 64;
        let high = end.min(word * 64 + 64) - word * 64;
        let mask = (u64::MAX >> (64 - (high - low))) << low;
        (word as usize, mask)
    })
}

/// Walks JSON text as the value of `node`, and notes what matches.
///
/// # Errors
/// Where the text is not JSON; what was noted until then means nothing.
pub(super) fn walk(
    compiled: &Compiled,
    node: u32,
    text: &str,
    scratch: &mut FilterScratch,
) -> Result<(), Malformed> {
    let mut buffer = std::mem::take(&mut scratch.text);
    let mut walk = Walk {
        compiled,
        scanner: Scanner::new(text),
        scratch,
        buffer: &mut buffer,
    };
    let walked = walk.whole(node);
    scratch.text = buffer;
    walked
}

struct Walk<'a, 't> {
    compiled: &'a Compiled,
    scanner: Scanner<'t>,
    scratch: &'a mut FilterScratch,
    buffer: &'a mut String,
}

impl Walk<'_, '_> {
    fn whole(&mut self, node: u32) -> Result<(), Malformed> {
        let start = self.scanner.start()?;
        self.value(start, node, 0)?;
        self.scanner.end()
    }

    fn value(&mut self, start: Start<'_>, node: u32, depth: u32) -> Result<(), Malformed> {
        match start {
            Start::Object => self.object(node, depth),
            Start::Array => self.array(node, depth),
            scalar => {
                if !self.compiled.nodes[node as usize].tests.is_empty() {
                    self.scalar(scalar, node);
                } else {
                    self.scratch.present[node as usize / 64] |= 1 << (node % 64);
                }
                Ok(())
            }
        }
    }

    #[inline]
    fn scalar(&mut self, scalar: Start<'_>, node: u32) {
        let value = match scalar {
            Start::Text(raw) => Scalar::Text(raw.decoded(self.buffer)),
            Start::Number(text) => Scalar::Number(Number::read(text)),
            Start::Bool(bool) => Scalar::Bool(bool),
            Start::Null | Start::Object | Start::Array => Scalar::Null,
        };
        self.scratch.value(self.compiled, node, value);
    }

    fn object(&mut self, node: u32, depth: u32) -> Result<(), Malformed> {
        let depth = self.scanner.deeper(depth)?;
        let mut is_first = true;
        while let Some(key) = self.scanner.key(is_first)? {
            is_first = false;
            let key = key.decoded(self.buffer);
            // A dot in a key is a step like any other.
            let mut below = Some(node);
            for key in key.split('.') {
                below = below.and_then(|node| self.compiled.child(node, key));
            }
            let start = self.scanner.start()?;
            match below {
                Some(below) => {
                    if start != Start::Object {
                        self.scratch.forget(self.compiled, below);
                    }
                    self.value(start, below, depth)?;
                }
                None => self.scanner.skip(start, depth)?,
            }
        }
        Ok(())
    }

    fn array(&mut self, node: u32, depth: u32) -> Result<(), Malformed> {
        let depth = self.scanner.deeper(depth)?;
        let is_single = self.compiled.nodes[node as usize].is_single;
        let mut is_first = true;
        while self.scanner.item(is_first)? {
            is_first = false;
            let start = self.scanner.start()?;
            if is_single {
                self.value(start, node, depth)?;
            } else {
                self.scratch.enter_element();
                self.value(start, node, depth)?;
                self.scratch.leave_element(self.compiled, node);
            }
        }
        Ok(())
    }
}
