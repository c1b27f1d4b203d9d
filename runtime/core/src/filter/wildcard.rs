//! `*` stands for any text, the empty one too (specification of filters, section 14).

/// A pattern of the operator `wildcard`: the literal parts between its stars.
#[derive(Clone, Debug)]
pub(super) struct Wildcard {
    /// One more than there are stars.
    parts: Box<[Box<str>]>,
}

impl Wildcard {
    /// Reads a pattern: `\*` is a star, `\\` a backslash.
    ///
    /// # Errors
    /// Two stars in a row, and any other escape.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = vec![String::new()];
        let mut is_star_before = false;
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            let literal = match char {
                '*' if is_star_before => return Err("`**` says no more than `*`: write one star"),
                '*' => {
                    parts.push(String::new());
                    is_star_before = true;
                    continue;
                }
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '\\')) => escaped,
                    _ => return Err("a backslash is followed by `*` or by another backslash"),
                },
                other => other,
            };
            is_star_before = false;
            parts
                .last_mut()
                .expect("there is one more part than stars")
                .push(literal);
        }
        let parts = parts.into_iter().map(String::into_boxed_str).collect();
        Ok(Self { parts })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, between @ .., last] = &*self.parts else {
            return *text == *self.parts[0];
        };
        let rest = text.strip_prefix(&**first);
        let Some(mut rest) = rest.and_then(|rest| rest.strip_suffix(&**last)) else {
            return false;
        };
        // The leftmost place of each part leaves most to those behind it.
        for part in between {
            match rest.split_once(&**part) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        true
    }
}
