//! TLS of the listeners: a certificate that was given, or one that the server made for itself.
//!
//! One that was made lies in the data directory as one file with its key, replaced as a whole, so that a
//! crash leaves no half; `cert.pem` beside it is the certificate alone, for clients.
//!
//! What is shown can be replaced while connections are open: those go on with what they began with.

mod expiry;

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use fnctl_core::id::Timestamp;
use fnctl_store::limits::TLS_DIRECTORY;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    client::verify_server_name,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::ParsedCertificate,
};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::limits::{
    CERTIFICATE_LIFE_MS, CERTIFICATE_RENEWED_BEFORE_MS, CERTIFICATE_WARNED_BEFORE_MS,
};

/// Certificate and key of the certificate that the server made.
const IDENTITY: &str = "identity.pem";
/// The certificate alone.
const CERTIFICATE: &str = "cert.pem";

/// Where a server's certificate comes from.
#[derive(Clone, Debug)]
pub enum Tls {
    /// Files: the chain, the server's own first, and its key, both PEM.
    Files {
        /// The chain.
        certificate: PathBuf,
        /// The key: PKCS #8, PKCS #1 or SEC 1.
        key: PathBuf,
    },
    /// One that the server makes and keeps in its data directory, signed by itself, good for ten years; it is made
    /// anew when less than a month of them is left.
    Generated {
        /// Names and addresses that clients use, besides those of this machine.
        names: Vec<String>,
    },
}

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("failed to read or write `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it must be.
    #[error("`{}` {words}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong, as the rest of a sentence.
        words: String,
    },
    /// None can be made for these names.
    #[error("failed to make a certificate for {names}: {words}")]
    NotMade {
        /// The names.
        names: String,
        /// Why.
        words: String,
    },
}

/// What listeners need, and what people compare.
#[derive(Clone)]
pub(crate) struct Secured {
    /// Ends TLS.
    pub(crate) acceptor: TlsAcceptor,
    /// SHA-256 of the certificate, `AB:CD:…`.
    pub(crate) fingerprint: String,
    /// When the certificate ends; `None`: it cannot be told.
    pub(crate) expires: Option<Timestamp>,
    /// The certificate for clients, where the server made it.
    pub(crate) certificate: Option<PathBuf>,
    /// What clients can call the server where it listens on all addresses: a name that the certificate is for, as far as
    /// one is known.
    pub(crate) name: String,
}

/// What listeners show now.
#[derive(Clone)]
pub(crate) struct Shown(Arc<RwLock<Secured>>);

impl Shown {
    /// Shows this first.
    pub(crate) fn new(secured: Secured) -> Self {
        Self(Arc::new(RwLock::new(secured)))
    }

    /// What ends TLS of a new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let now = self.0.read();
        let now = now.unwrap_or_else(PoisonError::into_inner);
        now.acceptor.clone()
    }

    /// Shows this to connections from now on.
    pub(crate) fn replace(&self, secured: Secured) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = secured;
    }
}

impl Tls {
    /// Looks whether it can be had, and touches no data directory: what is wrong with it is told before the data are
    /// opened. Blocks.
    ///
    /// # Errors
    /// As [`TlsError`] says.
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        match self {
            Self::Files { certificate, key } => {
                let (chain, key_pem) = (read(certificate)?, read(key)?);
                secured(&chain, certificate, &key_pem, key, &[]).map(drop)
            }
            Self::Generated { names } => match names.iter().find(|name| checked(name).is_none()) {
                Some(name) => Err(TlsError::NotMade {
                    names: format!("`{name}`"),
                    words: "it is no name of a host, and no address".to_owned(),
                }),
                None => Ok(()),
            },
        }
    }

    /// Reads the certificate, or makes it in a data directory that this process holds. Blocks.
    ///
    /// # Errors
    /// As [`TlsError`] says.
    pub(crate) fn load(&self, data_dir: &Path, now: Timestamp) -> Result<Secured, TlsError> {
        match self {
            Self::Files { certificate, key } => {
                let (chain, key_pem) = (read(certificate)?, read(key)?);
                secured(&chain, certificate, &key_pem, key, &all_names(&[]))
            }
            Self::Generated { names } => generated(&data_dir.join(TLS_DIRECTORY), names, now),
        }
    }

    /// The file of the private key, where somebody else keeps it.
    pub(crate) fn key(&self) -> Option<&Path> {
        match self {
            Self::Files { key, .. } => Some(key),
            Self::Generated { .. } => None,
        }
    }

    /// The files that somebody else may renew.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Files { certificate, key } => vec![certificate.clone(), key.clone()],
            Self::Generated { .. } => Vec::new(),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> TlsError {
    let path = path.to_owned();
    move |source| TlsError::Io { path, source }
}

fn chain_of(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |words: String| TlsError::Unusable {
        path: path.to_owned(),
        words,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(unusable("holds no certificate in PEM".to_owned())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(unusable(format!("holds no certificate in PEM: {error}"))),
    }
}

fn secured(
    chain: &[u8],
    chain_path: &Path,
    key: &[u8],
    key_path: &Path,
    names: &[String],
) -> Result<Secured, TlsError> {
    let unusable = |path: &Path, words: String| TlsError::Unusable {
        path: path.to_owned(),
        words,
    };
    let chain = chain_of(chain, chain_path)?;
    // Words of the reader alone: nothing of a key is told.
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| unusable(key_path, "holds no private key in PEM".to_owned()))?;
    let fingerprint = fingerprint(&chain);
    let expires = chain.first().and_then(|own| expiry::of(own));
    let name = name_of(&chain, names);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| {
        let words = format!("cannot be used with `{}`: {error}", key_path.display());
        unusable(chain_path, words)
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Secured {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        fingerprint,
        expires,
        certificate: None,
        name,
    })
}

