//! Puts over plain HTTP that cannot be taken, or not all of them: what is acknowledged, and what is said.

use fnctl_tests::{Answer, request};

use crate::support::{ask, error_of, one, server, tail};

/// An answer ends with this error, at this place.
#[track_caller]
fn ends_at(answer: &Answer, what: &str, code: &str, place: &str) {
    let error = error_of(answer, what);
    assert_eq!(
        (error["code"].as_str(), error["where"].as_str()),
        (Some(code), Some(place))
    );
}

#[test]
fn a_put_that_ends_badly_names_the_line_after_acknowledging_those_before() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let body = b"{\"id\":1}\n{\"id\":2}\nno key\n{\"id\":3}\n";
    let answer = ask(
        &server,
        "POST",
        "/v1/streams/in/records?key_field=id&require_key=true",
        body,
    );
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert_eq!(text.lines().count(), 3, "{text}");
    ends_at(&answer, "a line without key", "FN4002", "line 3");

    // Where nothing was acknowledged the status says so.
    let answer = ask(
        &server,
        "POST",
        "/v1/streams/in/records?key_field=id&require_key=true",
        b"no key\n{\"id\":4}\n",
    );
    assert_eq!(answer.status, 400, "{}", answer.text());
    ends_at(&answer, "a first line without key", "FN4002", "line 1");

    let mut body = b"short\n".to_vec();
    body.extend(std::iter::repeat_n(b'x', 2 << 20));
    let answer = ask(&server, "POST", "/v1/streams/in/records", &body);
    ends_at(&answer, "a line that is too long", "FN4001", "line 2");

    // What is no JSON at all is a record like any other.
    let answer = ask(
        &server,
        "POST",
        "/v1/streams/in/records?key_field=id",
        b"\xff\xfe not json\n",
    );
    assert!(
        answer.text().contains("\"without_key\":true"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_producer_that_repeats_itself_is_told_so_and_nothing_is_stored_twice() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let send = |first: &str, body: &[u8]| {
        let headers = [("x-fnctl-producer", "p"), ("x-fnctl-first-line", first)];
        request(
            &server.api,
            "POST",
            "/v1/streams/in/records",
            &headers,
            body,
        )
        .expect("an answer")
    };
    assert_eq!(send("1", b"a\nb\n").text().lines().count(), 2);
    let again = send("1", b"a\nb\n").text();
    assert_eq!(
        again,
        "{\"line\":1,\"duplicate\":true}\n{\"line\":2,\"duplicate\":true}\n"
    );
    let partly = send("2", b"b\nc\n").text();
    assert!(
        partly.starts_with("{\"line\":2,\"duplicate\":true}\n{\"line\":3,\"shard_id\""),
        "{partly}"
    );
    let gap = send("9", b"z\n");
    assert_eq!(error_of(&gap, "a gap")["code"], "FN4008");
    let records = tail(&server, "in", 3);
    let data: Vec<&str> = records
        .iter()
        .filter_map(|record| record["data"].as_str())
        .collect();
    assert_eq!(data, ["a", "b", "c"]);
}

#[test]
fn a_packed_body_is_refused_instead_of_stored_as_it_came() {
    let server = server();
    one(&server, &["streams", "create", "in"]);
    let path = "/v1/streams/in/records";
    for (encoding, status) in [("gzip", 400), ("br", 400), ("identity", 200)] {
        let headers = [("content-encoding", encoding)];
        let answer = request(&server.api, "POST", path, &headers, b"{}\n").expect("an answer");
        assert_eq!(answer.status, status, "{encoding}: {}", answer.text());
        if status == 400 {
            let error = error_of(&answer, encoding);
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|m| m.contains(encoding))
            );
        }
    }
    assert_eq!(tail(&server, "in", 1).len(), 1);
}
