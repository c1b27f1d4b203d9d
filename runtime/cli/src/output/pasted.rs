//! Commands that are printed to be pasted. What is said behind one is a comment to the shell; one that asks a server
//! asks the one that this command asked, where flags named it: what was made for one server must not change another.

use std::{borrow::Cow, path::Path, sync::OnceLock};

/// Between a command and what is said of it.
const GAP: &str = "        ";
/// Commands that ask a server.
const ASKING: [&str; 17] = [
    "backup",
    "capture",
    "deploy",
    "dlq",
    "doctor",
    "functions",
    "invoke",
    "logs",
    "mappings",
    "promote",
    "put",
    "rollback",
    "shadow",
    "status",
    "streams",
    "tail",
    "tokens",
];

/// Flags that named a server, spelt once for the process.
static FLAGS: OnceLock<String> = OnceLock::new();

/// Remembers how this command's server was named by flags. What the environment names is there for what is pasted, too.
pub(crate) fn asks(server: Option<&str>, tls_ca: Option<&Path>) {
    let is_flag = |value: &str, variable| std::env::var(variable).ok().as_deref() != Some(value);
    let mut flags = String::new();
    let tls_ca = tls_ca.map(|path| path.to_string_lossy());
    for (flag, value, variable) in [
        ("--server", server.map(Cow::Borrowed), "FNCTL_SERVER"),
        ("--tls-ca", tls_ca, "FNCTL_TLS_CA"),
    ] {
        if let Some(value) = value.filter(|value| is_flag(value, variable)) {
            flags.push_str(&format!(" {flag} {}", quoted(&value)));
        }
    }
    // A process has one command; a second one is a test's.
    let _first = FLAGS.set(flags);
}

/// A command, or words with commands, so that a line of it can be pasted.
pub(crate) fn line(text: &str) -> String {
    let (command, said) = match text.split_once(GAP) {
        Some((command, said)) => (command, said.trim_start()),
        None => (text, ""),
    };
    let command = with_flags(command, FLAGS.get().map_or("", String::as_str));
    match said {
        "" => command,
        said if said.starts_with('#') => format!("{command}{GAP}{said}"),
        said => format!("{command}{GAP}# {said}"),
    }
}

/// With flags behind the `fnctl` of every command that asks a server. One of a data directory asks none.
fn with_flags(text: &str, flags: &str) -> String {
    if flags.is_empty() || text.contains("--data-dir") || text.contains("--server") {
        return text.to_owned();
    }
    let mut parts = text.split("fnctl ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let word = part.split(|c: char| !c.is_ascii_alphabetic()).next();
        let does_ask = word.is_some_and(|word| ASKING.contains(&word));
        out.push_str("fnctl");
        out.push_str(if does_ask { flags } else { "" });
        out.push(' ');
        out.push_str(part);
    }
    out
}

/// As a shell takes it for one word.
pub(crate) fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@%+,=[]".contains(c);
    match !value.is_empty() && value.chars().all(is_plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_command_is_a_comment() {
        for (text, pasted) in [
            (
                "fnctl explain        (lists all)",
                "fnctl explain        # (lists all)",
            ),
            ("fnctl man        # there", "fnctl man        # there"),
            ("another name", "another name"),
        ] {
            assert_eq!(line(text), pasted);
        }
    }

    #[test]
    fn a_command_asks_the_server_that_was_asked() {
        let flags = " --server http://b:1";
        for (text, pasted) in [
            (
                "fnctl mappings delete 2",
                "fnctl --server http://b:1 mappings delete 2",
            ),
            ("fnctl explain FN1001", "fnctl explain FN1001"),
            ("fnctl server", "fnctl server"),
            (
                "fnctl tokens list --data-dir d",
                "fnctl tokens list --data-dir d",
            ),
            (
                "mend it, then: fnctl status",
                "mend it, then: fnctl --server http://b:1 status",
            ),
            (
                "fnctl put in --server http://c:1",
                "fnctl put in --server http://c:1",
            ),
            ("fnctl", "fnctl"),
        ] {
            assert_eq!(with_flags(text, flags), pasted);
            assert_eq!(with_flags(text, ""), text);
        }
        assert_eq!(quoted("a b'c"), r"'a b'\''c'");
    }
}
