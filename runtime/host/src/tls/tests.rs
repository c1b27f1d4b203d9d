use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn made(folder: &Path, names: &[&str]) -> Secured {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Tls::Generated { names }.load(folder, NOW).expect("made")
}

/// The first of March 2026.
const NOW: Timestamp = Timestamp(1_772_323_200_000);

#[test]
fn a_certificate_is_made_once_and_anew_where_a_name_is_missing() {
    let folder = tempfile::tempdir().expect("a directory");
    let first = made(folder.path(), &[]);
    assert_eq!(first.fingerprint.len(), 32 * 3 - 1);
    assert_eq!(made(folder.path(), &[]).fingerprint, first.fingerprint);
    let second = made(folder.path(), &["fnctl.example.org", "10.1.2.3"]);
    assert_ne!(second.fingerprint, first.fingerprint);
    // Fewer names are in it as well.
    let third = made(folder.path(), &["10.1.2.3"]);
    assert_eq!(third.fingerprint, second.fingerprint);
    let directory = folder.path().join(TLS_DIRECTORY);
    for name in [IDENTITY, CERTIFICATE] {
        let meta = fs::metadata(directory.join(name)).expect("there");
        assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let shown = fs::read_to_string(directory.join(CERTIFICATE)).expect("there");
    assert!(shown.starts_with("-----BEGIN CERTIFICATE-----") && !shown.contains("KEY"));
    assert_eq!(third.certificate, Some(directory.join(CERTIFICATE)));
}

#[test]
fn a_damaged_file_of_ours_is_made_anew_and_a_name_that_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("a directory");
    let first = made(folder.path(), &[]);
    let path = folder.path().join(TLS_DIRECTORY).join(IDENTITY);
    let whole = fs::read(&path).expect("there");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    assert_ne!(made(folder.path(), &[]).fingerprint, first.fingerprint);
    let names = vec!["é\u{0}".to_owned()];
    assert!(Tls::Generated { names }.load(folder.path(), NOW).is_err());
}

#[test]
fn names_are_looked_at_before_anything_is_made_and_a_pattern_is_one() {
    let check = |name: &str| {
        let names = vec!["fnctl.example.org".to_owned(), name.to_owned()];
        let checked = Tls::Generated { names }.check();
        checked.map_err(|error| error.to_string())
    };
    for name in ["localhost", "10.1.2.3", "::1", "*.example.org", "a-b.c"] {
        assert_eq!(check(name), Ok(()), "{name}");
    }
    for name in ["bad name!", "", "a..b", "*.", "https://x"] {
        let told = check(name).expect_err("no name");
        assert!(told.contains(&format!("`{name}`")), "{told}");
    }
    // With a pattern it is made once, as with a name.
    let folder = tempfile::tempdir().expect("a directory");
    let first = made(folder.path(), &["*.example.org"]);
    let again = made(folder.path(), &["*.example.org"]);
    assert_eq!(first.fingerprint, again.fingerprint);
}

#[test]
fn a_server_is_called_by_a_name_that_its_certificate_is_for() {
    let folder = tempfile::tempdir().expect("a directory");
    assert_eq!(made(folder.path(), &[]).name, "localhost");
    let named = made(folder.path(), &["*.example.org", "fnctl.example.org"]);
    assert_eq!(named.name, "fnctl.example.org");
    // Of one that was given the names are tried that this machine has.
    let pem = make(&["fnctl.example.org".to_owned()], NOW).expect("made");
    let path = folder.path().join("both.pem");
    fs::write(&path, pem).expect("written");
    let files = Tls::Files {
        certificate: path.clone(),
        key: path,
    };
    files.check().expect("they belong together");
    let loaded = files.load(folder.path(), NOW).expect("loaded");
    assert_eq!(loaded.name, host_name());
}

#[test]
fn files_that_do_not_fit_are_named_and_nothing_of_the_key_is_told() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = |name: &str| folder.path().join(name);
    let pair = |which: &str| {
        let pem = make(&["localhost".to_owned()], NOW).expect("made");
        let (certificate, key) = pem.split_at(pem.find("-----BEGIN PRIVATE").expect("a key"));
        fs::write(path(&format!("{which}.crt")), certificate).expect("written");
        fs::write(path(&format!("{which}.key")), key).expect("written");
    };
    pair("a");
    pair("b");
    fs::write(path("empty"), "").expect("written");
    let load = |certificate: &str, key: &str| {
        let (certificate, key) = (path(certificate), path(key));
        let loaded = Tls::Files { certificate, key }.load(folder.path(), NOW);
        loaded.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(load("a.crt", "a.key"), Ok(()));
    for (certificate, key, named) in [
        ("a.crt", "b.key", "a.crt"),
        ("empty", "a.key", "empty"),
        ("a.crt", "empty", "empty"),
        ("a.key", "a.key", "a.key"),
        ("none", "a.key", "none"),
    ] {
        let error = load(certificate, key).expect_err("it does not fit");
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn a_certificate_of_ours_lasts_ten_years_and_is_made_anew_in_its_last_month() {
    let folder = tempfile::tempdir().expect("a directory");
    let at = |now: Timestamp| {
        let names = Vec::new();
        let loaded = Tls::Generated { names }.load(folder.path(), now);
        loaded.expect("a certificate")
    };
    let first = at(NOW);
    let end = first.expires.expect("it says when it ends");
    // To the second.
    assert_eq!(end.0, (NOW.0 + CERTIFICATE_LIFE_MS) / 1_000 * 1_000);
    let last = Timestamp(end.0 - CERTIFICATE_RENEWED_BEFORE_MS - 1);
    assert_eq!(at(last).fingerprint, first.fingerprint);
    let renewed = at(last.plus_ms(1));
    assert_ne!(renewed.fingerprint, first.fingerprint);
    assert!(renewed.expires > first.expires);
    let known = fs::read(folder.path().join(TLS_DIRECTORY).join(CERTIFICATE)).expect("there");
    let chain = chain_of(&known, Path::new(CERTIFICATE)).expect("a certificate");
    assert_eq!(
        fingerprint(&chain),
        renewed.fingerprint,
        "what clients copy follows"
    );
}
