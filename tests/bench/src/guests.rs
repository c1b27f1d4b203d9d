//! Where the guests lie, once built.

use std::path::PathBuf;

/// The component `name.wasm` of `tests/guests`, as an argument.
#[must_use]
pub fn component(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../guests/target/wasm32-wasip2/release")
        .join(format!("{name}.wasm"))
        .to_string_lossy()
        .into_owned()
}
