//! The kinds of dead letters.

use crate::commit::ErrorKind;

/// Title, why and fix.
pub(super) const fn of(kind: ErrorKind) -> (&'static str, &'static str, &'static [&'static str]) {
    match kind {
        ErrorKind::Skip => (
            "The function gave the record up itself",
            "It returned `skip` for it, which costs no further attempt. The letter's code and words are the author's.",
            &[
                "fnctl dlq list MAPPING --code CODE",
                "fnctl dlq redrive MAPPING --code CODE        once the function, or what it looks up, knows better",
            ],
        ),
        ErrorKind::Error => (
            "An error, out of attempts",
            "The function returned an error for the record, or for the whole call, as often as `max_attempts` allows.",
            &[
                "fnctl logs FUNCTION --since 1h",
                "fnctl capture MAPPING --dead-letters ID        then: fnctl replay FILE",
                "fnctl dlq redrive MAPPING --code CODE        once it is mended",
            ],
        ),
        ErrorKind::Trap => (
            "A panic or a trap, out of attempts",
            "The function's code ended its instance while it had this record in hand, as often as `max_attempts` allows. Records of the \
             same call were delivered by other calls.",
            &[
                "fnctl dlq show MAPPING ID        has the panic's words",
                "fnctl capture MAPPING --dead-letters ID        then: fnctl replay FILE",
                "fnctl dlq redrive MAPPING --code trap        once it is mended",
            ],
        ),
        ErrorKind::Timeout => (
            "A call that passed its time limit, out of attempts",
            "The record was in a call that did not end within `timeout`, alone at last, as often as `max_attempts` allows.",
            &[
                "fnctl deploy --name FUNCTION --timeout 1m        if it may take that long",
                "fnctl dlq redrive MAPPING --code timeout",
            ],
        ),
        ErrorKind::OutOfMemory => (
            "A call that passed its memory limit, out of attempts",
            "The instance asked for more than `memory` allows while it had this record in hand.",
            &[
                "fnctl deploy --name FUNCTION --memory 256MiB        if it may take that much",
                "fnctl dlq redrive MAPPING --code out-of-memory",
            ],
        ),
        ErrorKind::OutputTooLarge => (
            "The rows of one record pass the limit of a call",
            "A call emits 16MiB at most. A batch that passes it is cut; this record does so alone.",
            &[
                "emit less for one record, or put large data elsewhere and emit where it is",
                "fnctl dlq redrive MAPPING --code output-too-large        once it is mended",
            ],
        ),
        ErrorKind::RecordTooLarge => (
            "A record larger than a function is ever given",
            "It has more than 16MiB. Its letter holds what is known of it, and no payload, so it cannot be redriven.",
            &[
                "read it where the letter says, in its stream, until retention takes it",
                "put it anew in pieces, or a reference to the data",
            ],
        ),
        ErrorKind::Loop => (
            "A record that went in circles",
            "It is the output of an output …, 16 functions deep: functions feed each other through their streams.",
            &[
                "fnctl mappings list        which function writes to what another one reads",
                "bind one of the outputs elsewhere: fnctl mappings update MAPPING --to OUTPUT=STREAM",
            ],
        ),
        ErrorKind::Unparsable => (
            "A record that the filter cannot judge, because it is not JSON",
            "The mapping has a filter, and `on_unparsable` is `dead-letter`. The function was never called with it.",
            &[
                "fnctl mappings update MAPPING --on-unparsable pass        gives such records to the function",
                "fnctl mappings update MAPPING --on-unparsable drop        counts them, and keeps none",
            ],
        ),
        ErrorKind::RecordTooOld => (
            "A record that was older than `max_record_age` before its next attempt",
            "It waited for longer than the mapping allows: for a retry, behind a backlog, or while the mapping was paused.",
            &[
                "fnctl mappings update MAPPING --max-record-age default        no bound",
                "fnctl dlq redrive MAPPING --code record-too-old        has them called again",
            ],
        ),
        ErrorKind::Fatal => (
            "A record for which the function said `fatal`",
            "`on_fatal` is `dead-letter`, so the record is given up at once and the mapping runs on.",
            &[
                "fnctl mappings update MAPPING --on-fatal stop        if nothing may be called behind such a record",
                "fnctl dlq redrive MAPPING --code CODE        once it is mended",
            ],
        ),
        ErrorKind::WindowFailed => (
            "The last call of a window, out of attempts, or a state that nobody can read",
            "A tumbling window could not be closed: the call that reports it failed as often as `max_attempts` allows, or the state was \
             left by a version whose state the live one does not read. The letter holds the state; its records were processed.",
            &[
                "fnctl dlq show MAPPING ID        which window, and its state",
                "fnctl rollback FUNCTION        where the version before could read it",
                "count it anew: fnctl mappings seek MAPPING --to TIME",
            ],
        ),
        ErrorKind::ByHand => (
            "A record that a person gave up",
            "Somebody ran `fnctl mappings dead-letter`; the audit says who, where tokens are in use.",
            &["fnctl dlq redrive MAPPING ID        has it called again"],
        ),
    }
}
