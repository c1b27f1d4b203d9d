use super::*;

/// A request that is right in everything, for a test to spoil.
fn request() -> hyper::http::request::Builder {
    Request::post("/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "Kinesis_20131202.ListStreams")
        .header("x-amz-date", "20231114T221320Z")
        .header("authorization", AUTHORIZATION)
}

/// Status, content type and body of the answer to a request with one header changed.
fn answer(method: &str, change: &[(&'static str, &str)], body: &'static str) -> String {
    let mut request = request().method(method).body(Full::from(body)).unwrap();
    for (name, value) in change {
        if value.is_empty() {
            request.headers_mut().remove(*name);
        } else {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
    }
    let (response, body) = Api::new().send(request);
    let content_type = response
        .headers()
        .get("content-type")
        .map(|v| v.to_str().unwrap());
    format!(
        "{} {} {}",
        response.status().as_u16(),
        content_type.unwrap_or("-"),
        String::from_utf8_lossy(&body).trim_end()
    )
}

#[test]
fn the_first_failed_check_answers() {
    const JSON: &str = "application/x-amz-json-1.1";
    let no_operation = "403 - <AccessDeniedException>\n  <Message>Unable to determine \
         service/operation name to be authorized</Message>\n</AccessDeniedException>";
    let content_type = "content-type";
    let target = "x-amz-target";
    for (method, change, body, expected) in [
        ("GET", vec![], "{}", no_operation.to_owned()),
        ("PUT", vec![], "", no_operation.to_owned()),
        (
            "POST",
            vec![],
            "",
            format!(r#"400 {JSON} {{"__type":"SerializationException"}}"#),
        ),
        (
            "POST",
            vec![(target, "Kinesis_20131202.Nothing")],
            "",
            format!(r#"400 {JSON} {{"__type":"UnknownOperationException"}}"#),
        ),
        (
            "POST",
            vec![(content_type, "text/plain")],
            "",
            "400 application/x-amz-cbor-1.1 \u{fffd}f__typevSerializationException".to_owned(),
        ),
        (
            "POST",
            vec![(content_type, "text/plain")],
            "{}",
            "404 - <UnknownOperationException/>".to_owned(),
        ),
        ("POST", vec![(content_type, "text/plain"), (target, "")], "{}", no_operation.to_owned()),
        (
            "POST",
            vec![(content_type, ""), (target, "NoDot")],
            "{}",
            no_operation.to_owned(),
        ),
        (
            "POST",
            vec![(content_type, "application/json")],
            "{}",
            r#"404 application/json {"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#.to_owned(),
        ),
        (
            "POST",
            vec![(content_type, "application/json")],
            "hello",
            r#"400 application/json {"Output":{"__type":"com.amazon.coral.service#SerializationException"},"Version":"1.0"}"#.to_owned(),
        ),
        (
            "POST",
            vec![],
            "[]",
            format!(r#"400 {JSON} {{"__type":"SerializationException"}}"#),
        ),
        (
            "POST",
            vec![],
            "{",
            format!(r#"400 {JSON} {{"__type":"SerializationException"}}"#),
        ),
        (
            "POST",
            vec![(target, "Kinesis_20131202.ListStream")],
            "{}",
            format!(r#"400 {JSON} {{"__type":"UnknownOperationException"}}"#),
        ),
        (
            "POST",
            vec![(target, "DynamoDB_20120810.ListStreams")],
            "{}",
            format!(r#"400 {JSON} {{"__type":"UnknownOperationException"}}"#),
        ),
        (
            "POST",
            vec![(target, "Kinesis_20131202.SubscribeToShard")],
            "{}",
            format!(r#"400 {JSON} {{"__type":"UnknownOperationException","message":"SubscribeToShard is not there yet in fnctl."}}"#),
        ),
        (
            "POST",
            vec![("authorization", "")],
            "{}",
            format!(r#"400 {JSON} {{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}}"#),
        ),
        (
            "POST",
            vec![("x-amz-date", ""), ("authorization", "a Credential=a, Signature=b, SignedHeaders=c")],
            "{}",
            format!(r#"400 {JSON} {{"__type":"IncompleteSignatureException","message":"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=a Credential=a, Signature=b, SignedHeaders=c"}}"#),
        ),
        (
            "POST",
            vec![(content_type, "application/x-amz-json-1.1; charset=utf-8")],
            "{}",
            format!(r#"200 {JSON} {{"StreamNames":[],"HasMoreStreams":false,"StreamSummaries":[]}}"#),
        ),
    ] {
        assert_eq!(answer(method, &change, body), expected, "{method} {change:?} {body}");
    }
}

#[test]
fn cbor_is_refused_in_cbor_with_a_way_out() {
    let answer = answer(
        "POST",
        &[("content-type", "application/x-amz-cbor-1.1")],
        "\u{7f}",
    );
    assert!(
        answer.starts_with("400 application/x-amz-cbor-1.1"),
        "{answer}"
    );
    assert!(answer.contains("CBOR_ENABLED=false"), "{answer}");
}

#[test]
fn every_answer_has_ids() {
    for body in ["{}", "", "["] {
        let (response, _) = Api::new().send(request().body(Full::from(body)).unwrap());
        assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
        assert_eq!(response.headers()["x-amz-id-2"].len(), 96);
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin")
        );
    }
}

#[test]
fn a_browser_may_call_from_anywhere() {
    let preflight = Request::options("/")
        .header("origin", "http://x")
        .header("access-control-request-headers", "x-amz-target")
        .header("access-control-request-method", "POST")
        .body(Full::default());
    let (response, body) = Api::new().send(preflight.unwrap());
    let headers = response.headers();
    assert_eq!((response.status().as_u16(), body.len()), (200, 0));
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["access-control-allow-headers"], "x-amz-target");
    assert_eq!(headers["access-control-allow-methods"], "POST");
    assert_eq!(headers["access-control-max-age"], "172800");
    assert!(!headers.contains_key("x-amz-id-2"));

    let call = request()
        .header("origin", "http://x")
        .body(Full::from("{}"))
        .unwrap();
    let (response, _) = Api::new().send(call);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert!(
        response
            .headers()
            .contains_key("access-control-expose-headers")
    );
}

#[test]
fn options_without_an_origin_is_no_preflight() {
    let (response, _) = Api::new().send(Request::options("/").body(Full::default()).unwrap());
    assert_eq!(response.status(), 403);
}

#[test]
fn a_body_above_the_limit_is_not_read() {
    let api = Api::new();
    let body = vec![b' '; crate::limits::BODY_BYTES_MAX + 1];
    let (response, _) = api.send_body("ListStreams", body);
    assert_eq!(response.status(), 413);
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(api.call("ListStreams", json!({}))["HasMoreStreams"], false);
}

#[test]
fn a_body_in_pieces_is_read_whole() {
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    let api = Api::with_stream(1);
    let text = json!({"StreamName": "s"}).to_string();
    let pieces: Vec<Result<Frame<Bytes>, std::convert::Infallible>> = text
        .as_bytes()
        .chunks(3)
        .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let mut request = request()
        .body(StreamBody::new(stream::iter(pieces)))
        .unwrap();
    request.headers_mut().insert(
        "x-amz-target",
        "Kinesis_20131202.DescribeStreamSummary".parse().unwrap(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let response = runtime.block_on(api.kinesis.answer(request));
    assert_eq!(response.status(), 200);
}

#[test]
fn types_are_checked_before_constraints_and_constraints_before_sense() {
    let api = Api::new();
    for (operation, request, expected) in [
        (
            "DescribeStream",
            json!({"StreamName": 1, "Limit": 0}),
            "Serialization: class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String",
        ),
        (
            "DescribeStream",
            json!({"StreamName": "none", "Limit": 0}),
            "Validation: 1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "DescribeStream",
            json!({"StreamName": "none"}),
            "ResourceNotFound: Stream none under account 000000000000 not found.",
        ),
    ] {
        assert_eq!(api.error(operation, request), expected);
    }
}

#[test]
fn what_is_required_is_told_for_every_operation() {
    let null = |path: &str| {
        format!("Value null at '{path}' failed to satisfy constraint: Member must not be null")
    };
    for (operation, paths) in [
        ("CreateStream", &["streamName"][..]),
        ("DeleteStream", &["streamName"]),
        ("DescribeStream", &["streamName"]),
        ("DescribeStreamSummary", &["streamName"]),
        ("GetRecords", &["shardIterator"]),
        (
            "GetShardIterator",
            &["shardId", "shardIteratorType", "streamName"],
        ),
        (
            "IncreaseStreamRetentionPeriod",
            &["retentionPeriodHours", "streamName"],
        ),
        (
            "DecreaseStreamRetentionPeriod",
            &["retentionPeriodHours", "streamName"],
        ),
        ("PutRecord", &["partitionKey", "data", "streamName"]),
        ("PutRecords", &["records", "streamName"]),
    ] {
        let plural = if paths.len() > 1 { "s" } else { "" };
        let complaints: Vec<_> = paths.iter().map(|path| null(path)).collect();
        assert_eq!(
            Api::new().error(operation, json!({"Unknown": 1, "StreamName": null})),
            format!(
                "Validation: {} validation error{plural} detected: {}",
                paths.len(),
                complaints.join("; ")
            )
        );
    }
}
