//! What a request's members must be: each operation lists its own, in the order in which Kinesis
//! reports errors about them.

use crate::protocol::base64;

/// One member of a request or of a structure in it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// In the order in which Kinesis checks them.
    pub(crate) rules: &'static [Rule],
}

/// The type of a member.
#[derive(Debug)]
pub(crate) enum Kind {
    Boolean,
    /// 32 bits: fractions are floored, larger values clamped.
    Integer,
    String,
    Blob,
    /// Seconds since the Unix epoch, with a fraction.
    Timestamp,
    Structure(&'static [Member]),
    /// A list of structures; the name is how an element prints in an error.
    List {
        members: &'static [Member],
        element: &'static str,
    },
    /// Texts by text.
    Map,
}

/// A constraint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    NotNull,
    /// Characters of a text, bytes of a blob, elements of a list or map.
    LengthMin(usize),
    LengthMax(usize),
    ValueMin(i64),
    ValueMax(i64),
    Matches(Pattern),
    OneOf(&'static [&'static str]),
    KeyLengths(usize, usize),
    ValueLengths(usize, usize),
}

/// A pattern that a whole text must match; few enough to need no engine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pattern {
    /// Names of streams and shards.
    Name,
    HashKey,
    SequenceNumber,
    StreamArn,
}

impl Pattern {
    /// The pattern as Kinesis prints it.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Name => "[a-zA-Z0-9_.-]+",
            Self::HashKey => r"0|([1-9]\d{0,38})",
            Self::SequenceNumber => r"0|([1-9]\d{0,128})",
            Self::StreamArn => r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+",
        }
    }

    pub(crate) fn matches(self, text: &str) -> bool {
        match self {
            Self::Name => {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
            }
            Self::HashKey => is_plain_decimal(text, 39),
            Self::SequenceNumber => is_plain_decimal(text, 129),
            Self::StreamArn => stream_of_arn(text).is_some(),
        }
    }
}

fn is_plain_decimal(text: &str, digits_max: usize) -> bool {
    let digits = text.as_bytes();
    (1..=digits_max).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && (digits[0] != b'0' || digits.len() == 1)
}

/// The stream's name in an ARN; `None` if it is not a stream's.
pub(crate) fn stream_of_arn(arn: &str) -> Option<&str> {
    let rest = arn.strip_prefix("arn:aws")?;
    let (place, name) = rest.split_once(":stream/")?;
    let (place, account) = place.rsplit_once(':')?;
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_kinesis = format!("{place}:").contains(":kinesis:");
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    (is_account && is_kinesis && is_name).then_some(name)
}

const NAME_RULES: &[Rule] = &[
    Rule::Matches(Pattern::Name),
    Rule::LengthMin(1),
    Rule::LengthMax(128),
];
const REQUIRED_NAME_RULES: &[Rule] = &[
    Rule::NotNull,
    Rule::Matches(Pattern::Name),
    Rule::LengthMin(1),
    Rule::LengthMax(128),
];

/// The stream's name. Its absence is an error only where no `StreamARN` is given either, which
/// [`super::constraint`] knows.
pub(crate) const STREAM_NAME: Member = Member {
    name: "StreamName",
    kind: Kind::String,
    rules: REQUIRED_NAME_RULES,
};

/// The stream's ARN, which names the stream as well as its name does.
pub(crate) const STREAM_ARN: Member = Member {
    name: "StreamARN",
    kind: Kind::String,
    rules: &[
        Rule::Matches(Pattern::StreamArn),
        Rule::LengthMin(1),
        Rule::LengthMax(2_048),
    ],
};

/// Whether only to try: an error says that the call would succeed.
pub(crate) const DRY_RUN: Member = Member {
    name: "DryRun",
    kind: Kind::Boolean,
    rules: &[],
};

