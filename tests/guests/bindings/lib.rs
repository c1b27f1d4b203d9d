//! The SDK's bindings are generated once and checked in, so that a function is built without the
//! generator: `wit-bindgen`'s macro and what it stands on were two thirds of a first build.
//!
//! `FNCTL_BLESS=1 cargo test -p guest-bindings` in `tests/guests` writes them anew.

use wit_bindgen_core::{Files, WorldGenerator, wit_parser::Resolve};
use wit_bindgen_rust::Opts;

/// The bindings of world `stream-function` of the package in folder `wit`, formatted.
///
/// # Panics
/// If the package is not one.
#[must_use]
pub fn generate(wit: &str) -> String {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).expect("wit/ parses");
    let world = resolve
        .select_world(&[package], Some("stream-function"))
        .expect("the package has this world");
    let options = Opts {
        format: true,
        pub_export_macro: true,
        default_bindings_module: Some("fnctl_sdk::__private::bindings".to_owned()),
        ..Opts::default()
    };
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut files)
        .expect("the world has bindings");
    let (_, text) = files.iter().next().expect("one file");
    String::from_utf8(text.to_vec()).expect("generated code is text")
}
