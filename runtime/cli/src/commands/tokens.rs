//! `fnctl tokens`: who may do what. Over the API of a running server, or in the data directory of one that
//! does not run, which is how the first is made before a server listens beyond loopback.

use std::{io::ErrorKind, path::PathBuf, time::Duration};

use clap::Subcommand;
use fnctl_core::{
    access::{CreateTokenRequest, CreatedToken, RevokedToken, Scope, TokenLine, TokenRefusal},
    error_code::ErrorCode,
};
use fnctl_host::{OfflineTokens, OpenError, TokensError};

use crate::{
    cli::Session,
    commands::deploy::print::note_in_words,
    confirm::Asking,
    error::CliError,
    output::{pasted, table::Table, words},
    spelling,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token, and print it: it is shown this once
    Create {
        /// Its name, which the audit tells
        name: String,
        /// What its holder may do: read, write (also put records) or admin (everything)
        #[arg(long, value_name = "SCOPE", value_parser = spelling::scope)]
        scope: Scope,
        /// How long it is good [default: until it is revoked]
        #[arg(long, value_name = "DURATION", value_parser = spelling::duration)]
        expires: Option<Duration>,
        #[command(flatten)]
        offline: Offline,
    },
    /// List the tokens, without their secrets
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        offline: Offline,
    },
    /// Revoke a token: at once, what it has open is ended
    #[command(visible_alias = "rm")]
    Revoke {
        /// The token
        name: String,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        offline: Offline,
    },
}

#[derive(Debug, clap::Args)]
struct Offline {
    /// Work on this data directory; no server may use it
    #[arg(long, value_name = "D")]
    data_dir: Option<PathBuf>,
}

impl Offline {
    fn take(&self) -> Result<Option<OfflineTokens>, CliError> {
        let taken = self.data_dir.as_deref().map(OfflineTokens::take);
        taken.transpose().map_err(failed)
    }

    /// Of a directory that is there: looking makes none.
    fn take_known(&self) -> Result<Option<OfflineTokens>, CliError> {
        if let Some(data_dir) = &self.data_dir
            && !data_dir.is_dir()
        {
            let words = format!("there is no data directory `{}`", data_dir.display());
            return Err(CliError::new(ErrorCode::FileUnreadable, words)
                .fix("--data-dir D, where `fnctl server` keeps its data"));
        }
        self.take()
    }

    /// What a command has to say to work on the same tokens.
    fn words(&self) -> String {
        let data_dir = self.data_dir.as_ref();
        data_dir.map_or_else(String::new, |path| {
            format!(" --data-dir {}", pasted::quoted(&path.to_string_lossy()))
        })
    }

    /// What to do about a name that is there, or is not.
    fn fixed(&self, error: CliError, name: &str) -> CliError {
        let words = self.words();
        if error.is(ErrorCode::TokenExists) {
            return error.fix(format!(
                "another name, or first: fnctl tokens revoke {name}{words}"
            ));
        }
        match error.is(ErrorCode::NoSuchToken) {
            true => error.fix(format!("fnctl tokens list{words}")),
            false => error,
        }
    }
}

