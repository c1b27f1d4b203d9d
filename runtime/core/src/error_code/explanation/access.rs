//! `FN6` and `FN9`: who may, and what is our own fault.

use super::{Explanation, explained};
use crate::error_code::ErrorCode;

pub(super) const ALL: &[Explanation] = &[
    explained(
        ErrorCode::ListenerExposed,
        "A listener beyond loopback that does not keep strangers out",
        "The address can be reached by other machines, and nothing would keep them from reading and changing everything. The server \
         did not start. It wants a token and TLS for the API, and keys and TLS for the Kinesis API.",
        &[
            "fnctl tokens create NAME --scope admin --data-dir D, then: fnctl server --data-dir D --tls-generate",
            "for AWS clients also: --kinesis-credentials FILE",
            "listen on 127.0.0.1, or where the network itself is closed: --insecure",
        ],
    ),
    explained(
        ErrorCode::OriginRefused,
        "A request that a web page of another origin made, or that names another machine",
        "Pages from elsewhere could otherwise use your browser to change what is here: directly, or by a name of theirs that leads to this \
         machine's address. What the browser says of itself (`Origin`, `Sec-Fetch-Site`) is refused everywhere; names that are not the \
         server's where nobody is asked for a token.",
        &[
            "use the server's address, such as http://127.0.0.1:PORT, and a client that is no browser",
            "clients know it by a name: fnctl server --insecure --host-name NAME",
        ],
    ),
    explained(
        ErrorCode::TokenRefused,
        "A request without a token, or with one that is not good",
        "The listener asks for a token, and the request has none, or one that is not known, was revoked or has expired.",
        &[
            "--token T, FNCTL_TOKEN, or the header `Authorization: Bearer T`",
            "an admin makes one: fnctl tokens create NAME --scope read",
        ],
    ),
    explained(
        ErrorCode::ScopeTooNarrow,
        "A token whose scope does not include what was asked for",
        "`read` looks, `write` also puts records, `admin` does everything. The token is good for less than this request needs.",
        &[
            "use a token of the scope that the error names",
            "fnctl tokens list        (names and scopes)",
        ],
    ),
    explained(
        ErrorCode::AccessThrottled,
        "Too many refused requests of one address, or of one token",
        "Whoever is refused again and again is answered a few times a minute alone, so that tokens cannot be guessed. Good tokens from there are \
         not slowed down, nor is what the scope of a token allows.",
        &[
            "send a good token, of the scope that is needed",
            "find the client that does not: fnctl_access_refused_total counts them",
        ],
    ),
    explained(
        ErrorCode::TlsUnusable,
        "A certificate or key that cannot be read, made or used",
        "The files of `--tls-cert` and `--tls-key` are not PEM, do not belong together, or cannot be read; a `--tls-name` is no name; the \
         certificate of `--tls-ca` is none; or plain HTTP was spoken to a port that speaks TLS.",
        &[
            "check both files: openssl x509 -in CERT -noout -text",
            "let the server make one: --tls-generate",
            "a client: https:// in --server or FNCTL_SERVER",
        ],
    ),
    explained(
        ErrorCode::NoSuchToken,
        "No such token",
        "It was never made in this data directory, or it was revoked.",
        &["fnctl tokens list"],
    ),
    explained(
        ErrorCode::TokenExists,
        "A token of that name exists, or there is no room for more",
        "Names are given once, so that the audit says who it was; a data directory has 256 tokens at most.",
        &["choose another name, or revoke the old one: fnctl tokens revoke NAME"],
    ),
    explained(
        ErrorCode::AccessFileUnusable,
        "The file of tokens, or of Kinesis credentials, cannot be read or written",
        "It is damaged, cannot be read, or is of a newer version. Nobody is let in by guessing what it says, so the server did not start.",
        &[
            "mend what the error names; its mode: chmod 600 FILE",
            "begin anew, with no tokens: move access.json away, with the server stopped",
        ],
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
