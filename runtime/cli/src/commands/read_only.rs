//! What is said beside a list of a server that serves reads alone: the list may not be all there is.

use fnctl_core::spec::request::VersionResult;

use crate::{cli::Session, commands::no_room, error::CliError, output};

/// Tells of it on stderr, whatever stdout is written for, and of a disk without room, and answers whether it serves reads alone: an empty
/// list of such a server is not a new server's, and invites to nothing.
///
/// # Errors
/// The server's, or nobody answers.
pub(crate) async fn tell(session: &Session) -> Result<bool, CliError> {
    let server: VersionResult = session.client.get(&["v1", "version"], &[]).await?;
    if let Some(why) = &server.read_only {
        for line in words(why, &server.data_dir) {
            output::note(&line);
        }
    }
    // It is what its mappings do not say: they read on.
    for line in server.no_room.iter().flat_map(no_room::words) {
        output::note(&line);
    }
    Ok(server.read_only.is_some())
}

/// What is said and what to do, a line each.
pub(crate) fn words(why: &str, data_dir: &str) -> [String; 3] {
    [
        format!("the server serves reads alone, and what it shows may not be all: {why}"),
        format!(
            "  with the server stopped: fnctl doctor --data-dir {data_dir}        what is damaged, file by file"
        ),
        "  then: fnctl restore --from BACKUP --data-dir NEW        a start does not mend this"
            .to_owned(),
    ]
}
