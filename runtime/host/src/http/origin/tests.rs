use super::*;

fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method("POST").uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

fn door(is_loopback: bool) -> Door {
    Door::new(is_loopback, false, &["Node1".to_owned()])
}

fn answers(door: &Door, host: &str, is_open: bool) -> bool {
    let request = request("/v1/streams", &[("host", host)]);
    let own = door.admit(&request, is_open, Pages::Own).is_ok();
    let known = door.admit(&request, is_open, Pages::Known).is_ok();
    assert_eq!(own, known, "{host}");
    own
}

#[test]
fn a_refused_name_is_told_why_and_that_nobody_is_asked_only_where_that_is_so() {
    let request = request("/v1/streams", &[("host", "fnctl.example.org")]);
    for (is_open, says) in [(true, "nobody is asked"), (false, "through a proxy")] {
        let refused = door(true).admit(&request, is_open, Pages::Own);
        let why = refused.expect_err("a name of others").into_line();
        assert!(why.contains(says), "{why}");
        assert!(why.contains("--host-name"), "{why}");
    }
}

#[test]
fn names_of_others_are_refused_where_nobody_is_asked_who_they_are() {
    let ours = [
        "127.0.0.1:4700",
        "localhost",
        "LOCALHOST.:1",
        "[::1]:4700",
        "a.localhost:1",
        "node1:4700",
        "NODE1",
    ];
    let others = [
        "evil.example",
        "evil.example:4700",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "node1.evil.example",
        "localhost:1@evil.example",
        "",
    ];
    for (is_loopback, is_open) in [(true, true), (true, false), (false, true)] {
        let door = door(is_loopback);
        for host in ours {
            assert!(answers(&door, host, is_open), "{host}");
        }
        for host in others {
            assert!(!answers(&door, host, is_open), "{host}");
        }
        // Beyond loopback every address may be one of this machine.
        assert_eq!(answers(&door, "192.168.1.1:4700", is_open), !is_loopback);
        assert_eq!(answers(&door, "[2001:db8::1]:4700", is_open), !is_loopback);
        let nowhere = request("/", &[]);
        // HTTP/1.0 needs no Host.
        assert!(door.admit(&nowhere, is_open, Pages::Own).is_ok());
    }
    // Whoever must show a token may call it what they like.
    assert!(answers(&door(false), "evil.example", false));
}

#[test]
fn the_authority_of_http_2_counts_as_the_host() {
    let door = door(true);
    for (uri, is_answered) in [
        ("http://127.0.0.1:4700/x", true),
        ("http://evil.example/x", false),
    ] {
        let request = request(uri, &[("host", "localhost")]);
        let answered = door.admit(&request, true, Pages::Own).is_ok();
        assert_eq!(answered, is_answered, "{uri}");
    }
}

#[test]
fn pages_of_other_origins_are_refused_by_every_listener() {
    let host = ("host", "localhost:4700");
    let pages: [(&[(&str, &str)], bool); 14] = [
        (&[], true),
        (&[("origin", "http://localhost:4700")], true),
        (&[("origin", "http://LOCALHOST:4700")], true),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "http://localhost:3000")], false),
        (&[("origin", "http://localhost")], false),
        (&[("origin", "http://evil.localhost:4700")], false),
        (&[("origin", "http://127.0.0.1:4700")], false),
        (&[("origin", "null")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (
            &[
                ("origin", "http://localhost:4700"),
                ("origin", "http://evil.example"),
            ],
            false,
        ),
    ];
    for is_loopback in [true, false] {
        for is_open in [true, false] {
            let door = door(is_loopback);
            for (page, is_answered) in pages {
                let request = request("/v1/streams", &[&[host], page].concat());
                let answered = door.admit(&request, is_open, Pages::Own).is_ok();
                assert_eq!(answered, is_answered, "{page:?} {door:?} {is_open}");
            }
        }
    }
}

#[test]
fn an_origin_without_a_port_is_at_the_port_of_its_scheme() {
    let plain = Door::new(false, false, &[]);
    let tls = Door::new(false, true, &[]);
    for (door, host, origin, is_answered) in [
        (&plain, "fnctl.example", "https://fnctl.example", true),
        (&plain, "fnctl.example:443", "https://fnctl.example", true),
        (&plain, "fnctl.example", "http://fnctl.example:80", true),
        (&plain, "fnctl.example", "http://fnctl.example:81", false),
        (&plain, "fnctl.example", "ftp://fnctl.example", false),
        (&tls, "fnctl.example", "https://fnctl.example", true),
        (&tls, "fnctl.example:80", "http://fnctl.example", false),
    ] {
        let request = request("/v1/streams", &[("host", host), ("origin", origin)]);
        let answered = door.admit(&request, false, Pages::Own).is_ok();
        assert_eq!(answered, is_answered, "{host} {origin}");
    }
}

#[test]
fn what_watches_is_told_whether_the_server_lives() {
    let door = door(true);
    let page = [("host", "localhost"), ("sec-fetch-site", "cross-site")];
    for (method, path, is_answered) in [
        ("GET", "/healthz", true),
        ("HEAD", "/readyz", true),
        ("GET", "/metrics", true),
        ("POST", "/metrics", false),
        ("GET", "/v1/streams", false),
    ] {
        let mut request = request(path, &page);
        *request.method_mut() = method.parse().expect("a method");
        let answered = door.admit(&request, true, Pages::Own).is_ok();
        assert_eq!(answered, is_answered, "{method} {path}");
    }
}

#[test]
fn scripts_may_use_the_kinesis_api_from_this_machine_or_with_keys() {
    for (is_loopback, is_open, origin, is_answered) in [
        (true, true, "http://localhost:3000", true),
        (true, true, "http://evil.example", false),
        (true, false, "http://evil.example", false),
        (false, true, "http://node1:3000", true),
        (false, true, "http://evil.example", false),
        (false, true, "null", false),
        (false, false, "http://shop.example", true),
    ] {
        let request = request("/", &[("host", "localhost:4701"), ("origin", origin)]);
        let answered = door(is_loopback).admit(&request, is_open, Pages::Known);
        assert_eq!(
            answered.is_ok(),
            is_answered,
            "{origin} {is_loopback} {is_open}"
        );
    }
}
