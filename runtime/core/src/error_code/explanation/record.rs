//! `FN4`: records, calls and dead letters.

use super::{Explanation, explained};
use crate::error_code::ErrorCode;

pub(super) const ALL: &[Explanation] = &[
    explained(
        ErrorCode::RecordTooLarge,
        "A record above the stream's limit",
        "A record is its key and its data, at most 1 MiB unless the stream was made with another limit.",
        &["split it into records of their own, or put a reference to the data"],
    ),
    explained(
        ErrorCode::KeyMissing,
        "A line without a readable key, and keys are required",
        "`--require-key` stops at a line that is no JSON object or lacks the field that `--key-field` names. What came before it is put.",
        &[
            "mend the line that the error names, and go on from it: --from-line N",
            "without --require-key such a line has a key of its own",
        ],
    ),
    explained(
        ErrorCode::NoSuchDeadLetter,
        "No such dead letter",
        "Its id was never given, or it went with its retention. Letters that were redriven or purged are still listed with --all.",
        &["fnctl dlq list MAPPING --all"],
    ),
    explained(
        ErrorCode::CallFailed,
        "The call failed, or a record of it",
        "`fnctl invoke` called the function once, and it answered with failures, trapped or passed a limit. Nothing was published.",
        &[
            "read `failures` and `logs` of the answer",
            "fnctl invoke NAME --file F -o json",
        ],
    ),
    explained(
        ErrorCode::RecordsUnreadable,
        "A body is not lines of JSON as it must be",
        "One line is one JSON object with the fields that this address takes. The error names the line.",
        &["mend the line; payloads that are no text go as base64 with encoding: base64"],
    ),
    explained(
        ErrorCode::Throttled,
        "Too much at once; the same again later",
        "A bound on memory, on requests at once or on a stream's rate was reached. Nothing of this request was done.",
        &[
            "send it again after the time that `retry-after` says; fnctl put and the AWS clients do",
            "send less at once",
        ],
    ),
    explained(
        ErrorCode::Uncertain,
        "Whether the records arrived is not known",
        "The connection broke, or the server stopped, after they were sent and before the answer came.",
        &[
            "run the command that the error prints: with its producer id, what did arrive is not put twice",
        ],
    ),
    explained(
        ErrorCode::ProducerGap,
        "A producer left lines out",
        "Lines of one producer id are numbered, and this one does not follow on the last that was taken. Going on would lose those between.",
        &["go on from the line that the error names: --from-line N --producer ID"],
    ),
    explained(
        ErrorCode::KeyInvalid,
        "A partition key that is not 1 to 256 characters",
        "Keys are text of 1 to 256 characters, as in the Kinesis API: an empty field was taken for one, or a whole document.",
        &["choose another --key-field, or a hash of it"],
    ),
    explained(
        ErrorCode::NothingToCapture,
        "Nothing of the mapping fails: there is nothing to capture",
        "`capture --failing` writes the batches that wait for a retry now. What was given up already is among the dead letters.",
        &[
            "fnctl capture MAPPING --dead-letters ID,…",
            "fnctl mappings parked MAPPING",
        ],
    ),
    explained(
        ErrorCode::CaptureUnusable,
        "A file that is no capture, or a damaged one, or one of a newer version",
        "`replay` takes what `capture` writes, whole: its digest is checked before anything runs.",
        &[
            "fnctl capture MAPPING --failing --out FILE",
            "use the fnctl that wrote it, or a later one",
        ],
    ),
    explained(
        ErrorCode::EndsOtherwise,
        "Replayed or in the shadow, records ended otherwise than they did",
        "Not a fault: the answer to the question that `replay` and `shadow` ask. What differs is printed above.",
        &["read the differences; exit code 4 stands for them in scripts"],
    ),
    explained(
        ErrorCode::NothingToRedrive,
        "A dead letter without a payload: it was too large to be kept",
        "The letter says what happened, and its record is in the stream until retention takes it.",
        &[
            "read the record where the letter says, and put it anew",
            "fnctl dlq purge MAPPING ID",
        ],
    ),
    explained(
        ErrorCode::RedriveCancelled,
        "A redrive that was waited for was called off",
        "Somebody ran `fnctl dlq redrive MAPPING --cancel`; the audit says who, where tokens are in use. Letters that were not given \
         to the function are open as before.",
        &[
            "fnctl dlq list MAPPING",
            "fnctl dlq redrive MAPPING --all        once more",
        ],
    ),
];
