//! Who may ask: tokens of the control API, kept as digests beside the data, and refusals that are counted
//! and slowed down.
//!
//! Once a token was made it is asked for on every listener that is not loopback, and on loopback with
//! `--require-token`, also after the last was revoked: what was closed never opens by itself.

mod bearer;
mod failures;
pub(crate) mod file;
pub(crate) mod given;
mod lasting;
mod secret;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use fnctl_core::{
    access::{
        CreateTokenRequest, CreatedToken, RevokedToken, Scope, SecretDigest, Token, TokenRefusal,
        Tokens,
    },
    clock::Clock,
    error_code::ErrorCode,
    id::{Timestamp, TokenName},
};
use fnctl_store::disk::real::RealDisk;
use hyper::HeaderMap;
use tokio::sync::{Mutex, watch};

pub(crate) use self::{failures::Failures, lasting::Lasting};
use crate::{api::error::ApiError, clock::SystemClock, limits, source::blocking};

/// Why tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read or written.
    #[error("failed to read or write the tokens in {}: {source}", path.display())]
    Io {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is none of ours, or a newer version's: nobody is let in by guessing what it says.
    #[error("the tokens in {} cannot be understood: {words}", path.display())]
    Unreadable {
        /// The data directory.
        path: PathBuf,
        /// What is wrong.
        words: String,
    },
    /// The file that gives a token does not.
    #[error("`{}` gives no token: {words}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        words: String,
    },
    /// The change is refused.
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    /// A name or time that cannot be had.
    #[error("{0}")]
    Invalid(String),
    /// The data directory cannot be held.
    #[error(transparent)]
    Open(#[from] fnctl_store::OpenError),
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody who needed no token: on loopback, or where none was made yet.
    Unnamed,
    /// The holder of a token.
    Token {
        /// Its name.
        name: TokenName,
        /// What tells it from one that gets its name later.
        digest: SecretDigest,
    },
}

impl Caller {
    /// Who it is, for the audit.
    pub(crate) fn who(&self, peer: Option<SocketAddr>) -> String {
        match self {
            Self::Token { name, .. } => format!("token:{name}"),
            Self::Unnamed if peer.is_some_and(|peer| peer.ip().is_loopback()) => {
                "loopback".to_owned()
            }
            Self::Unnamed => "anyone".to_owned(),
        }
    }
}

/// Why somebody is not let in.
#[derive(Debug)]
pub(crate) struct NotAdmitted {
    /// What is answered.
    pub(crate) error: ApiError,
    /// Whose token is good, and its scope too narrow, as the audit names it.
    pub(crate) holder: Option<String>,
}

impl From<ApiError> for NotAdmitted {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            holder: None,
        }
    }
}

/// Tokens of a running server.
#[derive(Debug)]
pub(crate) struct Access {
    data_dir: PathBuf,
    /// `None`: none was ever made.
    tokens: RwLock<Option<Arc<Tokens>>>,
    /// Held while the file is changed.
    changing: Mutex<()>,
    /// Wakes answers that last, whose token may be gone.
    changed: watch::Sender<()>,
    /// What a file has given since the start. It is given once: a token that was revoked since is not let in
    /// again because the file is looked at.
    given: RwLock<Option<SecretDigest>>,
    failures: Arc<Failures>,
}

impl Access {
    /// Reads the tokens of a data directory that this process holds.
    ///
    /// # Errors
    /// They cannot be read: nothing is served then.
    pub(crate) fn open(data_dir: &Path, failures: Arc<Failures>) -> Result<Self, TokensError> {
        Ok(Self {
            tokens: RwLock::new(file::read(data_dir)?.map(Arc::new)),
            data_dir: data_dir.to_owned(),
            changing: Mutex::new(()),
            changed: watch::Sender::new(()),
            given: RwLock::default(),
            failures,
        })
    }

