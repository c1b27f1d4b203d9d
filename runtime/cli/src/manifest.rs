//! `fnctl.toml` on disk: read with its lines, so that every problem says where it stands.

mod place;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use fnctl_core::{
    error_code::{ErrorCode, ErrorObject, Problem},
    spec::{self, FunctionSpec, SecretSource, Setting, reading, setting::Text, tree::Tree},
};
use serde::Deserialize;

use crate::{error::CliError, limits, output};

/// The file's name.
pub(crate) const FILE: &str = "fnctl.toml";

/// How a component is built unless the manifest says otherwise.
pub(crate) const BUILD: &str = "cargo build --release --target wasm32-wasip2";

/// Paths that are watched unless the manifest says otherwise.
pub(crate) const WATCHED: [&str; 2] = ["src", "Cargo.toml"];

/// A manifest and where it lies.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// What it says.
    pub(crate) spec: spec::Manifest,
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// There is none, or all its problems with their lines.
    pub(crate) fn load(folder: &Path) -> Result<Self, CliError> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| {
            CliError::new(ErrorCode::FileUnreadable, format!("no {FILE} in `{}`", folder.display()))
                .because(error.to_string())
                .fix("fnctl new NAME starts a project; a component alone: fnctl deploy FILE.wasm --stream NAME")
        })?;
        let spec = parse(&text).map_err(|problems| invalid(&path, problems))?;
        Ok(Self {
            folder: folder.to_owned(),
            spec,
        })
    }

    /// The component's path.
    ///
    /// # Errors
    /// The manifest names none.
    pub(crate) fn component(&self) -> Result<PathBuf, CliError> {
        match text(self.spec.function.component.as_ref()) {
            Some(path) => Ok(self.folder.join(path)),
            None => Err(invalid(
                &self.folder.join(FILE),
                vec![Problem::new(
                    "function.component",
                    "is missing: the path of the component that the build makes",
                )],
            )),
        }
    }

    /// The command that builds it.
    pub(crate) fn build_command(&self) -> &str {
        text(self.spec.function.build.as_ref()).unwrap_or(BUILD)
    }

    /// The function's name: given, else the package's, else the component's stem.
    ///
    /// # Errors
    /// Nothing gives one.
    pub(crate) fn function_name(&self) -> Result<String, CliError> {
        if let Some(name) = text(self.spec.function.name.as_ref()) {
            return Ok(name.to_owned());
        }
        package_name(&self.folder).map_or_else(|| name_of_file(&self.component()?), Ok)
    }
}

/// The text of a setting that is text.
pub(crate) fn text(setting: Option<&Setting<Text>>) -> Option<&str> {
    match setting {
        Some(Setting::Value(Text(text))) => Some(text),
        _ => None,
    }
}

/// A function's name from a component's: the stem, `_` as `-`.
///
/// # Errors
/// The path has no readable stem.
pub(crate) fn name_of_file(path: &Path) -> Result<String, CliError> {
    path.file_stem()
        .and_then(|stem| stem.to_str())
        .map(|stem| stem.replace('_', "-"))
        .ok_or_else(|| {
            CliError::usage(format!(
                "`{}` gives no name for the function",
                path.display()
            ))
            .fix("--name NAME")
        })
}

fn package_name(folder: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Cargo {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let text = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    toml::from_str::<Cargo>(&text)
        .ok()
        .map(|cargo| cargo.package.name)
}

/// The values of secrets, by where they come from. Never printed.
///
/// # Errors
/// All that cannot be had.
pub(crate) fn secrets(
    spec: &FunctionSpec,
    folder: &Path,
) -> Result<BTreeMap<String, Vec<u8>>, CliError> {
    let file = crate::output::words::path(&folder.join(FILE));
    let sources = spec.secrets.iter().map(|(name, source)| Named {
        name,
        place: format!("function.secrets.{name}"),
        source: source.clone(),
    });
    read_secrets(sources, folder, &file)
}

/// A secret, and where it was named.
pub(crate) struct Named<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// The key or the flag.
    pub(crate) place: String,
    /// Where its value is.
    pub(crate) source: SecretSource,
}

