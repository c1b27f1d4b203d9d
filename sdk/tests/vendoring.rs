//! `fnctl new` copies this folder out of the repository: nothing in it may need the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn manifests_inherit_nothing_and_stay_inside() {
    for manifest in ["Cargo.toml", "macros/Cargo.toml"] {
        let text = fs::read_to_string(here().join(manifest)).unwrap();
        assert!(!text.contains("workspace = true"), "{manifest}");
        assert!(!text.contains("path = \"../"), "{manifest}");
    }
}

#[test]
fn the_contract_is_the_repositorys() {
    // Vendored, there is no repository around, and `wit` is the only copy.
    let shared = here().join("../wit");
    if !shared.is_dir() {
        return;
    }
    let mut files: Vec<PathBuf> = fs::read_dir(&shared)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 7);
    for file in files {
        let ours = here().join("wit").join(file.file_name().unwrap());
        assert_eq!(
            fs::read(&ours).unwrap(),
            fs::read(&file).unwrap(),
            "{}",
            ours.display()
        );
    }
}

#[test]
fn the_package_of_the_contract_is_named_once() {
    let world = fs::read_to_string(here().join("wit/world.wit")).unwrap();
    assert!(world.contains("package fnctl:function@0.1.0;"));
}
