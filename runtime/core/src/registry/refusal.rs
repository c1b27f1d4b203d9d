//! Why a command was refused, and the error object it becomes.

use crate::{
    error_code::{ErrorCode, ErrorObject, Problem},
    id::{FunctionId, FunctionName, FunctionVersion, MappingId, OutputName, StreamName},
    limits::STREAM_SHARDS_MAX,
    shard::ReshardError,
};

/// A refusal. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No stream of that name.
    #[error("no stream `{0}`")]
    NoSuchStream(StreamName),
    /// The name is taken.
    #[error("stream `{0}` exists already")]
    StreamExists(StreamName),
    /// Mappings read or write it.
    #[error("stream `{stream}` is in use by {}", users.join(", "))]
    StreamInUse {
        /// The stream.
        stream: StreamName,
        /// `<function>/<stream>` each.
        users: Vec<String>,
    },
    /// No function of that name.
    #[error("no function `{0}`")]
    NoSuchFunction(FunctionName),
    /// It still has mappings.
    #[error("function `{function}` is in use by {}", mappings.join(", "))]
    FunctionInUse {
        /// The function.
        function: FunctionName,
        /// `<function>/<stream>` each.
        mappings: Vec<String>,
    },
    /// No such version.
    #[error("function `{function}` has no version {version}")]
    NoSuchVersion {
        /// The function.
        function: FunctionName,
        /// The version.
        version: FunctionVersion,
    },
    /// Nothing to roll back to.
    #[error("nothing was live before version {version} of `{function}`")]
    NothingBefore {
        /// The function.
        function: FunctionName,
        /// The live version.
        version: FunctionVersion,
        /// Whether there is no other one at all.
        is_only: bool,
    },
    /// No function of that id.
    #[error("no function of id {0}")]
    NoSuchFunctionId(FunctionId),
    /// It has no canary.
    #[error("function `{function}` has no canary: all keys meet version {version}")]
    NoCanary {
        /// The function.
        function: FunctionName,
        /// The live version.
        version: FunctionVersion,
    },
    /// No mapping of that id.
    #[error("no mapping `{0}`")]
    NoSuchMapping(MappingId),
    /// The function has a mapping of that stream.
    #[error("mapping `{mapping}` exists already, as {id}")]
    MappingExists {
        /// `<function>/<stream>`.
        mapping: String,
        /// Its id.
        id: MappingId,
    },
    /// It failed for good.
    #[error("mapping `{0}` has failed for good: its stream was deleted")]
    MappingFailed(String),
    /// It has open dead letters.
    #[error("mapping `{mapping}` has {open} open dead letters")]
    OpenDeadLetters {
        /// `<function>/<stream>`.
        mapping: String,
        /// Its id.
        id: MappingId,
        /// How many.
        open: u64,
    },
    /// A declared output goes nowhere.
    #[error("output `{output}` of version {version} is bound to nothing in mapping `{mapping}`")]
    OutputUnbound {
        /// `<function>/<stream>`.
        mapping: String,
        /// The output.
        output: OutputName,
        /// The version that declares it.
        version: FunctionVersion,
    },
    /// An output is bound that the component does not declare.
    #[error("the component declares no output `{output}`")]
    NoSuchOutput {
        /// The output.
        output: OutputName,
        /// Those it has.
        declared: Vec<OutputName>,
    },
    /// Records would run in a circle.
    #[error("mapping `{mapping}` closes a cycle: {}", path.iter().map(StreamName::as_str).collect::<Vec<_>>().join(" → "))]
    Cycle {
        /// `<function>/<stream>`.
        mapping: String,
        /// The streams, from the mapping's back to itself.
        path: Vec<StreamName>,
    },
    /// A stream's settings break rules.
    #[error("stream `{stream}` cannot be changed so")]
    StreamInvalid {
        /// The stream.
        stream: StreamName,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// Its shards cannot be split, merged or resized so.
    #[error("stream `{stream}`: {error}")]
    Reshard {
        /// The stream.
        stream: StreamName,
        /// Why.
        error: ReshardError,
    },
    /// Settings break rules.
    #[error("{} {} in what was asked for", problems.len(), if problems.len() == 1 { "problem" } else { "problems" })]
    Invalid {
        /// All of them.
        problems: Vec<Problem>,
    },
}

