//! What `fnctl new` writes, embedded in the binary: nothing need be published or cloned.

include!(concat!(env!("OUT_DIR"), "/template.rs"));

/// The files of a project named `name`: path and text.
pub(crate) fn files(name: &str) -> impl Iterator<Item = (&'static str, String)> {
    let krate = name.replace('-', "_");
    FILES.iter().map(move |(path, text)| {
        let is_ours = !path.starts_with("vendor/");
        let text = if is_ours {
            text.replace("{{name}}", name).replace("{{crate}}", &krate)
        } else {
            (*text).to_owned()
        };
        (*path, text)
    })
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn everything_a_project_needs_is_carried() {
        let all: Vec<(&str, String)> = files("my-function").collect();
        for path in [
            "Cargo.toml",
            "Cargo.lock",
            "fnctl.toml",
            "rust-toolchain.toml",
            ".cargo/config.toml",
            ".gitignore",
            "src/lib.rs",
            "events/signups.ndjson",
            "vendor/fnctl-sdk/Cargo.toml",
            "vendor/fnctl-sdk/src/lib.rs",
            "vendor/fnctl-sdk/macros/Cargo.toml",
            "vendor/fnctl-sdk/macros/src/lib.rs",
            "vendor/fnctl-sdk/wit/world.wit",
        ] {
            assert!(all.iter().any(|(known, _)| *known == path), "{path}");
        }
        let ours = all.iter().filter(|(path, _)| !path.starts_with("vendor/"));
        for (path, text) in ours {
            assert!(!text.contains("{{"), "{path} has a place left open");
        }
    }

    #[test]
    fn the_manifest_of_a_new_project_has_no_problem() {
        let (_, text) = files("my-function")
            .find(|(path, _)| *path == "fnctl.toml")
            .unwrap();
        let manifest = toml::from_str(&text).unwrap();
        assert_eq!(fnctl_core::spec::resolve::manifest(&manifest), []);
    }
}
