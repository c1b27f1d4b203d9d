//! How a server is started.

use std::{net::SocketAddr, path::PathBuf};

use fnctl_core::limits::DEAD_LETTER_STREAM_BYTES_MAX;
use fnctl_invoker::Compiler;
use fnctl_store::ScrubOptions;

use crate::{own_files::OwnFiles, tls::Tls};

/// How a server is started.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where everything is kept; made when missing.
    pub data_dir: PathBuf,
    /// Where the control API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the Kinesis API listens; port 0 takes a free one.
    pub kinesis_listen: SocketAddr,
    /// Whether the data directory may lie on a network file system.
    pub allows_network_file_system: bool,
    /// Whether listeners beyond loopback are allowed without what keeps strangers out.
    pub insecure: bool,
    /// More names of this machine that clients use; requests to others are refused where nobody is asked who they are.
    pub host_names: Vec<String>,
    /// Whether a token is asked for on loopback, too.
    pub require_token: bool,
    /// The certificate of both listeners; `None`: they speak plain HTTP.
    pub tls: Option<Tls>,
    /// File of the keys that may sign requests of the Kinesis API; `None`: signatures are not verified.
    pub kinesis_credentials: Option<PathBuf>,
    /// File of the secret of a token that may do everything; `None`: tokens are made by people alone.
    pub admin_token_file: Option<PathBuf>,
    /// A file that the caller writes once the server serves: no dead letters are written to it.
    pub ready_file: Option<PathBuf>,
    /// Threads that run functions; `None`: as many as the machine has.
    pub guest_threads: Option<usize>,
    /// How fast and how often everything at rest is read and checked.
    pub scrub: ScrubOptions,
    /// Keys and payloads of one mapping's open dead letters, bytes; at it, a record that would be one more waits.
    pub dead_letter_bytes_max: u64,
    /// Who compiles components.
    pub compiler: Compiler,
    /// The commit that the binary was built from, told to whoever asks for the version.
    pub commit: Option<&'static str>,
    /// Called when the process has not ended by itself [`ENDS_WITHIN`](crate::limits::ENDS_WITHIN) after a failed write or
    /// sync; it does not return.
    pub last_resort: Option<fn() -> !>,
}

impl ServerOptions {
    /// What clients call this machine, as far as it was said.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.host_names.clone();
        if let Some(Tls::Generated { names: of_tls }) = &self.tls {
            names.extend_from_slice(of_tls);
        }
        names
    }

    /// The defaults over a data directory: ports 4700 and 4701 of loopback.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 4700)),
            kinesis_listen: SocketAddr::from(([127, 0, 0, 1], 4701)),
            insecure: false,
            host_names: Vec::new(),
            require_token: false,
            tls: None,
            kinesis_credentials: None,
            admin_token_file: None,
            ready_file: None,
            allows_network_file_system: false,
            guest_threads: None,
            commit: None,
            last_resort: None,
            scrub: ScrubOptions::default(),
            dead_letter_bytes_max: DEAD_LETTER_STREAM_BYTES_MAX,
            compiler: Compiler::default(),
        }
    }

    /// The data directory, and every file that is named beside it.
    pub(super) fn own_files(&self) -> OwnFiles {
        let (certificate, key) = match &self.tls {
            Some(Tls::Files { certificate, key }) => (Some(certificate), Some(key)),
            Some(Tls::Generated { .. }) | None => (None, None),
        };
        let files = [
            ("ready file", self.ready_file.as_ref()),
            ("token file", self.admin_token_file.as_ref()),
            ("Kinesis credentials", self.kinesis_credentials.as_ref()),
            ("certificate", certificate),
            ("key", key),
        ];
        let files = files.into_iter();
        let files = files.filter_map(|(what, path)| Some((what, path?.clone())));
        OwnFiles::new(&self.data_dir, files)
    }
}
