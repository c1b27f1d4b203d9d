//! `FN3`: streams, shards and mappings.

use super::{Explanation, explained};
use crate::error_code::ErrorCode;

pub(super) const ALL: &[Explanation] = &[
    explained(
        ErrorCode::NoSuchStream,
        "No such stream",
        "It was never created here, or it was deleted; streams are not made by a put.",
        &[
            "fnctl streams list",
            "fnctl streams create STREAM --shards 4",
        ],
    ),
    explained(
        ErrorCode::StreamExists,
        "A stream of that name exists",
        "Names are given once. What is there was left as it is.",
        &[
            "use it, or choose another name",
            "fnctl streams describe STREAM",
        ],
    ),
    explained(
        ErrorCode::StreamInUse,
        "The stream is used by mappings",
        "A mapping reads it, or puts its outputs there. They are named.",
        &[
            "delete the mappings first, or bind their outputs elsewhere",
            "with them: fnctl streams delete STREAM --force",
        ],
    ),
    explained(
        ErrorCode::NoSuchMapping,
        "No such mapping",
        "A mapping is named by FUNCTION/STREAM, by its id, or by the function alone while that has one.",
        &["fnctl mappings list"],
    ),
    explained(
        ErrorCode::MappingFailed,
        "The mapping has failed for good",
        "Its stream was deleted with `--force`, so it can never go on. It is kept for its dead letters and totals.",
        &[
            "fnctl dlq list MAPPING",
            "fnctl mappings delete MAPPING, then deploy to another stream",
        ],
    ),
    explained(
        ErrorCode::OpenDeadLetters,
        "The mapping has open dead letters",
        "They are the only copy of records that could not be processed, once the stream has let those go. Without the mapping nothing can redrive them, and `fnctl dlq` finds them by the mapping's id alone.",
        &[
            "fnctl dlq list MAPPING",
            "fnctl dlq export MAPPING --to letters.ndjson",
            "the mapping without them: --force; its id finds them still",
        ],
    ),
    explained(
        ErrorCode::StreamInvalid,
        "A stream's settings or name break a rule",
        "A name is 1 to 128 of a-z, A-Z, 0-9, _, . and -; retention, shards and quota have bounds, which the error names.",
        &["choose what the error says", "fnctl streams create --help"],
    ),
    explained(
        ErrorCode::PositionInvalid,
        "A position cannot be read or does not exist",
        "Positions are trim-horizon, latest, a time (RFC 3339, or 15m for fifteen minutes ago), or a sequence number of the one \
         shard that is named.",
        &[
            "fnctl mappings seek --help",
            "give a sequence number together with --shard",
        ],
    ),
    explained(
        ErrorCode::StreamFull,
        "The stream is at its quota of bytes",
        "Puts are refused until retention makes room; nothing that was put before is lost. A mapping that puts its output there waits \
         and goes on by itself.",
        &[
            "fnctl streams update STREAM --quota SIZE",
            "let its oldest records go: fnctl streams update STREAM --retention-bytes SIZE",
            "find the mapping that does not keep up: fnctl status",
        ],
    ),
    explained(
        ErrorCode::MappingExists,
        "The function has a mapping of that stream already",
        "One function has one mapping of a stream: two would do each record twice. The one there is was named.",
        &[
            "change it: fnctl mappings update MAPPING",
            "run the same component under another name: fnctl deploy --name NAME",
        ],
    ),
    explained(
        ErrorCode::MappingNotRunning,
        "The mapping does not run",
        "What was asked for needs its workers, and it is paused, stopped by a fatal error, or blocked.",
        &["fnctl status MAPPING", "fnctl mappings resume MAPPING"],
    ),
    explained(
        ErrorCode::NoSuchParkedKey,
        "No such key waits for a retry",
        "The key is not parked now: its record was processed or given up meanwhile, it never failed, or it was spelt otherwise.",
        &[
            "fnctl mappings parked MAPPING",
            "fnctl dlq list MAPPING --key KEY",
        ],
    ),
    explained(
        ErrorCode::NoFailingRecord,
        "None of the key's records has failed",
        "By hand only what failed is given up, so that a slip gives up no good record: the key waits for a reason that is not its own, such as an \
         open circuit or a record of another key in front.",
        &[
            "see what it waits for: fnctl mappings parked MAPPING",
            "give up all that was read of it: the same with --all",
        ],
    ),
    explained(
        ErrorCode::NoSuchShard,
        "The stream has no such shard",
        "Shards are named `shardId-000000000003`, or by their number. Closed ones go with retention.",
        &["fnctl streams describe STREAM"],
    ),
    explained(
        ErrorCode::ShardClosed,
        "The shard was split or merged before",
        "Closed shards take no records; their children have their keys.",
        &["fnctl streams describe STREAM        (lists the children)"],
    ),
    explained(
        ErrorCode::ReshardInvalid,
        "Shards cannot be split, merged or resized so",
        "A split needs a hash key within the shard's range, a merge two open shards side by side, a resize a number within bounds.",
        &[
            "fnctl streams describe STREAM        (lists ranges)",
            "without a choice: fnctl streams resize STREAM --shards N",
        ],
    ),
];
