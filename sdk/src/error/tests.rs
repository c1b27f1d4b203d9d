use std::{fmt, io, num::ParseIntError};

use super::*;

#[derive(Debug)]
struct Refused {
    cause: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

#[test]
fn an_error_is_one_pointer() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
}

#[test]
fn a_question_mark_is_a_retry_with_the_whole_chain() {
    let fails = || -> Result<()> {
        Err(Refused {
            cause: io::Error::other("connection reset"),
        })?;
        Ok(())
    };
    let error = fails().unwrap_err();
    assert_eq!(error.kind(), FailureKind::Retry);
    assert_eq!(error.code(), "refused");
    assert_eq!(error.to_string(), "refused: connection reset");
}

#[test]
fn codes_come_from_the_type() {
    let error = Error::from("x".parse::<u8>().unwrap_err());
    assert_eq!(error.code(), "parse-int-error");
    assert_eq!(
        std::any::type_name::<ParseIntError>(),
        "core::num::error::ParseIntError"
    );

    let cases = [
        (
            "core::num::float_parse::ParseFloatError",
            "parse-float-error",
        ),
        ("std::io::error::Error", "io-error"),
        ("serde_json::error::Error", "serde-json-error"),
        ("demo::IOFailure", "io-failure"),
        ("demo::HTTP", "http"),
        ("demo::Wrapped<alloc::string::String>", "wrapped"),
        ("&demo::Borrowed", "borrowed"),
        ("Error", "unnamed-error"),
    ];
    for (name, code) in cases {
        assert_eq!(code_of_type(name), code, "{name}");
    }
}

#[test]
fn or_fail_puts_the_words_before_the_error() {
    let error = "x".parse::<u8>().or_skip("bad-age", "age").unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "Skip bad-age: age: invalid digit found in string"
    );
    let error = None::<u8>
        .or_fatal("no-config", format_args!("no {}", 7))
        .unwrap_err();
    assert_eq!(format!("{error:?}"), "Fatal no-config: no 7");
    assert_eq!(Some(1).or_retry("gone", "x").unwrap(), 1);
}

#[test]
fn a_delay_is_kept() {
    let error = Error::retry("busy", "later").after(Duration::from_secs(2));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
}

#[test]
fn a_code_of_another_shape_is_made_to_fit() {
    assert_eq!(Error::skip("Bad Age!", "x").code(), "bad-age-");
    assert_eq!(Error::skip("", "x").code(), "skip");
    let long: &'static str =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_eq!(Error::skip(long, "x").code().len(), CODE_BYTES_MAX);
}

#[test]
fn a_message_is_cut_at_a_character() {
    let error = Error::skip("long", "é".repeat(MESSAGE_BYTES_MAX));
    assert_eq!(error.message().len(), MESSAGE_BYTES_MAX);
}
