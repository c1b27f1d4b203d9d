//! Tokens of this API: made, listed and revoked by an admin.

use fnctl_core::{
    access::{CreateTokenRequest, TokenRefusal},
    clock::Clock,
    error_code::ErrorCode,
};

use crate::{
    access::TokensError,
    api::{Answer, Asked, error::ApiError, json, many, one},
    clock::SystemClock,
    limits,
};

impl From<TokensError> for ApiError {
    fn from(error: TokensError) -> Self {
        let words = error.to_string();
        match error {
            TokensError::Refused(TokenRefusal::NoSuchToken(_)) => {
                Self::new(ErrorCode::NoSuchToken, words).fix("fnctl tokens list")
            }
            TokensError::Refused(_) => Self::new(ErrorCode::TokenExists, words)
                .fix("another name, or first revoke the token that has it"),
            TokensError::Invalid(_) => {
                Self::new(ErrorCode::NotAllowed, words).fix("fnctl tokens create --help")
            }
            TokensError::Io { .. }
            | TokensError::Unreadable { .. }
            | TokensError::File { .. }
            | TokensError::Open(_) => Self::new(ErrorCode::AccessFileUnusable, words)
                .because("a token is shown and revoked only once that is on the disk")
                .fix("mend the disk or the file, and send it again"),
        }
    }
}

/// `GET /v1/tokens`.
pub(super) fn list(asked: &Asked) -> Answer {
    asked.query(&[])?;
    let now = SystemClock.now();
    many(asked.access.list().iter().map(|token| token.line(now)))
}

/// `POST /v1/tokens`: the one answer that shows a secret.
pub(super) async fn create(asked: Asked) -> Answer {
    asked.query(&[])?;
    let access = std::sync::Arc::clone(&asked.access);
    let body = asked.bytes(limits::JSON_BODY_BYTES_MAX).await?;
    let request: CreateTokenRequest = json::read(&body)?;
    one(&access.create(request).await?)
}

/// `DELETE /v1/tokens/{name}`.
pub(super) async fn revoke(name: &str, asked: &Asked) -> Answer {
    asked.query(&[])?;
    one(&asked.access.revoke(name).await?)
}
