use fnctl_core::access::CreateTokenRequest;
use hyper::header::{AUTHORIZATION, HeaderValue};

use super::*;

const DEMANDED: bool = true;

fn access(folder: &tempfile::TempDir) -> Arc<Access> {
    Arc::new(Access::open(folder.path(), Arc::default()).expect("opened"))
}

fn request(name: &str, scope: Scope) -> CreateTokenRequest {
    CreateTokenRequest {
        name: name.to_owned(),
        scope,
        expires_after_ms: None,
    }
}

fn asks(access: &Access, is_demanded: bool, needed: Scope, token: Option<&str>) -> String {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
        headers.insert(AUTHORIZATION, value);
    }
    match access.admit(is_demanded, Some(needed), &headers, None) {
        Ok(Caller::Unnamed) => "unnamed".to_owned(),
        Ok(Caller::Token { name, .. }) => name.to_string(),
        Err(error) => [
            ErrorCode::TokenRefused,
            ErrorCode::ScopeTooNarrow,
            ErrorCode::AccessThrottled,
        ]
        .into_iter()
        .find(|code| error.error.is(*code))
        .map_or_else(|| error.error.into_line(), |code| code.as_str().to_owned()),
    }
}

#[tokio::test]
async fn a_token_opens_what_its_scope_includes_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a directory");
    let access = access(&folder);
    // Nothing was made yet: nothing is asked for.
    assert_eq!(asks(&access, DEMANDED, Scope::Admin, None), "unnamed");
    assert_eq!(asks(&access, DEMANDED, Scope::Admin, Some("x")), "unnamed");
    let made = access.create(request("w", Scope::Write)).await;
    let secret = made.expect("made").token;
    let token = Some(secret.as_str());
    for (is_demanded, needed, token, expected) in [
        (DEMANDED, Scope::Read, token, "w"),
        (DEMANDED, Scope::Write, token, "w"),
        (DEMANDED, Scope::Admin, token, "FN6004"),
        (DEMANDED, Scope::Read, None, "FN6003"),
        (DEMANDED, Scope::Read, Some("fnctl_wrong"), "FN6003"),
        // On loopback nobody needs one, but one that is sent is judged.
        (!DEMANDED, Scope::Admin, None, "unnamed"),
        (!DEMANDED, Scope::Admin, token, "FN6004"),
        (!DEMANDED, Scope::Read, Some("fnctl_wrong"), "FN6003"),
    ] {
        let answer = asks(&access, is_demanded, needed, token);
        assert_eq!(answer, expected, "{is_demanded} {needed} {token:?}");
    }
}

#[tokio::test]
async fn tokens_survive_a_restart_and_a_revoked_one_does_not() {
    let folder = tempfile::tempdir().expect("a directory");
    let first = access(&folder);
    let made = first.create(request("a", Scope::Read)).await;
    let secret = made.expect("made").token;
    let text = std::fs::read_to_string(folder.path().join("access.json")).expect("there");
    assert!(!text.contains(&secret), "{text}");
    let second = access(&folder);
    assert_eq!(asks(&second, DEMANDED, Scope::Read, Some(&secret)), "a");
    second.revoke("a").await.expect("revoked");
    assert_eq!(
        asks(&second, DEMANDED, Scope::Read, Some(&secret)),
        "FN6003"
    );
    let third = access(&folder);
    assert!(third.is_guarded(), "closed stays closed");
    assert_eq!(asks(&third, DEMANDED, Scope::Read, None), "FN6003");
}

#[tokio::test]
async fn what_lasts_ends_when_its_token_goes_also_when_another_gets_its_name() {
    let folder = tempfile::tempdir().expect("a directory");
    let access = access(&folder);
    let made = access.create(request("a", Scope::Read)).await;
    let digest = secret::digest(&made.expect("made").token);
    let name = TokenName::parse("a").expect("a name");
    let gone = tokio::spawn(Arc::clone(&access).gone(name, digest));
    access
        .create(request("b", Scope::Read))
        .await
        .expect("made");
    tokio::task::yield_now().await;
    assert!(!gone.is_finished());
    access.revoke("a").await.expect("revoked");
    access
        .create(request("a", Scope::Read))
        .await
        .expect("made");
    let told = gone.await.expect("it ends");
    assert!(told.is(ErrorCode::TokenRefused) && told.words().contains("`a`"));
}

#[tokio::test]
async fn who_is_refused_too_often_is_told_so_and_a_good_token_still_goes_through() {
    let folder = tempfile::tempdir().expect("a directory");
    let access = access(&folder);
    let made = access.create(request("a", Scope::Read)).await;
    let secret = made.expect("made").token;
    let mut told = 0;
    while asks(&access, DEMANDED, Scope::Read, None) == "FN6003" {
        told += 1;
    }
    assert!(told >= limits::REFUSALS_SAVED_MAX, "{told}");
    assert_eq!(asks(&access, DEMANDED, Scope::Read, None), "FN6005");
    assert_eq!(asks(&access, DEMANDED, Scope::Read, Some(&secret)), "a");
    let narrow = || asks(&access, DEMANDED, Scope::Admin, Some(&secret));
    assert_eq!(narrow(), "FN6004", "what is wrong with it is told");

    // Asked again and again for what it may not, a token is slowed down in that alone.
    let mut told = 1;
    while narrow() == "FN6004" {
        told += 1;
    }
    assert!(told >= limits::REFUSALS_SAVED_MAX, "{told}");
    assert_eq!(narrow(), "FN6005");
    assert_eq!(asks(&access, DEMANDED, Scope::Read, Some(&secret)), "a");
}

#[test]
fn a_file_that_cannot_be_understood_lets_nobody_in() {
    let folder = tempfile::tempdir().expect("a directory");
    for text in ["", "{}", r#"{"version":2,"tokens":[]}"#] {
        std::fs::write(folder.path().join("access.json"), text).expect("written");
        let opened = Access::open(folder.path(), Arc::default());
        assert!(
            matches!(opened, Err(TokensError::Unreadable { .. })),
            "{text}"
        );
    }
}

#[test]
fn expired_tokens_and_bad_names_are_refused() {
    let now = Timestamp(10_000);
    let mut asked = request("a", Scope::Admin);
    asked.expires_after_ms = Some(5);
    let (token, made) = file::make(&asked, now).expect("made");
    let mut tokens = Tokens::new();
    tokens.add(token).expect("added");
    let presented = bearer::Presented::Token(&made.token);
    assert!(judge(&tokens, &presented, Scope::Admin, Timestamp(10_004)).is_ok());
    let late = judge(&tokens, &presented, Scope::Admin, Timestamp(10_005));
    assert!(late.is_err_and(|late| late.error.is(ErrorCode::TokenRefused)));
    asked.expires_after_ms = Some(0);
    assert!(file::make(&asked, now).is_err());
    for name in ["", "a b", "-a", "é"] {
        assert!(
            file::make(&request(name, Scope::Read), now).is_err(),
            "{name}"
        );
    }
}
