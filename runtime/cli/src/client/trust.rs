//! Whose certificates are trusted: those of this machine, or one that was named.

use std::{fs, path::Path};

use fnctl_core::error_code::ErrorCode;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::error::CliError;

/// Connections over TLS, or without where the address says so.
///
/// # Errors
/// The certificates cannot be read; they are only where the address needs them.
pub(super) fn connector(
    tcp: HttpConnector,
    is_secured: bool,
    trusted: Option<&Path>,
) -> Result<HttpsConnector<HttpConnector>, CliError> {
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| CliError::new(ErrorCode::TlsUnusable, error.to_string()))?;
    let config = match trusted {
        Some(path) if is_secured => config.with_root_certificates(roots(path)?),
        None if is_secured => config.with_native_roots().map_err(|error| {
            let words = format!("this machine's certificates cannot be read: {error}");
            CliError::new(ErrorCode::TlsUnusable, words)
                .fix("name the certificate to trust: --tls-ca F, or FNCTL_TLS_CA")
        })?,
        // Plain HTTP trusts nobody by their certificate.
        Some(_) | None => config.with_root_certificates(RootCertStore::empty()),
    };
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp))
}

fn roots(path: &Path) -> Result<RootCertStore, CliError> {
    let pem = fs::read(path).map_err(|error| {
        let words = format!("failed to read `{}`: {error}", path.display());
        CliError::new(ErrorCode::FileUnreadable, words).at("--tls-ca, or FNCTL_TLS_CA")
    })?;
    let unusable = |words: String| {
        let words = format!(
            "`{}` holds no certificate to trust: {words}",
            path.display()
        );
        CliError::new(ErrorCode::TlsUnusable, words)
            .at("--tls-ca, or FNCTL_TLS_CA")
            .fix("name a PEM file with the server's certificate, or with that of who signed it")
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it is empty, or not PEM".to_owned()));
    }
    Ok(roots)
}
