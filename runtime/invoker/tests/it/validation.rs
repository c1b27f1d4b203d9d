//! Uploads that are refused, each with what to do about it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fnctl_invoker::{
    ComponentError, ComponentSource, Engine, EngineOptions, NoLog, VersionSettings, limits,
};

use crate::{
    handmade::{ALLOCATE, LOOP, NOTHING, TRAP, starting},
    support::{engine, guest, settings},
};

const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// A component that imports instances with one function each, and exports the first under other names.
fn component(imports: &[(&str, &str)], exports: &[&str]) -> Bytes {
    let mut bytes = HEADER.to_vec();
    for (index, (name, function)) in imports.iter().enumerate() {
        // An instance type: a function type without parameters, exported under a name.
        let mut ty = vec![1, 0x42, 2, 1, 0x40, 0, 1, 0, 4];
        ty.extend(text(function));
        ty.extend([1, 0]);
        section(&mut bytes, 7, &ty);
        let mut import = vec![1];
        import.extend(text(name));
        import.extend([5, byte(index)]);
        section(&mut bytes, 10, &import);
    }
    for name in exports {
        let mut export = vec![1];
        export.extend(text(name));
        export.extend([5, 0, 0]);
        section(&mut bytes, 11, &export);
    }
    bytes.into()
}

fn byte(length: usize) -> u8 {
    u8::try_from(length).expect("these components are small")
}

fn text(name: &str) -> Vec<u8> {
    [&[0, byte(name.len())][..], name.as_bytes()].concat()
}

fn section(bytes: &mut Vec<u8>, id: u8, body: &[u8]) {
    bytes.extend([id, byte(body.len())]);
    bytes.extend(body);
}

