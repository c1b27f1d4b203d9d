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

/// The server's certificate is one that signs others. `rustls` tells its failures of certificates by their names.
const IS_A_CA: &str = "CaUsedAsEndEntity";
/// What answers does not speak TLS.
const NO_TLS: &str = "InvalidContentType";

/// Its certificate is of other names.
const OTHER_NAME: &str = "not valid for name";
/// Its certificate is trusted by nobody here, has ended, or is of another name.
const REFUSED: &str = "invalid peer certificate";

/// What is wrong, in a line: somebody answers where a certificate is refused.
pub(super) fn what(why: &str, server: &str) -> String {
    match why.contains(REFUSED) {
        true => format!("the certificate that {server} shows is not trusted"),
        false => format!("no server answers at {server}"),
    }
}

/// What failed between the two, where the library's name for it helps nobody.
pub(super) fn in_words(why: &str) -> Option<&'static str> {
    if why.contains(IS_A_CA) {
        Some(
            "the certificate that the server shows is one that signs others (CA:TRUE), and a server needs one of its own",
        )
    } else if why.contains(NO_TLS) {
        Some("what answers there does not speak TLS")
    } else {
        None
    }
}

/// What to do when no connection over TLS is to be had; `rest` is the address behind its scheme.
pub(super) fn fix(why: &str, rest: &str) -> String {
    if why.contains(IS_A_CA) {
        "make the server's with CA:FALSE (openssl req -x509 … -addext basicConstraints=critical,CA:FALSE), or: fnctl server --tls-generate"
            .to_owned()
    } else if why.contains(NO_TLS) {
        format!("--server http:{rest}")
    } else if why.contains(OTHER_NAME) {
        "--server https://NAME:PORT with a name that the certificate has; or make one that has this: fnctl server --tls-generate --tls-name NAME"
            .to_owned()
    } else if why.contains(REFUSED) {
        "name the certificate to trust, or that of who signed it: --tls-ca F, or FNCTL_TLS_CA"
            .to_owned()
    } else {
        "is it there, and does this machine trust its certificate? --tls-ca F, or FNCTL_TLS_CA"
            .to_owned()
    }
}

fn roots(path: &Path) -> Result<RootCertStore, CliError> {
    let pem = fs::read(path).map_err(|error| {
        let words = format!("failed to read `{}`: {error}", path.display());
        CliError::new(ErrorCode::FileUnreadable, words)
            .at("--tls-ca, or FNCTL_TLS_CA")
            .fix("name a PEM file with the server's certificate, or with that of who signed it")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustls_says_of_a_ca_and_of_plain_http_is_said_in_words() {
        let ca = rustls::Error::InvalidCertificate(rustls::CertificateError::Other(
            rustls::OtherError(std::sync::Arc::new(std::io::Error::other(IS_A_CA))),
        ));
        let said = ca.to_string();
        assert!(said.contains(IS_A_CA), "{said}");
        assert!(in_words(&said).is_some_and(|words| words.contains("CA:TRUE")));
        assert!(fix(&said, "//x:1").contains("CA:FALSE"));
        let plain = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let said = plain.to_string();
        assert!(in_words(&said).is_some(), "{said}");
        assert_eq!(fix(&said, "//x:1"), "--server http://x:1");
        assert_eq!(in_words("connection refused"), None);
    }

    #[test]
    fn a_certificate_that_is_refused_is_no_server_that_is_not_there() {
        let refused = |of| rustls::Error::InvalidCertificate(of).to_string();
        let unknown = refused(rustls::CertificateError::UnknownIssuer);
        let other = refused(rustls::CertificateError::NotValidForNameContext {
            expected: rustls::pki_types::ServerName::try_from("there").unwrap(),
            presented: vec!["elsewhere".to_owned()],
        });
        for (why, fixed) in [(&unknown, "--tls-ca"), (&other, "--tls-name")] {
            assert!(what(why, "https://x:1").contains("is not trusted"), "{why}");
            assert!(fix(why, "//x:1").contains(fixed), "{why}");
        }
        let words = what("connection refused", "https://x:1");
        assert_eq!(words, "no server answers at https://x:1");
    }
}
