//! Who may do what: tokens, their scopes, and what a request needs.
//!
//! A token's secret is shown once and never kept; what is kept is its SHA-256. The secret has 256 random
//! bits, so the digest needs no salt and no slow hash: there is nothing to guess.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    id::{Timestamp, TokenName},
    limits::TOKENS_MAX,
    registry::Note,
    rfc3339,
};

/// What a token's holder may do; each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Look: status, metrics, records, logs, dead letters.
    Read,
    /// Also put records.
    Write,
    /// Everything.
    Admin,
}

impl Scope {
    /// Every scope, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The scope's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// What a request of the control API needs, by its method and the segments of its path; `None` where
    /// anybody may ask: whether the server lives and serves, which probes ask that have no token.
    #[must_use]
    pub fn needed(is_reading: bool, segments: &[&str]) -> Option<Self> {
        match segments {
            ["healthz" | "readyz"] => None,
            // Names of tokens are for those who may make and revoke them.
            ["v1", "tokens", ..] => Some(Self::Admin),
            _ if is_reading => Some(Self::Read),
            ["v1", "streams", _, "records"] => Some(Self::Write),
            _ => Some(Self::Admin),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(())
    }
}

/// SHA-256 of a token's secret, as lower-case hex where it is written.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretDigest(pub [u8; 32]);

impl SecretDigest {
    /// Whether both are the same; takes as long wherever they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        let differing = pairs.fold(0_u8, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
        differing == 0
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest")
    }
}

impl From<SecretDigest> for String {
    fn from(digest: SecretDigest) -> Self {
        digest.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for SecretDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "a digest is 64 hex digits";
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(WRONG);
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * index..2 * index + 2).ok_or(WRONG)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its name, which the audit tells.
    pub name: TokenName,
    /// What its holder may do.
    pub scope: Scope,
    /// Digest of its secret.
    pub sha256: SecretDigest,
    /// When it was made.
    #[serde(with = "rfc3339::text")]
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[serde(with = "rfc3339::optional_text", default)]
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// Whether it is refused now.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// What is told of it.
    #[must_use]
    pub fn line(&self, now: Timestamp) -> TokenLine {
        TokenLine {
            name: self.name.clone(),
            scope: self.scope,
            created_at: rfc3339::format(self.created_at),
            expires_at: self.expires_at.map(rfc3339::format),
            expired: self.is_expired(now),
        }
    }
}

/// A token as it is listed: without anything of its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLine {
    /// Its name.
    pub name: TokenName,
    /// What its holder may do.
    pub scope: Scope,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// From when on it is refused, RFC 3339.
    pub expires_at: Option<String>,
    /// Whether that is now.
    pub expired: bool,
}

/// `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTokenRequest {
    /// Its name.
    pub name: String,
    /// `read`, `write` or `admin`.
    pub scope: Scope,
    /// How long it is good, ms; for ever where nothing is said.
    #[serde(default)]
    pub expires_after_ms: Option<u64>,
}

/// `POST /v1/tokens`: the answer, and the only place where a secret is shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct CreatedToken {
    /// The token as it is listed.
    #[serde(flatten)]
    pub line: TokenLine,
    /// What its holder sends.
    pub token: String,
}

/// `DELETE /v1/tokens/{name}`: the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedToken {
    /// The token as it was listed.
    #[serde(flatten)]
    pub line: TokenLine,
    /// What nobody can do any more without it.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// All tokens of a data directory, as `access.json` holds them. That the value exists means that a token
/// was made once: from then on it is asked for, also when the last is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Layout of the file; another one is refused.
    pub version: u32,
    /// The tokens, by name.
    pub tokens: Vec<Token>,
}

/// How one of scope admin is made where there is none.
const NEXT_ADMIN: &str = "fnctl tokens create NAME --scope admin --data-dir D        with the server stopped; where no token is asked for, \
     on loopback, also while it runs, without --data-dir; or start it with --admin-token-file F";

/// Why tokens stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The name is taken; by one that has expired as well.
    #[error("token `{0}` exists")]
    Exists(TokenName),
    /// No token has this name.
    #[error("there is no token `{0}`")]
    NoSuchToken(String),
    /// There is no room for more.
    #[error("there are {TOKENS_MAX} tokens, as many as there may be")]
    TooMany,
}

impl Tokens {
    /// The layout that this version writes and reads.
    pub const VERSION: u32 = 1;

    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            version: Self::VERSION,
            tokens: Vec::new(),
        }
    }

    /// Adds one.
    ///
    /// # Errors
    /// Its name is taken, or there are too many.
    pub fn add(&mut self, token: Token) -> Result<(), TokenRefusal> {
        if self.tokens.iter().any(|known| known.name == token.name) {
            return Err(TokenRefusal::Exists(token.name));
        }
        if self.tokens.len() >= TOKENS_MAX {
            return Err(TokenRefusal::TooMany);
        }
        self.tokens.push(token);
        self.tokens.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    /// Takes one away.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn revoke(&mut self, name: &str) -> Result<Token, TokenRefusal> {
        let position = self.tokens.iter().position(|t| t.name.as_str() == name);
        match position {
            Some(position) => Ok(self.tokens.remove(position)),
            None => Err(TokenRefusal::NoSuchToken(name.to_owned())),
        }
    }

    /// What is told of one that was taken away: also that it was the last that could do something. Tokens are
    /// asked for all the same, so whoever locked everyone out must learn the way back.
    #[must_use]
    pub fn without(&self, revoked: &Token, now: Timestamp) -> RevokedToken {
        let mut left = self.tokens.iter().filter(|token| !token.is_expired(now));
        let message = if left.clone().next().is_none() {
            Some("it was the last token: where one is asked for, nobody is let in any more")
        } else if revoked.scope == Scope::Admin && left.all(|token| token.scope != Scope::Admin) {
            Some(
                "it was the last token of scope admin: where one is asked for, nobody can change anything any more",
            )
        } else {
            None
        };
        let note = message.map(|message| Note {
            path: "tokens".to_owned(),
            message: message.to_owned(),
            fix: NEXT_ADMIN.to_owned(),
        });
        RevokedToken {
            line: revoked.line(now),
            notes: note.into_iter().collect(),
        }
    }

    /// The token of a secret with this digest, expired or not; looks at every one, so that the time it
    /// takes says nothing.
    #[must_use]
    pub fn find(&self, digest: &SecretDigest) -> Option<&Token> {
        let all = self.tokens.iter();
        all.fold(None, |found, token| {
            let is_it = token.sha256.is(digest);
            if is_it { Some(token) } else { found }
        })
    }
}

#[cfg(test)]
mod tests;