    fn tokens(&self) -> Option<Arc<Tokens>> {
        let tokens = self.tokens.read();
        tokens.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a token was ever made.
    pub(crate) fn is_guarded(&self) -> bool {
        self.tokens().is_some()
    }

    /// Who asks, if they may. `is_demanded`: whether this listener asks for a token where there are any.
    ///
    /// # Errors
    /// No token, a wrong one, one of too narrow a scope; told less often to who tries too often.
    pub(crate) fn admit(
        &self,
        is_demanded: bool,
        needed: Option<Scope>,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Caller, NotAdmitted> {
        let (Some(needed), Some(tokens)) = (needed, self.tokens()) else {
            return Ok(Caller::Unnamed);
        };
        let presented = bearer::of(headers);
        if !is_demanded && presented == bearer::Presented::Nothing {
            return Ok(Caller::Unnamed);
        }
        judge(&tokens, &presented, needed, SystemClock.now())
            .map_err(|refused| self.refuse(refused, peer))
    }

    /// The refusal, or that there were too many.
    fn refuse(&self, mut refused: NotAdmitted, peer: Option<IpAddr>) -> NotAdmitted {
        let (may_be_told, whose) = match &refused.holder {
            // No stranger: others at the same address are not slowed down by it.
            Some(holder) => (self.failures.allow_holder(holder), "token"),
            None => (self.failures.allow(peer), "address"),
        };
        if !may_be_told {
            let words = format!("too many refused requests of this {whose}");
            refused.error = ApiError::new(ErrorCode::AccessThrottled, words)
                .because("who is refused is answered a few times a minute; what a token may do is not slowed down")
                .fix("send a good token, of the scope that is needed: --token T, FNCTL_TOKEN, or `Authorization: Bearer T`");
        }
        refused
    }

    /// Makes a token; durable when it is shown.
    ///
    /// # Errors
    /// It cannot be had under that name, or not be written.
    pub(crate) async fn create(
        self: &Arc<Self>,
        request: CreateTokenRequest,
    ) -> Result<CreatedToken, TokensError> {
        let now = SystemClock.now();
        let (token, created) = file::make(&request, now)?;
        self.change(move |tokens| tokens.add(token)).await?;
        Ok(created)
    }

    /// Lets this secret in as that of the token that a file gives, and no other under its name, unless the file
    /// has given it before since the start. Whether that changed anything.
    ///
    /// # Errors
    /// It cannot be written, or there is no room for another.
    pub(crate) async fn give(self: &Arc<Self>, secret: SecretDigest) -> Result<bool, TokensError> {
        if self.given().is_some_and(|before| before.is(&secret)) {
            return Ok(false);
        }
        let given = given::token(secret, SystemClock.now());
        let tokens = self.tokens();
        let known = tokens
            .as_ref()
            .and_then(|tokens| tokens.find(&given.sha256));
        if known.is_some_and(|known| known.name == given.name) {
            self.was_given(secret);
            return Ok(false);
        }
        self.change(move |tokens| {
            // The first time there is none to take away.
            let _none = tokens.revoke(given.name.as_str());
            tokens.add(given)
        })
        .await?;
        self.was_given(secret);
        Ok(true)
    }

    fn given(&self) -> Option<SecretDigest> {
        *self.given.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_given(&self, secret: SecretDigest) {
        *self.given.write().unwrap_or_else(PoisonError::into_inner) = Some(secret);
    }

    /// Revokes a token: no request is let in by it any more, and answers that last are ended.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be written.
    pub(crate) async fn revoke(self: &Arc<Self>, name: &str) -> Result<RevokedToken, TokensError> {
        let name = name.to_owned();
        let has_file = name == given::NAME && self.given().is_some();
        let mut revoked = self
            .change(move |tokens| {
                let revoked = tokens.revoke(&name)?;
                Ok(tokens.without(&revoked, SystemClock.now()))
            })
            .await?;
        revoked.notes.extend(has_file.then(given::comes_back));
        Ok(revoked)
    }

    /// All tokens, by name.
    pub(crate) fn list(&self) -> Vec<Token> {
        self.tokens().map_or_else(Vec::new, |t| t.tokens.clone())
    }

    /// Changes the file, then what is in force. Goes on to its end when whoever asked is gone.
    async fn change<R: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Tokens) -> Result<R, TokenRefusal> + Send + 'static,
    ) -> Result<R, TokensError> {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let _changing = this.changing.lock().await;
            let mut tokens = this
                .tokens()
                .map_or_else(Tokens::new, |tokens| (*tokens).clone());
            let done = change(&mut tokens)?;
            let (data_dir, written) = (this.data_dir.clone(), tokens.clone());
            blocking(move || file::write(&RealDisk, &data_dir, &written)).await?;
            *this.tokens.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(tokens));
            this.changed.send_replace(());
            Ok(done)
        });
        let panicked = |error: tokio::task::JoinError| TokensError::Invalid(error.to_string());
        task.await.map_err(panicked)?
    }

    /// Ends when the token is revoked or has expired: what its holder is told then.
    pub(crate) async fn gone(self: Arc<Self>, name: TokenName, digest: SecretDigest) -> ApiError {
        let mut changed = self.changed.subscribe();
        loop {
            let now = SystemClock.now();
            let tokens = self.tokens();
            let Some(token) = tokens.as_ref().and_then(|tokens| tokens.find(&digest)) else {
                let words = format!("token `{name}` is no longer good");
                return refused(&words, "it was revoked, which ends what it had opened");
            };
            let left = match token.expires_at {
                Some(end) if end <= now => return expired(token),
                Some(end) => Duration::from_millis(end.0 - now.0).min(limits::TOKEN_LOOK_AGAIN),
                None => limits::TOKEN_LOOK_AGAIN,
            };
            // Either way it is looked at again.
            let _ = tokio::time::timeout(left, changed.changed()).await;
        }
    }
}

