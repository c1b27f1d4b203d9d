//! `fnctl explain`: what a code means and what to do, without a server; also the words of `fnctl status`, of states of
//! mappings and of dead letters.

use fnctl_core::{
    error_code::{ErrorCode, Explanation, families},
    meaning::{self, Meaning},
};
use serde::Serialize;

use crate::{
    cli::Session,
    error::CliError,
    output::{Output, pasted, table::Table},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A code, such as FN2003; or a word of `fnctl status`, of a mapping's state or of a dead letter, such as circuit-open; none lists all
    code: Option<String>,
}

/// A code, explained.
#[derive(Serialize)]
struct Explained {
    code: &'static str,
    kind: fnctl_core::error_code::ErrorKind,
    exit_code: u8,
    http_status: u16,
    title: &'static str,
    why: &'static str,
    fix: &'static [&'static str],
}

/// A word, explained.
#[derive(Serialize)]
struct Worded {
    word: &'static str,
    title: &'static str,
    why: &'static str,
    fix: &'static [&'static str],
}

impl Worded {
    const fn of(one: &Meaning) -> Self {
        Self {
            word: one.word,
            title: one.title,
            why: one.why,
            fix: one.fix,
        }
    }
}

impl Explained {
    fn of(one: &Explanation) -> Self {
        Self {
            code: one.code.as_str(),
            kind: one.code.kind(),
            exit_code: one.code.kind().exit_code(),
            http_status: one.code.http_status(),
            title: one.title,
            why: one.why,
            fix: one.fix,
        }
    }
}

pub(crate) fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let out = &mut session.out;
    let Some(given) = args.code else {
        return list(out);
    };
    match meaning::of(given.trim_matches('`')) {
        Some(word) => explain_word(&word, out),
        None => explain(code_of(&given)?.explanation(), out),
    }
}

/// A code as people copy it: `FN2003`, `fn2003`, `2003`, `[FN2003]`, `error[FN2003]:`.
fn code_of(given: &str) -> Result<ErrorCode, CliError> {
    let bare = given
        .trim_start_matches("error")
        .trim_matches(['[', ']', ':']);
    let whole = match bare.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("FN{bare}"),
        false => bare.to_ascii_uppercase(),
    };
    ErrorCode::parse(&whole).ok_or_else(|| {
        CliError::new(
            ErrorCode::NotAllowed,
            format!("`{given}` is no code and no word of fnctl"),
        )
        .because(
            "codes are FN and four digits, as an error names it in brackets; words are those of `fnctl status`, states of \
             mappings and kinds of dead letters, and a function's own codes are its author's to explain",
        )
        .fix("fnctl explain        (lists all)")
    })
}

fn explain(one: &Explanation, out: &mut Output) -> Result<(), CliError> {
    let explained = Explained::of(one);
    if out.is_json() {
        return out.json(&explained);
    }
    paragraphs([explained.code, one.title, one.why], one.fix, out)?;
    out.line("")?;
    out.line(&format!(
        "  exit {}  ·  HTTP {}",
        explained.exit_code, explained.http_status
    ))
}

fn explain_word(one: &Meaning, out: &mut Output) -> Result<(), CliError> {
    if out.is_json() {
        return out.json(&Worded::of(one));
    }
    paragraphs([one.word, one.title, one.why], one.fix, out)
}

fn paragraphs(
    [name, title, why]: [&str; 3],
    fix: &[&str],
    out: &mut Output,
) -> Result<(), CliError> {
    out.line(&format!("{name}  {title}"))?;
    out.line("")?;
    for line in wrapped(why) {
        out.line(&format!("  {line}"))?;
    }
    out.line("")?;
    for (index, fix) in fix.iter().enumerate() {
        let label = if index == 0 { "fix" } else { "" };
        out.line(&format!("  {label:<5} {}", pasted::line(fix)))?;
    }
    Ok(())
}

fn list(out: &mut Output) -> Result<(), CliError> {
    if out.is_json() {
        let mut codes = families().flat_map(|(_, all)| all);
        codes.try_for_each(|one| out.json(&Explained::of(one)))?;
        let words = meaning::all();
        let mut words = words.iter().flat_map(|(_, all)| all);
        return words.try_for_each(|one| out.json(&Worded::of(one)));
    }
    for (heading, all) in families() {
        out.line(heading)?;
        let mut table = Table::new(&["code", "exit>", "says"]);
        for one in all {
            table.row([
                one.code.as_str().to_owned(),
                one.code.kind().exit_code().to_string(),
                one.title.to_owned(),
            ]);
        }
        table.lines(2).iter().try_for_each(|line| out.line(line))?;
        out.line("")?;
    }
    for (heading, all) in meaning::all() {
        out.line(heading)?;
        let mut table = Table::new(&["word", "says"]);
        for one in all {
            table.row([one.word.to_owned(), one.title.to_owned()]);
        }
        table.lines(2).iter().try_for_each(|line| out.line(line))?;
        out.line("")?;
    }
    out.note("one at length: fnctl explain FN2003, or fnctl explain circuit-open");
    Ok(())
}

/// A paragraph in lines that a terminal of 100 columns shows whole.
fn wrapped(text: &str) -> Vec<String> {
    const COLUMNS: usize = 96;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(word.to_owned());
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use fnctl_core::error_code::ErrorCode;

    use super::{code_of, wrapped};

    #[test]
    fn a_code_is_read_as_people_copy_it() {
        for given in ["FN2003", "fn2003", "2003", "[FN2003]", "error[FN2003]:"] {
            assert_eq!(code_of(given).unwrap(), ErrorCode::NotAComponent, "{given}");
        }
        for given in ["", "FN0000", "0000", "2003x", "circuit-opened"] {
            assert!(
                code_of(given).unwrap_err().is(ErrorCode::NotAllowed),
                "{given}"
            );
        }
    }

    #[test]
    fn paragraphs_are_wrapped_between_words_and_lose_none() {
        let text = "word ".repeat(100);
        let lines = wrapped(&text);
        assert!(lines.len() > 4 && lines.iter().all(|line| line.len() <= 96));
        assert_eq!(lines.join(" "), text.trim());
        assert_eq!(wrapped(""), [""]);
    }
}
