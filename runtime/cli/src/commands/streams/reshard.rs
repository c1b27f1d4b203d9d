//! `fnctl streams split`, `merge` and `resize`.

use fnctl_core::{
    error_code::ErrorCode,
    spec::request::{MergeRequest, ResizeRequest, SplitRequest},
    status::StreamStatus,
};
use serde::Serialize;

use crate::{cli::Session, commands::streams::show, error::CliError, spelling};

#[derive(Debug, clap::Args)]
pub(super) struct Split {
    /// The stream
    stream: String,
    /// The shard to split: its id, or its number
    #[arg(long, value_name = "ID")]
    shard: String,
    /// First hash key of the second half, decimal [default: the middle]
    #[arg(long, value_name = "HASHKEY", allow_negative_numbers = true)]
    at: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Merge {
    /// The stream
    stream: String,
    /// The shards to merge, given twice: their ids, or their numbers
    #[arg(long = "shard", value_name = "ID", required = true)]
    shards: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Resize {
    /// The stream
    stream: String,
    /// How many shards are to be open
    #[arg(long, value_name = "N", value_parser = spelling::small, allow_negative_numbers = true)]
    shards: u32,
}

impl Split {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let request = SplitRequest {
            shard: self.shard,
            at: self.at,
        };
        ask(&self.stream, "split", &request, session).await
    }
}

impl Merge {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        if self.shards.len() != 2 {
            let words = format!("two shards become one: name two, not {}", self.shards.len());
            let error = CliError::new(ErrorCode::Usage, words);
            let fix = format!("fnctl streams merge {} --shard A --shard B", self.stream);
            return Err(error.fix(&fix));
        }
        let request = MergeRequest {
            shards: self.shards,
        };
        ask(&self.stream, "merge", &request, session).await
    }
}

impl Resize {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CliError> {
        let request = ResizeRequest {
            shards: self.shards,
        };
        ask(&self.stream, "resize", &request, session).await
    }
}

/// Asks for it, and shows the stream's shards as they are then.
async fn ask(
    stream: &str,
    action: &str,
    request: &impl Serialize,
    session: &mut Session,
) -> Result<(), CliError> {
    let path = ["v1", "streams", stream, action];
    let status: StreamStatus = session.client.post(&path, request).await?;
    if session.out.is_json() {
        return session.out.json(&status);
    }
    show::print(&status, &mut session.out)
}
