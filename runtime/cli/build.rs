//! Embeds what `fnctl new` writes: the template, and the SDK with its WIT. The list is made here, so that
//! a file added to the SDK travels without anybody remembering to name it. And tells the binary which
//! commit it is of.

#[path = "build/commit.rs"]
mod commit;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let cli = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = cli.join("../..").canonicalize()?;
    let template = cli.join("template");
    let mut files = Vec::new();
    for (from, to) in [
        ("Cargo.toml.in", "Cargo.toml"),
        ("Cargo.lock.in", "Cargo.lock"),
        ("fnctl.toml.in", "fnctl.toml"),
        ("rust-toolchain.toml.in", "rust-toolchain.toml"),
        ("cargo-config.toml.in", ".cargo/config.toml"),
        ("gitignore.in", ".gitignore"),
    ] {
        files.push((to.to_owned(), template.join(from)));
    }
    for folder in ["src", "events"] {
        collect(&template.join(folder), folder, &mut files)?;
    }
    let sdk = "vendor/fnctl-sdk";
    for file in ["Cargo.toml", "README.md", "macros/Cargo.toml"] {
        files.push((format!("{sdk}/{file}"), root.join("sdk").join(file)));
    }
    for folder in ["src", "macros/src"] {
        collect(
            &root.join("sdk").join(folder),
            &format!("{sdk}/{folder}"),
            &mut files,
        )?;
    }
    collect(&root.join("wit"), &format!("{sdk}/wit"), &mut files)?;
    files.sort();

    let mut list = String::from("pub(crate) const FILES: &[(&str, &str)] = &[\n");
    for (to, from) in &files {
        println!("cargo::rerun-if-changed={}", from.display());
        list.push_str(&format!(
            "    ({to:?}, include_str!({:?})),\n",
            from.display().to_string()
        ));
    }
    list.push_str("];\n");
    for folder in [template, root.join("sdk"), root.join("wit")] {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    commit::tell(
        &root,
        &env::var("CARGO_PKG_VERSION").expect("cargo sets it"),
    );
    fs::write(out.join("template.rs"), list)
}

/// All files below `folder`, each with the path it is written to.
fn collect(folder: &Path, to: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let to = format!("{to}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &to, files)?;
        } else {
            files.push((to, entry.path()));
        }
    }
    Ok(())
}
