use super::*;

const MAX: u64 = limits::PARKED_BYTES_MAX;

fn hold(blocks: &mut Blocks, id: u64, bytes: u64) -> BlockId {
    let id = BlockId(id);
    blocks.hold(BlockMeta { id, bytes });
    id
}

/// One record of 10 bytes needs its block for something else; parked are those at 3 and 5.
fn repin(blocks: &mut Blocks, block: BlockId, from: Pin, to: Pin) -> Vec<Action> {
    let mut actions = Vec::new();
    let repin = Repin {
        block,
        bytes: 10,
        from,
        to,
    };
    blocks.repin(repin, |_| vec![3, 5], &mut actions);
    actions
}

fn let_go(blocks: &mut Blocks, block: BlockId) -> Vec<Action> {
    repin(blocks, block, Pin::Live, Pin::None)
}

#[test]
fn a_block_goes_with_its_last_record() {
    let mut blocks = Blocks::new();
    let one = hold(&mut blocks, 1, 10);
    let two = hold(&mut blocks, 2, 10);
    for id in [one, one, two] {
        assert!(repin(&mut blocks, id, Pin::None, Pin::Live).is_empty());
    }
    for id in [one, two] {
        assert!(let_go(&mut blocks, id).is_empty());
    }
    assert!(repin(&mut blocks, one, Pin::Live, Pin::None).is_empty());
    let released = repin(&mut blocks, one, Pin::Live, Pin::None);
    assert_eq!(released, [Action::ReleaseBlock(one)]);
    assert!(!blocks.is_resident(one) && blocks.is_resident(two));
}

#[test]
fn parked_records_keep_blocks_up_to_the_bound() {
    let mut blocks = Blocks::new();
    let small = hold(&mut blocks, 1, MAX - 1);
    let large = hold(&mut blocks, 4, 2);
    assert!(repin(&mut blocks, small, Pin::Live, Pin::Parked).is_empty());
    let released = repin(&mut blocks, large, Pin::Live, Pin::Parked);
    assert_eq!(released, [Action::ReleaseBlock(large)]);
    assert!(repin(&mut blocks, large, Pin::Parked, Pin::None).is_empty());
    assert_eq!(blocks.parked_bytes(), MAX - 1);
    assert!(repin(&mut blocks, small, Pin::Parked, Pin::Live).is_empty());
    assert_eq!(blocks.parked_bytes(), 0);
}

#[test]
fn a_block_of_live_and_parked_records_stays_whatever_the_bound() {
    let mut blocks = Blocks::new();
    let id = hold(&mut blocks, 1, MAX + 1);
    assert!(repin(&mut blocks, id, Pin::None, Pin::Parked).is_empty());
    assert!(repin(&mut blocks, id, Pin::None, Pin::Live).is_empty());
    assert!(let_go(&mut blocks, id).is_empty());
    let released = repin(&mut blocks, id, Pin::Live, Pin::None);
    assert_eq!(released, [Action::ReleaseBlock(id)]);
}

/// A block of so many bytes whose ten records were read with it; so many of them are parked, and the others
/// done.
fn parked(bytes: u64, records: usize) -> (Blocks, Vec<Action>) {
    let mut blocks = Blocks::new();
    let id = hold(&mut blocks, 1, bytes);
    for serial in 0..10 {
        blocks.has_record(id, serial);
    }
    for _ in 0..records {
        assert!(repin(&mut blocks, id, Pin::None, Pin::Parked).is_empty());
    }
    let actions = let_go(&mut blocks, id);
    (blocks, actions)
}

#[test]
fn of_a_block_mostly_done_the_parked_records_alone_are_kept_and_counted() {
    let kept = 10 + limits::PARKED_RECORD_BYTES;
    let only = [Action::KeepOnly {
        block: BlockId(1),
        records: vec![3, 5],
    }];
    for (bytes, records, is_cut) in [
        (4 * kept, 2, true),
        (4 * kept - 1, 2, false),
        (10 * kept, 6, false),
        // All of it would not have been kept.
        (MAX + 1, 2, true),
    ] {
        let (blocks, actions) = parked(bytes, records);
        let row = (bytes, records);
        assert_eq!(actions, only[..usize::from(is_cut)], "{row:?}");
        let held = if is_cut { 2 * kept } else { bytes };
        assert_eq!(blocks.parked_bytes(), held, "{row:?}");
        assert!(blocks.is_resident(BlockId(1)), "{row:?}");
    }
}

#[test]
fn a_block_that_is_cut_goes_on_shrinking_by_halves() {
    let kept = 10 + limits::PARKED_RECORD_BYTES;
    let (mut blocks, actions) = parked(10 * kept, 5);
    assert_eq!(actions.len(), 1);
    let mut done = || {
        let cut = !repin(&mut blocks, BlockId(1), Pin::Parked, Pin::None).is_empty();
        (cut, blocks.parked_bytes() / kept)
    };
    let steps = [(false, 5), (false, 5), (true, 2), (true, 1)];
    assert_eq!(steps.map(|_| done()), steps);
    // The last one goes, and the block with it.
    assert_eq!(done(), (true, 0));
    assert!(!blocks.is_resident(BlockId(1)));
}

#[test]
fn a_record_that_was_read_again_alone_is_never_cut() {
    let mut blocks = Blocks::new();
    let id = hold(&mut blocks, 1, MAX);
    assert!(repin(&mut blocks, id, Pin::None, Pin::Parked).is_empty());
    assert!(let_go(&mut blocks, id).is_empty());
    assert_eq!(blocks.parked_bytes(), MAX);
}
