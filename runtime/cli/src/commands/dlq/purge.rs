//! `fnctl dlq purge`: throw dead letters away. What is lost is said before.

use std::collections::BTreeMap;

use fnctl_core::{
    spec::position::StartingPosition,
    status::{DamagedLetters, PurgeStatus},
};
use serde_json::json;

use super::filters;
use crate::{cli::Session, confirm::Asking, error::CliError, output::words, spelling};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "fnctl dlq purge [OPTIONS] <MAPPING> <ID...|--code|--kind|--key|--since|--all>"
)]
pub(crate) struct Args {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one; of a deleted one its id
    mapping: String,
    #[command(flatten)]
    selection: Selection,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Which open letters are meant: said in one way.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct Selection {
    /// These, by their ids
    #[arg(value_name = "ID", conflicts_with_all = ["code", "kind", "key", "since", "all"])]
    ids: Vec<String>,
    /// The open ones of a code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// The open ones of a kind: skip, error, trap, timeout …
    #[arg(long, value_name = "KIND", value_parser = filters::kinds(), hide_possible_values = true)]
    kind: Option<String>,
    /// The open ones of a partition key
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    key: Option<String>,
    /// The open ones given up since a time, or so long ago
    #[arg(long, value_name = "TIME", value_parser = spelling::moment)]
    since: Option<StartingPosition>,
    /// All open ones
    #[arg(long, conflicts_with_all = ["code", "kind", "key", "since"])]
    all: bool,
}

impl Selection {
    /// As the body of a request.
    pub(super) fn body(&self) -> serde_json::Value {
        json!({
            "ids": self.ids,
            "code": self.code,
            "kind": self.kind,
            "key": self.key,
            "since": self.since.map(|since| since.to_string()),
            "all": self.all,
        })
    }

    /// Whether letters are asked what they are: of one that cannot be read nobody knows.
    const fn is_filter(&self) -> bool {
        self.code.is_some() || self.kind.is_some() || self.key.is_some() || self.since.is_some()
    }

    /// Why none was meant, by what is open; `None`: there is nothing to say.
    pub(super) fn why_none(&self, open: Option<&BTreeMap<String, u64>>) -> Option<String> {
        let open = open?;
        if open.is_empty() {
            return Some("there are no open dead letters".to_owned());
        }
        let is_of = |code: &String| open.contains_key(code);
        let what = match &self.code {
            Some(code) if !is_of(code) => format!("has the code `{code}`"),
            _ if self.kind.is_some() || self.key.is_some() || self.since.is_some() => {
                "is all that".to_owned()
            }
            _ => return None,
        };
        let codes: Vec<String> = open
            .iter()
            .map(|(code, count)| format!("{code} {count}"))
            .collect();
        Some(format!(
            "no open dead letter {what}; there are: {}",
            codes.join(", ")
        ))
    }
}

pub(super) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let path = ["v1", "mappings", &args.mapping, "dead-letters", "purge"];
    let mut body = args.selection.body();
    body["dry_run"] = true.into();
    let mut doomed: PurgeStatus = session.client.post(&path, &body).await?;
    let letters = words::count(doomed.purged, "dead letter");
    let size = words::size(doomed.data_bytes);
    let (lost, left) = match &doomed.damaged {
        Some(damaged) if args.selection.is_filter() => (0, Some(damaged.clone())),
        Some(damaged) => (damaged.letters, None),
        None => (0, None),
    };
    let end = |left: Option<DamagedLetters>| match left {
        Some(damaged) => Err(super::left(&damaged, &args.mapping)),
        None => Ok(()),
    };
    if args.dry_run || doomed.purged == 0 {
        if session.out.is_json() {
            doomed.dry_run = args.dry_run;
            session.out.json(&doomed)?;
            return end(left);
        }
        let words = match args.dry_run {
            true => format!(
                "would go   {letters} of {}, {size} of payload",
                args.mapping
            ),
            false => format!("purged     {letters} of {}", args.mapping),
        };
        if let Some(why) = args.selection.why_none(doomed.open_codes.as_ref()) {
            session.out.note(&why);
        }
        if lost > 0 {
            session.out.note(&format!("{lost} of these cannot be read"));
        }
        session.out.line(&words)?;
        return end(left);
    }
    let go = if doomed.purged == 1 { "goes" } else { "go" };
    let mut loss = format!(
        "{letters} of `{}` {go}, with {size} of payload that nothing else holds",
        args.mapping
    );
    if lost > 0 {
        loss.push_str(&format!(
            "; {lost} of them cannot be read, and a restored backup may have them whole"
        ));
    }
    args.asking.confirm(&session.out, &loss)?;
    body["dry_run"] = false.into();
    // Nobody was asked about those that have come since.
    body["through"] = doomed.through.into();
    let purged: PurgeStatus = session.client.post(&path, &body).await?;
    if session.out.is_json() {
        session.out.json(&purged)?;
        return end(left);
    }
    let letters = words::count(purged.purged, "dead letter");
    session
        .out
        .line(&format!("purged     {letters} of {}", args.mapping))?;
    end(left)
}