impl Args {
    /// Whether nothing is changed.
    pub(crate) const fn is_reading(&self) -> bool {
        matches!(self.action, Action::List { .. })
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<(), CliError> {
    match args.action {
        Action::Create {
            name,
            scope,
            expires,
            offline,
        } => {
            let request = CreateTokenRequest {
                name,
                scope,
                expires_after_ms: expires
                    .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            };
            create(&request, &offline, session).await
        }
        Action::List { offline } => list(&offline, session).await,
        Action::Revoke {
            name,
            asking,
            offline,
        } => revoke(&name, asking, &offline, session).await,
    }
}

async fn create(
    request: &CreateTokenRequest,
    offline: &Offline,
    session: &mut Session,
) -> Result<(), CliError> {
    let made = match offline.take()? {
        Some(tokens) => tokens.create(request).map_err(failed),
        None => session.client.post(&["v1", "tokens"], request).await,
    };
    let made: CreatedToken = made.map_err(|error| offline.fixed(error, &request.name))?;
    if session.out.is_json() {
        return session.out.json(&made);
    }
    let ends = made.line.expires_at.as_deref().map_or_else(
        || "until it is revoked".to_owned(),
        |end| format!("until {}", words::local(end)),
    );
    session.out.note(&format!(
        "token      {}  may {}, {ends}; it is shown this once: export FNCTL_TOKEN=…",
        made.line.name, made.line.scope
    ));
    session.out.line(&made.token)
}

async fn all(offline: &Offline, session: &Session) -> Result<Vec<TokenLine>, CliError> {
    match offline.take_known()? {
        Some(tokens) => tokens.list().map_err(failed),
        None => session.client.list(&["v1", "tokens"], &[]).await,
    }
}

async fn list(offline: &Offline, session: &mut Session) -> Result<(), CliError> {
    let all = all(offline, session).await?;
    if session.out.is_json() {
        return all.iter().try_for_each(|line| session.out.json(line));
    }
    let mut table = Table::new(&["token", "scope", "created", "expires"]);
    for line in &all {
        table.row([
            line.name.to_string(),
            line.scope.to_string(),
            words::local(&line.created_at),
            match &line.expires_at {
                None => "never".to_owned(),
                Some(end) if line.expired => format!("{}, expired", words::local(end)),
                Some(end) => words::local(end),
            },
        ]);
    }
    if table.is_empty() {
        session.out.note(&format!(
            "no tokens: fnctl tokens create NAME --scope read|write|admin{}",
            offline.words()
        ));
        return Ok(());
    }
    table
        .lines(0)
        .iter()
        .try_for_each(|line| session.out.line(line))
}

async fn revoke(
    name: &str,
    asking: Asking,
    offline: &Offline,
    session: &mut Session,
) -> Result<(), CliError> {
    let known = all(offline, session).await?;
    if !known.iter().any(|line| line.name.as_str() == name) {
        let error = failed(TokenRefusal::NoSuchToken(name.to_owned()).into());
        return Err(offline.fixed(error, name));
    }
    let loss = format!("whoever uses token `{name}` is locked out");
    asking.confirm(&session.out, &loss)?;
    let revoked: RevokedToken = match offline.take()? {
        Some(tokens) => tokens.revoke(name).map_err(failed)?,
        None => session.client.delete_one(&["v1", "tokens", name]).await?,
    };
    if session.out.is_json() {
        return session.out.json(&revoked);
    }
    for note in &revoked.notes {
        for (label, words) in note_in_words(note) {
            session.out.note(&format!("{label:<10} {words}"));
        }
    }
    session.out.line(&format!("revoked    token {name}"))
}

pub(super) fn failed(error: TokensError) -> CliError {
    let words = error.to_string();
    match error {
        TokensError::Refused(TokenRefusal::NoSuchToken(_)) => {
            CliError::new(ErrorCode::NoSuchToken, words).fix("fnctl tokens list")
        }
        TokensError::Refused(_) => CliError::new(ErrorCode::TokenExists, words)
            .fix("another name, or first: fnctl tokens revoke NAME"),
        TokensError::Invalid(_) => CliError::new(ErrorCode::NotAllowed, words),
        TokensError::Open(OpenError::Locked { .. }) => {
            CliError::new(ErrorCode::DataDirectoryLocked, words)
                .because("a server that runs keeps its tokens itself")
                .fix("ask that server: the same without --data-dir")
        }
        TokensError::Open(OpenError::NoDataDirectory { .. }) => {
            CliError::new(ErrorCode::TargetExists, words)
                .fix("name an empty directory, or one that is not there yet: --data-dir D")
        }
        TokensError::Open(_) => CliError::new(ErrorCode::DataDirectoryUnusable, words)
            .fix("run it as the user of the server, on the directory that it keeps its data in"),
        TokensError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            CliError::new(ErrorCode::DataDirectoryUnusable, words)
                .because("whoever you are may not read it")
                .fix("as the user that the server runs as, or: chown")
        }
        TokensError::Io { .. } | TokensError::Unreadable { .. } | TokensError::File { .. } => {
            CliError::new(ErrorCode::AccessFileUnusable, words)
                .because("nobody is let in by guessing what such a file says")
                .fix("mend it; or remove `access.json`, and make every token anew")
        }
    }
}
