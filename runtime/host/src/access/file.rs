//! `access.json`: what is kept of tokens, and who changes it while no server runs.

use std::path::Path;

use fnctl_core::{
    access::{CreateTokenRequest, CreatedToken, RevokedToken, Token, TokenLine, Tokens},
    clock::Clock,
    id::{Timestamp, TokenName},
};
use fnctl_store::{
    access::{self, HeldDirectory},
    disk::{Disk, real::RealDisk},
};

use super::{TokensError, secret};
use crate::{clock::SystemClock, limits};

/// Tokens of a data directory that no server uses.
pub struct OfflineTokens(HeldDirectory, std::path::PathBuf);

impl OfflineTokens {
    /// Holds a data directory; one that is missing is made.
    ///
    /// # Errors
    /// A server has it, or it is no data directory.
    pub fn take(data_dir: &Path) -> Result<Self, TokensError> {
        let held = HeldDirectory::take(data_dir, RealDisk)?;
        Ok(Self(held, data_dir.to_owned()))
    }

    /// Whether the tokens of a data directory can be read: a server that cannot does not start. Nobody need hold it.
    ///
    /// # Errors
    /// They cannot be read, or not be understood.
    pub fn check(data_dir: &Path) -> Result<(), TokensError> {
        read(data_dir).map(drop)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// It cannot be had under that name, or not be written.
    pub fn create(&self, request: &CreateTokenRequest) -> Result<CreatedToken, TokensError> {
        let (token, created) = make(request, SystemClock.now())?;
        let mut tokens = self.tokens()?.unwrap_or_else(Tokens::new);
        tokens.add(token)?;
        self.write(&tokens)?;
        Ok(created)
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn list(&self) -> Result<Vec<TokenLine>, TokensError> {
        let now = SystemClock.now();
        let tokens = self.tokens()?.unwrap_or_else(Tokens::new);
        Ok(tokens.tokens.iter().map(|token| token.line(now)).collect())
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be written.
    pub fn revoke(&self, name: &str) -> Result<RevokedToken, TokensError> {
        let mut tokens = self.tokens()?.unwrap_or_else(Tokens::new);
        let token = tokens.revoke(name)?;
        self.write(&tokens)?;
        Ok(tokens.without(&token, SystemClock.now()))
    }

    fn tokens(&self) -> Result<Option<Tokens>, TokensError> {
        parse(&self.1, self.0.read())
    }

    fn write(&self, tokens: &Tokens) -> Result<(), TokensError> {
        let bytes = text(&self.1, tokens)?;
        self.0.write(&bytes).map_err(io(&self.1))
    }
}

/// Reads the tokens of a data directory; `None` where none was ever made.
pub(super) fn read(data_dir: &Path) -> Result<Option<Tokens>, TokensError> {
    parse(data_dir, access::read(&RealDisk, data_dir))
}

/// Writes the tokens of a data directory that this process holds.
pub(super) fn write(disk: &dyn Disk, data_dir: &Path, tokens: &Tokens) -> Result<(), TokensError> {
    let bytes = text(data_dir, tokens)?;
    access::write(disk, data_dir, &bytes).map_err(io(data_dir))
}

fn io(data_dir: &Path) -> impl Fn(std::io::Error) -> TokensError {
    move |source| TokensError::Io {
        path: data_dir.to_owned(),
        source,
    }
}

fn parse(
    data_dir: &Path,
    bytes: std::io::Result<Option<Vec<u8>>>,
) -> Result<Option<Tokens>, TokensError> {
    let Some(bytes) = bytes.map_err(io(data_dir))? else {
        return Ok(None);
    };
    let unreadable = |words| TokensError::Unreadable {
        path: data_dir.to_owned(),
        words,
    };
    let tokens: Tokens =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if tokens.version != Tokens::VERSION {
        let found = tokens.version;
        return Err(unreadable(format!("its version is {found}")));
    }
    Ok(Some(tokens))
}

fn text(data_dir: &Path, tokens: &Tokens) -> Result<Vec<u8>, TokensError> {
    let mut text = serde_json::to_vec_pretty(tokens).map_err(|error| TokensError::Unreadable {
        path: data_dir.to_owned(),
        words: error.to_string(),
    })?;
    text.push(b'\n');
    Ok(text)
}

/// A new token, and what is shown of it once.
pub(super) fn make(
    request: &CreateTokenRequest,
    now: Timestamp,
) -> Result<(Token, CreatedToken), TokensError> {
    let name = TokenName::parse(&request.name).map_err(|e| TokensError::Invalid(e.to_string()))?;
    let lasts = request.expires_after_ms;
    if lasts.is_some_and(|ms| ms == 0 || ms > limits::TOKEN_LIFE_MS_MAX) {
        let words = "a token lasts between 1ms and 3650d, or for ever where nothing is said";
        return Err(TokensError::Invalid(words.to_owned()));
    }
    let secret = secret::make().map_err(|error| {
        TokensError::Invalid(format!("the system has no random numbers: {error}"))
    })?;
    let token = Token {
        name,
        scope: request.scope,
        sha256: secret::digest(&secret),
        created_at: now,
        expires_at: lasts.map(|ms| Timestamp(now.0 + ms)),
    };
    let line = token.line(now);
    Ok((
        token,
        CreatedToken {
            line,
            token: secret,
        },
    ))
}
