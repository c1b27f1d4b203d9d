//! `fnctl completion`: what a shell needs to complete fnctl's words, and names of what the server has.

use clap::CommandFactory;
use clap_complete::env::Shells;
use fnctl_core::error_code::ErrorCode;

use crate::{
    cli::{Cli, Session},
    completing,
    error::CliError,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

pub(crate) fn run(args: &Args, session: &mut Session) -> Result<(), CliError> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&args.shell)
        .expect("the shells that are read are those there are");
    let program = std::env::current_exe()
        .map_err(|error| CliError::new(ErrorCode::Internal, format!("where fnctl is: {error}")))?;
    let command = Cli::command();
    let name = command.get_name();
    let mut script = Vec::new();
    shell
        .write_registration(
            completing::VARIABLE,
            name,
            name,
            &program.to_string_lossy(),
            &mut script,
        )
        .expect("a vector takes everything");
    if args.shell == "bash" {
        script = joined(&String::from_utf8_lossy(&script), name).into_bytes();
    }
    session.out.bytes(&script)
}

/// To bash `--flag=value` is three words. They are put together in front of the function that was made for it, and
/// of what that answers bash is given what belongs behind the `=`.
fn joined(script: &str, name: &str) -> String {
    const JOINING: &str = r#"
_NAME_joined() {
    local -a joined=()
    local at last index=0
    for at in "${!COMP_WORDS[@]}"; do
        last=$((${#joined[@]} - 1))
        if ((last > 0)) && { [[ ${joined[last]} == --*= && ${COMP_WORDS[at]} != -* ]] ||
            [[ ${COMP_WORDS[at]} == "=" && ${joined[last]} == --* && ${joined[last]} != *=* ]]; }; then
            joined[last]+=${COMP_WORDS[at]}
        else
            joined+=("${COMP_WORDS[at]}")
        fi
        if ((at == COMP_CWORD)); then
            index=$((${#joined[@]} - 1))
        fi
    done
    local -a COMP_WORDS=("${joined[@]}")
    local COMP_CWORD=$index
    _clap_complete_NAME "$1" "${joined[index]}" "$3"
    if [[ ${joined[index]} == --*=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#*=}")
    fi
}
"#;
    let made = format!("-F _clap_complete_{name} ");
    let ours = format!("-F _{name}_joined ");
    format!(
        "{}{}",
        JOINING.replace("NAME", name),
        script.replace(&made, &ours)
    )
}
