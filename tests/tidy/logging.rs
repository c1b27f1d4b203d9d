//! Reads the log lines of source files: the fields that they have.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

const MACROS: [&str; 4] = ["debug", "error", "info", "warn"];

/// The fields of the log lines in a source text: what stands in front of the message, by name.
///
/// # Panics
/// If it is no Rust.
#[must_use]
pub fn fields(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let tokens: TokenStream = text.parse().expect("it compiles");
    gather(tokens, &mut found);
    found
}

fn gather(tokens: TokenStream, found: &mut BTreeSet<String>) {
    let mut before: [Option<TokenTree>; 2] = [None, None];
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            let is_line = matches!(&before, [Some(TokenTree::Ident(name)), Some(TokenTree::Punct(bang))]
                if bang.as_char() == '!' && MACROS.contains(&&*name.to_string()));
            if is_line && group.delimiter() == Delimiter::Parenthesis {
                found.extend(fields_of(group.stream()));
            }
            gather(group.stream(), found);
        }
        before = [before[1].take(), Some(token)];
    }
}

/// The fields of one line: `%name`, `?name`, `name`, or `name = value`, up to its message.
fn fields_of(line: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    let tokens: Vec<TokenTree> = line.into_iter().collect();
    let is =
        |token: &TokenTree, one: char| matches!(token, TokenTree::Punct(p) if p.as_char() == one);
    for part in tokens.split(|token| is(token, ',')) {
        let part = match part {
            [sigil, rest @ ..] if is(sigil, '%') || is(sigil, '?') => rest,
            all => all,
        };
        match part {
            // The message: what follows is in its words.
            [TokenTree::Literal(_), ..] => break,
            [TokenTree::Ident(name)] => found.push(name.to_string()),
            [TokenTree::Ident(name), equals, ..] if is(equals, '=') => found.push(name.to_string()),
            _ => {}
        }
    }
    found
}

/// The names in the first column of a table under a heading: what is documented.
#[must_use]
pub fn documented(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(heading));
    let rows = section.unwrap_or_default().lines();
    let cells = rows.filter_map(|row| row.strip_prefix("| `")?.split_once(" |"));
    let names = cells.flat_map(|(cell, _)| cell.split(", "));
    names
        .map(|name| name.trim_matches('`').to_owned())
        .collect()
}
