//! What ends a command: the error object, told once on stderr (command line and SDK §4).

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

use fnctl_core::error_code::{ErrorBody, ErrorCode, ErrorObject};

use crate::output::pasted;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum CliError {
    /// Something to tell.
    Told(Box<ErrorObject>),
    /// Whoever read stdout has gone: no failure.
    StdoutClosed,
    /// The person in front of it ended what runs until it is ended: no failure, and the exit code says how.
    Ended,
}

impl CliError {
    /// An error of a code, in words.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorObject::new(code, message).into()
    }

    /// A word of the command line that cannot be used.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Usage, message)
    }

    /// With the reason.
    #[must_use]
    pub(crate) fn because(self, why: impl Into<String>) -> Self {
        self.map(|error| error.because(why))
    }

    /// With what to do.
    #[must_use]
    pub(crate) fn fix(self, fix: impl Into<String>) -> Self {
        self.map(|error| error.fix(fix))
    }

    /// With the place it concerns.
    #[must_use]
    pub(crate) fn at(self, place: impl Into<String>) -> Self {
        self.map(|error| error.at(place))
    }

    fn map(self, change: impl FnOnce(ErrorObject) -> ErrorObject) -> Self {
        match self {
            Self::Told(error) => change(*error).into(),
            Self::StdoutClosed | Self::Ended => self,
        }
    }

    /// Whether it is of this code.
    pub(crate) fn is(&self, code: ErrorCode) -> bool {
        matches!(self, Self::Told(error) if error.code == code.as_str())
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Told(error) => error.exit_code,
            Self::StdoutClosed => 0,
            Self::Ended => ErrorCode::Interrupted.kind().exit_code(),
        }
    }

    /// Tells it on stderr.
    pub(crate) fn tell(self, is_json: bool) {
        let Self::Told(mut error) = self else {
            return;
        };
        if error.fix.is_none() {
            error.fix = usual_fix(&error.code);
        }
        let stderr = io::stderr();
        let text = if is_json {
            let body = ErrorBody { error: *error };
            serde_json::to_string(&body).expect("the error object is JSON") + "\n"
        } else {
            let is_plain = !stderr.is_terminal() || std::env::var_os("NO_COLOR").is_some();
            render(&error, !is_plain)
        };
        // Nobody is left to be told when stderr is closed.
        let _gone = stderr.lock().write_all(text.as_bytes());
    }
}

impl From<ErrorObject> for CliError {
    fn from(error: ErrorObject) -> Self {
        Self::Told(Box::new(error))
    }
}

/// What helps with an error that says nothing of its own: the likeliest of what its page has, and where the rest is.
/// `None`: a code of a newer server.
fn usual_fix(code: &str) -> Option<String> {
    let explanation = ErrorCode::parse(code)?.explanation();
    let likeliest = explanation.fix.first()?;
    Some(format!("{likeliest}\nfnctl explain {code}"))
}

/// The text: what, where, every problem, why, what to do.
pub(crate) fn render(error: &ErrorObject, is_coloured: bool) -> String {
    let (red, dim, bold, off) = if is_coloured {
        ("\x1b[1;31m", "\x1b[2m", "\x1b[1m", "\x1b[0m")
    } else {
        ("", "", "", "")
    };
    let mut text = format!(
        "{red}error[{}]{off}: {bold}{}{off}\n",
        error.code, error.message
    );
    let mut line = |label: &str, words: &str| {
        let mut words = words.lines();
        let first = words.next().unwrap_or_default();
        writeln!(text, "  {dim}{label:<5}{off} {first}").expect("a string takes everything");
        for more in words {
            writeln!(text, "        {more}").expect("a string takes everything");
        }
    };
    if let Some(place) = error
        .place
        .as_deref()
        .filter(|place| !error.message.contains(*place))
    {
        line("where", place);
    }
    let is_told = match error.problems.as_slice() {
        [one] => error.message.contains(&one.message),
        all => all.is_empty(),
    };
    if !is_told {
        let width = error
            .problems
            .iter()
            .map(|problem| problem.path.chars().count())
            .max()
            .unwrap_or(0);
        for problem in &error.problems {
            line(
                "",
                &format!("{:<width$}  {}", problem.path, problem.message),
            );
        }
    }
    if let Some(why) = &error.why {
        line("why", why);
    }
    if let Some(fix) = &error.fix {
        let pasted: Vec<String> = fix.lines().map(pasted::line).collect();
        line("fix", &pasted.join("\n"));
    }
    if let Some(id) = &error.request_id {
        line("id", id);
    }
    text
}

#[cfg(test)]
mod tests {
    use fnctl_core::error_code::{ErrorCode, ErrorObject, Problem};

    use super::{render, usual_fix};

    #[test]
    fn there_is_something_to_do_about_every_error() {
        for code in ErrorCode::ALL {
            let code = code.as_str();
            let fix = usual_fix(code).unwrap_or_else(|| panic!("{code}: nothing"));
            assert!(fix.ends_with(&format!("\nfnctl explain {code}")), "{fix}");
            let text = render(
                &ErrorObject::new(ErrorCode::parse(code).unwrap(), "x").fix(fix),
                false,
            );
            assert!(text.contains("\n  fix   "), "{text}");
        }
        assert_eq!(usual_fix("FN9999"), None);
    }

    #[test]
    fn the_text_says_what_why_and_what_to_do() {
        let error = ErrorObject::new(
            ErrorCode::NotAComponent,
            "`enrich.wasm` is a core module, not a component",
        )
        .at("enrich.wasm")
        .because(
            "it was built for wasm32-wasip1; fnctl runs world fnctl:function/stream-function@0.1",
        )
        .fix("cargo build --release --target wasm32-wasip2        (or: fnctl build)");
        assert_eq!(
            render(&error, false),
            "error[FN2003]: `enrich.wasm` is a core module, not a component\n  \
             why   it was built for wasm32-wasip1; fnctl runs world fnctl:function/stream-function@0.1\n  \
             fix   cargo build --release --target wasm32-wasip2        # (or: fnctl build)\n"
        );
    }

    #[test]
    fn all_problems_are_shown_one_under_the_other() {
        let error = ErrorObject::new(ErrorCode::ManifestInvalid, "2 problems")
            .at("fnctl.toml")
            .with_problems(vec![
                Problem::new("mapping[0].batch_size", "20000 is above 10000 (line 14)"),
                Problem::new(
                    "function.memory",
                    "128 has no unit: write 128KiB or 128MiB (line 3)",
                ),
            ]);
        assert_eq!(
            render(&error, false),
            "error[FN2101]: 2 problems\n  where fnctl.toml\n        mapping[0].batch_size  20000 is above 10000 (line 14)\n        \
             function.memory        128 has no unit: write 128KiB or 128MiB (line 3)\n"
        );
    }
}
