use super::HashKeyRange;

/// Kinesis reference B7: starts at i × floor(2^128 / n), the last range ends at 2^128 − 1.
#[test]
fn initial_ranges_cover_the_space_as_kinesis_cuts_it() {
    let starts = |shards| -> Vec<u128> {
        HashKeyRange::initial(shards)
            .iter()
            .map(|range| range.start)
            .collect()
    };
    assert_eq!(starts(1), [0]);
    assert_eq!(starts(2), [0, 1 << 127]);
    assert_eq!(
        starts(3),
        [
            0,
            113_427_455_640_312_821_154_458_202_477_256_070_485,
            226_854_911_280_625_642_308_916_404_954_512_140_970,
        ]
    );
    for shards in 1..=300 {
        let ranges = HashKeyRange::initial(shards);
        assert_eq!(ranges.len(), shards as usize);
        assert_eq!(ranges[0].start, 0);
        assert_eq!(ranges[ranges.len() - 1].end, u128::MAX);
        assert!(
            ranges
                .windows(2)
                .all(|pair| pair[0].end + 1 == pair[1].start)
        );
        assert!(
            ranges
                .iter()
                .all(|range| range.contains(range.start) && range.contains(range.end))
        );
    }
}
