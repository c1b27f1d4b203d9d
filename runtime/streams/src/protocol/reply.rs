//! An answer before it is HTTP.

use bytes::Bytes;
use hyper::StatusCode;

use crate::protocol::error::ApiError;

/// JSON 1.1, the protocol of this API.
pub(crate) const JSON: &str = "application/x-amz-json-1.1";
/// CBOR 1.1: errors only.
pub(crate) const CBOR: &str = "application/x-amz-cbor-1.1";
/// Plain JSON: an older protocol whose every call is unknown.
pub(crate) const PLAIN_JSON: &str = "application/json";

/// Status, content type and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
    /// The error's code, for the header that newer SDKs read.
    pub(crate) error: Option<&'static str>,
}

impl Reply {
    /// A success; operations without output have an empty body.
    pub(crate) fn success(body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: Some(JSON),
            body: body.into(),
            error: None,
        }
    }

    pub(crate) fn json_error(error: &ApiError) -> Self {
        Self {
            status: error.code.status(),
            content_type: Some(JSON),
            body: error.json().into(),
            error: Some(error.code.name()),
        }
    }

    pub(crate) fn cbor_error(error: &ApiError) -> Self {
        Self {
            status: error.code.status(),
            content_type: Some(CBOR),
            body: error.cbor().into(),
            error: Some(error.code.name()),
        }
    }
}