impl Refusal {
    /// The error object, with the command that mends it.
    #[must_use]
    pub fn to_error(&self) -> ErrorObject {
        let error = |code| ErrorObject::new(code, self.to_string());
        match self {
            Self::NoSuchStream(name) => error(ErrorCode::NoSuchStream)
                .at(name.as_str())
                .fix(format!("fnctl streams create {name}")),
            Self::StreamExists(name) => error(ErrorCode::StreamExists)
                .at(name.as_str())
                .fix(format!("fnctl streams describe {name}")),
            Self::StreamInUse { stream, .. } => error(ErrorCode::StreamInUse)
                .at(stream.as_str())
                .because("the mappings that read it would fail for good, those that write to it or copy their dead letters there would wait")
                .fix(format!("delete the mappings or send their records elsewhere first, or: fnctl streams delete {stream} --force")),
            Self::NoSuchFunction(name) => error(ErrorCode::NoSuchFunction)
                .at(name.as_str())
                .fix("fnctl functions list"),
            Self::FunctionInUse { function, .. } => error(ErrorCode::FunctionInUse)
                .at(function.as_str())
                .because("its mappings would go with it, and their progress")
                .fix(format!("delete its mappings first, or: fnctl functions delete {function} --force")),
            Self::NoSuchVersion { function, .. } => error(ErrorCode::NoSuchVersion)
                .at(function.as_str())
                .fix(format!("fnctl functions describe {function}")),
            Self::NothingBefore { function, is_only: true, .. } => error(ErrorCode::NothingBefore)
                .at(function.as_str())
                .because("it is the only version")
                .fix("fnctl deploy        (the next version; then there is one to go back to)"),
            Self::NothingBefore { function, .. } => error(ErrorCode::NothingBefore)
                .at(function.as_str())
                .fix(format!("fnctl rollback {function} --to N        (versions: fnctl functions describe {function})")),
            Self::NoSuchFunctionId(_) => error(ErrorCode::NoSuchFunction).fix("fnctl functions list"),
            Self::NoCanary { function, .. } => error(ErrorCode::NoCanary)
                .at(function.as_str())
                .fix("fnctl deploy FILE.wasm --canary 10%        (the next version, for a tenth of the keys)"),
            Self::NoSuchMapping(_) => error(ErrorCode::NoSuchMapping).fix("fnctl mappings list"),
            Self::MappingExists { mapping, .. } => error(ErrorCode::MappingExists)
                .at(mapping)
                .because("a function reads a stream by one mapping")
                .fix(format!("fnctl mappings update {mapping}")),
            Self::MappingFailed(name) => error(ErrorCode::MappingFailed)
                .at(name)
                .fix(format!("fnctl mappings delete {name}")),
            Self::OpenDeadLetters { mapping, id, .. } => error(ErrorCode::OpenDeadLetters)
                .at(mapping)
                .because(format!("with --force they stay, and answer to its id alone: fnctl dlq list {id}"))
                .fix(format!("fnctl dlq list {mapping}, or: fnctl mappings delete {mapping} --force")),
            Self::OutputUnbound { mapping, output, .. } => error(ErrorCode::OutputUnbound)
                .at(mapping)
                .because("rows for it would be lost without a word")
                .fix(format!("add --to {output}=STREAM, or --to {output}=none to count them only")),
            Self::NoSuchOutput { declared, output } => error(ErrorCode::NoSuchOutput)
                .because(format!(
                    "it declares {}",
                    declared.iter().map(OutputName::as_str).collect::<Vec<_>>().join(", ")
                ))
                .fix(format!("leave `{output}` out, or declare it: output!(\"{output}\")")),
            Self::Cycle { mapping, .. } => error(ErrorCode::Loop)
                .at(mapping)
                .because("every record would come round again until its 16th hop and end as a dead letter")
                .fix("bind the output elsewhere, or add --allow-loop"),
            Self::StreamInvalid { stream, problems } => ErrorObject::of_problems(
                ErrorCode::StreamInvalid,
                &format!("the settings of `{stream}`"),
                problems.clone(),
            ),
            Self::Reshard { stream, error: why } => reshard(self, stream, why),
            Self::Invalid { problems } => ErrorObject::of_problems(
                ErrorCode::SettingsInvalid,
                "what was asked for",
                problems.clone(),
            ),
        }
    }
}

fn reshard(refusal: &Refusal, stream: &StreamName, why: &ReshardError) -> ErrorObject {
    let describe = format!("fnctl streams describe {stream}        (its shards)");
    let code = match why {
        ReshardError::NoSuchShard(_) => ErrorCode::NoSuchShard,
        ReshardError::Closed(_) => ErrorCode::ShardClosed,
        ReshardError::SplitPoint { .. }
        | ReshardError::NotAdjacent { .. }
        | ReshardError::ShardCount { .. }
        | ReshardError::TooNarrow { .. }
        | ReshardError::TooManyListed { .. } => ErrorCode::ReshardInvalid,
    };
    let error = ErrorObject::new(code, refusal.to_string()).at(stream.as_str());
    match why {
        ReshardError::NoSuchShard(_) => error.fix(describe),
        ReshardError::Closed(_) => error
            .because("a closed shard takes no records; its children do")
            .fix(describe),
        ReshardError::SplitPoint { range, .. } => {
            let (least, most) = (range.start.saturating_add(2), range.end.saturating_sub(1));
            if least > most {
                return error
                    .because("a shard of three hash keys or less stays whole")
                    .fix(describe);
            }
            error
                .because("each half has two hash keys at least")
                .fix(format!("--at {least} to {most}, or no --at for the middle"))
        }
        ReshardError::NotAdjacent { .. } => error
            .because("only neighbours in the hash-key space become one shard")
            .fix(describe),
        ReshardError::ShardCount { .. } => {
            error.fix(format!("name 1 to {STREAM_SHARDS_MAX} shards"))
        }
        ReshardError::TooNarrow { .. } => error
            .because("a shard of three hash keys or less stays whole")
            .fix(describe),
        ReshardError::TooManyListed { .. } => error
            .because("closed shards are listed until retention has passed their records")
            .fix(format!(
                "wait for retention, or shorten it: fnctl streams update {stream} --retention 1h"
            )),
    }
}
