//! The one place where a failure of ours becomes the error object and an HTTP status.

use std::path::Path;

use fnctl_core::error_code::{ErrorCode, ErrorObject};
use hyper::{
    Response, StatusCode,
    header::{self, HeaderValue},
};

use crate::http::{Body, body::BodyError, path::AddressError, whole};

/// A refusal, ready to be answered.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    object: Box<ErrorObject>,
}

impl ApiError {
    /// An error of a code, in words.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(code.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            object: Box::new(ErrorObject::new(code, message)),
        }
    }

    /// What it says.
    pub(crate) fn words(&self) -> &str {
        &self.object.message
    }

    /// With the place it concerns.
    #[must_use]
    pub(crate) fn at(mut self, place: impl Into<String>) -> Self {
        self.object.place = Some(place.into());
        self
    }

    /// With the reason.
    #[must_use]
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.object.why = Some(why.into());
        self
    }

    /// With what to do.
    #[must_use]
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.object.fix = Some(fix.into());
        self
    }

    /// An address that a later version has.
    pub(crate) fn not_yet(what: &str) -> Self {
        let mut this = Self::new(
            ErrorCode::NotYet,
            format!("{what}: not there yet in this version"),
        )
        .because("it is specified, and comes in a later one");
        this.status = StatusCode::NOT_IMPLEMENTED;
        this
    }

    /// A fault of ours: the words go to the log, the caller learns that it was us.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        let request_id = uuid::Uuid::new_v4().to_string();
        tracing::error!(%error, request_id, "a request failed by a fault of ours");
        let mut this = Self::new(
            ErrorCode::Internal,
            "the server failed to answer this request",
        )
        .because("a fault of the server; its log has the details under this request id");
        this.object.request_id = Some(request_id);
        this
    }

    /// The store has stopped, or is about to.
    pub(crate) fn stopping(error: impl std::fmt::Display) -> Self {
        Self::new(
            ErrorCode::Stopping,
            format!("the server is stopping: {error}"),
        )
    }

    /// The server writes nothing, for this reason.
    pub(crate) fn reads_alone(why: &str, data_dir: &Path) -> Self {
        let data_dir = data_dir.display();
        Self::new(
            ErrorCode::ReadsAlone,
            format!("the server serves reads alone: {why}"),
        )
        .fix(format!(
            "sending it again changes nothing: with the server stopped, fnctl doctor --data-dir {data_dir} says what is \
             damaged, fnctl restore --from BACKUP --data-dir NEW begins anew"
        ))
    }

    /// What happened, in words.
    pub(crate) fn message(&self) -> &str {
        &self.object.message
    }

    /// With its problems named from below `prefix`, where they stand there.
    #[must_use]
    pub(crate) fn under(mut self, prefix: &str) -> Self {
        let object = &mut *self.object;
        for problem in &mut object.problems {
            if let Some(key) = problem.path.strip_prefix(prefix) {
                problem.path = key.to_owned();
            }
        }
        // One problem alone is told in the message as well.
        object.message = object.message.replace(prefix, "");
        object.place = object.place.take().map(|place| place.replace(prefix, ""));
        self
    }

    /// Whether it has this code.
    pub(crate) fn is(&self, code: ErrorCode) -> bool {
        self.object.code == code.as_str()
    }

    /// Its code and the status of its answer.
    pub(crate) fn outcome(&self) -> (String, StatusCode) {
        (self.object.code.clone(), self.status)
    }

    /// Its words alone.
    pub(crate) fn into_message(self) -> String {
        self.object.message
    }

    /// As the last line of a streamed answer.
    pub(crate) fn into_line(mut self) -> String {
        if self.object.fix.is_none() {
            let code = ErrorCode::parse(&self.object.code);
            let likeliest = |code: ErrorCode| code.explanation().fix.first().copied();
            let fix = code.and_then(|code| usual_fix(code).or_else(|| likeliest(code)));
            self.object.fix = fix.map(str::to_owned);
        }
        let mut line = serde_json::to_string(&self.object.into_body())
            .expect("an error object is always JSON");
        line.push('\n');
        line
    }

    /// As an answer.
    pub(crate) fn into_response(self) -> Response<Body> {
        let status = self.status;
        let mut response = Response::new(whole(self.into_line()));
        *response.status_mut() = status;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 11.6.1: such an answer says what would do.
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"fnctl\""),
            );
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// What to do about an error whose place knows nothing better, where a request has more to say than the error's page.
const fn usual_fix(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::Usage => "mend the parameter or header that is named, and send it again",
        ErrorCode::NotYet => "leave it out",
        ErrorCode::NoSuchRoute => {
            "there are /v1/functions, /v1/streams, /v1/mappings, /v1/deploy, /v1/artifacts, \
             /v1/backup, /v1/tokens, /v1/version, /v1/health, /healthz, /readyz and /metrics"
        }
        ErrorCode::BodyUnreadable => "mend the body, and send it again",
        ErrorCode::BodyTooLarge => "send less at once",
        ErrorCode::StreamInvalid
        | ErrorCode::SettingsInvalid
        | ErrorCode::ManifestInvalid
        | ErrorCode::OutputsUnreadable => "mend what is named, and send it again",
        ErrorCode::PositionInvalid => {
            "write trim-horizon, latest, a time such as 2026-03-01T12:30:00Z, or how long ago: 15m"
        }
        ErrorCode::KeyInvalid => "give a key of 1 to 256 characters, or none",
        ErrorCode::RecordsUnreadable => {
            "send lines of data, or {\"records\":[{\"key\":…,\"data\":…}]} as application/json"
        }
        ErrorCode::RecordTooLarge => "split it into records of their own",
        ErrorCode::ProducerGap => "go on from the sequence that is named",
        ErrorCode::Uncertain => {
            "send them again as the same producer, with the same sequences: none is kept twice"
        }
        ErrorCode::Throttled => "send it again later",
        ErrorCode::NoSuchStream => "fnctl streams list",
        ErrorCode::StreamFull => "raise the stream's quota, or let its oldest records go",
        ErrorCode::DiskFull => "free space, or shorten the retention of a stream",
        ErrorCode::Stopping => "send it again when the server is back: GET /readyz",
        ErrorCode::Damaged => {
            "fnctl doctor --data-dir D says what is damaged; a backup has it whole"
        }
        ErrorCode::Internal => {
            "send it again; if it fails again, report it with what the log says under the request id"
        }
        _ => return None,
    })
}

impl From<ErrorObject> for ApiError {
    fn from(object: ErrorObject) -> Self {
        let status = ErrorCode::parse(&object.code).map_or(500, |code| code.http_status());
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            object: Box::new(object),
        }
    }
}

impl From<AddressError> for ApiError {
    fn from(error: AddressError) -> Self {
        Self::new(ErrorCode::Usage, error.to_string())
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLarge { .. } => ErrorCode::BodyTooLarge,
            BodyError::TooSlow | BodyError::Broken(_) => ErrorCode::BodyUnreadable,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use fnctl_core::error_code::ErrorBody;

    use super::*;

    #[test]
    fn every_answer_says_what_to_do() {
        for code in ErrorCode::ALL {
            let line = ApiError::new(*code, "it failed").into_line();
            let body: ErrorBody = serde_json::from_str(&line).expect("an error object");
            assert!(
                body.error.fix.is_some_and(|fix| !fix.is_empty()),
                "{code:?}"
            );
        }
        let own = ApiError::new(ErrorCode::Usage, "it failed").fix("mend it");
        assert!(own.into_line().contains("\"fix\":\"mend it\""));
    }
}