/// The first of the names that the certificate is for and that is no pattern; else what this machine is called.
fn name_of(chain: &[CertificateDer<'_>], names: &[String]) -> String {
    let is_one = |name: &&String| {
        let is_own = ["127.0.0.1", "::1"].contains(&name.as_str());
        !is_own && !name.starts_with('*') && is_for_name(chain, name)
    };
    let found = names.iter().find(is_one);
    found.cloned().unwrap_or_else(host_name)
}

/// What this machine is called.
fn host_name() -> String {
    let host = rustix::system::uname();
    host.nodename().to_string_lossy().into_owned()
}

/// A name of a host or an address, as a certificate may hold it; of a pattern (`*.example.org`) a name that it is for.
fn checked(name: &str) -> Option<ServerName<'static>> {
    let name = match name.strip_prefix("*.") {
        Some("") => return None,
        Some(rest) => format!("any.{rest}"),
        None => name.to_owned(),
    };
    ServerName::try_from(name).ok()
}

fn is_for_name(chain: &[CertificateDer<'_>], name: &str) -> bool {
    let own = chain.first();
    let parsed = own.and_then(|own| ParsedCertificate::try_from(own).ok());
    parsed
        .zip(checked(name))
        .is_some_and(|(parsed, name)| verify_server_name(&parsed, &name).is_ok())
}

fn fingerprint(chain: &[CertificateDer<'_>]) -> String {
    let own = chain.first().map_or(&[][..], |own| own.as_ref());
    let digest = Sha256::digest(own);
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// The certificate that was made before, if it is for all names and does not end soon; else a new one.
fn generated(directory: &Path, names: &[String], now: Timestamp) -> Result<Secured, TlsError> {
    let path = directory.join(IDENTITY);
    let known_as: Vec<String> = names.iter().cloned().chain(all_names(&[])).collect();
    let names = all_names(names);
    let load = |pem: &[u8]| secured(pem, &path, pem, &path, &known_as);
    let known = match fs::read(&path) {
        Ok(pem) if is_for(&pem, &path, &names) => load(&pem)
            .ok()
            .filter(|secured| lasts(secured, now))
            .map(|secured| (secured, pem)),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(at(&path)(error)),
    };
    let (mut secured, pem) = match known {
        Some(known) => known,
        None => {
            let pem = make(&names, now)?;
            replace(directory, IDENTITY, pem.as_bytes())?;
            (load(pem.as_bytes())?, pem.into_bytes())
        }
    };
    let certificate = directory.join(CERTIFICATE);
    let alone = certificate_alone(&pem);
    if fs::read(&certificate).is_ok_and(|there| there == alone) {
        secured.certificate = Some(certificate);
        return Ok(secured);
    }
    replace(directory, CERTIFICATE, &alone)?;
    secured.certificate = Some(certificate);
    Ok(secured)
}

/// Everything of the file in front of the key.
fn certificate_alone(pem: &[u8]) -> Vec<u8> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let text = String::from_utf8_lossy(pem);
    let before = text.split_once(END).map_or("", |(before, _)| before);
    format!("{before}{END}").into_bytes()
}

/// What was asked for, and what this machine is called on itself.
fn all_names(names: &[String]) -> Vec<String> {
    let host = host_name();
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut all: Vec<String> = own.into_iter().chain(names.iter().cloned()).collect();
    if ServerName::try_from(host.as_str()).is_ok() {
        all.push(host);
    }
    let mut known = Vec::new();
    all.retain(|name| {
        let is_new = !known.contains(name);
        known.push(name.clone());
        is_new
    });
    all
}

/// Says in the log that a certificate has ended, or is about to: clients refuse it then.
pub(crate) fn look_at_end(end: Option<Timestamp>, now: Timestamp) {
    let Some(end) = end else {
        return;
    };
    if end <= now {
        tracing::warn!("the certificate has expired: clients that verify it do not connect");
    } else if end.since_ms(now) < CERTIFICATE_WARNED_BEFORE_MS {
        let days = end.since_ms(now) / 86_400_000;
        tracing::warn!("the certificate expires in {days} days");
    }
}

fn is_for(pem: &[u8], path: &Path, names: &[String]) -> bool {
    let Ok(chain) = chain_of(pem, path) else {
        return false;
    };
    names.iter().all(|name| is_for_name(&chain, name))
}

/// Whether it does not have to be made anew yet.
fn lasts(secured: &Secured, now: Timestamp) -> bool {
    let left = secured.expires.map(|end| end.since_ms(now));
    left.is_some_and(|left| left > CERTIFICATE_RENEWED_BEFORE_MS)
}

/// Certificate and key, PEM.
fn make(names: &[String], now: Timestamp) -> Result<String, TlsError> {
    let not_made = |error: rcgen::Error| TlsError::NotMade {
        names: names.join(", "),
        words: error.to_string(),
    };
    let mut params = CertificateParams::new(names.to_vec()).map_err(not_made)?;
    params.distinguished_name = DistinguishedName::new();
    let own_name = format!("fnctl {}", uuid::Uuid::new_v4());
    params.distinguished_name.push(DnType::CommonName, own_name);
    let end = Duration::from_millis(now.0.saturating_add(CERTIFICATE_LIFE_MS));
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(not_made)?;
    let certificate = params.self_signed(&key).map_err(not_made)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

/// Replaces a file of the directory: whole, durable, its owner's alone.
fn replace(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), TlsError> {
    let path = directory.join(name);
    let beside = directory.join(format!("{name}.tmp"));
    let write = || {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        // One that an earlier life left may be readable by others.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(at(&path))
}

#[cfg(test)]
mod tests;
