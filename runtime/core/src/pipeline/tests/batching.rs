//! What closes a batch, seen through the pipeline (Lambda ESM specification §5, §22 row Batch).

use super::harness::{Harness, TAKEN, settings};
use crate::{batch::FlushReason, limits, mapping::MappingSettings};

/// Count, bytes and window, the other two far away. A record of the harness has 10 bytes.
#[test]
fn each_of_the_three_closers_closes_a_batch_alone() {
    let far = MappingSettings {
        batch_size: 10_000,
        batch_bytes: limits::BATCH_BYTES_MAX,
        batch_window_ms: 300_000,
        ..settings()
    };
    let by_count = MappingSettings {
        batch_size: 2,
        ..far.clone()
    };
    let by_bytes = MappingSettings {
        batch_bytes: 20,
        ..far.clone()
    };
    let by_window = MappingSettings {
        batch_window_ms: 250,
        ..far
    };
    for (closer, settings, at, expected) in [
        ("count", by_count, 0, "call 1 lane0: 1 2"),
        ("bytes", by_bytes, 0, "call 1 lane0: 1 2"),
        ("window", by_window, 250, "call 1 lane0: 1 2 3"),
    ] {
        let mut shard = Harness::new(settings);
        shard.put("a b c");
        if at > 0 {
            shard.expect(&[]);
            shard.at(at - 1).tick();
            shard.expect(&[]);
            shard.at(at).tick();
        }
        assert_eq!(shard.lines(), [expected], "{closer}");
        let flushes = FlushReason::ALL.map(|reason| u64::from(reason.as_str() == closer));
        assert_eq!(shard.flow().flushes, flushes, "{closer}");
    }
}

/// Lambda measures from the end of the previous call.
#[test]
fn a_window_begins_with_its_first_record_and_not_where_the_last_call_ended() {
    let mut shard = Harness::new(MappingSettings {
        batch_window_ms: 250,
        ..settings()
    });
    shard.put("a");
    shard.at(250).tick();
    // Buffered while the call runs: its window runs with it.
    shard.at(300).put("b");
    shard.at(400).ok(1);
    shard.answer("lane0", 1, TAKEN);
    shard.durable("lane0", 1);
    shard.forget();
    assert_eq!(shard.deadline(), Some(550));
    shard.at(550).tick();
    shard.expect(&["call 2 lane0: 2"]);
    shard.ok(2);
    shard.answer("lane0", 2, TAKEN);
    shard.durable("lane0", 2);
    // Nothing came for long: the next record waits out a whole window all the same.
    assert_eq!(shard.deadline(), None);
    shard.at(5_000).put("c");
    assert_eq!(shard.deadline(), Some(5_250));
}
