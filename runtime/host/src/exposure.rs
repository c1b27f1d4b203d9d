//! Whether listeners keep strangers out: beyond loopback both ask who comes, over TLS, or they are not
//! opened unless someone says `--insecure`.

use std::net::SocketAddr;

use crate::{http::listener::ListenError, server::ServerOptions};

/// Refuses listeners that strangers could use.
///
/// # Errors
/// What is missing, of the first such listener; or `--require-token` without any token.
pub(crate) fn check(options: &ServerOptions, is_guarded: bool) -> Result<(), ListenError> {
    if options.require_token && !is_guarded {
        return Err(ListenError::NoToken);
    }
    if options.insecure {
        return Ok(());
    }
    let no_tls = options.tls.is_none().then_some("TLS is off");
    let no_token = (!is_guarded).then_some("no token was made yet");
    let no_credentials = options
        .kinesis_credentials
        .is_none()
        .then_some("there are no Kinesis credentials to verify signatures with");
    for (address, what, lacks) in [
        (options.listen, "API", no_token),
        (options.kinesis_listen, "Kinesis API", no_credentials),
    ] {
        let missing: Vec<&str> = lacks.into_iter().chain(no_tls).collect();
        if !address.ip().is_loopback() && !missing.is_empty() {
            return Err(ListenError::NotLoopback {
                address,
                what,
                missing,
            });
        }
    }
    Ok(())
}

/// Whether a listener asks for a token, where there are any: whatever the address of who asks, since a proxy
/// on this machine speaks for all the world.
pub(crate) const fn demands_token(options: &ServerOptions, bound: SocketAddr) -> bool {
    options.require_token || !bound.ip().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Tls;

    #[test]
    fn beyond_loopback_tokens_credentials_and_tls_are_needed_or_someone_says_insecure() {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let wide = SocketAddr::from(([0, 0, 0, 0], 0));
        let tls = || Some(Tls::Generated { names: Vec::new() });
        let file = || Some("credentials".into());
        // Listeners, TLS, credentials, whether there is a token: how much is missing, of which one.
        for (listen, kinesis, tls, credentials, is_guarded, missing) in [
            (local, local, None, None, false, None),
            (wide, local, None, None, false, Some(("API", 2))),
            (wide, local, None, None, true, Some(("API", 1))),
            (wide, local, tls(), None, false, Some(("API", 1))),
            (wide, local, tls(), None, true, None),
            (local, wide, tls(), None, true, Some(("Kinesis API", 1))),
            (local, wide, None, file(), false, Some(("Kinesis API", 1))),
            (local, wide, tls(), file(), false, None),
            (wide, wide, tls(), file(), true, None),
        ] {
            let mut options = ServerOptions {
                listen,
                kinesis_listen: kinesis,
                tls,
                kinesis_credentials: credentials,
                ..ServerOptions::new("data")
            };
            let found = match check(&options, is_guarded) {
                Err(ListenError::NotLoopback { what, missing, .. }) => Some((what, missing.len())),
                _ => None,
            };
            assert_eq!(found, missing, "{options:?} {is_guarded}");
            options.insecure = true;
            assert!(check(&options, is_guarded).is_ok());
        }
    }

    #[test]
    fn a_token_that_is_required_must_exist() {
        let mut options = ServerOptions::new("data");
        let bound = options.listen;
        assert!(!demands_token(&options, bound));
        assert!(demands_token(
            &options,
            SocketAddr::from(([10, 0, 0, 1], 1))
        ));
        options.require_token = true;
        options.insecure = true;
        assert!(demands_token(&options, bound));
        assert!(matches!(check(&options, false), Err(ListenError::NoToken)));
        assert!(check(&options, true).is_ok());
    }
}
