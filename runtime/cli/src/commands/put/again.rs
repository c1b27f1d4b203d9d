//! The command that continues a put: everything that it needs, quoted for a shell.

use std::{ffi::OsStr, fmt::Write as _, os::unix::ffi::OsStrExt};

use super::Args;

/// What the command is made of.
pub(super) struct Again<'a> {
    /// What was asked for.
    pub(super) args: &'a Args,
    /// The server, where one was named.
    pub(super) server: Option<&'a str>,
    /// Whether scripts read.
    pub(super) is_json: bool,
    /// The producer's id: continuing repeats no line.
    pub(super) producer: &'a str,
}

impl Again<'_> {
    /// The command that goes on at a line.
    pub(super) fn command(&self, line: u64) -> String {
        let args = self.args;
        let mut words = vec!["fnctl put".to_owned(), quote(args.stream.as_ref())];
        for (flag, value) in [
            ("--file", args.file.as_deref()),
            ("--key", args.key.as_deref()),
            ("--key-field", args.key_field.as_deref()),
        ] {
            if let Some(value) = value {
                words.push(valued(flag, value));
            }
        }
        if args.require_key {
            words.push("--require-key".to_owned());
        }
        if let Some(rate) = args.rate {
            words.push(format!("--rate {rate}"));
        }
        if let Some(server) = self.server {
            words.push(valued("--server", server));
        }
        if self.is_json {
            words.push("-o json".to_owned());
        }
        words.push(format!("--from-line {line}"));
        words.push(valued("--producer", self.producer));
        if !args.data.is_empty() {
            words.push("--".to_owned());
            words.extend(args.data.iter().map(|record| quote(record)));
        }
        words.join(" ")
    }
}

/// A flag and its value: one that begins with `-` would be taken for a flag.
fn valued(flag: &str, value: &str) -> String {
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!("{flag}{between}{}", quote(value.as_ref()))
}

/// A word as a shell reads it back. What is no printable text is written byte by byte, as bash and zsh
/// read it.
fn quote(word: &OsStr) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,=".contains(byte);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.as_bytes().iter().all(is_plain) => text.to_owned(),
        Some(text) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let mut quoted = "$'".to_owned();
            for byte in word.as_bytes() {
                match byte {
                    b'\'' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
                    b' '..=b'~' => quoted.push(char::from(*byte)),
                    // Three octal digits end by themselves, whatever follows.
                    _ => write!(quoted, "\\{byte:03o}").expect("a string takes everything"),
                }
            }
            quoted.push('\'');
            quoted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back_from_a_shell_as_it_was() {
        let words: [&[u8]; 9] = [
            b"signups",
            b"http://[::1]:4700",
            b"my events.ndjson",
            b"it's",
            b"{\"a\":\"$HOME\"}",
            b"",
            b"a\xff1",
            b"tab\there \\ and '",
            "\u{e9}".as_bytes(),
        ];
        let quoted: Vec<String> = words
            .iter()
            .map(|word| quote(OsStr::from_bytes(word)))
            .collect();
        let script = format!("printf '%s\\n' {}", quoted.join(" "));
        let said = std::process::Command::new("bash")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(
            said.stdout,
            [words.join(&b'\n'), b"\n".to_vec()].concat(),
            "{script}"
        );
    }
}
