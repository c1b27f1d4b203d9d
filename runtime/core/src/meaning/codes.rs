//! Codes of dead letters that the node or the SDK gives and that are no kind (CLI and SDK rules §2): what functions
//! give are their authors'.

use super::{Meaning, meaning};
use crate::pipeline::PROCESS_DIED;

/// All of them.
pub(super) const ALL: &[Meaning] = &[
    meaning(
        PROCESS_DIED,
        "The server died with the record in hand, again and again",
        "After two unclean stops in short order records are called one by one, and the one in hand is noted before its call. This one was \
     noted when the process died, as often as `max_attempts` allows. Its kind is `trap`; whether it was the cause is likely, not certain: \
     a machine that loses its power, or `kill -9`, looks the same.",
        &[
            "fnctl dlq show MAPPING ID        has the record",
            "look at what the process died of: the log in front of each start, and the kernel's (out of memory?)",
            "fnctl capture MAPPING --dead-letters ID        then, away from the server: fnctl replay FILE",
            "fnctl dlq redrive MAPPING --code process-died        once it is mended",
        ],
    ),
    meaning(
        "bad-json",
        "The record is not the JSON that the function reads",
        "The SDK's `record.json()` says it where the body is no JSON, or none of the type that is asked for, and `?` on it skips the \
         record: another attempt would read the same. The letter's words say where it goes wrong.",
        &[
            "fnctl dlq show MAPPING ID        has the body and the place",
            "what does not match may be let fall before the call: --filter, --on-unparsable",
            "fnctl dlq redrive MAPPING --code bad-json        once the function reads it",
        ],
    ),
    meaning(
        "not-utf8",
        "The record is not text",
        "The SDK's `record.text()` says it where the body is not UTF-8, and `?` on it skips the record: another attempt would read the same.",
        &[
            "fnctl dlq show MAPPING ID        has the body",
            "a producer that sends base64 of base64, or compressed bodies, is the likeliest reason",
        ],
    ),
    meaning(
        "row-too-large",
        "A row that the function made is larger than a record of its output stream may be",
        "The server fails the record that the row was made of, and no other of the call. It is not tried again: the same row would come of it.",
        &[
            "fnctl streams describe OUTPUT        has its record limit",
            "split the row in the function, or leave a part of it out",
            "fnctl dlq redrive MAPPING --code row-too-large        once it fits",
        ],
    ),
    meaning(
        "bad-key",
        "A row that the function made has a key that no stream can hold",
        "A partition key has 1 to 256 characters of UTF-8. The server fails the record that the row was made of, and no other of the call. It \
         is not tried again: the same key would come of it.",
        &[
            "fnctl dlq show MAPPING ID        has the record, and what is wrong with the key",
            "fnctl dlq redrive MAPPING --code bad-key        once the function makes another",
        ],
    ),
    meaning(
        "bad-rows",
        "Rows of a call do not add up",
        "What the function handed over as rows has a wrong shape: lengths that do not match, an output or a record that there is not. The call \
         fails as a whole. The SDK makes none such, code that calls the host itself may.",
        &[
            "fnctl dlq show MAPPING ID        says what does not match",
            "build the function with a current SDK",
        ],
    ),
    meaning(
        "bad-answer",
        "The answer of a call does not make sense",
        "It reports a record that the call has not, or one twice. Nobody knows what was done, so that the call fails as a whole. The SDK makes \
         none such, code that calls the host itself may.",
        &[
            "fnctl dlq show MAPPING ID        says what it reports",
            "build the function with a current SDK",
        ],
    ),
    meaning(
        "bad-state",
        "A window's state cannot be kept, or not be read",
        "It is above the state limit, or it was written by a version that knows another form of it.",
        &[
            "fnctl dlq show MAPPING ID        says which",
            "keep less in it; read what the version before wrote, or go back: fnctl rollback FUNCTION",
        ],
    ),
    meaning(
        "unbound-output",
        "The function writes to an output that is bound to no stream",
        "The component does not declare it, or the mapping binds it to none. It is fatal: every record that takes this way would end so.",
        &[
            "fnctl mappings update MAPPING --to OUTPUT=STREAM        where the component declares it",
            "fnctl deploy FILE --name FUNCTION --to OUTPUT=STREAM        of one that declares it",
            "fnctl mappings resume MAPPING        once it is bound; a deploy resumes it",
        ],
    ),
];
