use wasmtime::{Config, Engine, ModuleVersionStrategy};

use super::*;

const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

fn engine(version: &str) -> Engine {
    let mut config = Config::new();
    config
        .module_version(ModuleVersionStrategy::Custom(version.to_owned()))
        .expect("a version");
    Engine::new(&config).expect("an engine")
}

fn compiled(engine: &Engine) -> io::Cursor<Vec<u8>> {
    io::Cursor::new(engine.precompile_component(EMPTY).expect("compiled"))
}

#[test]
fn an_artefact_of_another_version_is_refused_even_under_our_mac() {
    let dir = tempfile::tempdir().expect("a directory");
    let (older, newer) = (engine("48.0.3"), engine("48.0.8"));
    let cache = ArtefactCache::open(dir.path(), &newer).expect("a cache");
    cache.store("d", &mut compiled(&older)).expect("stored");
    assert!(cache.load(&newer, "d").is_none());
    cache.store("d", &mut compiled(&newer)).expect("stored");
    assert!(cache.load(&newer, "d").is_some());
    assert_ne!(
        ArtefactCache::open(dir.path(), &older)
            .expect("a cache")
            .path("d"),
        cache.path("d")
    );
}

#[test]
fn the_key_survives_and_is_ours_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("cache.key");
    let first = key(&path).expect("made");
    assert_eq!(key(&path).expect("read"), first);
    assert_eq!(
        fs::metadata(&path).expect("there").permissions().mode() & 0o777,
        0o600
    );
    fs::write(&path, b"cut off").expect("written");
    assert_ne!(key(&path).expect("made anew"), first);
}

#[test]
fn the_mac_is_hmac_sha_256() {
    // RFC 4231, test case 2, with the fingerprint as the data.
    let mut key = [0; KEY_BYTES];
    key[..4].copy_from_slice(b"Jefe");
    let fingerprint = "what do ya want for nothing?".to_owned();
    let cache = ArtefactCache {
        dir: PathBuf::new(),
        key,
        fingerprint,
    };
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(cache.mac(&b""[..]).expect("no file is read"), expected);
}

#[test]
fn what_a_process_left_half_written_is_removed_when_it_is_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = engine("48.0.8");
    let of = |pid: u32| dir.path().join(format!("d-f.cwasm.tmp-{pid}-0"));
    // No process has a number that large.
    let (gone, ours) = (of(u32::MAX), of(std::process::id()));
    for path in [&gone, &ours] {
        fs::write(path, b"half").expect("written");
    }
    let _cache = ArtefactCache::open(dir.path(), &engine).expect("a cache");
    assert_eq!((gone.exists(), ours.exists()), (false, true));
}
