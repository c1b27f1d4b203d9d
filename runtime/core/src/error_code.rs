//! The stable codes of every error a person or a script can meet, and the one object that carries
//! them (command line and SDK §4). Codes, kinds and exit codes only ever grow.

mod explanation;

use serde::{Deserialize, Serialize};

pub use self::explanation::{Explanation, families};

/// What sort of failure it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// It did not work.
    Failure,
    /// A word that cannot be read, or a missing or ambiguous one.
    Usage,
    /// Something named does not exist.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// Who asked may not.
    Auth,
    /// It took too long.
    Timeout,
    /// Read, but not allowed: a range, a manifest, a component.
    Validation,
    /// Nobody answered, or what happened is uncertain.
    Unreachable,
    /// Stopped by the person.
    Interrupted,
}

impl ErrorKind {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Auth => 5,
            Self::Timeout => 6,
            Self::Validation => 7,
            Self::Unreachable => 8,
            Self::Interrupted => 130,
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $kind:ident, $http:literal;)*) => {
        /// A stable code: `FN1` command line, `FN2` component and deploy, `FN3` streams and
        /// mappings, `FN4` records and calls, `FN5` storage, `FN6` access, `FN9` ours.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code, ascending.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The spelling, `FN2003`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Its kind.
            #[must_use]
            pub const fn kind(self) -> ErrorKind {
                match self { $(Self::$name => ErrorKind::$kind,)* }
            }

            /// The status of an HTTP answer that carries it.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $http,)* }
            }

            /// The code of a spelling.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

