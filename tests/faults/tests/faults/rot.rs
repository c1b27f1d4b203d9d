//! Bits flip, bytes in a row and pages go, tails go, files are swapped and deleted: whatever is missing afterwards
//! is named, and what is not missing is served.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fnctl_faults::{
    Random,
    disk::Disk,
    node::{self, Place},
};
use fnctl_tests::{Seen, Server, ledger::Ledger, text};
use serde_json::Value;

use crate::{
    load::{self, Load},
    runs,
};

/// Trials in an ordinary run; `FNCTL_ROT_TRIALS` asks for others.
const TRIALS: u64 = 100;
const AT_ONCE: u64 = 8;
/// A cut is due every two seconds; the rest is for a busy machine.
const CUTS_WITHIN: Duration = Duration::from_secs(60);
/// What every stream holds, one record a line.
const STREAMS: [&str; 3] = ["in", "out", "copy"];

/// A data directory, and what a server on it shows.
struct Base {
    disk: Disk,
    shows: Vec<Shown>,
    letters: BTreeSet<String>,
}

/// The records of a stream by shard, in order.
type Shown = BTreeMap<String, Vec<String>>;

/// What a stream's lines are; and the error that ends them, if one does.
fn parse(lines: &str) -> (Shown, Option<String>) {
    let mut shown = Shown::new();
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if record["error"].is_object() {
            return (shown, Some(line.to_owned()));
        }
        if record["hole"].is_object() {
            // The other shards go on; the error comes last.
            continue;
        }
        let shard = text(&record, "shard_id");
        shown.entry(shard).or_default().push(line.to_owned());
    }
    (shown, None)
}

fn letters(lines: &str) -> BTreeSet<String> {
    lines.lines().map(str::to_owned).collect()
}

/// How a life goes that leaves a base behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Records in segments and behind them, ended in order.
    Stopped,
    /// The same, ended by `kill -9`.
    Killed,
    /// Killed as soon as everything was settled, mostly before a cut: the journal alone knows of it.
    Short,
}

/// Loads a healthy directory and ends it, everything settled.
fn used(from: &Disk, life: Life) -> Base {
    let place = Place::of(from);
    let server = place.start(None).unwrap_or_else(|e| panic!("{e}"));
    let ledger = Ledger::new(4);
    let seen: [Seen; 0] = [];
    let loads: &[u64] = if life == Life::Short {
        &[50]
    } else {
        &[300, 100]
    };
    for &records in loads {
        let load = Load {
            keys: 4,
            records: Some(records),
            until: 4 * records,
            may_refuse: false,
        };
        load::run(&server.api, &load, &ledger, &seen, |_| {
            ledger.wait_for_stop()
        });
        load::check(&server, &ledger, &seen);
        if life != Life::Short {
            await_cut(&place.data());
        }
    }
    let shows = STREAMS.map(|stream| parse(&node::records(&server, stream)).0);
    let open = letters(&node::letters(&server, "hostile"));
    let ended = if life == Life::Stopped {
        server.stop().map(drop)
    } else {
        server.kill()
    };
    ended.unwrap_or_else(|e| panic!("{e}"));
    Base {
        disk: Disk::of(&place.data()).expect("a copy of the data"),
        shows: shows.into(),
        letters: open,
    }
}

/// Waits until the store has begun a cut, which makes the first segments.
fn await_cut(data: &Path) {
    let began = Instant::now();
    while !data
        .join("streams")
        .read_dir()
        .is_ok_and(|mut all| all.next().is_some())
    {
        assert!(began.elapsed() < CUTS_WITHIN, "the store does not cut");
        node::pause(Duration::from_millis(20));
    }
}

fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Damages one file, of any type as likely as of any other; says which and how.
fn damage(data: &Path, random: &mut Random) -> (PathBuf, String) {
    let mut by_type: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files(data) {
        let below = file
            .strip_prefix(data)
            .expect("below")
            .to_string_lossy()
            .into_owned();
        let class = if below.contains("snapshot-") {
            "snapshot"
        } else {
            &below
        };
        let class = class.split('/').next().unwrap_or_default().to_owned();
        by_type.entry(class).or_default().push(file);
    }
    // Where records are, more often.
    let mut classes: Vec<String> = by_type.keys().cloned().collect();
    let often = ["journal", "streams", "image", "streams", "journal"].map(str::to_owned);
    classes.extend(
        often
            .into_iter()
            .filter(|class| by_type.contains_key(class)),
    );
    let class = random.pick(&classes).clone();
    let of_class = &by_type[&class];
    let file = random.pick(of_class).clone();
    let bytes = fs::read(&file).expect("a file");
    let used = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let how = match random.below(if used == 0 { 1 } else { 6 }) {
        0 => {
            fs::remove_file(&file).expect("a file");
            "deleted".to_owned()
        }
        1 => {
            let at = random.below(used as u64);
            let bit = 1 << random.below(8);
            let handle = fs::File::options().write(true).open(&file);
            let handle = handle.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            handle
                .write_all_at(&[bytes[at as usize] ^ bit], at)
                .expect("a byte");
            format!("bit {bit:#x} flipped at {at} of {used}")
        }
        2 => {
            let at = random.below(used as u64) / 4096 * 4096;
            let end = (at + 4096).min(bytes.len() as u64);
            let handle = fs::File::options().write(true).open(&file).expect("a file");
            handle
                .write_all_at(&vec![0; (end - at) as usize], at)
                .expect("a page");
            format!("page zeroed at {at} of {used}")
        }
        3 => {
            let length = random.below(used as u64);
            let handle = fs::File::options().write(true).open(&file).expect("a file");
            handle.set_len(length).expect("a cut");
            format!("cut to {length} of {used}")
        }
        4 => {
            // Headers, and several frames at once.
            let at = random.below(used as u64);
            let end = (at + 40 + random.below(2_000)).min(bytes.len() as u64);
            let handle = fs::File::options().write(true).open(&file).expect("a file");
            handle
                .write_all_at(&vec![0x5A; (end - at) as usize], at)
                .expect("bytes");
            format!("{} bytes overwritten at {at} of {used}", end - at)
        }
        _ => {
            let other = random.pick(of_class).clone();
            let between = data.join("between");
            fs::rename(&file, &between).expect("a rename");
            if other != file {
                fs::rename(&other, &file).expect("a rename");
            }
            fs::rename(&between, &other).expect("a rename");
            format!("swapped with {}", other.display())
        }
    };
    (file, how)
}

