//! Why a record, or a whole call, failed, and what the host does about it.

use std::{borrow::Cow, fmt, time::Duration};

use crate::limits::{CODE_BYTES_MAX, MESSAGE_BYTES_MAX};

#[cfg(test)]
mod tests;

/// What a stream function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the host does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// Runs it again, as the mapping's retry policy says: the cause may pass.
    Retry,
    /// Makes the record a dead letter at once: running it again cannot help.
    Skip,
    /// Stops the mapping: nothing can go on.
    Fatal,
}

impl FailureKind {
    fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Fatal => "fatal",
        }
    }
}

/// A failure with its kind, a stable code that groups it, and words for a person.
///
/// `?` makes one of any [`std::error::Error`]: a `retry`, its code the error's type (`parse-int-error`),
/// its words the whole chain of sources. What depends on the record's bytes alone is better a `skip`:
/// say so with [`OrFail::or_skip`].
///
/// One pointer wide. No [`std::error::Error`] itself, or `?` could not take every other one.
pub struct Error(Box<Failure>);

struct Failure {
    kind: FailureKind,
    code: Cow<'static, str>,
    message: String,
    retry_after: Option<Duration>,
}

impl Error {
    /// A failure that may pass. `code` is `[a-z0-9-]{1,64}`.
    #[cold]
    pub fn retry(code: &'static str, words: impl fmt::Display) -> Self {
        Self::new(FailureKind::Retry, code, &words)
    }

    /// A failure that another attempt cannot change. `code` is `[a-z0-9-]{1,64}`.
    #[cold]
    pub fn skip(code: &'static str, words: impl fmt::Display) -> Self {
        Self::new(FailureKind::Skip, code, &words)
    }

    /// A failure that stops the mapping. `code` is `[a-z0-9-]{1,64}`.
    #[cold]
    pub fn fatal(code: &'static str, words: impl fmt::Display) -> Self {
        Self::new(FailureKind::Fatal, code, &words)
    }

    /// Asks for a delay before the next attempt, in whole milliseconds; the host keeps to its maximum
    /// backoff. Means nothing for a `skip` or a `fatal`.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// What the host does about it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// What groups it.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// What happened, in words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The delay asked for before the next attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    #[cold]
    fn new(kind: FailureKind, code: &'static str, words: &dyn fmt::Display) -> Self {
        let code = match code {
            "" => Cow::Borrowed(kind.name()),
            code if is_code(code) => Cow::Borrowed(code),
            code => Cow::Owned(made_code(code)),
        };
        Self::of(kind, code, words.to_string())
    }

    fn of(kind: FailureKind, code: Cow<'static, str>, mut message: String) -> Self {
        cut(&mut message);
        Self(Box::new(Failure {
            kind,
            code,
            message,
            retry_after: None,
        }))
    }

    #[cfg(target_os = "wasi")]
    pub(crate) fn into_parts(self) -> (FailureKind, String, String, Option<Duration>) {
        let Failure {
            kind,
            code,
            message,
            retry_after,
        } = *self.0;
        (kind, code.into_owned(), message, retry_after)
    }
}

impl<E: std::error::Error> From<E> for Error {
    #[cold]
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        let code = code_of_type(std::any::type_name::<E>());
        Self::of(FailureKind::Retry, Cow::Owned(code), message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: {}", self.0.kind, self.0.code, self.0.message)
    }
}

/// Gives a failure a kind, a stable code and words: on any `Result` whose error has words, and on
/// `Option`.
///
/// The words stand before the error's own. `format_args!` costs nothing unless it fails.
pub trait OrFail<T>: Sized {
    /// An error, or none, as a failure of this kind.
    ///
    /// # Errors
    /// The failure.
    #[doc(hidden)]
    fn or_fail(self, kind: FailureKind, code: &'static str, words: &dyn fmt::Display) -> Result<T>;

    /// The cause may pass.
    ///
    /// # Errors
    /// The failure.
    #[inline]
    fn or_retry(self, code: &'static str, words: impl fmt::Display) -> Result<T> {
        self.or_fail(FailureKind::Retry, code, &words)
    }

    /// Another attempt cannot change it.
    ///
    /// # Errors
    /// The failure.
    #[inline]
    fn or_skip(self, code: &'static str, words: impl fmt::Display) -> Result<T> {
        self.or_fail(FailureKind::Skip, code, &words)
    }

    /// The mapping stops.
    ///
    /// # Errors
    /// The failure.
    #[inline]
    fn or_fatal(self, code: &'static str, words: impl fmt::Display) -> Result<T> {
        self.or_fail(FailureKind::Fatal, code, &words)
    }
}

impl<T, E: fmt::Display> OrFail<T> for std::result::Result<T, E> {
    #[inline]
    fn or_fail(self, kind: FailureKind, code: &'static str, words: &dyn fmt::Display) -> Result<T> {
        self.map_err(|error| Error::new(kind, code, &format_args!("{words}: {error}")))
    }
}

impl<T> OrFail<T> for Option<T> {
    #[inline]
    fn or_fail(self, kind: FailureKind, code: &'static str, words: &dyn fmt::Display) -> Result<T> {
        self.ok_or_else(|| Error::new(kind, code, words))
    }
}

fn is_code(code: &str) -> bool {
    let is_sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(is_sign)
}

/// Makes a code of anything, by the rule of `types.wit`: lower case, `-` for what is not allowed.
fn made_code(text: &str) -> String {
    let sign = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9') => c,
        _ => '-',
    };
    text.chars().take(CODE_BYTES_MAX).map(sign).collect()
}

/// `core::num::error::ParseIntError` is `parse-int-error`. A bare `Error` takes the name of its
/// module: `serde_json::error::Error` is `serde-json-error`.
fn code_of_type(type_name: &str) -> String {
    let path = type_name.split(['<', ' ']).next().unwrap_or(type_name);
    let mut segments = path.trim_start_matches('&').rsplit("::");
    let last = segments.next().unwrap_or_default();
    if last == "Error" {
        let module = segments
            .find(|segment| *segment != "error")
            .unwrap_or("unnamed");
        return made_code(&format!("{module}-error"));
    }
    let mut kebab = String::with_capacity(last.len() + 4);
    let mut was_upper = true;
    let mut letters = last.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_upper = letter.is_ascii_uppercase();
        // A word starts where upper case does, and at the last letter of a run of it: `IOFailure`.
        let ends_run =
            is_upper && was_upper && letters.peek().is_some_and(char::is_ascii_lowercase);
        if is_upper && (!was_upper || ends_run) && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter);
        was_upper = is_upper;
    }
    made_code(&kebab)
}

/// Cuts a message to what the host keeps, at a character's end.
pub(crate) fn cut(message: &mut String) {
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    }
}
