use super::*;

fn token(name: &str, secret: u8, expires_at: Option<u64>) -> Token {
    Token {
        name: TokenName::parse(name).unwrap(),
        scope: Scope::Write,
        sha256: SecretDigest([secret; 32]),
        created_at: Timestamp(1_000),
        expires_at: expires_at.map(Timestamp),
    }
}

#[test]
fn a_scope_is_read_as_it_is_written_and_as_nothing_else() {
    for scope in Scope::ALL {
        assert_eq!(scope.as_str().parse(), Ok(scope));
    }
    for other in ["", "Read", "read ", "all"] {
        assert_eq!(other.parse::<Scope>(), Err(()), "{other}");
    }
}

#[test]
fn a_request_needs_the_narrowest_scope_that_does() {
    const NOBODY: Option<Scope> = None;
    for (is_reading, path, needed) in [
        (true, "healthz", NOBODY),
        (true, "readyz", NOBODY),
        (true, "metrics", Some(Scope::Read)),
        (true, "v1/health", Some(Scope::Read)),
        (true, "v1/streams/s/records", Some(Scope::Read)),
        (false, "v1/streams/s/records", Some(Scope::Write)),
        (false, "v1/streams/s/records/x", Some(Scope::Admin)),
        (false, "v1/streams", Some(Scope::Admin)),
        (false, "v1/streams/records", Some(Scope::Admin)),
        (false, "v1/deploy", Some(Scope::Admin)),
        (false, "v1/backup", Some(Scope::Admin)),
        (true, "v1/tokens", Some(Scope::Admin)),
        (false, "v1/tokens/a", Some(Scope::Admin)),
        (true, "v1/mappings/m/dead-letters", Some(Scope::Read)),
        (false, "healthz/x", Some(Scope::Admin)),
        (false, "nothing/of/ours", Some(Scope::Admin)),
    ] {
        let segments: Vec<&str> = path.split('/').collect();
        assert_eq!(Scope::needed(is_reading, &segments), needed, "{path}");
    }
    assert!(Scope::Read < Scope::Write && Scope::Write < Scope::Admin);
}

#[test]
fn a_token_is_found_by_its_digest_alone_and_goes_when_it_is_revoked() {
    let mut tokens = Tokens::new();
    for (name, secret) in [("b", 2), ("a", 1), ("c", 3)] {
        tokens.add(token(name, secret, None)).unwrap();
    }
    let exists = tokens.add(token("a", 9, None));
    assert!(matches!(exists, Err(TokenRefusal::Exists(_))));
    let find = |tokens: &Tokens, secret| {
        let found = tokens.find(&SecretDigest([secret; 32]));
        found.map(|token| token.name.to_string())
    };
    assert_eq!(find(&tokens, 2).as_deref(), Some("b"));
    assert_eq!(find(&tokens, 9), None);
    tokens.revoke("b").unwrap();
    assert_eq!(find(&tokens, 2), None);
    assert!(tokens.revoke("b").is_err());
}

#[test]
fn tokens_are_bounded() {
    let mut tokens = Tokens::new();
    for index in 0..TOKENS_MAX {
        tokens.add(token(&format!("t{index}"), 1, None)).unwrap();
    }
    assert_eq!(tokens.add(token("x", 1, None)), Err(TokenRefusal::TooMany));
}

#[test]
fn a_token_is_refused_from_its_end_on() {
    let token = token("a", 1, Some(5_000));
    assert!(!token.is_expired(Timestamp(4_999)));
    assert!(token.is_expired(Timestamp(5_000)));
}

#[test]
fn the_file_survives_writing_and_reading_and_what_is_newer_is_refused() {
    let mut tokens = Tokens::new();
    tokens.add(token("a", 0xab, Some(5_000))).unwrap();
    tokens.add(token("b", 1, None)).unwrap();
    let text = serde_json::to_string(&tokens).unwrap();
    assert!(text.contains(&"ab".repeat(32)), "{text}");
    assert_eq!(serde_json::from_str::<Tokens>(&text).unwrap(), tokens);
    for bad in [
        r#"{"version":1,"tokens":[],"more":1}"#,
        r#"{"version":1,"tokens":[{"name":"a","scope":"root","sha256":"","created_at":""}]}"#,
        r#"{"tokens":[]}"#,
    ] {
        assert!(serde_json::from_str::<Tokens>(bad).is_err(), "{bad}");
    }
    for bad in ["", "0g", &"é".repeat(32), &"0".repeat(63)] {
        assert!(SecretDigest::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn whoever_revokes_the_last_token_that_may_change_anything_is_told_and_how_to_make_the_next() {
    const NOW: Timestamp = Timestamp(2_000);
    let admin = |name, secret, expires_at| Token {
        scope: Scope::Admin,
        ..token(name, secret, expires_at)
    };
    // What is left, what goes, and what is said.
    for (left, goes, said) in [
        (vec![admin("b", 2, None)], admin("a", 1, None), ""),
        // One that has expired opens nothing.
        (
            vec![admin("b", 2, Some(1_500))],
            admin("a", 1, None),
            "the last token:",
        ),
        (
            vec![token("w", 2, None)],
            admin("a", 1, None),
            "of scope admin",
        ),
        (vec![token("w", 2, None)], token("x", 1, None), ""),
        (vec![], token("x", 1, None), "the last token:"),
    ] {
        let mut tokens = Tokens::new();
        for token in left.into_iter().chain([goes.clone()]) {
            tokens.add(token).unwrap();
        }
        let revoked = tokens.revoke(goes.name.as_str()).unwrap();
        let told = tokens.without(&revoked, NOW);
        assert_eq!(told.line, goes.line(NOW));
        let notes: Vec<&str> = told
            .notes
            .iter()
            .map(|note| note.message.as_str())
            .collect();
        match *notes {
            [] => assert_eq!(said, ""),
            [note] => assert!(!said.is_empty() && note.contains(said), "{said:?}: {note}"),
            _ => panic!("{notes:?}"),
        }
        for note in told.notes {
            assert!(
                note.fix
                    .starts_with("fnctl tokens create NAME --scope admin"),
                "{}",
                note.fix
            );
        }
    }
}
