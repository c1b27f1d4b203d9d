//! Codes of dead letters that the node gives and that are no kind: what functions give are their authors'.

use super::{Meaning, meaning};
use crate::pipeline::PROCESS_DIED;

/// All of them.
pub(super) const ALL: &[Meaning] = &[meaning(
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
)];
