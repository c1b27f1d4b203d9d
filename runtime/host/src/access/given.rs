//! The token that a file gives: how somebody who only hands files to a server makes the first one, and renews it.
//!
//! The file has the secret and nothing else. It is kept as every token is, as a digest, under a name of its own; a
//! secret that the file had before is good no more.

use std::path::Path;

use fnctl_core::{
    access::{Scope, SecretDigest, Token},
    id::{Timestamp, TokenName},
    registry::Note,
};

use super::{TokensError, secret};
use crate::limits::{TOKEN_SECRET_CHARS_MAX, TOKEN_SECRET_CHARS_MIN};

/// What the token is called, in lists and in the audit.
pub(crate) const NAME: &str = "admin-file";

/// What the audit says was done when its secret is another one.
pub(crate) const CHANGED: &str = "SetToken";

/// Reads the file.
///
/// # Errors
/// It cannot be read, or holds nothing that could be a secret; the words tell nothing of it.
pub(crate) fn read(path: &Path) -> Result<SecretDigest, TokensError> {
    let unusable = |words: String| TokensError::File {
        path: path.to_owned(),
        words,
    };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let secret = text.trim();
    let chars = secret.chars().count();
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable(
            "it holds more than one word, or signs that no header carries".to_owned(),
        ));
    }
    if !(TOKEN_SECRET_CHARS_MIN..=TOKEN_SECRET_CHARS_MAX).contains(&chars) {
        return Err(unusable(format!(
            "its secret has {chars} characters, and {TOKEN_SECRET_CHARS_MIN} to {TOKEN_SECRET_CHARS_MAX} are asked for"
        )));
    }
    Ok(secret::digest(secret))
}

/// The token with this secret.
pub(super) fn token(sha256: SecretDigest, now: Timestamp) -> Token {
    Token {
        name: TokenName::parse(NAME).expect("a good name"),
        scope: Scope::Admin,
        sha256,
        created_at: now,
        expires_at: None,
    }
}

/// What whoever revokes it is told.
pub(super) fn comes_back() -> Note {
    Note {
        path: "tokens".to_owned(),
        message: format!("at its next start the server lets `{NAME}` in again, as its file says"),
        fix: "put another secret in the file of --admin-token-file, or start without it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_secret_that_nobody_guesses() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            super::read(&path)
        };
        let good = "x".repeat(TOKEN_SECRET_CHARS_MIN);
        let digest = read(&format!("{good}\n")).expect("a secret");
        assert!(digest.is(&secret::digest(&good)));
        let long = "x".repeat(TOKEN_SECRET_CHARS_MAX + 1);
        for text in [
            "",
            "\n",
            "hunter2",
            &format!("{good} {good}"),
            &format!("{good}é"),
            &long,
        ] {
            let error = read(text).expect_err("no secret").to_string();
            assert!(
                error.contains("token") && !error.contains("hunter2"),
                "{error}"
            );
        }
        assert!(super::read(&folder.path().join("none")).is_err());
    }
}