/// Reads secrets, wherever they were named: what is missing is not found, what is too large not allowed.
///
/// # Errors
/// All that cannot be had.
pub(crate) fn read_secrets<'a>(
    sources: impl Iterator<Item = Named<'a>>,
    folder: &Path,
    input: &str,
) -> Result<BTreeMap<String, Vec<u8>>, CliError> {
    let mut values = BTreeMap::new();
    let mut problems = Vec::new();
    let mut code = ErrorCode::SettingsInvalid;
    for named in sources {
        match secret(&named.source, folder) {
            Ok(value) => {
                values.insert(named.name.to_owned(), value);
            }
            Err(why) => {
                if matches!(why, NoSecret::Missing(_)) {
                    code = ErrorCode::FileUnreadable;
                }
                let (NoSecret::Missing(words) | NoSecret::TooLarge(words)) = why;
                problems.push(Problem::new(named.place, words));
            }
        }
    }
    if problems.is_empty() {
        return Ok(values);
    }
    Err(ErrorObject::of_problems(code, input, problems)
        .fix("a secret is a file that holds nothing else, or a variable of the environment")
        .into())
}

/// Why a secret cannot be had.
enum NoSecret {
    /// It is not there, or cannot be read.
    Missing(String),
    /// It is larger than any may be.
    TooLarge(String),
}

fn secret(source: &SecretSource, folder: &Path) -> Result<Vec<u8>, NoSecret> {
    match source {
        SecretSource::Env(name) => std::env::var_os(name)
            .map(OsString::into_vec)
            .ok_or_else(|| NoSecret::Missing(format!("the environment has no `{name}`"))),
        SecretSource::File(path) => {
            let path = folder.join(path);
            let missing = |error: std::io::Error| {
                NoSecret::Missing(format!("`{}` cannot be read: {error}", path.display()))
            };
            let size = fs::metadata(&path).map_err(missing)?.len();
            if size > limits::SECRET_BYTES_MAX {
                return Err(NoSecret::TooLarge(format!(
                    "`{}` has {size} bytes, above {}",
                    path.display(),
                    limits::SECRET_BYTES_MAX
                )));
            }
            let value = fs::read(&path).map_err(missing)?;
            if is_open_to_all(&path) {
                output::note(&format!(
                    "everybody on this machine may read the secret in {p}: chmod o-rwx {p}",
                    p = path.display()
                ));
            }
            Ok(value)
        }
    }
}

/// Its group may read it: that is how secrets are handed on to a process.
fn is_open_to_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

/// Reads a manifest's text. What it says is never repeated where it might be a secret.
///
/// # Errors
/// All its problems, with their lines.
pub(crate) fn parse(source: &str) -> Result<spec::Manifest, Vec<Problem>> {
    let tree: Tree = toml::from_str(source).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| place::line_at(source, span.start));
        vec![Problem::new(format!("line {line}"), error.message())]
    })?;
    let (manifest, mut problems) = reading::read::<spec::Manifest>(tree);
    if let Some(manifest) = &manifest {
        problems.extend(spec::resolve::manifest(manifest));
    }
    match manifest {
        Some(manifest) if problems.is_empty() => Ok(manifest),
        _ => Err(with_lines(source, problems)),
    }
}

/// In the order of the file, each with its line.
fn with_lines(source: &str, problems: Vec<Problem>) -> Vec<Problem> {
    let mut placed: Vec<(Option<usize>, Problem)> = problems
        .into_iter()
        .map(|problem| (place::line_of(source, &problem.path), problem))
        .collect();
    placed.sort_by_key(|(line, _)| *line);
    placed
        .into_iter()
        .map(|(line, problem)| match line {
            Some(line) => Problem {
                message: format!("{} (line {line})", problem.message),
                ..problem
            },
            None => problem,
        })
        .collect()
}

