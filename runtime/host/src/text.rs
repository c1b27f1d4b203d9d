//! Bytes as JSON text.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Appends `value` as a JSON string.
pub(crate) fn quote(out: &mut String, value: &str) {
    let quoted = serde_json::to_string(value).expect("text is always JSON");
    out.push_str(&quoted);
}

/// Bytes in base64, padded.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64, padded.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
