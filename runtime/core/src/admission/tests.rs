use proptest::prelude::*;

use super::*;

const MAX: InFlight = InFlight {
    bytes: 120,
    requests: 12,
};

#[test]
fn a_stream_alone_gets_half_and_a_silent_one_still_begins() {
    let of = |bytes, requests| InFlight { bytes, requests };
    for (node, stream, bytes, expected) in [
        (of(0, 0), of(0, 0), 1, Ok(())),
        // All at once, as long as nothing is under way.
        (of(0, 0), of(0, 0), 120, Ok(())),
        (of(0, 0), of(0, 0), 121, Err(Busy::Node)),
        (of(50, 1), of(50, 1), 10, Ok(())),
        (of(50, 1), of(50, 1), 11, Err(Busy::Stream)),
        (of(60, 1), of(0, 0), 60, Ok(())),
        (of(60, 1), of(0, 0), 61, Err(Busy::Node)),
        // Two have a third each.
        (of(70, 2), of(35, 1), 8, Err(Busy::Stream)),
        (of(70, 2), of(35, 1), 7, Ok(())),
        // Requests are shared like bytes.
        (of(5, 5), of(5, 5), 1, Ok(())),
        (of(6, 6), of(6, 6), 1, Err(Busy::Stream)),
        (of(6, 6), of(0, 0), 1, Ok(())),
        (of(12, 12), of(0, 0), 1, Err(Busy::Node)),
    ] {
        assert_eq!(
            admit(MAX, node, stream, bytes),
            expected,
            "{bytes} of a stream with {stream:?}, {node:?} in all"
        );
    }
}

proptest! {
    /// However many streams press and in whatever order, the node's bounds hold; and once each flood
    /// has given its first puts back, a silent stream finds an n + 1st part free.
    #[test]
    fn floods_never_take_it_all(
        floods in 1_usize..5,
        puts in prop::collection::vec((0_usize..5, 1_u64..20), 0..400),
    ) {
        let max = InFlight { bytes: 10_000, requests: 1_000 };
        let mut streams = vec![InFlight::default(); floods];
        let mut under_way = std::collections::VecDeque::new();
        let mut node = InFlight::default();
        let step = |stream: usize, bytes: u64, node: &mut InFlight, streams: &mut Vec<InFlight>| {
            let is_in = admit(max, *node, streams[stream], bytes).is_ok();
            if is_in {
                *node = node.with(bytes);
                streams[stream] = streams[stream].with(bytes);
            }
            is_in
        };
        for (stream, bytes) in puts {
            let stream = stream % floods;
            if step(stream, bytes, &mut node, &mut streams) {
                under_way.push_back((stream, bytes));
            }
            prop_assert!(node.is_within(max));
        }
        // Every stream presses for a while, the oldest puts end: that is how it goes on.
        for round in 0..20_000_usize {
            let stream = round % floods;
            if step(stream, 20, &mut node, &mut streams) {
                under_way.push_back((stream, 20));
            } else if let Some((stream, bytes)) = under_way.pop_front() {
                node = node.without(bytes);
                streams[stream] = streams[stream].without(bytes);
            }
        }
        let share = max.bytes / (floods as u64 + 1);
        let left = max.bytes - node.bytes;
        prop_assert!(left + 20 * (floods as u64 + 1) >= share, "{left} of {share} is left");
        prop_assert_eq!(admit(max, node, InFlight::default(), 100), Ok(()));
    }
}