/// What a start after damage showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// Everything is there.
    Whole,
    /// Something is missing, and named.
    Named,
    /// It does not start, and says why.
    Refused,
}

fn trial(seed: u64, bases: &[Base]) -> (String, Found) {
    let mut random = Random::new(seed);
    let base = random.pick(bases);
    let place = Place::of(&base.disk);
    let (file, how) = damage(&place.data(), &mut random);
    let below = file
        .strip_prefix(place.data())
        .expect("below")
        .to_string_lossy()
        .into_owned();
    let class = below.split('/').next().unwrap_or_default().to_owned();
    let told = format!("{below}: {how}");
    let server = match place.start(None) {
        Ok(server) => server,
        Err(failure) => {
            let words = &failure.message;
            assert!(
                failure.exit.is_some_and(|code| code != 0),
                "{told}: {words}"
            );
            assert!(!words.contains("panicked"), "{told}: {words}");
            assert!(
                words.contains("damaged") || words.contains("belongs to") || names(words, &file),
                "{told}: {words}"
            );
            return (class, Found::Refused);
        }
    };
    let found = look(&server, base, &file, &told);
    (class, found)
}

fn names(words: &str, file: &Path) -> bool {
    let name = file
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    words.contains(&name)
}

/// Reads everything; what is missing must be named, and all in front of it served.
fn look(server: &Server, base: &Base, file: &Path, told: &str) -> Found {
    let mut missing = Vec::new();
    let mut words = String::new();
    for (stream, expected) in STREAMS.iter().zip(&base.shows) {
        let path = format!("/v1/streams/{stream}/records?from=trim-horizon&follow=false");
        let answer = fnctl_tests::get(&server.api, &path)
            .unwrap_or_else(|e| panic!("{told}: {e}\n{}", server.log()));
        let (shown, error) = parse(&answer.text());
        words.extend(error);
        for (shard, records) in expected {
            let nothing = Vec::new();
            let there = shown.get(shard).unwrap_or(&nothing);
            assert!(
                records.starts_with(there),
                "{told}: {stream} {shard} shows what it never held: {} of {}",
                there.len(),
                records.len()
            );
            if there.len() < records.len() {
                missing.push(format!("{stream} {shard} from {}", there.len()));
            }
        }
    }
    let answer = fnctl_tests::get(&server.api, "/v1/mappings/hostile/dead-letters");
    let shown = answer.unwrap_or_else(|e| panic!("{told}: {e}")).text();
    if letters(&shown) != base.letters {
        let is_error = |line: &&String| line.starts_with("{\"error\":");
        let shown_letters = letters(&shown);
        let made_up = shown_letters.difference(&base.letters);
        let made_up: Vec<&String> = made_up.filter(|line| !is_error(line)).collect();
        assert!(made_up.is_empty(), "{told}: {made_up:?}");
        words.push_str(&shown);
        missing.push("dead letters".to_owned());
    }
    words.push_str(&server.log());
    assert!(!words.contains("panicked"), "{told}: {words}");
    if missing.is_empty() {
        return Found::Whole;
    }
    assert!(
        words.contains("damaged") || words.contains("missing") || names(&words, file),
        "{told}: silently lost: {missing:?}\n{words}"
    );
    Found::Named
}

#[test]
fn nothing_is_lost_in_silence() {
    let healthy = node::healthy();
    let bases = [
        used(&healthy, Life::Stopped),
        used(&clean_of(&healthy), Life::Killed),
        used(&clean_of(&healthy), Life::Short),
    ];
    let trials = runs::number("FNCTL_ROT_TRIALS", TRIALS);
    let results = runs::run(trials, runs::number("FNCTL_AT_ONCE", AT_ONCE), |seed| {
        trial(seed, &bases)
    });
    let mut counts: BTreeMap<(String, Found), u64> = BTreeMap::new();
    for (class, found) in results {
        *counts.entry((class, found)).or_default() += 1;
    }
    eprintln!("{trials} damaged files: {counts:?}");
    let is_any = |found| counts.keys().any(|(_, f)| *f == found);
    assert!(
        trials < TRIALS || is_any(Found::Named) || is_any(Found::Refused),
        "all was whole"
    );
}

/// A directory that has been stopped and started before: with more than one journal file.
fn clean_of(healthy: &Disk) -> Disk {
    let place = Place::of(healthy);
    for _ in 0..2 {
        let server = place.start(None).unwrap_or_else(|e| panic!("{e}"));
        server.stop().unwrap_or_else(|e| panic!("{e}"));
    }
    Disk::of(&place.data()).expect("a copy of the data")
}