codes! {
    /// A word of the command line, or of an address, cannot be read.
    Usage = "FN1001", Usage, 400;
    /// Several things answer to the name given.
    Ambiguous = "FN1002", Usage, 400;
    /// A flag, key or command that this version does not have yet.
    NotYet = "FN1003", Usage, 400;
    /// Destroying without a terminal needs `--yes`.
    NotConfirmed = "FN1004", Usage, 400;
    /// A local file does not exist or cannot be read.
    FileUnreadable = "FN1005", NotFound, 400;
    /// The server does not answer.
    ServerUnreachable = "FN1006", Unreachable, 503;
    /// The answer is not one of ours.
    AnswerUnreadable = "FN1007", Failure, 502;
    /// Stopped by the person.
    Interrupted = "FN1008", Interrupted, 499;
    /// What was waited for did not happen in time.
    WaitedTooLong = "FN1009", Timeout, 504;
    /// The build command failed.
    BuildFailed = "FN1010", Failure, 400;
    /// A local file cannot be written.
    FileUnwritable = "FN1011", Failure, 400;
    /// The place for something new is taken.
    TargetExists = "FN1012", Conflict, 409;
    /// `doctor` found something that keeps fnctl from working.
    Unhealthy = "FN1013", Failure, 500;
    /// The body of a request cannot be read.
    BodyUnreadable = "FN1014", Validation, 400;
    /// No such address.
    NoSuchRoute = "FN1015", NotFound, 404;
    /// The address exists, the method does not.
    MethodNotAllowed = "FN1016", Usage, 405;
    /// The body of a request is too large.
    BodyTooLarge = "FN1017", Validation, 413;
    /// A listener's address is taken.
    AddressInUse = "FN1018", Conflict, 409;
    /// A program that is needed is missing.
    ToolMissing = "FN1019", Failure, 400;
    /// A value of the command line, or of an address, was read and is not allowed.
    NotAllowed = "FN1020", Validation, 400;

    /// The file is not WebAssembly.
    NotWebAssembly = "FN2001", Validation, 400;
    /// A component above the size limit.
    ComponentTooLarge = "FN2002", Validation, 413;
    /// A core module, not a component.
    NotAComponent = "FN2003", Validation, 400;
    /// Machine code compiled elsewhere.
    Precompiled = "FN2004", Validation, 400;
    /// WAT, WIT or another text.
    ComponentIsText = "FN2005", Validation, 400;
    /// A component that is not valid.
    ComponentInvalid = "FN2006", Validation, 400;
    /// A component that needs a WebAssembly feature that is not offered.
    NeedsFeature = "FN2007", Validation, 400;
    /// A component of another version of the world.
    WrongWorld = "FN2008", Validation, 400;
    /// An import that is not offered.
    ImportNotGranted = "FN2009", Validation, 400;
    /// A component without the handler.
    ExportMissing = "FN2010", Validation, 400;
    /// A component that does not start.
    DoesNotInstantiate = "FN2011", Validation, 400;
    /// Declared outputs cannot be read.
    OutputsUnreadable = "FN2012", Validation, 400;
    /// Compilation passes its time or memory limit.
    CompileTooExpensive = "FN2013", Validation, 400;
    /// A component that starts with more memory than its limit.
    MemoryTooSmall = "FN2014", Validation, 400;

    /// `fnctl.toml` cannot be read or breaks a rule.
    ManifestInvalid = "FN2101", Validation, 400;
    /// Settings out of range or contradicting each other.
    SettingsInvalid = "FN2102", Validation, 400;
    /// A declared output that no mapping binds.
    OutputUnbound = "FN2103", Validation, 400;
    /// An output is bound that the component does not declare.
    NoSuchOutput = "FN2104", Validation, 400;
    /// A mapping that closes a cycle of streams.
    Loop = "FN2105", Validation, 400;
    /// The uploaded component is not there any more.
    NoSuchArtifact = "FN2106", NotFound, 404;
    /// No such function.
    NoSuchFunction = "FN2107", NotFound, 404;
    /// No such version.
    NoSuchVersion = "FN2108", NotFound, 404;
    /// Nothing was live before.
    NothingBefore = "FN2109", Conflict, 409;
    /// The function still has mappings.
    FunctionInUse = "FN2110", Conflict, 409;
    /// The version was committed and a shard failed on it while being waited for.
    FailsOnRecords = "FN2111", Failure, 200;
    /// The function has no canary.
    NoCanary = "FN2112", Conflict, 409;

    /// No such stream.
    NoSuchStream = "FN3001", NotFound, 404;
    /// A stream of that name exists.
    StreamExists = "FN3002", Conflict, 409;
    /// The stream is used by mappings.
    StreamInUse = "FN3003", Conflict, 409;
    /// No such mapping.
    NoSuchMapping = "FN3004", NotFound, 404;
    /// The mapping has failed for good.
    MappingFailed = "FN3005", Conflict, 409;
    /// The mapping has open dead letters.
    OpenDeadLetters = "FN3006", Conflict, 409;
    /// A stream's settings or name break a rule.
    StreamInvalid = "FN3007", Validation, 400;
    /// A position cannot be read or does not exist.
    PositionInvalid = "FN3008", Validation, 400;
    /// The stream is at its quota of bytes.
    StreamFull = "FN3009", Failure, 429;
    /// The function has a mapping of that stream already.
    MappingExists = "FN3012", Conflict, 409;
    /// The mapping does not run.
    MappingNotRunning = "FN3013", Conflict, 409;
    /// No such key waits for a retry.
    NoSuchParkedKey = "FN3014", NotFound, 404;
    /// No record of the key failed: it waits for something else.
    NoFailingRecord = "FN3015", Conflict, 409;
    /// The stream has no such shard.
    NoSuchShard = "FN3020", NotFound, 404;
    /// The shard was split or merged before.
    ShardClosed = "FN3021", Conflict, 409;
    /// Shards cannot be split, merged or resized so.
    ReshardInvalid = "FN3022", Validation, 400;

    /// A record above the stream's limit.
    RecordTooLarge = "FN4001", Validation, 413;
    /// A line without a readable key, and keys are required.
    KeyMissing = "FN4002", Validation, 400;
    /// No such dead letter.
    NoSuchDeadLetter = "FN4003", NotFound, 404;
    /// The call failed, or a record of it.
    CallFailed = "FN4004", Failure, 200;
    /// A body is not lines of JSON as it must be.
    RecordsUnreadable = "FN4005", Validation, 400;
    /// Too much at once; the same again later.
    Throttled = "FN4006", Failure, 429;
    /// Whether the records arrived is not known.
    Uncertain = "FN4007", Unreachable, 503;
    /// A producer left lines out.
    ProducerGap = "FN4008", Conflict, 409;
    /// A partition key that is not 1 to 256 characters.
    KeyInvalid = "FN4009", Validation, 400;
    /// Nothing of the mapping fails: there is nothing to capture.
    NothingToCapture = "FN4010", NotFound, 404;
    /// A file that is no capture, or a damaged one, or one of a newer version.
    CaptureUnusable = "FN4011", Validation, 400;
    /// Replayed or in the shadow, records ended otherwise than they did.
    EndsOtherwise = "FN4012", Conflict, 409;
    /// A dead letter without a payload: it was too large to be kept.
    NothingToRedrive = "FN4020", Conflict, 409;
    /// A redrive that was waited for was called off.
    RedriveCancelled = "FN4021", Conflict, 409;

    /// No room for new records.
    DiskFull = "FN5001", Failure, 429;
    /// The server is stopping or has stopped.
    Stopping = "FN5002", Unreachable, 503;
    /// Stored bytes are damaged.
    Damaged = "FN5003", Failure, 500;
    /// Another server has the data directory.
    DataDirectoryLocked = "FN5004", Conflict, 409;
    /// The data directory cannot be used.
    DataDirectoryUnusable = "FN5005", Failure, 500;
    /// `doctor` found stored bytes that are damaged or missing.
    DataDamaged = "FN5006", Validation, 500;
    /// A newer version wrote the data directory, or the backup.
    DataDirectoryNewer = "FN5007", Validation, 500;
    /// A backup that is damaged, or no backup.
    BackupUnusable = "FN5008", Validation, 500;
    /// The server serves reads alone: a start does not mend what keeps it from writing.
    ReadsAlone = "FN5009", Failure, 503;

    /// A listener beyond loopback that does not keep strangers out, without `--insecure`.
    ListenerExposed = "FN6001", Validation, 400;
    /// A request that a browser page of another origin made.
    OriginRefused = "FN6002", Auth, 403;
    /// A request without a token, or with one that is not known, was revoked or has expired.
    TokenRefused = "FN6003", Auth, 401;
    /// A token whose scope does not include what was asked for.
    ScopeTooNarrow = "FN6004", Auth, 403;
    /// Too many refused requests of one address.
    AccessThrottled = "FN6005", Auth, 429;
    /// A certificate or key that cannot be read, made or used.
    TlsUnusable = "FN6006", Validation, 400;
    /// No such token.
    NoSuchToken = "FN6007", NotFound, 404;
    /// A token of that name exists, or there is no room for more.
    TokenExists = "FN6008", Conflict, 409;
    /// The file of tokens, or of Kinesis credentials, cannot be read or written.
    AccessFileUnusable = "FN6009", Failure, 500;

    /// A fault of ours.
    Internal = "FN9001", Failure, 500;
}

