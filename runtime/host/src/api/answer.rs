//! Answers that went well: one value, or many, a line each.

use hyper::{
    Response,
    header::{self, HeaderValue},
};
use serde::Serialize;

use crate::{
    api::{Answer, error::ApiError},
    http::{self, Body},
};

/// The type of answers with an object a line.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// One value as JSON.
pub(super) fn one(value: &impl Serialize) -> Answer {
    let mut text = serde_json::to_vec(value).map_err(ApiError::internal)?;
    text.push(b'\n');
    Ok(with_type(http::whole(text), "application/json"))
}

/// Many values as NDJSON.
pub(super) fn many<T: Serialize>(values: impl IntoIterator<Item = T>) -> Answer {
    many_and(values, None)
}

/// Many values, and behind them what kept some others from being told.
pub(super) fn many_and<T: Serialize>(
    values: impl IntoIterator<Item = T>,
    error: Option<ApiError>,
) -> Answer {
    let mut text = Vec::new();
    for value in values {
        serde_json::to_writer(&mut text, &value).map_err(ApiError::internal)?;
        text.push(b'\n');
    }
    if let Some(error) = error {
        text.extend_from_slice(error.into_line().as_bytes());
    }
    Ok(with_type(http::whole(text), NDJSON))
}

/// A body of a type.
pub(super) fn with_type(body: Body, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