/// Nobody is let in by what was sent, or any more.
fn refused(words: &str, why: &str) -> ApiError {
    ApiError::new(ErrorCode::TokenRefused, words)
        .because(why)
        .fix("send one: --token T, FNCTL_TOKEN, or `Authorization: Bearer T`; an admin makes them: fnctl tokens create NAME --scope S")
}

fn expired(token: &Token) -> ApiError {
    let words = format!("token `{}` has expired", token.name);
    refused(&words, "it was made for a time, which is over")
}

/// Whether what was presented is good for what is asked.
fn judge(
    tokens: &Tokens,
    presented: &bearer::Presented<'_>,
    needed: Scope,
    now: Timestamp,
) -> Result<Caller, NotAdmitted> {
    let secret = match presented {
        bearer::Presented::Token(secret) => secret,
        bearer::Presented::Nothing => {
            let why = "the request carries none, and this listener asks for one";
            return Err(refused("a token is needed", why).into());
        }
        bearer::Presented::Other => {
            let why = "its `Authorization` is not `Bearer` and one token";
            return Err(refused("a token is needed", why).into());
        }
    };
    let digest = secret::digest(secret);
    let Some(token) = tokens.find(&digest) else {
        let why = "no token of this server has this secret; it may have been revoked";
        return Err(refused("the token is refused", why).into());
    };
    if token.is_expired(now) {
        return Err(expired(token).into());
    }
    let caller = Caller::Token {
        name: token.name.clone(),
        digest,
    };
    if token.scope < needed {
        let words = format!(
            "token `{}` may {}, and this needs {needed}",
            token.name, token.scope
        );
        let error = ApiError::new(ErrorCode::ScopeTooNarrow, words)
            .because("read: look; write: look and put records; admin: everything")
            .fix(format!(
                "use one of scope {needed}: fnctl tokens create NAME --scope {needed}"
            ));
        return Err(NotAdmitted {
            error,
            holder: Some(caller.who(None)),
        });
    }
    Ok(caller)
}

#[cfg(test)]
mod tests;
