//! `FN1`: the command line, and the API's addresses and bodies.

use super::{Explanation, explained};
use crate::error_code::ErrorCode;

pub(super) const ALL: &[Explanation] = &[
    explained(
        ErrorCode::Usage,
        "A word of the command line, or of an address, cannot be read",
        "A flag or command is not known, a value is missing or is not of its kind (a duration, a size, a number), \
         or two flags exclude each other. Nothing was done.",
        &[
            "read the line again: the error names the word and the nearest one there is",
            "`--help` of the command says what it takes",
            "durations are written 200ms, 30s, 1h or 7d, sizes 128KiB or 6MiB: a bare number has no unit",
        ],
    ),
    explained(
        ErrorCode::Ambiguous,
        "Several things answer to the name given",
        "A function with several mappings was named where one mapping is meant. The error lists them.",
        &[
            "name the mapping as FUNCTION/STREAM, or by its id",
            "fnctl mappings list",
        ],
    ),
    explained(
        ErrorCode::NotYet,
        "A flag, key or command that this version does not have yet",
        "The word is specified and reserved, and a later version has it. It is refused and not ignored, so that nobody \
         relies on what is not there.",
        &[
            "leave it out",
            "fnctl version        (and see CHANGELOG for later ones)",
        ],
    ),
    explained(
        ErrorCode::NotConfirmed,
        "Destroying without a terminal needs `--yes`",
        "Commands that destroy (`delete`, `dlq purge`, `mappings seek`, `restore`) ask one question on a terminal. Where there is \
         none to ask on, or with `-o json`, they do nothing unless `--yes` is given.",
        &["the same with --yes, once you have read what it destroys"],
    ),
    explained(
        ErrorCode::FileUnreadable,
        "A local file does not exist or cannot be read",
        "The path is wrong, seen from the folder that the command runs in, or its owner and mode keep you from it. Paths in \
         `fnctl.toml` are seen from the folder of that file.",
        &[
            "check the path and its mode: ls -l FILE",
            "`-` is standard input where a command takes --file",
        ],
    ),
    explained(
        ErrorCode::ServerUnreachable,
        "The server does not answer",
        "Nothing listens at the address, it is not the one meant, or the connection broke. A command that changes something and \
         meets this may have been done: the error says where that is so.",
        &[
            "fnctl server        (or name another one: --server URL, FNCTL_SERVER)",
            "fnctl doctor",
        ],
    ),
    explained(
        ErrorCode::AnswerUnreadable,
        "The answer is not one of ours",
        "Something else listens at that address, a proxy in between answered for it, or client and server are of versions that do \
         not know each other.",
        &[
            "fnctl doctor        (compares the versions)",
            "look at what answers: curl -i URL/healthz",
        ],
    ),
    explained(
        ErrorCode::Interrupted,
        "Stopped by the person",
        "Ctrl-C, or a signal, ended the command. What it said it had done is done; what it was at may be done or not.",
        &["look, then run it again: commands that put records print the line that goes on"],
    ),
    explained(
        ErrorCode::WaitedTooLong,
        "What was waited for did not happen in time",
        "`--wait` or `--timeout` ended first. What was begun goes on in the server. Or something takes connections at the server's address \
         and does not begin to answer within a minute what only reads: a server that is stopped, hangs or is overloaded.",
        &[
            "fnctl status MAPPING        (says what holds it)",
            "the same with a longer --wait or --timeout",
            "where nothing answers: look at the server's process and at the end of its log",
        ],
    ),
    explained(
        ErrorCode::BuildFailed,
        "The build command failed",
        "The command in `build` of `fnctl.toml` ended with an error, or did not write the file that `component` names. The \
         compiler's own words stand above the error.",
        &[
            "mend what the compiler says",
            "fnctl doctor        (checks Rust, the wasm target and what else a build needs)",
            "rustup target add wasm32-wasip2",
        ],
    ),
    explained(
        ErrorCode::FileUnwritable,
        "A local file cannot be written",
        "The folder does not exist, is not yours to write in, or its disk is full.",
        &["name another path, or make room: df -h ."],
    ),
    explained(
        ErrorCode::TargetExists,
        "The place for something new is taken",
        "A file or folder is there already, and is not written over without being asked to.",
        &["another name, or the flag that the error names to write over it"],
    ),
    explained(
        ErrorCode::Unhealthy,
        "`doctor` found something that keeps fnctl from working",
        "One of its checks failed: a tool that is missing, a server that does not answer, versions that differ. Each line that is \
         not ok says what to do.",
        &["do what its lines say, then again: fnctl doctor"],
    ),
    explained(
        ErrorCode::BodyUnreadable,
        "The body of a request cannot be read",
        "It is not the JSON that this address takes: broken, cut short, with an unknown field or one of another type. The error \
         names the place.",
        &[
            "mend the body; fnctl's own commands send what is right: fnctl version compares with the server's",
        ],
    ),
    explained(
        ErrorCode::NoSuchRoute,
        "No such address",
        "The path is no address of the API. A name with a `/` or a `%` in it must be percent-encoded in a path.",
        &[
            "look the address up in the README; a newer client may ask for what this server lacks: fnctl doctor",
        ],
    ),
    explained(
        ErrorCode::MethodNotAllowed,
        "The address exists, the method does not",
        "GET reads, POST makes and does, PATCH changes, DELETE removes, PUT uploads. The answer's `allow` header names those there are.",
        &["use a method that `allow` names"],
    ),
    explained(
        ErrorCode::BodyTooLarge,
        "The body of a request is too large",
        "Bodies are bounded, so that one request cannot take the server's memory. The bound stands in the error.",
        &["send it in pieces; records: fnctl put STREAM --file FILE streams any amount"],
    ),
    explained(
        ErrorCode::AddressInUse,
        "A listener's address is taken",
        "Another process listens there, often an older server that still runs.",
        &[
            "stop it, or choose another with --listen and --kinesis-listen; port 0 takes a free one",
            "find it: ss -ltnp",
        ],
    ),
    explained(
        ErrorCode::ToolMissing,
        "A program that is needed is missing",
        "A command runs a tool that is not on the path: `cargo` for a build, or what `build` in `fnctl.toml` names.",
        &["install it, or put it on the path", "fnctl doctor"],
    ),
    explained(
        ErrorCode::NotAllowed,
        "A value was read and is not allowed",
        "It is of the right kind and outside its range, or means what cannot be done there. The error says the range.",
        &["choose a value within it: `--help` of the command has the range"],
    ),
];
