//! Addresses that later versions have: refused by name, never mistaken for a slip.

use crate::api::error::ApiError;

/// The refusal of an address below `/v1` that is specified and not there yet, and what does the same
/// today.
pub(super) fn refused(segments: &[&str]) -> Option<ApiError> {
    let (what, fix) = match *segments {
        ["status"] => (
            "one status of everything",
            "GET /v1/mappings, and GET /v1/mappings/{mapping} for one of them",
        ),
        ["traces", ..] => (
            "traces",
            "GET /v1/functions/{function}/logs, and GET /metrics",
        ),
        ["nodes", ..] => ("more than one node", "GET /v1/version is this one's"),
        ["functions", _, "aliases", ..] => (
            "aliases",
            "POST /v1/deploy puts a version live, POST /v1/functions/{function}/rollback the one before",
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
        for segments in [
            &["mappings"][..],
            &["mappings", "f"],
            &["mappings", "f", "dead-letters", "1"],
            &["mappings", "f", "parked"],
            &["mappings", "f", "parked", "release"],
            &["mappings", "f", "parked", "dead-letter"],
            &["streams", "status"],
            &["functions", "aliases"],
            &["nothing"],
        ] {
            assert!(refused(segments).is_none(), "{segments:?}");
        }
    }

    #[test]
    fn what_comes_later_is_refused_by_name() {
        for segments in [
            &["status"][..],
            &["traces", "x"],
            &["functions", "f", "aliases", "a"],
            &["streams", "s", "release"],
        ] {
            assert!(refused(segments).is_some(), "{segments:?}");
        }
    }
}
