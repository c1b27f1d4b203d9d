//! `fnctl promote`: makes a canary live, or gives it another weight.

use fnctl_core::{
    canary::Guard,
    error_code::{ErrorCode, ErrorObject, Problem},
    spec::{
        Setting,
        canary::CanarySpec,
        duration::Duration,
        percent::{OrOff, Percent},
        request::{PromoteRequest, PromoteResult},
        resolve::Problems,
    },
    status::CanaryStatus,
};

use crate::{cli::Session, commands::deploy::by_flag, error::CliError, spelling};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The function
    function: String,
    #[command(flatten)]
    canary: CanaryFlags,
}

/// What can be said of a canary.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct CanaryFlags {
    /// Share of the keys that meet the version; the others stay with the live one
    #[arg(long, value_name = "PERCENT", value_parser = spelling::setting::<Percent>, allow_negative_numbers = true)]
    canary: Option<Setting<Percent>>,
    /// Share of the canary's calls that may fail before it is taken back, or `off` [default: 5%]
    #[arg(long, value_name = "PERCENT", requires = "canary", value_parser = spelling::setting::<OrOff<Percent>>, allow_negative_numbers = true)]
    rollback_errors: Option<Setting<OrOff<Percent>>>,
    /// Iterator age that takes the canary back, or `off` [default: off]
    #[arg(long, value_name = "DURATION", requires = "canary", value_parser = spelling::setting::<OrOff<Duration>>)]
    rollback_age: Option<Setting<OrOff<Duration>>>,
}

impl CanaryFlags {
    /// The canary that is asked for; `None`: none is.
    pub(crate) fn spec(&self) -> Option<CanarySpec> {
        Some(CanarySpec {
            weight: self.canary.clone()?,
            rollback_errors: self.rollback_errors.clone(),
            rollback_age: self.rollback_age.clone(),
        })
    }
}

/// `canary version 8 with 10%`.
pub(crate) fn in_words(canary: &CanaryStatus) -> String {
    format!("canary version {} with {}", canary.version, canary.weight)
}

/// What is wrong with a canary, under the names of its flags.
pub(crate) fn problems(spec: &CanarySpec) -> Vec<Problem> {
    let mut problems = Problems::default();
    spec.resolve(&Guard::default(), &mut problems);
    by_flag(problems.0)
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    let canary = args.canary.spec();
    if let Some(spec) = &canary {
        let found = problems(spec);
        if !found.is_empty() {
            let code = ErrorCode::SettingsInvalid;
            let error = ErrorObject::of_problems(code, "what was asked for", found);
            return Err(error.fix("fnctl promote --help").into());
        }
    }
    let path = ["v1", "functions", &args.function, "promote"];
    let done: PromoteResult = session
        .client
        .post(&path, &PromoteRequest { canary })
        .await?;
    if session.out.is_json() {
        return session.out.json(&done);
    }
    let name = &done.function;
    session.out.line(&match &done.canary {
        Some(canary) => format!(
            "function   {name}  version {}, {}",
            done.version,
            in_words(canary)
        ),
        None => format!(
            "function   {name}  version {} (was {})",
            done.version, done.previous_version
        ),
    })
}