/// One problem of an input that may have several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: `mapping[0].batch_size`.
    pub path: String,
    /// What, in words.
    pub message: String,
    /// Its own code, where it is not the error's: `FN1003` beside problems of other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Problem {
    /// A problem at a path.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            code: None,
        }
    }

    /// As one of something that is specified and not there yet.
    #[must_use]
    pub fn not_yet(self) -> Self {
        Self {
            code: Some(ErrorCode::NotYet.as_str().to_owned()),
            ..self
        }
    }
}

/// The error object, the same on the command line and in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// The stable code.
    pub code: String,
    /// Its kind.
    pub kind: ErrorKind,
    /// The exit code of the command that ends with it.
    pub exit_code: u8,
    /// What happened.
    pub message: String,
    /// Which file, stream, line …
    #[serde(rename = "where")]
    pub place: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// What to do, usually a command line.
    pub fix: Option<String>,
    /// All problems of the input, where it has several.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// The request's id, where a server answered.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// The error object as it is sent: `{"error":{…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The object.
    pub error: ErrorObject,
}

impl ErrorObject {
    /// The error of an input with these problems: of `code`, unless all of them are of things that
    /// are not there yet. One problem alone is told in the message.
    #[must_use]
    pub fn of_problems(code: ErrorCode, what: &str, problems: Vec<Problem>) -> Self {
        let not_yet = ErrorCode::NotYet;
        let is_later = |problem: &Problem| problem.code.as_deref() == Some(not_yet.as_str());
        let code = if !problems.is_empty() && problems.iter().all(is_later) {
            not_yet
        } else {
            code
        };
        let error = match problems.as_slice() {
            [one] => Self::new(code, format!("{}: {}", one.path, one.message)).at(one.path.clone()),
            all => Self::new(code, format!("{} problems in {what}", all.len())),
        };
        error.with_problems(problems)
    }

    /// An error of a code, in words.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code: code.as_str().to_owned(),
            kind: code.kind(),
            exit_code: code.kind().exit_code(),
            message: message.into(),
            place: None,
            why: None,
            fix: None,
            problems: Vec::new(),
            request_id: None,
        }
    }

    /// With the place it concerns.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// With the reason.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// With what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// With all problems of the input.
    #[must_use]
    pub fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.problems = problems;
        self
    }

    /// Ready to be sent.
    #[must_use]
    pub fn into_body(self) -> ErrorBody {
        ErrorBody { error: self }
    }
}

#[cfg(test)]
mod tests;
