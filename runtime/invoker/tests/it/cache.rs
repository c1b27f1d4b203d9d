//! Compiled components on disk: made once, used again, never trusted when anything is off.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, path::PathBuf, sync::Arc, time::Duration};

use fnctl_invoker::{ComponentSource, Engine, EngineOptions, NoLog, digest};

use crate::support::{bodies, guest, outcome, settings};

fn engine(dir: &Path) -> Engine {
    engine_with(dir, true)
}

fn engine_with(dir: &Path, epoch_interruption: bool) -> Engine {
    let options = EngineOptions {
        slots: 2,
        cache_dir: Some(dir.to_owned()),
        epoch_interruption,
        ..EngineOptions::default()
    };
    Engine::new(options, Arc::new(NoLog)).expect("an engine")
}

fn artefacts(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").path());
    files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        })
        .collect()
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("readable");
    change(&mut bytes);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
    fs::write(path, bytes).expect("writable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_compiled_once_per_digest_engine_and_machine() {
    let above = tempfile::tempdir().expect("a directory");
    let dir = above.path().join("cache");
    let first = engine(&dir);
    let inspected = first.inspect(guest("echo")).await.expect("a component");
    assert!(inspected.compile_time > Duration::ZERO && inspected.artefact_bytes > Some(10_000));
    assert_eq!(
        first
            .inspect(guest("echo"))
            .await
            .expect("again")
            .compile_time,
        Duration::ZERO
    );
    let artefact = artefacts(&dir).remove(0);
    assert_eq!(
        fs::metadata(&artefact).expect("there").permissions().mode() & 0o777,
        0o400
    );
    let made = fs::metadata(&dir).expect("there");
    assert_eq!(made.permissions().mode() & 0o777, 0o700);
    assert_eq!(
        (
            first.stats().compilations_total,
            first.stats().cache_misses_total
        ),
        (1, 1)
    );

    let second = engine(&dir);
    let known = ComponentSource::File {
        path: "/nowhere".into(),
        digest: digest(&guest("echo")),
    };
    let function = second
        .load(known, settings())
        .await
        .expect("the file is not needed");
    assert_eq!(bodies(&outcome(&function, &["x"]).await), ["x"]);
    assert_eq!(
        (
            second.stats().compilations_total,
            second.stats().cache_hits_total
        ),
        (0, 1)
    );

    // Other settings are another engine: its code would not fit.
    let other = engine_with(&dir, false);
    assert!(
        other
            .inspect(guest("echo"))
            .await
            .expect("compiled")
            .compile_time
            > Duration::ZERO
    );
    assert_eq!(artefacts(&dir).len(), 2);

    second.forget(&inspected.digest).expect("removed");
    assert_eq!(artefacts(&dir), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_artefact_is_compiled_again() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(
        engine(dir.path())
            .inspect(guest("echo"))
            .await
            .expect("a component"),
    );
    let artefact = artefacts(dir.path()).remove(0);
    type Damage = dyn Fn(&mut Vec<u8>);
    let damages: [&Damage; 3] = [
        &|bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        &|bytes| bytes.truncate(bytes.len() - 1),
        &Vec::clear,
    ];
    for damage in damages {
        rewrite(&artefact, damage);
        let engine = engine(dir.path());
        let function = engine
            .load(ComponentSource::Bytes(guest("echo")), settings())
            .await
            .expect("compiled");
        assert_eq!(bodies(&outcome(&function, &["x"]).await), ["x"]);
        assert_eq!(
            (
                engine.stats().compilations_total,
                engine.stats().cache_hits_total
            ),
            (1, 0)
        );
    }
    // Sound bytes under a MAC of another key, as after a copy from elsewhere, are no better.
    rewrite(&dir.path().join("cache.key"), |key| key[0] ^= 1);
    let engine = engine(dir.path());
    drop(engine.inspect(guest("echo")).await.expect("compiled"));
    assert_eq!(engine.stats().compilations_total, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_component_of_another_digest_is_not_loaded() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("stored");
    fs::write(&path, guest("echo")).expect("written");
    let engine = engine(&dir.path().join("cache"));
    let named = ComponentSource::File {
        path,
        digest: digest(b"another"),
    };
    let refused = engine
        .load(named, settings())
        .await
        .expect_err("a wrong digest");
    assert!(!refused.is_refusal() && refused.to_string().contains("not the one of digest"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engines_that_share_a_directory_do_not_write_into_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let at_once = (0..4).map(|_| {
        let dir = dir.path().to_owned();
        tokio::spawn(async move {
            let engine = engine(&dir);
            engine.inspect(guest("reader")).await.map(drop)
        })
    });
    for inspected in at_once.collect::<Vec<_>>() {
        inspected.await.expect("no panic").expect("a component");
    }
    assert_eq!(artefacts(dir.path()).len(), 1);
    let again = engine(dir.path()).inspect(guest("reader")).await;
    assert_eq!(
        again.expect("a component").compile_time,
        Duration::ZERO,
        "what the four left behind is sound"
    );
}
