//! Base64 as Kinesis takes it: padded, canonical, no white space.

/// Decodes; `None` if Kinesis would refuse it.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    base64_simd::STANDARD.decode_to_vec(text).ok()
}

/// What is wrong with a text that [`decode`] refuses, in Kinesis' words (reference B4).
pub(crate) fn complaint(text: &str) -> Option<String> {
    let length = text.encode_utf16().count();
    if !length.is_multiple_of(4) {
        let rule = "Base64 encoded length is expected a multiple of 4 bytes but found";
        return Some(format!(
            "'{text}' can not be converted to a Blob: {rule}: {length}"
        ));
    }
    if let Some(character) = bad_character(text) {
        let rule = "Invalid Base64 character";
        return Some(format!(
            "'{text}' can not be converted to a Blob: {rule}: '{character}'"
        ));
    }
    if decode(text).is_none() {
        let rule = "Invalid last non-pad Base64 character dectected";
        return Some(format!("'{text}' can not be converted to a Blob: {rule}"));
    }
    None
}

/// The first character outside the alphabet, or `=` with something other than `=` behind it.
fn bad_character(text: &str) -> Option<char> {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_known = character.is_ascii_alphanumeric() || matches!(character, '+' | '/' | '=');
        let is_early_pad = character == '=' && characters.peek().is_some_and(|next| *next != '=');
        if !is_known || is_early_pad {
            return Some(character);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_the_words_of_kinesis() {
        for (text, complaint_expected) in [
            ("", None),
            ("AAAA", None),
            ("AAA=", None),
            ("AA==", None),
            (
                "hello",
                Some("Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
            ),
            ("=a==", Some("Invalid Base64 character: '='")),
            ("A-AA", Some("Invalid Base64 character: '-'")),
            ("A AA", Some("Invalid Base64 character: ' '")),
            (
                "AAB=",
                Some("Invalid last non-pad Base64 character dectected"),
            ),
            (
                "+/+=",
                Some("Invalid last non-pad Base64 character dectected"),
            ),
            (
                "A===",
                Some("Invalid last non-pad Base64 character dectected"),
            ),
            (
                "====",
                Some("Invalid last non-pad Base64 character dectected"),
            ),
        ] {
            let expected = complaint_expected
                .map(|rule| format!("'{text}' can not be converted to a Blob: {rule}"));
            assert_eq!(complaint(text), expected, "{text}");
            assert_eq!(decode(text).is_none(), expected.is_some(), "{text}");
        }
    }
}
