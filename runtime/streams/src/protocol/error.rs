//! Errors as a client sees them (Kinesis reference B3).

use std::borrow::Cow;

use hyper::StatusCode;

/// The codes that this API answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    AccessDenied,
    DryRunOperation,
    ExpiredIterator,
    ExpiredNextToken,
    IncompleteSignature,
    InternalFailure,
    InvalidArgument,
    InvalidSignature,
    LimitExceeded,
    MissingAuthenticationToken,
    ProvisionedThroughputExceeded,
    ResourceInUse,
    ResourceNotFound,
    Serialization,
    UnknownOperation,
    UnrecognizedClient,
    Validation,
}

impl ErrorCode {
    /// The code's name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDeniedException",
            Self::DryRunOperation => "DryRunOperationException",
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::InternalFailure => "InternalFailure",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::LimitExceeded => "LimitExceededException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::Serialization => "SerializationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::Validation => "ValidationException",
        }
    }

    /// The HTTP status: every fault of the client is 400.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::InternalFailure => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The member that holds the message: a capital where Kinesis writes one.
    pub(crate) const fn message_member(self) -> &'static str {
        match self {
            Self::Serialization => "Message",
            _ => "message",
        }
    }
}

/// One error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Cow<'static, str>>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: Some(message.into()),
        }
    }

    /// An error that Kinesis answers without words.
    pub(crate) const fn bare(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
        }
    }

    /// The error as a JSON object.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut object = serde_json::Map::new();
        object.insert("__type".into(), self.code.name().into());
        if let Some(message) = &self.message {
            object.insert(self.code.message_member().into(), message.as_ref().into());
        }
        serde_json::Value::Object(object).to_string().into_bytes()
    }

    /// The error as a CBOR map of texts: what Kinesis answers where a request did not say JSON.
    pub(crate) fn cbor(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let members = 1 + u8::from(self.message.is_some());
        out.push(CBOR_MAP | members);
        cbor_text(&mut out, "__type");
        cbor_text(&mut out, self.code.name());
        if let Some(message) = &self.message {
            cbor_text(&mut out, self.code.message_member());
            cbor_text(&mut out, message);
        }
        out
    }
}

const CBOR_MAP: u8 = 5 << 5;
const CBOR_TEXT: u8 = 3 << 5;

fn cbor_text(out: &mut Vec<u8>, text: &str) {
    let length = text.len();
    match u8::try_from(length) {
        Ok(short) if short < 24 => out.push(CBOR_TEXT | short),
        Ok(byte) => out.extend_from_slice(&[CBOR_TEXT | 24, byte]),
        Err(_) => {
            out.push(CBOR_TEXT | 27);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_an_object_with_type_and_message() {
        for (error, json) in [
            (
                ApiError::new(ErrorCode::Validation, "no \"a\""),
                r#"{"__type":"ValidationException","message":"no \"a\""}"#,
            ),
            (
                ApiError::new(ErrorCode::Serialization, "no"),
                r#"{"Message":"no","__type":"SerializationException"}"#,
            ),
            (
                ApiError::bare(ErrorCode::InternalFailure),
                r#"{"__type":"InternalFailure"}"#,
            ),
        ] {
            assert_eq!(String::from_utf8(error.json()).unwrap(), json);
        }
    }

    #[test]
    fn an_error_in_cbor_is_a_map_of_texts() {
        let error = ApiError::bare(ErrorCode::UnknownOperation);
        assert_eq!(
            error.cbor(),
            b"\xa1\x66__type\x78\x19UnknownOperationException"
        );
        let error = ApiError::new(ErrorCode::Serialization, "no");
        assert!(error.cbor().ends_with(b"\x67Message\x62no"));
    }
}
