//! The words of `fnctl status`.

use crate::diagnosis::Why;

/// Title, why and fix.
pub(super) const fn of(why: Why) -> (&'static str, &'static str, &'static [&'static str]) {
    match why {
        Why::Deleting => (
            "The mapping is being deleted",
            "Somebody deleted it. Calls under way end and are committed first; then its progress goes, and with it what it counts.",
            &["nothing: it is gone when its calls have ended"],
        ),
        Why::StreamDeleted => (
            "The stream that it reads was deleted",
            "A mapping does not outlive its stream, and a stream of the same name that is made anew is another one. What was not \
             settled is gone with the stream.",
            &[
                "fnctl mappings delete MAPPING",
                "for the stream of the same name: delete the mapping, then deploy again",
            ],
        ),
        Why::StoppedFatal => (
            "The function said `fatal`, and the mapping stopped",
            "`on_fatal` is `stop`: a record says that going on would do harm. Nothing is called until a person decides; the record, and \
             all behind it, waits.",
            &[
                "fnctl deploy … with a version that can: it goes on by itself",
                "fnctl mappings resume MAPPING        the record is called again",
                "fnctl mappings update MAPPING --on-fatal dead-letter        gives such records up, and runs on",
            ],
        ),
        Why::Damaged => (
            "What it reads is damaged on the disk",
            "A block of its shard is not what was written: its checksum says so. The shard stops there rather than leave records out \
             unsaid; other shards go on.",
            &[
                "fnctl streams describe STREAM        says which records",
                "restore a backup that has them",
                "fnctl mappings seek MAPPING --to TIME        goes on behind the hole, and leaves it out",
            ],
        ),
        Why::DiskFull => (
            "The disk has no room",
            "Nothing can be committed without writing it, so results are kept in memory and tried again; calls cost no attempt. \
             Puts are refused meanwhile.",
            &[
                "free space, or make the volume larger: it goes on by itself",
                "fnctl streams list        what each takes",
                "fnctl streams update STREAM --retention-bytes SIZE        of the largest: below what it takes, its oldest records go within seconds",
                "fnctl streams update STREAM --retention 12h        where records are old: right after a flood it frees nothing",
            ],
        ),
        Why::BlockedOutput => (
            "A stream that it writes to is not there",
            "Rows and checkpoint are one commit, so where rows cannot go, the checkpoint does not either. Nothing is lost, and no \
             attempt is charged.",
            &[
                "fnctl streams create STREAM        it goes on by itself",
                "fnctl mappings update MAPPING --to OUTPUT=none        counts such rows, and keeps none",
            ],
        ),
        Why::OutputFull => (
            "A stream that it writes to is at its quota",
            "The stream takes no more bytes until its retention frees some, or its quota is raised. Results wait and cost no attempt.",
            &[
                "fnctl streams describe STREAM        what it takes, and what it may",
                "fnctl streams update STREAM --quota SIZE",
            ],
        ),
        Why::DeadLettersFull => (
            "Its dead letters are at their quota",
            "A mapping keeps 1GiB of them. `on_failure_full` is `hold`: rather than lose a record that is given up, its lane waits.",
            &[
                "fnctl dlq list MAPPING",
                "fnctl dlq redrive MAPPING --code CODE        once it is mended",
                "fnctl dlq purge MAPPING --code CODE        throws them away, and asks first",
                "fnctl mappings update MAPPING --on-failure-full drop-and-count        goes on, and keeps nothing of what is given up",
            ],
        ),
        Why::HostFault => (
            "The server cannot make its calls",
            "A version cannot be loaded, or a worker ended by a fault of ours. No attempt is charged for that, and it is tried again.",
            &[
                "fnctl doctor        and the server's own log",
                "fnctl functions describe FUNCTION        its versions; another one may load",
                "fnctl deploy FILE --name FUNCTION        of the same file as before: puts a component back that is damaged at rest",
                "fnctl rollback FUNCTION",
            ],
        ),
        Why::FunctionFailing => (
            "Calls end badly",
            "Half of the records that it is given for the first time fail, or a twentieth where the version before did without such \
             failures, or every call of the last minutes; or it skips half of them. Of a batch that fails as a whole its parts tell which \
             records do. A canary is judged like that, too, and named; also where it skips most of what it is given and twice the share of \
             the version beside it, or a twentieth and ten times that share: no call fails for a skip, so that no guard takes it back. Records wait for retries, and are given up when their attempts are used up.",
            &[
                "fnctl rollback FUNCTION        where the version before did well",
                "fnctl logs FUNCTION --since 15m        what the function wrote",
                "fnctl dlq list MAPPING        what was given up, and for what",
                "fnctl capture FUNCTION --failing        a file that reproduces it elsewhere",
            ],
        ),
        Why::CircuitOpen => (
            "What the function needs is down: calls are held",
            "Key after key failed for the first time with `retry` or a timeout, of the shard or of the whole mapping. One record at a time is tried, at no attempt's cost; \
             when it is well again it recovers: what waited follows by itself, little by little.",
            &[
                "fnctl logs FUNCTION --since 15m        what it lacks; mend that",
                "fnctl mappings parked MAPPING        what is held",
                "fnctl mappings release MAPPING --all        probes now, at no attempt's cost",
                "fnctl mappings update MAPPING --circuit-breaker=off        charges each failure to its record: what waits is given up when its attempts are used up",
            ],
        ),
        Why::Throttled => (
            "Calls wait for their turn",
            "They wait for longer than they run: the function's `concurrency`, or the calls that the server makes at once, bound them.",
            &[
                "fnctl deploy --name FUNCTION --concurrency N        in force at once",
                "fnctl status        who else is busy",
            ],
        ),
        Why::FunctionSlow => (
            "Calls take their time",
            "A call hangs: it has run for five seconds and ten times as long as those that are well, and what is behind it waits, so that \
             the oldest record grows older whatever else is settled; one with many records may take as long as they do one after the other. Or \
             a canary's calls take ten times as long as those beside it, where those under way count by how long they have run. Or calls are \
             cut for their time as they are given more records than end in it. Or records are given up for their age (`max_record_age`): half \
             of those that end, or a twentieth while lanes are busy or the mapping is behind. Or its lanes have a call four fifths of the time and the backlog does not shrink: there are too few of them for what comes. Most \
             calls are well; where some fail, or end for their time, `fnctl mappings describe` says how many, and with what.",
            &[
                "fnctl mappings update MAPPING --batch-size N        where a record takes its time: so many as end in a call's",
                "fnctl mappings update MAPPING --max-record-age default        where records are given up for their age: none is",
                "fnctl deploy --name FUNCTION --timeout 5s        where a call hangs and others do not: it is cut sooner",
                "fnctl mappings update MAPPING --parallelization-factor N        more lanes a shard; each key stays in order",
                "fnctl streams resize STREAM --shards N        more shards, for what comes from now on",
                "fnctl logs FUNCTION --since 5m        what it does for so long, if it says so",
            ],
        ),
        Why::WaitingForParents => (
            "Records wait for those of the shards that theirs came from",
            "A shard was split or merged. Its children are read once all records of their parents are settled, so that each key stays in \
             order; one of those waits for a retry.",
            &[
                "fnctl mappings parked MAPPING        which keys wait, and for what",
                "fnctl mappings release MAPPING --key KEY        tries it now",
                "fnctl mappings dead-letter MAPPING --key KEY        gives up what fails of it",
            ],
        ),
        Why::ParkedKeys => (
            "Keys wait for a retry",
            "A record of theirs failed and waits out its backoff; what is behind it in its key waits, all other keys flow on. The oldest \
             record that is not settled is one of those.",
            &[
                "fnctl mappings parked MAPPING        which, until when, and what they failed with",
                "fnctl mappings release MAPPING --all        tries them now",
                "fnctl mappings dead-letter MAPPING --key KEY        gives up what fails of one",
            ],
        ),
        Why::Behind => (
            "Records wait for more than five seconds, and none of the other words is why",
            "Lanes have time and calls are well, and yet the oldest record grows old: the disk is slow, the machine is busy with \
             something else, or it is a matter of moments.",
            &[
                "fnctl status MAPPING        once more, in a minute",
                "fnctl doctor        and the server's own log",
            ],
        ),
        Why::CatchingUp => (
            "There is a backlog, and it is gone within five minutes",
            "More is settled than comes, at this pace.",
            &["nothing: it is told when it is done"],
        ),
        Why::Paused => (
            "A person paused it",
            "Nothing is read or called. Records wait for as long as their stream keeps them.",
            &["fnctl mappings resume MAPPING"],
        ),
        Why::FilteredAway => (
            "The filter lets nothing through that it would have let through before",
            "Records have come for a minute and were settled without a call, where a share of them matched before: the filter or the \
             records changed.",
            &[
                "fnctl tail STREAM --from 1h --count 10 --timeout 5s -o raw | fnctl filter test --pattern P        says of each what keeps it back",
                "fnctl mappings update MAPPING --filter default        gives the function every record",
            ],
        ),
        Why::NoData => (
            "Nothing ever came",
            "No record came since the mapping was made, or since a seek, in front of which none had ended; what the stream held before may \
             lie behind where it stands.",
            &[
                "fnctl tail STREAM        shows what comes, as it comes",
                "fnctl mappings seek MAPPING --to trim-horizon        calls it with what the stream held before; asks first",
            ],
        ),
        Why::CaughtUp => (
            "All that came is settled, or as good as",
            "Every record ended: processed, filtered, or given up. Whether any of them is a dead letter is said beside it.",
            &["fnctl dlq list MAPPING        what was given up, if something was"],
        ),
    }
}
