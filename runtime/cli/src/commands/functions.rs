//! `fnctl functions`: list, describe, delete.

use clap::Subcommand;
use fnctl_core::{
    spec::{duration::Duration, size::ByteSize},
    status::{CanaryStatus, FunctionLine, FunctionStatus},
};

use crate::{
    cli::Session,
    confirm::{Destroying, Doomed},
    error::CliError,
    output::{table::Table, words},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the functions
    #[command(visible_alias = "ls")]
    List,
    /// Show a function with its versions
    Describe {
        /// The function
        function: String,
    },
    /// Delete a function
    #[command(visible_alias = "rm")]
    Delete {
        /// The function
        function: String,
        #[command(flatten)]
        destroying: Destroying,
    },
}

impl Args {
    /// Whether nothing is changed.
    pub(crate) const fn is_reading(&self) -> bool {
        matches!(self.action, Action::List | Action::Describe { .. })
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    match args.action {
        Action::List => list(session).await,
        Action::Describe { function } => describe(&function, session).await,
        Action::Delete {
            function,
            destroying,
        } => delete(&function, destroying, session).await,
    }
}

async fn list(session: &mut Session) -> Result<(), CliError> {
    let all: Vec<FunctionLine> = session.client.list(&["v1", "functions"], &[]).await?;
    if session.out.is_json() {
        return all.iter().try_for_each(|line| session.out.json(line));
    }
    let mut table = Table::new(&["function", "version>", "component", "created", "mappings"]);
    for line in &all {
        table.row([
            line.name.clone(),
            match &line.canary {
                Some(canary) => format!("{} + {} {}", line.version, canary.version, canary.weight),
                None => line.version.to_string(),
            },
            short(&line.digest),
            words::local(&line.created_at),
            line.mappings.join(" "),
        ]);
    }
    if table.is_empty() {
        session
            .out
            .note("no functions yet: fnctl new NAME, fnctl deploy");
        return Ok(());
    }
    table
        .lines(0)
        .iter()
        .try_for_each(|line| session.out.line(line))
}

async fn describe(function: &str, session: &mut Session) -> Result<(), CliError> {
    let status: FunctionStatus = session
        .client
        .get(&["v1", "functions", function], &[])
        .await?;
    if session.out.is_json() {
        return session.out.json(&status);
    }
    let out = &mut session.out;
    let line = &status.line;
    out.line(&format!(
        "{}  version {}, live since {}",
        line.name,
        line.version,
        words::local(&status.live_since)
    ))?;
    for said in canary_lines(&status) {
        out.line(&said)?;
    }
    out.line(&format!(
        "  settings    memory {}  timeout {}  isolation {}  concurrency {}",
        ByteSize::from_bytes(status.memory_bytes),
        Duration::from_ms(status.timeout_ms),
        status.isolation,
        status.concurrency.map_or_else(
            || "as many as the pool holds".to_owned(),
            |count| count.to_string()
        ),
    ))?;
    for (label, names) in [
        ("config", &status.config),
        ("secrets", &status.secrets),
        ("outputs", &status.outputs),
        ("uses", &status.uses),
        ("mappings", &line.mappings),
    ] {
        if !names.is_empty() {
            out.line(&format!("  {label:<11} {}", names.join("  ")))?;
        }
    }
    let mut table = Table::new(&["version>", "component", "size>", "deployed", ""]);
    for version in &status.versions {
        let note = match (&version.rolled_back_at, &version.canary) {
            _ if version.live => "live".to_owned(),
            (_, Some(weight)) => format!("canary {weight}"),
            (Some(time), None) => format!("rolled back {}", words::local(time)),
            (None, None) => String::new(),
        };
        table.row([
            version.version.to_string(),
            short(&version.digest),
            words::size(version.component_bytes),
            words::local(&version.created_at),
            note,
        ]);
    }
    table.lines(2).iter().try_for_each(|line| out.line(line))?;
    if status.switches.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["switched", "", "canary>", "weight>", "live>", ""]);
    for switch in &status.switches {
        table.row([
            words::local(&switch.at),
            switch.kind.as_str().to_owned(),
            switch.canary.to_string(),
            switch.weight.clone().unwrap_or_else(|| "-".to_owned()),
            switch.live.to_string(),
            words::shown(&switch.why, 400),
        ]);
    }
    table.lines(2).iter().try_for_each(|line| out.line(line))
}

/// The canary with its calls, and what a guard did.
fn canary_lines(status: &FunctionStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(canary) = &status.line.canary {
        lines.push(format!("  {}", canary_line(canary)));
    }
    if let Some(words) = &status.line.rolled_back {
        lines.push(format!("  {words}"));
    }
    lines
}

/// `canary  version 8 with 10% of the keys, since …: 3 of 54 calls failed (live: 1 of 480); taken back if …`, or `by hand alone`.
pub(crate) fn canary_line(canary: &CanaryStatus) -> String {
    let bounds: Vec<String> = [
        canary
            .rollback_errors
            .as_ref()
            .map(|bound| format!("more than {bound} fail")),
        canary
            .rollback_age
            .as_ref()
            .map(|bound| format!("a record waits for {bound}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let back = match bounds.as_slice() {
        [] => "by hand alone".to_owned(),
        bounds => format!("if {}", bounds.join(" or ")),
    };
    format!(
        "canary  version {} with {} of the keys since {}: {} of {} failed (live: {} of {}); taken back {back}",
        canary.version,
        canary.weight,
        words::local(&canary.since),
        canary.failures,
        words::count(canary.calls, "call"),
        canary.live_failures,
        words::count(canary.live_calls, "call"),
    )
}

async fn delete(
    function: &str,
    destroying: Destroying,
    session: &mut Session,
) -> Result<(), CliError> {
    let path = ["v1", "functions", function];
    let status: FunctionStatus = session.client.get(&path, &[]).await?;
    let mut loss = format!(
        "function `{function}` goes, with {}",
        words::count(status.versions.len() as u64, "version")
    );
    if destroying.force && !status.line.mappings.is_empty() {
        loss.push_str(&format!(
            " and the progress of {}",
            status.line.mappings.join(", ")
        ));
    }
    let doomed = Doomed {
        what: format!("function {function}"),
        loss,
        path,
        line: status.line,
    };
    destroying.delete(doomed, session).await
}

/// Enough of a digest to recognise a build.
pub(crate) fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 8).collect()
}
