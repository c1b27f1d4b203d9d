//! `fnctl mappings seek`: go on elsewhere in the stream.

use fnctl_core::status::{SeekShard, SeekStatus};
use serde_json::json;

use crate::{
    cli::Session,
    confirm::Asking,
    error::CliError,
    output::{table::Table, words},
    spelling,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    /// trim-horizon, latest, a time, 15m (ago), or the sequence number of the next record
    #[arg(long, value_name = "POSITION", value_parser = spelling::place, allow_hyphen_values = true)]
    to: String,
    /// This shard alone
    #[arg(long, value_name = "ID")]
    shard: Option<String>,
    /// Only say what it would come to
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
}

pub(super) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let path = ["v1", "mappings", &args.mapping, "seek"];
    let mut body = json!({"to": args.to, "shard_id": args.shard, "dry_run": true});
    let would: SeekStatus = session.client.post(&path, &body).await?;
    if args.dry_run {
        return print(&would, session);
    }
    args.asking.confirm(&session.out, &loss(&would))?;
    body["dry_run"] = false.into();
    // By id: between the question and the answer the name may have come to mean another one.
    let path = ["v1", "mappings", &would.id, "seek"];
    let done: SeekStatus = session.client.post(&path, &body).await?;
    print(&done, session)
}

/// What is lost, or comes again.
fn loss(would: &SeekStatus) -> String {
    let what = change(would);
    format!(
        "mapping `{}` leaves its place: {what}; attempts and totals start anew",
        would.name
    )
}

/// How many records are passed over or come again.
fn change(would: &SeekStatus) -> String {
    let sum = |of: fn(&SeekShard) -> u64| would.shards.iter().map(of).sum::<u64>();
    let again = sum(|shard| shard.pending_records.saturating_sub(shard.pending_before));
    let passed = sum(|shard| shard.pending_before.saturating_sub(shard.pending_records));
    let mut parts = Vec::new();
    if passed > 0 {
        let records = words::count(passed, "pending record");
        parts.push(format!("{records} will not be processed"));
    }
    if again > 0 {
        let records = words::count(again, "record");
        parts.push(format!("{records} will be processed again"));
    }
    let windows = sum(|shard| shard.dropped_windows);
    if windows > 0 {
        let windows = words::count(windows, "open window");
        parts.push(format!("{windows} dropped without a final call"));
    }
    match parts.is_empty() {
        true => "nothing is passed over and nothing comes again".to_owned(),
        false => parts.join(", "),
    }
}

fn print(done: &SeekStatus, session: &mut Session) -> Result<(), CliError> {
    let out = &mut session.out;
    if out.is_json() {
        return out.json(done);
    }
    let verb = if done.dry_run {
        "would go "
    } else {
        "went     "
    };
    out.line(&format!("{verb}  {}", done.name))?;
    let mut table = Table::new(&["shard", "from", "to", "pending>", ""]);
    let place = |number: &Option<String>| {
        number
            .as_deref()
            .map_or_else(|| "the start".to_owned(), words::short_number)
    };
    for shard in &done.shards {
        let clamped = shard
            .is_clamped
            .then(|| "as far back as records are kept".to_owned());
        let windows = (shard.dropped_windows > 0).then(|| {
            let windows = words::count(shard.dropped_windows, "open window");
            format!("{windows} dropped without a final call")
        });
        let note: Vec<String> = clamped.into_iter().chain(windows).collect();
        let note = note.join(", ");
        table.row([
            shard.shard_id.clone(),
            place(&shard.from),
            place(&shard.to),
            shard.pending_records.to_string(),
            note,
        ]);
    }
    table.lines(2).iter().try_for_each(|line| out.line(line))?;
    if done.dry_run {
        out.line(&format!("  {}", change(done)))?;
    }
    Ok(())
}
