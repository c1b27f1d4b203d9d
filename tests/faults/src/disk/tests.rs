use super::*;

fn record(op: Op, id: u32, a: u64, first: &str, second: &str, data: &[u8]) -> Vec<u8> {
    let head = record::head(op, id, a, 0, first.len(), second.len(), data.len());
    [&head[..], first.as_bytes(), second.as_bytes(), data].concat()
}

fn left(disk: &Disk) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    disk.write(&root).expect("a copy");
    let files = fs::read_dir(&root).expect("a folder");
    files
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path
                .strip_prefix(&root)
                .expect("below")
                .to_string_lossy()
                .into_owned();
            (name, fs::read(path).expect("a file"))
        })
        .collect()
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    let mut disk = Disk::default();
    let records = [
        record(Op::Started, 0, 0, "", "", b""),
        record(Op::Open, 1, CREATE, "f", "", b""),
        record(Op::Open, 2, 0, "", "", b""),
        record(Op::SyncBegins, 2, 1, "", "", b""),
        record(Op::SyncDone, 2, 1, "", "", b""),
        record(Op::Write, 1, 0, "", "", b"early"),
        record(Op::SyncBegins, 1, 2, "", "", b""),
        record(Op::Write, 1, 5, "", "", b" late"),
        record(Op::SyncDone, 1, 2, "", "", b""),
    ];
    let told = disk.replay(&records.concat());
    assert_eq!(told.syncs, 2);
    let mut random = Random::new(1);
    let cut = disk.power_cut(Leaves::Nothing, Leaves::Nothing, &mut random);
    assert_eq!(left(&cut)["f"], b"early");
    let cut = disk.power_cut(Leaves::All, Leaves::Nothing, &mut random);
    assert_eq!(left(&cut)["f"], b"early late");
    // A record that the end of the program has torn is none.
    let torn = &records[..8].concat()[..records[..8].concat().len() - 1];
    let mut disk = Disk::default();
    assert_eq!(disk.replay(torn).syncs, 1);
}

#[test]
fn an_unsynced_removal_and_a_file_of_the_same_name_roll_back_together() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("f"), b"old").expect("a file");
    let mut disk = Disk::of(folder.path()).expect("a disk");
    let records = [
        record(Op::Started, 0, 0, "", "", b""),
        record(Op::Unlink, 0, 0, "f", "", b""),
        record(Op::Open, 1, CREATE, "f", "", b""),
        record(Op::Write, 1, 0, "", "", b"new"),
        record(Op::SyncBegins, 1, 1, "", "", b""),
        record(Op::SyncDone, 1, 1, "", "", b""),
    ];
    disk.replay(&records.concat());
    let mut random = Random::new(1);
    for (names, content) in [(Leaves::Nothing, b"old"), (Leaves::All, b"new")] {
        let cut = disk.power_cut(Leaves::Nothing, names, &mut random);
        assert_eq!(left(&cut)["f"], content);
    }
}

#[test]
fn pages_of_a_torn_file_are_versions_it_had() {
    let synced = Content::of(&[1; 3 * 4096]);
    let changes = [
        Change::Write(0, vec![2; 3 * 4096]),
        Change::Write(4096, vec![3; 2 * 4096]),
        Change::Write(3 * 4096, vec![4; 100]),
    ];
    let mut random = Random::new(1);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let torn = torn(&synced, &changes, &mut random);
        assert!(torn.length == 3 * 4096 || torn.length == 3 * 4096 + 100);
        for (offset, page) in torn.pages() {
            for sector in page.chunks(512) {
                assert!(sector.iter().all(|b| *b == sector[0]) || offset == 3 * 4096);
                seen.insert((offset / 4096, sector[0]));
            }
        }
    }
    let expected = [
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
        (2, 3),
        (3, 0),
        (3, 4),
    ];
    let seen: Vec<_> = seen.into_iter().filter(|seen| *seen != (3, 0)).collect();
    let expected: Vec<_> = expected.into_iter().filter(|e| *e != (3, 0)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_page_lost_by_a_failed_sync_comes_back_with_a_later_write_to_it() {
    let mut disk = Disk::default();
    let page = |byte: u8| vec![byte; 4096];
    let records = [
        record(Op::Started, 0, 0, "", "", b""),
        record(Op::Open, 1, CREATE, "f", "", b""),
        record(Op::Write, 1, 0, "", "", &page(1)),
        record(Op::Write, 1, 4096, "", "", &page(2)),
        record(Op::SyncBegins, 1, 1, "", "", b""),
        record(Op::SyncFailed, 1, 1, "", "", b""),
        record(Op::Write, 1, 4000, "", "", &[3; 96]),
        record(Op::SyncBegins, 1, 2, "", "", b""),
        record(Op::SyncDone, 1, 2, "", "", b""),
        record(Op::Write, 1, 0, "", "", &[4; 10]),
        record(Op::SyncBegins, 1, 3, "", "", b""),
        record(Op::SyncDone, 1, 3, "", "", b""),
    ];
    disk.replay(&records.concat());
    let mut random = Random::new(1);
    let cut = disk.power_cut(Leaves::Nothing, Leaves::All, &mut random);
    let expected = [&[4; 10][..], &[1; 3990], &[3; 96]].concat();
    assert_eq!(left(&cut)["f"], expected);
    let cut = disk.power_cut(Leaves::All, Leaves::All, &mut random);
    assert_eq!(left(&cut)["f"], [expected, page(2)].concat());
}
