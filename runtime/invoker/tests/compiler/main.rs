//! Compiling in a process of its own: what it dies of is the component's refusal, and the engine goes on.
//!
//! Without the usual harness, because this program is also the one that is started to compile.

#[path = "../it/handmade.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod handmade;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fnctl_invoker::{
    CompileLimits, Compiler, ComponentError, ComponentSource, Engine, EngineOptions, NoLog,
    compile_if_asked,
};

use handmade::bomb;
use support::{bodies, guest, outcome, settings};

fn main() -> ExitCode {
    if let Some(code) = compile_if_asked(std::env::args_os()) {
        return code;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // One after the other: each looks at what this process has started.
    let told = |name: &str| println!("test {name} ... ok");
    runtime.block_on(async {
        what_another_process_compiled_runs_here().await;
        told("what_another_process_compiled_runs_here");
        a_component_that_takes_too_much_is_refused_and_the_next_one_compiles().await;
        told("a_component_that_takes_too_much_is_refused_and_the_next_one_compiles");
        a_compiler_that_is_killed_is_the_hosts_trouble().await;
        told("a_compiler_that_is_killed_is_the_hosts_trouble");
        a_compilation_that_nobody_waits_for_is_ended().await;
        told("a_compilation_that_nobody_waits_for_is_ended");
        uploads_wait_for_their_turn_and_not_without_bound().await;
        told("uploads_wait_for_their_turn_and_not_without_bound");
    });
    ExitCode::SUCCESS
}

fn options(dir: &Path) -> EngineOptions {
    EngineOptions {
        slots: 2,
        cache_dir: Some(dir.join("cache")),
        compilations: 1,
        compiler: Compiler::Process {
            program: "/proc/self/exe".into(),
            environment: Vec::new(),
        },
        ..EngineOptions::default()
    }
}

fn engine(options: EngineOptions) -> Engine {
    Engine::new(options, Arc::new(NoLog)).expect("an engine")
}

async fn refused(engine: &Engine, component: impl Into<Bytes>) -> ComponentError {
    let inspected = engine.inspect(component.into()).await;
    inspected.expect_err("a refusal")
}

async fn compiles(engine: &Engine) {
    let source = ComponentSource::Bytes(guest("echo"));
    let function = engine.load(source, settings()).await.expect("compiled");
    assert_eq!(bodies(&outcome(&function, &["x"]).await), ["x"]);
}

/// Waits for a state; the test's own limit ends a wait without end.
async fn until(is_reached: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !is_reached() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("it gets there");
}

/// Processes started by this one, by number.
fn children() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("proc");
    let lists = tasks.map(|task| {
        let list = task.expect("an entry").path().join("children");
        fs::read_to_string(list).unwrap_or_default()
    });
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

async fn what_another_process_compiled_runs_here() {
    let dir = tempfile::tempdir().expect("a directory");
    for epoch_interruption in [true, false] {
        let options = EngineOptions {
            epoch_interruption,
            ..options(dir.path())
        };
        let first = engine(options.clone());
        compiles(&first).await;
        assert_eq!(first.stats().compilations_total, 1);
        // Who compiled does not matter: the artefact is the same.
        let second = engine(EngineOptions {
            compiler: Compiler::Here,
            ..options
        });
        compiles(&second).await;
        assert_eq!(
            (
                second.stats().compilations_total,
                second.stats().cache_hits_total
            ),
            (0, 1)
        );
    }
    // Damage is compiled again, there as here.
    for file in fs::read_dir(dir.path().join("cache")).expect("the cache") {
        let path = file.expect("an entry").path();
        if path.extension().is_some_and(|kind| kind == "cwasm") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
            fs::write(&path, b"damaged").expect("written");
        }
    }
    let again = engine(options(dir.path()));
    compiles(&again).await;
    assert_eq!(again.stats().compilations_total, 1);
    // Without a cache it is loaded from memory.
    compiles(&engine(EngineOptions {
        cache_dir: None,
        ..options(dir.path())
    }))
    .await;
}

async fn a_component_that_takes_too_much_is_refused_and_the_next_one_compiles() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = CompileLimits::default();
    let cases = [
        (
            CompileLimits {
                memory_bytes: 256 << 20,
                ..limits
            },
            "more than 256 MiB of memory",
        ),
        (
            CompileLimits {
                time: Duration::from_millis(900),
                ..limits
            },
            "not compiled within 0.9 s",
        ),
    ];
    for (compile_limits, words) in cases {
        let engine = engine(EngineOptions {
            compile_limits,
            ..options(dir.path())
        });
        let refused = refused(&engine, bomb(40_000, 40_000)).await;
        assert!(
            refused.code() == "FN2013" && refused.why().contains(words),
            "{refused}"
        );
        assert!(refused.fix().contains("split"), "{}", refused.fix());
        compiles(&engine).await;
    }
    let engine = engine(EngineOptions {
        compile_limits: CompileLimits {
            artefact_bytes: 64 << 10,
            ..limits
        },
        cache_dir: None,
        ..options(dir.path())
    });
    let refused = refused(&engine, guest("hostile")).await;
    assert!(
        refused.code() == "FN2013" && refused.why().contains("larger than 1 MiB"),
        "{refused}"
    );
    assert_eq!(children(), Vec::<String>::new());
}

async fn a_compiler_that_is_killed_is_the_hosts_trouble() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = |name: &str, line: &str| -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{line}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("ours");
        path
    };
    let cases = [
        (script("killed", "kill -9 $$"), "killed from outside"),
        (script("ended", "echo no luck >&2; exit 3"), "no luck"),
        (script("silent", "exit 0"), "the artefact"),
        (dir.path().join("nowhere"), "cannot be run"),
    ];
    for (program, words) in cases {
        let engine = engine(EngineOptions {
            compiler: Compiler::Process {
                program,
                environment: Vec::new(),
            },
            ..options(dir.path())
        });
        let refused = refused(&engine, guest("echo")).await;
        assert!(
            !refused.is_refusal() && refused.why().contains(words),
            "{refused}"
        );
    }
    // Nothing of it stays behind in the cache.
    compiles(&engine(options(dir.path()))).await;
}

async fn a_compilation_that_nobody_waits_for_is_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = engine(options(dir.path()));
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { refused(&engine, bomb(40_000, 40_000)).await }
    });
    until(|| !children().is_empty()).await;
    waiting.abort();
    until(|| children().is_empty()).await;
    compiles(&engine).await;
}

async fn uploads_wait_for_their_turn_and_not_without_bound() {
    let dir = tempfile::tempdir().expect("a directory");
    let echo = guest("echo");
    let engine = engine(EngineOptions {
        waiting_kib: echo.len().div_ceil(1 << 10),
        ..options(dir.path())
    });
    let inspect = |component: Bytes| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.inspect(component).await })
    };
    let first = inspect(bomb(40_000, 40_000).into());
    until(|| !children().is_empty()).await;
    let mut second = inspect(echo.clone());
    // The second has its place once a third finds none.
    let mut third = inspect(echo.clone());
    let sent_away = tokio::select! {
        ended = &mut second => ended,
        ended = &mut third => ended,
    };
    let sent_away = sent_away.expect("no panic").expect_err("no room");
    assert_eq!(
        (&sent_away, sent_away.code()),
        (&ComponentError::Busy, "FN4006")
    );
    first.abort();
    let served = if second.is_finished() { third } else { second };
    served.await.expect("no panic").expect("a component");
}
