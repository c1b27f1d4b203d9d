//! Keys that may sign requests, in the file that AWS clients read as well (`AWS_SHARED_CREDENTIALS_FILE`), so
//! that one file serves both sides:
//!
//! ```text
//! [shop]
//! aws_access_key_id = FNCTLSHOP1
//! aws_secret_access_key = 7Jt…
//! fnctl_scope = write
//! ```
//!
//! A signature is made with the secret itself, so it cannot be kept as a digest.

use std::{collections::BTreeMap, fmt, sync::Arc};

use fnctl_core::access::Scope;

use crate::limits::{ACCESS_KEY_CHARS_MAX, CREDENTIALS_MAX, SECRET_KEY_CHARS_MIN};

const KEY: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
const SCOPE: &str = "fnctl_scope";

/// One key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    /// Its profile.
    pub(crate) name: Arc<str>,
    /// What its signatures are made with.
    pub(crate) secret: Arc<str>,
    /// What its holder may do.
    pub(crate) scope: Scope,
}

/// Keys by their ids.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, Credential>);

impl Credentials {
    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} keys)", self.0.len())
    }
}

/// What is wrong with a file of credentials; tells nothing of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {words}")]
pub struct CredentialsError {
    /// Where, from 1.
    pub line: usize,
    /// What.
    pub words: String,
}

/// A profile so far.
struct Profile<'a> {
    line: usize,
    name: &'a str,
    key: Option<&'a str>,
    secret: Option<&'a str>,
    scope: Option<Scope>,
}

impl Credentials {
    /// Reads a file's text. Names that only clients know (`region` …) are passed over.
    ///
    /// # Errors
    /// The first line that cannot be used.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let mut all = Self::default();
        let mut profile: Option<Profile<'_>> = None;
        for (index, line) in text.lines().enumerate() {
            let at = index + 1;
            let refused = |words: String| CredentialsError { line: at, words };
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                let name = name.strip_suffix(']').map(str::trim);
                let name = name.filter(|name| !name.is_empty());
                let name = name.ok_or_else(|| refused("a profile is `[name]`".to_owned()))?;
                all.take(profile.take())?;
                profile = Some(Profile {
                    line: at,
                    name,
                    key: None,
                    secret: None,
                    scope: None,
                });
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                return Err(refused("it is no `name = value`".to_owned()));
            };
            let (name, value) = (name.trim(), value.trim());
            let Some(profile) = &mut profile else {
                return Err(refused("no `[profile]` stands above it".to_owned()));
            };
            match name {
                KEY => profile.key = Some(value),
                SECRET => profile.secret = Some(value),
                SCOPE => {
                    let scope = value.parse().map_err(|()| {
                        refused(format!("`{value}` is no scope: read, write or admin"))
                    })?;
                    profile.scope = Some(scope);
                }
                // Ours alone: a slip of the pen must not open more than was meant.
                ours if ours.starts_with("fnctl_") => {
                    let words = format!("`{ours}` is not known: there is {SCOPE}");
                    return Err(refused(words));
                }
                _ => {}
            }
        }
        all.take(profile)?;
        if all.0.is_empty() {
            let words = "it names no key".to_owned();
            return Err(CredentialsError { line: 1, words });
        }
        Ok(all)
    }

    fn take(&mut self, profile: Option<Profile<'_>>) -> Result<(), CredentialsError> {
        let Some(profile) = profile else {
            return Ok(());
        };
        let name = profile.name;
        let refused = |words: String| {
            let line = profile.line;
            Err(CredentialsError { line, words })
        };
        let (Some(key), Some(secret)) = (profile.key, profile.secret) else {
            return refused(format!("profile `{name}` needs `{KEY}` and `{SECRET}`"));
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if !(1..=ACCESS_KEY_CHARS_MAX).contains(&key.len()) || !key.bytes().all(is_plain) {
            let most = ACCESS_KEY_CHARS_MAX;
            return refused(format!(
                "`{KEY}` of profile `{name}` is not 1 to {most} letters, digits, `_`, `-` and `.`"
            ));
        }
        if secret.chars().count() < SECRET_KEY_CHARS_MIN {
            let least = SECRET_KEY_CHARS_MIN;
            return refused(format!(
                "`{SECRET}` of profile `{name}` is shorter than {least} characters: it could be guessed"
            ));
        }
        if self.0.len() >= CREDENTIALS_MAX {
            return refused(format!("there are more than {CREDENTIALS_MAX} keys"));
        }
        let credential = Credential {
            name: name.into(),
            secret: secret.into(),
            scope: profile.scope.unwrap_or(Scope::Write),
        };
        match self.0.insert(key.to_owned(), credential) {
            Some(_) => refused(format!("the key of profile `{name}` is there twice")),
            None => Ok(()),
        }
    }

    /// The key of an id.
    pub(crate) fn get(&self, key: &str) -> Option<&Credential> {
        self.0.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_aws_clients_is_read() {
        let text = "# ours\n[shop]\naws_access_key_id = AK1\naws_secret_access_key = 0123456789abcdef=\n\
                    region = eu-west-1\n\n[ops]\naws_access_key_id=AK2\n; note\n\
                    aws_secret_access_key=abcdefghijklmnop\nfnctl_scope = admin\n";
        let all = Credentials::parse(text).unwrap();
        let shop = all.get("AK1").unwrap();
        assert_eq!((&*shop.name, shop.scope), ("shop", Scope::Write));
        assert_eq!(&*shop.secret, "0123456789abcdef=");
        assert_eq!(all.get("AK2").unwrap().scope, Scope::Admin);
        assert!(all.get("AK3").is_none());
        assert_eq!(format!("{all:?}"), "Credentials(2 keys)");
    }

    #[test]
    fn what_cannot_be_used_is_named_by_its_line_and_never_shown() {
        let good = "aws_access_key_id = AK\naws_secret_access_key = 0123456789abcdef\n";
        for (text, line, part) in [
            (String::new(), 1, "no key"),
            (good.to_owned(), 1, "[profile]"),
            ("[a".to_owned(), 1, "[name]"),
            ("[a]\nnonsense".to_owned(), 2, "name = value"),
            ("[a]\naws_access_key_id = AK".to_owned(), 1, "needs"),
            (format!("[a]\n{good}[b]\n{good}"), 4, "twice"),
            (format!("[a]\nfnctl_scope = root\n{good}"), 2, "scope"),
            (
                "[a]\naws_access_key_id = AK\naws_secret_access_key = hunter2".to_owned(),
                1,
                "shorter",
            ),
            (
                "[a]\naws_access_key_id = A/K\naws_secret_access_key = 0123456789abcdef".to_owned(),
                1,
                "letters",
            ),
        ] {
            let error = Credentials::parse(&text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.words.contains(part), "{text}: {error}");
            assert!(!error.words.contains("hunter2"), "{error}");
        }
    }
}
