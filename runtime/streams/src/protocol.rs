//! The wire format: JSON 1.1 in, checked against each operation's members; answers and errors out.

pub(crate) mod auth;
pub(crate) mod base64;
pub(crate) mod constraint;
pub(crate) mod envelope;
pub(crate) mod error;
pub(crate) mod member;
pub(crate) mod reply;
pub(crate) mod scan;
pub(crate) mod time_text;
pub(crate) mod type_check;
