//! `fnctl dump`: journal, segments and image of a data directory in readable form, for support.

use std::{path::PathBuf, sync::Arc};

use fnctl_core::{
    error_code::ErrorCode,
    id::{ShardNumber, StreamId},
};
use fnctl_store::{
    disk::{Disk, real::RealDisk},
    dump::{self, DumpError, Field, Line, Part, Payloads, Wanted},
};
use serde_json::{Map, Value};

use crate::{cli::Session, error::CliError};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to dump
    #[arg(value_enum, default_value_t)]
    part: Which,
    /// The data directory; what a server writes meanwhile may show as damaged
    #[arg(long, value_name = "D", default_value = ".fnctl")]
    data_dir: PathBuf,
    /// Of the stream with this id alone (`dump image` lists them)
    #[arg(long, value_name = "ID")]
    stream: Option<u64>,
    /// Of this shard alone
    #[arg(long, value_name = "N")]
    shard: Option<u32>,
    /// From this LSN (journal) or record (segments) on
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Show keys and payloads, not their length and hash alone
    #[arg(long)]
    payloads: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Which {
    /// Entries, file by file
    #[default]
    Journal,
    /// Frames and records of shard logs
    Segments,
    /// What a start begins with
    Image,
}

pub(crate) fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let wanted = Wanted {
        part: match args.part {
            Which::Journal => Part::Journal,
            Which::Segments => Part::Segments,
            Which::Image => Part::Image,
        },
        stream: args.stream.map(StreamId),
        shard: args.shard.map(ShardNumber),
        from: args.from,
        payloads: if args.payloads {
            Payloads::Shown
        } else {
            Payloads::Redacted
        },
    };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let out = &mut session.out;
    let done = tokio::task::block_in_place(|| {
        dump::dump(&disk, &args.data_dir, &wanted, &mut |line| {
            let printed = if out.is_json() {
                out.json(&object(line))
            } else {
                out.line(&text(&line))
            };
            printed.map_err(|_| DumpError::Gone)
        })
    });
    done.map_err(|error| {
        let words = error.to_string();
        match error {
            DumpError::NoData(_) => CliError::new(ErrorCode::FileUnreadable, words)
                .fix("--data-dir D, where `fnctl server` keeps its data"),
            DumpError::Gone => CliError::StdoutClosed,
            DumpError::Image(_) => CliError::new(ErrorCode::DataDirectoryUnusable, words)
                .because("it is a cache of snapshot and journal: a start makes it anew")
                .fix("fnctl dump journal shows the same, entry by entry"),
            DumpError::Io { .. } => CliError::new(ErrorCode::DataDirectoryUnusable, words)
                .fix("fnctl doctor --data-dir D reads every file, and says which is at fault"),
        }
    })
}

fn object(line: Line) -> Value {
    let mut object = Map::new();
    object.insert("kind".to_owned(), line.kind.into());
    object.insert("file".to_owned(), line.file.to_string_lossy().into());
    object.insert("offset".to_owned(), line.offset.into());
    for (name, value) in line.fields {
        let value = match value {
            Field::Id(id) => id.to_string().into(),
            Field::Number(number) => number.into(),
            Field::Text(text) => text.into(),
        };
        object.insert(name.to_owned(), value);
    }
    object.into()
}

/// `commit       at 5120  lsn 41  mapping 3  settles 1-40`.
fn text(line: &Line) -> String {
    let file = line.file.file_name().unwrap_or_default().to_string_lossy();
    let mut text = match (line.kind, line.offset) {
        ("file", _) => format!("file {}", line.file.display()),
        (kind, Some(offset)) => format!("  {kind:<11} {offset:>9}"),
        (kind, None) => format!("{kind:<8} {file}"),
    };
    for (name, value) in &line.fields {
        let value = match value {
            Field::Id(number) | Field::Number(number) => number.to_string(),
            Field::Text(words) if words.is_empty() => continue,
            Field::Text(words) => words.clone(),
        };
        text.push_str("  ");
        text.push_str(&name.replace('_', " "));
        text.push(' ');
        text.push_str(&value);
    }
    text
}
