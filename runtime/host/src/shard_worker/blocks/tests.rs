use fnctl_core::{
    id::{ShardNumber, StreamId},
    record::ColumnBuilder,
};

use super::*;

/// A block of `words` from `first` on; `-` is a null payload.
fn block(first: u64, words: &[&str]) -> Arc<RecordBlock> {
    let (mut keys, mut data) = (ColumnBuilder::default(), ColumnBuilder::default());
    for (i, word) in words.iter().enumerate() {
        keys.push(format!("k{}", first + i as u64).as_bytes());
        if *word == "-" {
            data.push_null();
        } else {
            data.push(word.as_bytes());
        }
    }
    Arc::new(RecordBlock {
        stream: StreamId(1),
        shard: ShardNumber(0),
        first: Ordinal(first),
        records: Records {
            keys: keys.finish(),
            data: data.finish(),
            arrival_ms: (first..first + words.len() as u64).collect(),
        },
        hash_keys: vec![0; words.len()],
        hops: Vec::new(),
        origins: Vec::new(),
    })
}

fn refs(of: &[(u64, u32)]) -> Vec<RecordRef> {
    of.iter()
        .map(|&(block, index)| RecordRef {
            position: Ordinal(0),
            block: BlockId(block),
            index,
            attempts: 0,
        })
        .collect()
}

fn gathered(blocks: &Blocks, of: &[(u64, u32)]) -> Vec<String> {
    let runs = blocks.runs(&refs(of));
    let records = Run::gather(&runs);
    records.keys.check().expect("a column");
    records.data.check().expect("a column");
    let held: Vec<_> = runs
        .iter()
        .flat_map(|run| (0..run.len()).map(|offset| run.held(offset).ordinal().0))
        .collect();
    assert_eq!(
        records.arrival_ms, held,
        "arrival is the ordinal in these tests"
    );
    assert_eq!(runs.iter().map(Run::len).sum::<usize>(), of.len());
    (0..records.len())
        .map(|i| {
            let key = String::from_utf8_lossy(records.keys.get(i)).into_owned();
            let data = if records.data.is_null(i) {
                "-".into()
            } else {
                String::from_utf8_lossy(records.data.get(i)).into_owned()
            };
            assert_eq!(
                Run::nth(&runs, i).map(|held| held.key()),
                Some(key.as_bytes())
            );
            format!("{key}={data}")
        })
        .collect()
}

fn two_blocks() -> Blocks {
    let mut blocks = Blocks::new(Timestamp(0));
    blocks.push(block(1, &["a", "bb", "-", "dddd"]));
    blocks.push(block(10, &["e", "", "-"]));
    blocks
}

#[test]
fn a_batch_is_the_same_however_it_is_gathered() {
    let blocks = two_blocks();
    type Case<'a> = (&'a [(u64, u32)], &'a [&'a str]);
    let all: &[Case<'_>] = &[
        (
            &[(1, 0), (1, 1), (1, 2), (1, 3)],
            &["k1=a", "k2=bb", "k3=-", "k4=dddd"],
        ),
        (&[(1, 1), (1, 2)], &["k2=bb", "k3=-"]),
        (
            &[(1, 0), (1, 2), (1, 3), (2, 1), (2, 2)],
            &["k1=a", "k3=-", "k4=dddd", "k11=", "k12=-"],
        ),
        (&[(1, 3), (2, 0)], &["k4=dddd", "k10=e"]),
    ];
    for (of, words) in all {
        assert_eq!(gathered(&blocks, of), *words);
    }
}

#[test]
fn a_batch_of_one_block_shares_its_bytes() {
    let mut blocks = Blocks::new(Timestamp(0));
    let held = block(1, &["a", "bb", "ccc"]);
    blocks.push(Arc::clone(&held));
    let records = Run::gather(&blocks.runs(&refs(&[(1, 1), (1, 2)])));
    assert_eq!(
        records.data.bytes.as_ptr(),
        held.records.data.bytes[1..].as_ptr()
    );
}

#[test]
fn a_released_block_is_freed_and_numbers_go_on() {
    let mut blocks = two_blocks();
    blocks.release(BlockId(2));
    assert_eq!(gathered(&blocks, &[(1, 0)]), ["k1=a"]);
    blocks.release(BlockId(1));
    assert!(blocks.blocks.is_empty());
    assert_eq!(blocks.push(block(20, &["x"])), BlockId(3));
    assert_eq!(gathered(&blocks, &[(3, 0)]), ["k20=x"]);
}

