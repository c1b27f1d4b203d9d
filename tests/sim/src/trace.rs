//! What happened, in words: kept whole for the one who reads it, hashed for everybody else.

use std::fmt::Write as _;

/// Lines of a kept account that are shown when its run fails.
const LINES_SHOWN: usize = 80;

/// A growing account of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    text: String,
    hash: u64,
    lines: u64,
    is_kept: bool,
}

impl Trace {
    /// An empty one; its text is kept only when wanted.
    #[must_use]
    pub const fn new(is_kept: bool) -> Self {
        Self {
            text: String::new(),
            hash: 0xCBF2_9CE4_8422_2325,
            lines: 0,
            is_kept,
        }
    }

    /// Adds a line.
    pub fn line(&mut self, words: std::fmt::Arguments<'_>) {
        let start = self.text.len();
        writeln!(self.text, "{words}").expect("a string takes everything");
        for byte in &self.text.as_bytes()[start..] {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
        self.lines += 1;
        if !self.is_kept {
            self.text.truncate(start);
        }
    }

    /// The text, if kept.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A hash of all of it.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }
}

/// The end of a kept account is printed when its run fails: that is what it was kept for.
impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() && self.is_kept {
            // That time passes says nothing, and in a world that hangs nothing else happens.
            let is_told = |line: &&str| !line.ends_with(" Advance");
            let lines: Vec<&str> = self.text.lines().filter(is_told).collect();
            let wanted = std::env::var("FNCTL_SIM_LINES").ok();
            let wanted = wanted.and_then(|lines| lines.parse().ok());
            let end = lines.len().saturating_sub(wanted.unwrap_or(LINES_SHOWN));
            eprintln!("{}", lines[end..].join("\n"));
        }
    }
}
