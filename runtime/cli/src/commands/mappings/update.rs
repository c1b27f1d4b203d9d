//! `fnctl mappings update`: a mapping's settings without its function.

use fnctl_core::{
    error_code::ErrorCode,
    spec::{FunctionSpec, MappingSpec, StreamSpec, request::ChangedMapping, resolve},
};

use crate::{
    cli::Session,
    commands::{
        deploy::{
            self,
            print::{change_in_words, note_in_words},
        },
        mapping_flags::MappingFlags,
    },
    error::CliError,
    output::Output,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, FUNCTION/STREAM, or FUNCTION while it has one
    mapping: String,
    #[command(flatten)]
    flags: MappingFlags,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let layer = args.flags.spec()?;
    if layer == MappingSpec::default() {
        return Err(CliError::usage("nothing is named that is to change")
            .fix("fnctl mappings update --help lists what can be; `default` resets one"));
    }
    check(&layer)?;
    let path = ["v1", "mappings", &args.mapping];
    let done: Result<ChangedMapping, CliError> = session.client.patch(&path, &layer).await;
    let done = done.map_err(as_flags)?;
    if session.out.is_json() {
        return session.out.json(&done);
    }
    print(&done, &mut session.out)
}

/// Finds what is wrong with the flags before anything is sent.
fn check(layer: &MappingSpec) -> Result<(), CliError> {
    let problems = resolve::layers(
        &FunctionSpec::default(),
        std::slice::from_ref(layer),
        &Default::default(),
        &StreamSpec::default(),
    );
    if problems.is_empty() {
        return Ok(());
    }
    Err(deploy::refused(problems, "fnctl mappings update --help"))
}

/// The server names keys; here they are flags.
fn as_flags(error: CliError) -> CliError {
    match error {
        CliError::Told(error) if error.code == ErrorCode::Loop.as_str() => {
            let fix = "bind the output elsewhere, or allow it by a deploy: fnctl deploy --name FUNCTION --to STREAM --allow-loop";
            error.fix(fix).into()
        }
        error => deploy::as_flags(error, "fnctl mappings update --help"),
    }
}

fn print(done: &ChangedMapping, out: &mut Output) -> Result<(), CliError> {
    let changes: Vec<String> = done.changes.iter().map(change_in_words).collect();
    let changes = if done.changed {
        changes.join(", ")
    } else {
        "unchanged".to_owned()
    };
    out.line(&format!(
        "mapping    {}  {}   {changes}",
        done.name, done.state
    ))?;
    for made in &done.created {
        out.line(&format!("created    {made}"))?;
    }
    for note in &done.notes {
        for (label, words) in note_in_words(note) {
            out.line(&format!("{label:<10} {words}"))?;
        }
    }
    out.line(&format!("live       in {} ms", done.live_ms))
}
