//! sled alone under power cuts: every batch that its image acknowledged is there, whole, and it opens.
//!
//! The node would hide a fault here, because it makes a damaged image anew from snapshot and journal.

use std::process::Command;

use fnctl_faults::{
    Interposed, Random,
    disk::{Disk, Leaves},
};

use crate::runs;

/// Chains of three cuts in an ordinary run; `FNCTL_IMAGE_CHAINS` asks for others.
const CHAINS: u64 = 60;
const AT_ONCE: u64 = 8;

/// What a life of the image said: what it held when it was opened, and what it acknowledged last.
struct Said {
    held: Option<u64>,
    last: u64,
    ended_well: bool,
    words: String,
}

fn live(folder: &std::path::Path, batches: u64, plan: Option<&Interposed>) -> Said {
    let environment = plan.map(Interposed::environment).unwrap_or_default();
    let output = Command::new(env!("CARGO_BIN_EXE_fnctl-faults-image"))
        .arg(folder.join("root/image"))
        .arg(batches.to_string())
        .envs(environment)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let held = lines.next().and_then(|line| line.strip_prefix("held "));
    let held = held.map(|number| number.parse().expect("a number"));
    let last = lines.last().map(|line| line.parse().expect("a number"));
    Said {
        held,
        last: last.or(held).unwrap_or(0),
        ended_well: output.status.success(),
        words: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// An image of five batches.
fn healthy() -> Disk {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("root")).expect("a folder");
    let said = live(folder.path(), 5, None);
    assert!(said.ended_well, "{}", said.words);
    Disk::of(&folder.path().join("root")).expect("a disk")
}

/// What a disk does besides losing what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// They are durable at once.
    Kept,
    /// They are lost like anything else that was not synced.
    Lost,
}

/// How a chain came out.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    acknowledged: u64,
    /// Times that it opened with less than was acknowledged.
    went_back: u64,
    /// Times that it did not open.
    refused: u64,
}

/// Three cuts, or fewer when it does not open any more.
fn run_chain(seed: u64, healthy: &Disk, names: Names, lie: Option<&str>) -> Chain {
    let mut random = Random::new(seed);
    let (mut disk, mut acknowledged) = (healthy.clone(), 5);
    let mut chain = Chain::default();
    for cut in 1..=4 {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        disk.write(&root).expect("the disk");
        let mut plan = Interposed::new(&root, &folder.path().join("log"));
        if let Some(lie) = lie {
            plan = plan.with("deaf", lie);
        }
        // The last life is left alone and only tells what there is.
        if cut < 4 {
            let how = *random.pick(&["before", "after", "half"]);
            plan = plan
                .with("seed", random.number())
                .with("how", how)
                .with("kill", 1 + random.below(90));
        }
        let said = live(folder.path(), if cut < 4 { 12 } else { 0 }, Some(&plan));
        let told = disk.replay(&plan.records().expect("records"));
        let words = format!("cut {cut}: {} ({})", said.words, plan.words());
        assert!(!said.words.contains("by half"), "{words}");
        let Some(held) = said.held else {
            if told.killed.is_none() {
                chain.refused += 1;
                return chain;
            }
            disk = cut_power(&disk, names, &mut random);
            continue;
        };
        assert!(
            held <= acknowledged + 1,
            "{words}: {acknowledged} acknowledged, {held} there"
        );
        chain.went_back += u64::from(held < acknowledged);
        acknowledged = said.last;
        chain.acknowledged += said.last - held;
        disk = cut_power(&disk, names, &mut random);
    }
    chain
}

fn cut_power(disk: &Disk, names: Names, random: &mut Random) -> Disk {
    let files = *random.pick(&[Leaves::Nothing, Leaves::Some, Leaves::Some, Leaves::All]);
    let names = match names {
        Names::Kept => Leaves::All,
        Names::Lost => *random.pick(&[Leaves::Nothing, Leaves::Some, Leaves::All]),
    };
    disk.power_cut(files, names, random)
}

fn run_chains(names: Names, lie: Option<&str>, chains: u64) -> Chain {
    let healthy = healthy();
    let all = runs::run(chains, AT_ONCE, |seed| {
        run_chain(seed, &healthy, names, lie)
    });
    let mut sum = Chain::default();
    for chain in all {
        sum.acknowledged += chain.acknowledged;
        sum.went_back += chain.went_back;
        sum.refused += chain.refused;
    }
    eprintln!("{chains} chains, names {names:?}: {sum:?}");
    assert!(
        sum.acknowledged > 2 * chains,
        "lives get somewhere: {sum:?}"
    );
    sum
}

fn chains() -> u64 {
    runs::number("FNCTL_IMAGE_CHAINS", CHAINS)
}

#[test]
fn the_sled_image_keeps_what_it_acknowledged_when_the_power_goes() {
    let sum = run_chains(Names::Kept, None, chains());
    assert_eq!((sum.went_back, sum.refused), (0, 0), "{sum:?}");
}

/// sled writes over old segments before the name of the snapshot that does without them is durable. A
/// disk that loses that name may cost the image, which is why it is a cache; what opens is whole.
#[test]
fn a_sled_image_whose_names_were_lost_is_whole_or_refused() {
    let sum = run_chains(Names::Lost, None, chains());
    assert!(
        sum.went_back + sum.refused < chains() / 4,
        "it is seldom lost: {sum:?}"
    );
}

/// sled as its documentation has it: `flush` alone, which syncs nothing that a power cut leaves.
#[test]
fn without_the_sync_of_ours_the_sled_image_loses_what_it_acknowledged() {
    let sum = run_chains(Names::Kept, Some("image/db"), 12);
    assert!(sum.went_back + sum.refused >= 3, "{sum:?}");
}
