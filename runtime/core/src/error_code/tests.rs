use super::{ErrorCode, ErrorKind, ErrorObject, Problem};

#[test]
fn codes_ascend_and_none_is_given_twice() {
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(codes, sorted);
    assert!(
        codes
            .iter()
            .all(|code| code.len() == 6 && code.starts_with("FN"))
    );
}

#[test]
fn kinds_have_the_exit_codes_that_scripts_rely_on() {
    let all = [
        (ErrorKind::Failure, 1),
        (ErrorKind::Usage, 2),
        (ErrorKind::NotFound, 3),
        (ErrorKind::Conflict, 4),
        (ErrorKind::Auth, 5),
        (ErrorKind::Timeout, 6),
        (ErrorKind::Validation, 7),
        (ErrorKind::Unreachable, 8),
        (ErrorKind::Interrupted, 130),
    ];
    for (kind, exit) in all {
        assert_eq!(kind.exit_code(), exit);
    }
}

#[test]
fn whatever_is_refused_for_want_of_room_is_throttling() {
    for code in [
        ErrorCode::Throttled,
        ErrorCode::StreamFull,
        ErrorCode::DiskFull,
    ] {
        assert_eq!(code.http_status(), 429, "{code:?}");
    }
}

#[test]
fn the_object_has_the_fields_of_the_specification_in_its_order() {
    let error = ErrorObject::new(ErrorCode::NotAComponent, "`enrich.wasm` is a core module")
        .at("enrich.wasm")
        .because("it was built for wasm32-wasip1")
        .fix("fnctl build")
        .with_problems(vec![Problem::new(
            "mapping[0].batch_size",
            "20000 is above 10000",
        )]);
    assert_eq!(
        serde_json::to_string(&error.into_body()).unwrap(),
        r#"{"error":{"code":"FN2003","kind":"validation","exit_code":7,"message":"`enrich.wasm` is a core module","where":"enrich.wasm","why":"it was built for wasm32-wasip1","fix":"fnctl build","problems":[{"path":"mapping[0].batch_size","message":"20000 is above 10000"}],"request_id":null}}"#
    );
}