#[test]
fn of_a_block_that_is_cut_only_copies_of_the_kept_records_are_held() {
    let mut blocks = Blocks::new(Timestamp(0));
    let whole = block(1, &["a", "bb", "-", "dddd", "e", "f"]);
    blocks.push(Arc::clone(&whole));
    blocks.push(block(10, &["x"]));
    blocks.keep_only(BlockId(1), &[1, 2, 4]);
    assert_eq!(Arc::strong_count(&whole), 1);
    let kept = [(1, 1), (1, 2), (1, 4), (2, 0)];
    assert_eq!(gathered(&blocks, &kept), ["k2=bb", "k3=-", "k5=e", "k10=x"]);
    assert_eq!(gathered(&blocks, &[(1, 2), (1, 4)]), ["k3=-", "k5=e"]);
    let shared = blocks.data(&refs(&[(1, 1)])[0]);
    assert!(
        !whole
            .records
            .data
            .bytes
            .as_ptr_range()
            .contains(&shared.as_ptr())
    );
    // What is kept of it lies in one copy, and each is still where it was read.
    let runs = blocks.runs(&refs(&[(1, 1), (1, 2), (1, 4)]));
    assert_eq!(runs.iter().map(Run::len).collect::<Vec<_>>(), [2, 1]);
    assert!(Arc::ptr_eq(&runs[0].block, &runs[1].block));
    assert_eq!(
        Run::nth(&runs, 2).map(|held| held.ordinal()),
        Some(Ordinal(5))
    );
    let chosen = Run::choose(&runs, &[1, 2]);
    assert_eq!(
        chosen.len(),
        2,
        "they do not follow one another: {chosen:?}"
    );
    drop((runs, chosen));
    blocks.keep_only(BlockId(1), &[2, 4]);
    assert_eq!(gathered(&blocks, &[(1, 2), (1, 4)]), ["k3=-", "k5=e"]);
    let kept = blocks.runs(&refs(&[(1, 2)]))[0].block.clone();
    blocks.keep_only(BlockId(1), &[2, 4]);
    let again = blocks.runs(&refs(&[(1, 4)]))[0].block.clone();
    assert!(Arc::ptr_eq(&kept, &again), "all of it is kept");
    blocks.release(BlockId(1));
    assert_eq!(gathered(&blocks, &[(2, 0)]), ["k10=x"]);
}

#[test]
fn a_record_is_named_as_its_source_spells_it() {
    let blocks = two_blocks();
    let record = refs(&[(2, 1)])[0];
    let named = sequence::decode(&blocks.sequence_number(&record)).expect("a sequence number");
    assert_eq!((named.index, named.shard), (11, 0));
    assert_eq!(blocks.key(&record), "k11");
}

/// Pieces of a batch are what a function would be given of it, tombstones among them.
#[test]
fn a_cut_has_the_records_of_its_range() {
    let runs = two_blocks().runs(&refs(&[(1, 0), (1, 2), (1, 3), (2, 1), (2, 2)]));
    let whole = Run::gather(&runs);
    for start in 0..whole.len() {
        for end in start + 1..=whole.len() {
            let cut = Run::gather(&Run::cut(&runs, &(start..end)));
            assert_eq!(cut.len(), end - start);
            for index in 0..cut.len() {
                let of = |records: &Records, at: usize| {
                    let data = (!records.data.is_null(at)).then(|| records.data.share(at));
                    (records.keys.share(at), data, records.arrival_ms[at])
                };
                assert_eq!(of(&cut, index), of(&whole, start + index), "{start}..{end}");
            }
        }
    }
    assert!(Run::cut(&runs, &(2..2)).is_empty());
}

/// What a group of keys has of a batch.
#[test]
fn chosen_are_the_records_of_these_indices() {
    let runs = two_blocks().runs(&refs(&[(1, 0), (1, 2), (1, 3), (2, 1), (2, 2)]));
    let whole = Run::gather(&runs);
    for indices in [
        &[][..],
        &[0],
        &[4],
        &[0, 2, 3],
        &[1, 2, 4],
        &[0, 1, 2, 3, 4],
    ] {
        let chosen = Run::choose(&runs, indices);
        let keys: Vec<_> = chosen.iter().flat_map(Run::keys).collect();
        assert_eq!(keys.len(), indices.len());
        for (at, &index) in indices.iter().enumerate() {
            let held = Run::nth(&chosen, at).expect("it was chosen");
            assert_eq!(held.key(), whole.keys.get(index), "{indices:?}");
            assert_eq!(keys[at].1, Timestamp(whole.arrival_ms[index]));
            assert_eq!(
                keys[at].0,
                fnctl_core::lane::key_hash(Some(held.key()), Ordinal(0))
            );
        }
    }
}