fn invalid(path: &Path, problems: Vec<Problem>) -> CliError {
    let shown = crate::output::words::path(path);
    let error: CliError = ErrorObject::of_problems(ErrorCode::ManifestInvalid, &shown, problems)
        .at(&shown)
        .into();
    let what = if error.is(ErrorCode::NotYet) {
        "leave out what is named: it comes in a later version"
    } else {
        "mend what is named, then try it without a change: fnctl deploy --dry-run"
    };
    error.fix(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_their_lines() {
        let text = "[function]\nmemory = \"128\"\n\n[[mapping]]\nstream = \"s\"\nbatch_sise = 1\n[streams.s]\nhold_quota = \"1GiB\"\n";
        let problems = parse(text).unwrap_err();
        let all: Vec<(&str, &str)> = problems
            .iter()
            .map(|problem| (problem.path.as_str(), problem.message.as_str()))
            .collect();
        assert_eq!(
            all,
            [
                (
                    "function.memory",
                    "128 has no unit: write 128KiB or 128MiB (line 2)"
                ),
                (
                    "mapping[0].batch_sise",
                    "unknown key `batch_sise`; did you mean `batch_size`? (line 6)"
                ),
                (
                    "streams.s.hold_quota",
                    "`hold_quota` is not there yet in this version (line 8)"
                ),
            ]
        );
    }

    #[test]
    fn a_plain_secret_is_refused_by_its_name_with_all_other_problems_and_never_said() {
        let text = "[function]\nmemory = \"128\"\nwatch = \"src\"\nsecrets = { a = \"hunter2\", b = { file = \"f\" } }\n[function.config]\nc = 1\n[[mapping]]\nstream = \"s\"\nbatch_sise = 1\noutputs = 3\n";
        let problems = parse(text).unwrap_err();
        let paths: Vec<&str> = problems.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "function.memory",
                "function.watch",
                "function.secrets.a",
                "function.config.c",
                "mapping[0].batch_sise",
                "mapping[0].outputs",
            ]
        );
        assert_eq!(
            problems[2].message,
            "text is no place of a secret, and its value does not belong here: write { file = \"PATH\" } or { env = \"NAME\" } (line 4)"
        );
        // Nor does a text that is no TOML at all repeat what stands there.
        for broken in [
            "a = hunter2",
            "a = \"hunter2",
            "a = \"\\hunter2\"",
            "a = \"x\"\na = \"hunter2\"",
            "a = \"x\" \"hunter2\"",
            "a = 12hunter2",
            "a = { file = \"f\" hunter2 }",
            "a hunter2",
            "a.b = 1\na = \"hunter2\"",
        ] {
            let problems = parse(&format!("[function.secrets]\n{broken}\n")).unwrap_err();
            for problem in problems {
                assert!(!problem.message.contains("hunter2"), "{}", problem.message);
            }
        }
    }

    #[test]
    fn text_that_is_no_toml_is_refused_with_its_line() {
        let problems = parse("[function]\nname = \n").unwrap_err();
        assert_eq!(problems[0].path, "line 2");
    }

    #[test]
    fn names_come_from_the_manifest_the_package_or_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(FILE, "[function]\ncomponent = \"target/my_fun.wasm\"\n");
        let name = || {
            Manifest::load(folder.path())
                .unwrap()
                .function_name()
                .unwrap()
        };
        assert_eq!(name(), "my-fun");
        write("Cargo.toml", "[package]\nname = \"packaged\"\n");
        assert_eq!(name(), "packaged");
        write(FILE, "[function]\nname = \"given\"\n");
        assert_eq!(name(), "given");
    }

    #[test]
    fn secrets_come_from_files_and_say_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), "s3cret").unwrap();
        let spec: FunctionSpec = toml::from_str("secrets = { a = { file = \"key\" } }").unwrap();
        assert_eq!(secrets(&spec, folder.path()).unwrap()["a"], b"s3cret");
        let spec: FunctionSpec = toml::from_str(
            "secrets = { a = { file = \"no\" }, b = { env = \"FNCTL_TEST_NO_SUCH\" } }",
        )
        .unwrap();
        let CliError::Told(error) = secrets(&spec, folder.path()).unwrap_err() else {
            panic!()
        };
        assert_eq!((error.problems.len(), error.exit_code), (2, 3));
        let size = limits::SECRET_BYTES_MAX + 1;
        let large = fs::File::create(folder.path().join("large")).unwrap();
        large.set_len(size).unwrap();
        let spec: FunctionSpec = toml::from_str("secrets = { a = { file = \"large\" } }").unwrap();
        assert_eq!(secrets(&spec, folder.path()).unwrap_err().exit_code(), 7);
    }
}