async fn refusal(engine: &Engine, bytes: impl Into<Bytes>) -> ComponentError {
    let refused = engine.inspect(bytes.into()).await.expect_err("a refusal");
    assert!(
        refused.is_refusal() && refused.code().starts_with("FN20"),
        "{refused}"
    );
    for words in [refused.message("`x.wasm`"), refused.why(), refused.fix()] {
        assert!(!words.is_empty() && !words.contains("  \n"), "{words}");
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_component_is_told_apart() {
    let (engine, _) = engine();
    assert_eq!(
        refusal(&engine, "").await,
        ComponentError::NotWasm { bytes: 0 }
    );
    assert_eq!(
        refusal(&engine, &b"\x89PNG garbage"[..]).await.code(),
        "FN2001"
    );
    assert_eq!(
        refusal(&engine, &b"\x7fELF\x02\x01\x01"[..]).await,
        ComponentError::Precompiled
    );
    for text in [
        "(component)",
        "package a:b;",
        "  world x {}",
        ";; a comment",
    ] {
        assert_eq!(refusal(&engine, text).await, ComponentError::Text, "{text}");
    }
    let module = refusal(&engine, &b"\0asm\x01\0\0\0"[..]).await;
    assert_eq!(
        (module.code(), module.message("`enrich.wasm`")),
        (
            "FN2003",
            "`enrich.wasm` is a core module, not a component".to_owned()
        )
    );
    let mut large = HEADER.to_vec();
    large.resize(limits::COMPONENT_BYTES_MAX + 1, 0);
    assert_eq!(refusal(&engine, large).await.code(), "FN2002");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_before_anything_is_compiled() {
    let (engine, _) = engine();
    let whole = guest("echo");
    for at in [9, 100, 1_000, 20_000, 30_000, 50_000] {
        let mut damaged = whole.to_vec();
        damaged[at..at + 4].fill(0xff);
        let start = Instant::now();
        let refused = engine.inspect(damaged.into()).await;
        // A changed constant may leave a sound component.
        if let Err(refused) = refused {
            assert!(refused.is_refusal(), "{refused}");
        }
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(
        refusal(&engine, whole.slice(..whole.len() / 2))
            .await
            .code(),
        "FN2006"
    );
    assert_eq!(
        refusal(&engine, [HEADER, b"\x7f\x7f"].concat())
            .await
            .code(),
        "FN2006"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_imports_that_are_not_offered_are_named_at_once() {
    let (engine, _) = engine();
    let imports = [
        ("fnctl:function/config@0.1.0", "get"),
        ("wasi:http/outgoing-handler@0.2.6", "handle"),
        ("wasi:clocks/monotonic-clock@0.2.6", "now"),
        ("acme:db/query@1.0.0", "run"),
        ("fnctl:function/kv@0.1.3", "get"),
    ];
    let refused = refusal(
        &engine,
        component(&imports, &["fnctl:function/handler@0.1.0"]),
    )
    .await;
    let names = [
        "wasi:http/outgoing-handler@0.2.6",
        "acme:db/query@1.0.0",
        "fnctl:function/kv@0.1.3",
    ];
    assert_eq!(
        refused,
        ComponentError::UnsupportedImport {
            imports: names.map(str::to_owned).to_vec()
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_newer_than_this_host_are_named_at_once() {
    let (engine, _) = engine();
    let imports = [
        ("fnctl:function/log@0.1.4", "gauge"),
        ("fnctl:function/emit@0.1.4", "emit-later"),
    ];
    let refused = refusal(
        &engine,
        component(&imports, &["fnctl:function/handler@0.1.4"]),
    )
    .await;
    let names = [
        "fnctl:function/log@0.1.4.gauge",
        "fnctl:function/emit@0.1.4.emit-later",
    ];
    assert_eq!(
        refused,
        ComponentError::UnsupportedImport {
            imports: names.map(str::to_owned).to_vec()
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_or_world_is_said_to_be_one() {
    let (engine, _) = engine();
    let wrong = |name: &str| ComponentError::WrongVersion {
        name: name.to_owned(),
    };
    let import = [("fnctl:function/emit@0.2.0", "emit")];
    assert_eq!(
        refusal(&engine, component(&import, &[])).await,
        wrong(import[0].0)
    );
    let clock = [("wasi:clocks/wall-clock@0.2.6", "now")];
    let export = "fnctl:function/handler@0.2.0";
    assert_eq!(
        refusal(&engine, component(&clock, &[export])).await,
        wrong(export)
    );
    let http = "wasi:http/incoming-handler@0.2.6";
    let refused = refusal(&engine, component(&clock, &[http])).await;
    assert_eq!(
        refused,
        ComponentError::MissingExport {
            found: vec![http.to_owned()]
        }
    );
    assert_eq!(
        refusal(&engine, HEADER).await,
        ComponentError::MissingExport { found: vec![] }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_is_off_is_named() {
    let (engine, _) = engine();
    let mut bytes = HEADER.to_vec();
    section(&mut bytes, 7, &[1, 0x43, 0, 1, 0]);
    let refused = refusal(&engine, bytes).await;
    assert_eq!(
        refused,
        ComponentError::NeedsFeature {
            feature: "component-model async"
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_component_is_described() {
    let (engine, _) = engine();
    let hostile = engine.inspect(guest("hostile")).await.expect("a component");
    assert_eq!(hostile.outputs, ["side"]);
    assert_eq!(hostile.uses, ["config", "context", "emit", "log"]);
    assert_eq!(
        (hostile.digest.len(), hostile.size_bytes),
        (64, guest("hostile").len() as u64)
    );
    assert!(hostile.initial_memory_bytes >= 1 << 20);
    assert_eq!(
        engine
            .inspect(guest("echo"))
            .await
            .expect("a component")
            .outputs,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_below_what_a_component_starts_with_is_refused_at_load() {
    let options = EngineOptions {
        slots: 1,
        ..EngineOptions::default()
    };
    let engine = Engine::new(options, std::sync::Arc::new(NoLog)).expect("an engine");
    let settings = VersionSettings {
        memory_bytes: 1 << 16,
        ..settings()
    };
    let refused = engine
        .load(ComponentSource::Bytes(guest("echo")), settings)
        .await
        .expect_err("too small");
    assert_eq!(refused.code(), "FN2014");
    assert!(refused.fix().contains("--memory 2MiB"), "{}", refused.fix());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_start_within_limits_is_refused_in_plain_words() {
    let (engine, _) = engine();
    let cases = [
        (starting(1, TRAP), "aborted (`unreachable` executed)"),
        (starting(1, LOOP), "did not end within 1 s"),
        (starting(1, ALLOCATE), "more than 256 MiB of memory"),
        // It starts, and its `handle` has another type than the world's.
        (starting(1, NOTHING), "expected"),
    ];
    for (component, words) in cases {
        let refused = refusal(&engine, component).await;
        assert_eq!(refused.code(), "FN2011", "{refused}");
        assert!(refused.why().contains(words), "{refused}");
        assert_eq!(engine.stats().instances_live, 0);
    }
    // More memory to start with than any version may have.
    let refused = refusal(&engine, starting(20_000, NOTHING)).await;
    assert_eq!(refused.code(), "FN2011", "{refused}");
    assert!(refused.why().contains("exceeds the limit"), "{refused}");
    drop(engine.inspect(guest("echo")).await.expect("a component"));
}
