//! The SDK's bindings are those of the contract.

use std::{env, fs, path::Path};

#[test]
fn the_bindings_checked_in_are_generated_from_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let wit = root.join("wit");
    let bindings = root.join("sdk/src/host/wasm/bindings.rs");
    let generated = guest_bindings::generate(&wit.to_string_lossy());
    if env::var_os("FNCTL_BLESS").is_some() {
        fs::write(&bindings, &generated).unwrap();
    }
    let checked_in = fs::read_to_string(&bindings).unwrap_or_default();
    assert!(
        checked_in == generated,
        "{} is not current: FNCTL_BLESS=1 cargo test -p guest-bindings",
        bindings.display()
    );
}