impl Member {
    /// A name of a stream or shard that may be absent.
    pub(crate) const fn name(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::String,
            rules: NAME_RULES,
        }
    }

    /// A name of a stream or shard that may not be absent.
    pub(crate) const fn required_name(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::String,
            rules: REQUIRED_NAME_RULES,
        }
    }

    /// How many to answer at most: 1 to 10 000.
    pub(crate) const fn limit(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Integer,
            rules: &[Rule::ValueMin(1), Rule::ValueMax(10_000)],
        }
    }

    /// Where a list goes on.
    pub(crate) const fn next_token() -> Self {
        Self {
            name: "NextToken",
            kind: Kind::String,
            rules: &[Rule::LengthMin(1), Rule::LengthMax(1 << 20)],
        }
    }

    /// A moment.
    pub(crate) const fn timestamp(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Timestamp,
            rules: &[],
        }
    }
}

/// The members of an object whose types are checked: nulls are absent, numbers are floored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked<'a>(pub(crate) &'a serde_json::Map<String, serde_json::Value>);

impl<'a> Checked<'a> {
    /// A member that is neither absent nor null.
    pub(crate) fn get(self, name: &str) -> Option<&'a serde_json::Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn integer(self, name: &str) -> Option<i64> {
        self.get(name).and_then(floored)
    }

    pub(crate) fn is_set(self, name: &str) -> bool {
        self.get(name).and_then(serde_json::Value::as_bool) == Some(true)
    }

    /// A moment in milliseconds; one before the epoch is the epoch.
    pub(crate) fn timestamp_ms(self, name: &str) -> Option<u64> {
        self.get(name)?
            .as_f64()
            .map(|seconds| (seconds * 1_000.0).round() as u64)
    }

    pub(crate) fn structure(self, name: &str) -> Option<Self> {
        self.get(name)?.as_object().map(Checked)
    }

    pub(crate) fn structures(self, name: &str) -> impl Iterator<Item = Self> {
        let list = self.get(name).and_then(serde_json::Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_object)
            .map(Checked)
    }

    pub(crate) fn blob(self, name: &str) -> Option<Vec<u8>> {
        self.text(name).and_then(base64::decode)
    }
}

/// A 32-bit integer as Kinesis reads a number: floored, clamped above.
pub(crate) fn floored(value: &serde_json::Value) -> Option<i64> {
    let floor = value
        .as_i64()
        .or_else(|| value.as_f64().map(|number| number.floor() as i64))?;
    Some(floor.min(i64::from(i32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let nines = |digits| "9".repeat(digits);
        for (pattern, text, expected) in [
            (Pattern::Name, "a.B_9-", true),
            (Pattern::Name, "", false),
            (Pattern::Name, "a b", false),
            (Pattern::Name, "ä", false),
            (Pattern::HashKey, "0", true),
            (Pattern::HashKey, "01", false),
            (Pattern::HashKey, &nines(39), true),
            (Pattern::HashKey, &nines(40), false),
            (Pattern::HashKey, "-1", false),
            (Pattern::SequenceNumber, &nines(129), true),
            (Pattern::SequenceNumber, &nines(130), false),
            (
                Pattern::StreamArn,
                "arn:aws:kinesis:us-east-1:000000000000:stream/a",
                true,
            ),
            (
                Pattern::StreamArn,
                "arn:aws-cn:kinesis::123456789012:stream/a/b",
                true,
            ),
            (
                Pattern::StreamArn,
                "arn:aws:kinesis:us-east-1:00000000000:stream/a",
                false,
            ),
            (
                Pattern::StreamArn,
                "arn:aws:kinesis:us-east-1:000000000000:stream/",
                false,
            ),
            (
                Pattern::StreamArn,
                "arn:aws:kinesis:us-east-1:000000000000:stream/a b",
                false,
            ),
            (
                Pattern::StreamArn,
                "arn:aws:sqs:us-east-1:000000000000:stream/a",
                false,
            ),
            (Pattern::StreamArn, "a", false),
        ] {
            assert_eq!(pattern.matches(text), expected, "{pattern:?} {text}");
        }
    }
}
