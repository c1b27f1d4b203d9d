//! `fnctl streams`: create, update, list, describe, delete, and what changes its shards.

mod reshard;
mod show;

use clap::Subcommand;
use fnctl_core::{
    error_code::{ErrorCode, ErrorObject, Problem},
    shard::Ack,
    spec::{
        Setting, StreamSpec,
        duration::Duration,
        request::CreateStreamRequest,
        resolve::{self, Problems},
        setting::{Count, UnknownKeys},
        size::ByteSize,
    },
    status::{StreamLine, StreamStatus},
};

use crate::{
    cli::Session,
    commands::read_only,
    confirm::{Destroying, Doomed},
    error::CliError,
    output::{table::Table, words},
    spelling,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a stream
    Create(Create),
    /// Change what a stream keeps and takes
    Update(Update),
    /// List the streams
    #[command(visible_alias = "ls")]
    List,
    /// Show a stream with its shards and users
    Describe {
        /// The stream
        stream: String,
    },
    /// Split a shard in two: its records stay, new ones go to the halves
    Split(reshard::Split),
    /// Merge two neighbouring shards into one
    Merge(reshard::Merge),
    /// Split and merge until so many shards are open
    Resize(reshard::Resize),
    /// Delete a stream and its records
    #[command(visible_alias = "rm")]
    Delete {
        /// The stream
        stream: String,
        #[command(flatten)]
        destroying: Destroying,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Its name
    stream: String,
    /// Number of shards [default: 1]
    #[arg(long, value_name = "N", value_parser = spelling::setting::<Count>, allow_negative_numbers = true)]
    shards: Option<Setting<Count>>,
    /// How long records are kept [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = spelling::setting::<Duration>)]
    retention: Option<Setting<Duration>>,
    /// When puts are answered: synced or written [default: synced]
    #[arg(long, value_name = "WHEN", value_parser = spelling::setting::<Ack>)]
    ack: Option<Setting<Ack>>,
    /// Most bytes of one record with its key, 1MiB to 10MiB [default: 1MiB]
    #[arg(long, value_name = "SIZE", value_parser = spelling::setting::<ByteSize>, allow_negative_numbers = true)]
    max_record_size: Option<Setting<ByteSize>>,
    #[command(flatten)]
    bounds: Bounds,
}

#[derive(Debug, clap::Args)]
struct Bounds {
    /// Most bytes the stream may take on the disk: at it, puts are refused; at least 64MiB [default: no bound]
    #[arg(long, value_name = "SIZE", value_parser = spelling::setting::<ByteSize>, allow_negative_numbers = true)]
    quota: Option<Setting<ByteSize>>,
    /// Bytes beyond which the oldest records go; at least 64MiB, below the quota [default: no bound]
    #[arg(long, value_name = "SIZE", value_parser = spelling::setting::<ByteSize>, allow_negative_numbers = true)]
    retention_bytes: Option<Setting<ByteSize>>,
}

#[derive(Debug, clap::Args)]
struct Update {
    /// The stream
    stream: String,
    /// How long records are kept; `default` for 24h
    #[arg(long, value_name = "DURATION", value_parser = spelling::setting::<Duration>)]
    retention: Option<Setting<Duration>>,
    #[command(flatten)]
    bounds: Bounds,
}

impl Args {
    /// Whether nothing is changed.
    pub(crate) const fn is_reading(&self) -> bool {
        matches!(self.action, Action::List | Action::Describe { .. })
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    match args.action {
        Action::Create(create) => self::create(create, session).await,
        Action::Update(update) => self::update(update, session).await,
        Action::List => {
            let is_whole = !read_only::tell(session).await?;
            list(is_whole, session).await
        }
        Action::Describe { stream } => describe(&stream, session).await,
        Action::Split(split) => split.run(session).await,
        Action::Merge(merge) => merge.run(session).await,
        Action::Resize(resize) => resize.run(session).await,
        Action::Delete { stream, destroying } => delete(&stream, destroying, session).await,
    }
}

async fn create(create: Create, session: &mut Session) -> Result<(), CliError> {
    let settings = StreamSpec {
        shards: create.shards,
        retention: create.retention,
        ack: create.ack,
        max_record_size: create.max_record_size,
        quota: create.bounds.quota,
        retention_bytes: create.bounds.retention_bytes,
        unknown: UnknownKeys::default(),
    };
    check(&settings, "fnctl streams create --help")?;
    let request = CreateStreamRequest {
        name: create.stream,
        settings,
    };
    let line: StreamLine = session.client.post(&["v1", "streams"], &request).await?;
    if session.out.is_json() {
        return session.out.json(&line);
    }
    session
        .out
        .line(&format!("stream     {}", show::summary(&line)))
}

/// Refuses flags that no stream could have.
fn check(settings: &StreamSpec, help: &str) -> Result<(), CliError> {
    let mut problems = Problems::default();
    resolve::stream(settings, "", &mut problems);
    if problems.0.is_empty() {
        return Ok(());
    }
    let problems = problems.0.into_iter().map(|problem| Problem {
        path: format!("--{}", problem.path.replace('_', "-")),
        ..problem
    });
    let problems = problems.collect();
    let error = ErrorObject::of_problems(ErrorCode::StreamInvalid, "the flags", problems);
    Err(error.fix(help).into())
}

async fn update(update: Update, session: &mut Session) -> Result<(), CliError> {
    let settings = StreamSpec {
        retention: update.retention,
        quota: update.bounds.quota,
        retention_bytes: update.bounds.retention_bytes,
        ..StreamSpec::default()
    };
    let help = "fnctl streams update --help";
    check(&settings, help)?;
    if settings == StreamSpec::default() {
        let error = CliError::new(ErrorCode::Usage, "nothing is named that is to change");
        return Err(error.fix(help));
    }
    let path = ["v1", "streams", update.stream.as_str()];
    let line: StreamLine = session.client.patch(&path, &settings).await?;
    if session.out.is_json() {
        return session.out.json(&line);
    }
    session
        .out
        .line(&format!("stream     {}", show::summary(&line)))
}

async fn list(is_whole: bool, session: &mut Session) -> Result<(), CliError> {
    let all: Vec<StreamLine> = session.client.list(&["v1", "streams"], &[]).await?;
    if session.out.is_json() {
        return all.iter().try_for_each(|line| session.out.json(line));
    }
    let mut table = Table::new(&[
        "stream",
        "shards>",
        "retention>",
        "stored>",
        "quota>",
        "ack",
        "created",
    ]);
    for line in &all {
        table.row([
            line.name.clone(),
            line.shards.to_string(),
            Duration::from_ms(line.retention_ms).to_string(),
            words::size(line.stored_bytes),
            line.quota_bytes.map_or_else(|| "-".to_owned(), words::size),
            show::ack(line.ack).to_owned(),
            words::local(&line.created_at),
        ]);
    }
    if table.is_empty() {
        if is_whole {
            session
                .out
                .note("no streams yet: fnctl streams create NAME");
        }
        return Ok(());
    }
    table
        .lines(0)
        .iter()
        .try_for_each(|line| session.out.line(line))
}

async fn describe(stream: &str, session: &mut Session) -> Result<(), CliError> {
    let status: StreamStatus = session.client.get(&["v1", "streams", stream], &[]).await?;
    if session.out.is_json() {
        return session.out.json(&status);
    }
    show::print(&status, &mut session.out)
}

async fn delete(
    stream: &str,
    destroying: Destroying,
    session: &mut Session,
) -> Result<(), CliError> {
    let path = ["v1", "streams", stream];
    let status: StreamStatus = session.client.get(&path, &[]).await?;
    let records: u64 = status.shard_list.iter().map(|shard| shard.records).sum();
    let loss = format!(
        "stream `{stream}` goes, with {}",
        words::count(records, "record")
    );
    let doomed = Doomed {
        what: format!("stream {stream}"),
        loss,
        path,
        line: status.line,
    };
    destroying.delete(doomed, session).await
}
