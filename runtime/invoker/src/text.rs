//! Words that come from a guest: cut and cleaned before anyone sees them.

use std::borrow::Cow;

/// The first `bytes_max` bytes at most, cut between two characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let end = text.floor_char_boundary(bytes_max);
    text.get(..end).unwrap_or(text)
}

/// Text without control characters, which would act on the terminal of whoever reads, and without those that
/// show what follows in another order than it is in: only newline and tab stay, each other one becomes U+FFFD.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    let reorders = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t' || reorders(c);
    if text.contains(is_harmful) {
        text.replace(is_harmful, "\u{fffd}").into()
    } else {
        text.into()
    }
}
