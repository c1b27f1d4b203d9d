//! Addresses that later versions have: refused by name, never mistaken for a slip.

use hyper::Method;

use crate::api::error::ApiError;

/// The refusal of an address below `/v1` that is specified and not there yet, and what does the same
/// today.
pub(super) fn refused(method: &Method, segments: &[&str]) -> Option<ApiError> {
    let (what, fix) = match *segments {
        ["status"] => (
            "one status of everything",
            "GET /v1/mappings, and GET /v1/mappings/{mapping} for one of them",
        ),
        ["traces", ..] => (
            "traces",
            "GET /v1/functions/{function}/logs, and GET /metrics",
        ),
        ["tokens", ..] => (
            "tokens",
            "listen on loopback, or behind a proxy that asks for them",
        ),
        ["nodes", ..] => ("more than one node", "GET /v1/version is this one's"),
        ["functions", _, "aliases", ..] => (
            "aliases",
            "POST /v1/deploy puts a version live, POST /v1/functions/{function}/rollback the one before",
        ),
        ["mappings"] if *method == Method::POST => (
            "making a mapping alone",
            "POST /v1/deploy makes it with its function",
        ),
        ["mappings", _] if [Method::PATCH, Method::PUT].contains(method) => (
            "changing a mapping alone",
            "POST /v1/deploy changes it with its function: fnctl deploy",
        ),
        ["mappings", _, "seek"] => (
            "moving a mapping in its stream",
            "delete the mapping and deploy it again with another starting_position",
        ),
        ["mappings", _, "parked", ..] => (
            "the list of parked keys",
            "GET /v1/mappings/{mapping} counts them, /retries?follow tells why",
        ),
        ["mappings", _, "redrive" | "purge"]
        | [
            "mappings",
            _,
            "dead-letters",
            "redrive" | "purge" | "export",
        ]
        | ["mappings", _, "dead-letters", _, "redrive" | "purge"] => (
            "redriving and purging dead letters",
            "read them with GET /v1/mappings/{mapping}/dead-letters and put their data again",
        ),
        ["mappings", _, "dead-letters", ..] if *method == Method::DELETE => (
            "purging dead letters",
            "nothing removes them yet, not even deleting their mapping: read them with GET \
             /v1/mappings/{mapping}/dead-letters",
        ),
        ["streams", _, "release"] => (
            "letting go of what a mapping holds of a stream",
            "delete the mapping, or give the stream a quota: PATCH /v1/streams/{stream}",
        ),
        _ => return None,
    };
    Some(ApiError::not_yet(what).fix(fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_refused() {
        for (method, segments) in [
            (Method::GET, &["mappings"][..]),
            (Method::GET, &["mappings", "f"]),
            (Method::DELETE, &["mappings", "f"]),
            (Method::GET, &["mappings", "f", "dead-letters", "1"]),
            (Method::GET, &["streams", "status"]),
            (Method::POST, &["streams", "s", "split"]),
            (Method::GET, &["functions", "aliases"]),
            (Method::GET, &["nothing"]),
        ] {
            assert!(
                refused(&method, segments).is_none(),
                "{method} {segments:?}"
            );
        }
    }

    #[test]
    fn what_comes_later_is_refused_by_name_whatever_the_method() {
        for segments in [
            &["status"][..],
            &["traces", "x"],
            &["functions", "f", "aliases", "a"],
            &["mappings", "f", "seek"],
            &["mappings", "f", "parked"],
            &["mappings", "f", "dead-letters", "redrive"],
            &["mappings", "f", "dead-letters", "3", "redrive"],
            &["streams", "s", "release"],
        ] {
            for method in [Method::GET, Method::POST] {
                assert!(
                    refused(&method, segments).is_some(),
                    "{method} {segments:?}"
                );
            }
        }
        assert!(refused(&Method::PATCH, &["mappings", "f"]).is_some());
    }
}
