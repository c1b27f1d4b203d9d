//! The library to load, and what it is asked to do.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A plan for the interposer.
#[derive(Clone, Debug)]
pub struct Interposed {
    words: String,
    log: PathBuf,
}

/// Where cargo has put the library: beside this test, or one folder above.
///
/// # Panics
/// It was not built.
fn library() -> PathBuf {
    const NAME: &str = "libfnctl_interposer.so";
    let test = std::env::current_exe().expect("a program knows its path");
    let places = test.ancestors().skip(1).take(3);
    let found = places.flat_map(|folder| [folder.join(NAME), folder.join("deps").join(NAME)]);
    found
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{NAME} is not built; only Linux on x86-64 has it"))
}

impl Interposed {
    /// Watches `root`, records to `log`, and does nothing else.
    ///
    /// # Panics
    /// A path has a `;` in it.
    #[must_use]
    pub fn new(root: &Path, log: &Path) -> Self {
        let words = format!("root={};log={}", root.display(), log.display());
        assert_eq!(words.matches(';').count(), 1, "paths without `;`");
        Self {
            words,
            log: log.to_owned(),
        }
    }

    /// Asks for more; the keys are told at [`fnctl_interposer::PLAN`].
    #[must_use]
    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.words.push_str(&format!(";{key}={value}"));
        self
    }

    /// The environment of the program that is to be watched.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let library = library().to_string_lossy().into_owned();
        vec![
            ("LD_PRELOAD".to_owned(), library),
            (fnctl_interposer::PLAN.to_owned(), self.words.clone()),
        ]
    }

    /// What was asked for, in words.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// What the program did.
    ///
    /// # Errors
    /// There are no records.
    pub fn records(&self) -> io::Result<Vec<u8>> {
        fs::read(&self.log)
    }
}
