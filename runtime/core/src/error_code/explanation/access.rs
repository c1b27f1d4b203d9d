//! `FN6` and `FN9`: who may, and what is our own fault.

use super::{Explanation, explained};
use crate::error_code::ErrorCode;

pub(super) const ALL: &[Explanation] = &[
    explained(
        ErrorCode::ListenerExposed,
        "A listener beyond loopback without `--insecure`",
        "The address can be reached by other machines, and nothing would keep them from reading and changing everything. The server \
         did not start.",
        &[
            "listen on 127.0.0.1, behind a proxy that knows who may",
            "where the network itself is closed: --insecure",
        ],
    ),
    explained(
        ErrorCode::OriginRefused,
        "A request that a browser page of another origin made",
        "Pages from elsewhere, and names that resolve to this machine, could otherwise use your browser to change what is here.",
        &["use http://127.0.0.1:PORT, or a client that is no browser"],
    ),
    explained(
        ErrorCode::Internal,
        "A fault of ours",
        "Something happened that cannot happen. Records are safe: what is not settled is tried again.",
        &[
            "look at the server's log for the request id",
            "report it with that id, `fnctl version` and what was asked",
        ],
    ),
];
