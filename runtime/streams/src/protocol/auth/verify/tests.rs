use hyper::header::{HeaderName, HeaderValue};

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TIME: &str = "20150830T123600Z";
/// Five minutes in the middle of which `TIME` lies.
const NOW: Timestamp = Timestamp(1_440_938_160_000);

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The published cases (AWS's `aws-sig-v4-test-suite`), by name: request, signed headers, signature.
#[test]
fn the_published_signatures_come_out() {
    const HOST: (&str, &str) = ("host", "example.amazonaws.com");
    const DATE: (&str, &str) = ("x-amz-date", TIME);
    let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    for (case, method, uri, more, signed, body, expected) in [
        (
            "get-vanilla",
            "GET",
            "/",
            &[][..],
            "host;x-amz-date",
            "",
            vanilla,
        ),
        (
            "get-slash-dot-slash",
            "GET",
            "/./",
            &[],
            "host;x-amz-date",
            "",
            vanilla,
        ),
        (
            "get-relative",
            "GET",
            "/example/..",
            &[],
            "host;x-amz-date",
            "",
            vanilla,
        ),
        (
            "get-vanilla-query-order-key-case",
            "GET",
            "/?Param2=value2&Param1=value1",
            &[],
            "host;x-amz-date",
            "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-header-key-duplicate",
            "GET",
            "/",
            &[
                ("my-header1", "value2"),
                ("my-header1", "value2"),
                ("my-header1", "value1"),
            ],
            "host;my-header1;x-amz-date",
            "",
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "get-header-value-trim",
            "GET",
            "/",
            &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
            "host;my-header1;my-header2;x-amz-date",
            "",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "post-vanilla",
            "POST",
            "/",
            &[],
            "host;x-amz-date",
            "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "post-header-key-sort",
            "POST",
            "/",
            &[("my-header1", "value1")],
            "host;my-header1;x-amz-date",
            "",
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ),
        (
            "post-x-www-form-urlencoded",
            "POST",
            "/",
            &[("content-type", "application/x-www-form-urlencoded")],
            "content-type;host;x-amz-date",
            "Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ] {
        let headers = headers(&[&[HOST, DATE], more].concat());
        let signed: Vec<&str> = signed.split(';').collect();
        let method: Method = method.parse().unwrap();
        let canonical = canonical::request(
            &method,
            &uri.parse().unwrap(),
            &headers,
            &signed,
            body.as_bytes(),
        );
        let scope = "20150830/us-east-1/service/aws4_request";
        let signature = signing(SECRET, scope, TIME, &canonical).finalize();
        assert_eq!(
            canonical::hex(&signature.into_bytes()),
            expected,
            "{case}:\n{canonical}"
        );
    }
}

fn credentials() -> Credentials {
    let text =
        format!("[shop]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {SECRET}\n");
    Credentials::parse(&text).unwrap()
}

/// A request as a client of ours sends it.
struct Sent {
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

const SIGNED: &str = "content-type;host;x-amz-date;x-amz-target";
const SCOPE: &str = "20150830/eu-west-1/kinesis/aws4_request";

impl Sent {
    fn signed(secret: &str, scope: &str, names: &str) -> Self {
        let mut sent = Self {
            uri: Uri::from_static("/"),
            headers: headers(&[
                ("host", "localhost:4701"),
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-date", TIME),
                ("x-amz-target", "Kinesis_20131202.ListStreams"),
            ]),
            body: b"{}".to_vec(),
        };
        let listed: Vec<&str> = names.split(';').collect();
        let canonical =
            canonical::request(&Method::POST, &sent.uri, &sent.headers, &listed, &sent.body);
        let signature = signing(secret, scope, TIME, &canonical)
            .finalize()
            .into_bytes();
        let authorization = format!(
            "{ALGORITHM} Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={}",
            canonical::hex(&signature)
        );
        sent.set("authorization", &authorization);
        sent
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.headers
            .insert(name, HeaderValue::from_str(value).unwrap());
    }

    fn is_taken(&self, now: Timestamp) -> Result<Option<String>, String> {
        let credentials = credentials();
        let told = |error: ApiError| format!("{}: {}", error.code.name(), error.message.unwrap());
        let pending = Pending::new(&credentials, &self.uri, &self.headers, now).map_err(told)?;
        let verified = pending.verify(&Method::POST, &self.uri, &self.headers, &self.body);
        let (credential, region) = verified.map_err(told)?;
        assert_eq!(&*credential.name, "shop");
        Ok(region)
    }
}

#[test]
fn a_good_signature_is_taken_for_five_minutes_either_way() {
    let sent = Sent::signed(SECRET, SCOPE, SIGNED);
    let skew = CLOCK_SKEW_MS;
    for (now, is_taken) in [
        (NOW.0, true),
        (NOW.0 + skew, true),
        (NOW.0 - skew, true),
        (NOW.0 + skew + 1, false),
        (NOW.0 - skew - 1, false),
    ] {
        let region = sent.is_taken(Timestamp(now));
        assert_eq!(region.is_ok(), is_taken, "{now}: {region:?}");
    }
    assert_eq!(sent.is_taken(NOW), Ok(Some("eu-west-1".to_owned())));
    let late = sent.is_taken(Timestamp(NOW.0 + 2 * skew)).unwrap_err();
    assert_eq!(
        late,
        "InvalidSignatureException: Signature expired: 20150830T123600Z is now earlier than \
         20150830T124100Z (20150830T124600Z - 5 min.)"
    );
}

#[test]
fn what_is_changed_on_the_way_is_refused() {
    type Change = fn(&mut Sent);
    let changes: [(&str, Change); 7] = [
        ("body", |sent| sent.body = b"{ }".to_vec()),
        ("target", |sent| {
            sent.set("x-amz-target", "Kinesis_20131202.DeleteStream")
        }),
        ("host", |sent| sent.set("host", "elsewhere")),
        ("path", |sent| sent.uri = Uri::from_static("/x")),
        ("query", |sent| sent.uri = Uri::from_static("/?a=b")),
        ("time", |sent| sent.set("x-amz-date", "20150830T123601Z")),
        ("type", |sent| sent.set("content-type", "text/plain")),
    ];
    for (what, change) in changes {
        let mut sent = Sent::signed(SECRET, SCOPE, SIGNED);
        change(&mut sent);
        let error = sent.is_taken(NOW).unwrap_err();
        assert!(
            error.starts_with("InvalidSignatureException: The request signature"),
            "{what}: {error}"
        );
    }
    // What is not signed may change.
    let mut sent = Sent::signed(SECRET, SCOPE, SIGNED);
    sent.set("user-agent", "x");
    assert!(sent.is_taken(NOW).is_ok());
}

#[test]
fn every_other_fault_has_its_name() {
    const OTHER_DAY: &str = "20150831/eu-west-1/kinesis/aws4_request";
    for (secret, scope, names, expected) in [
        (
            "another secret, long enough",
            SCOPE,
            SIGNED,
            "InvalidSignatureException: The request",
        ),
        (
            SECRET,
            OTHER_DAY,
            SIGNED,
            "InvalidSignatureException: Date in Credential",
        ),
        (
            SECRET,
            "20150830/eu-west-1/s3/aws4_request",
            SIGNED,
            "InvalidSignatureException: Credential should",
        ),
        (
            SECRET,
            "20150830/eu-west-1/kinesis/aws5",
            SIGNED,
            "InvalidSignatureException: Credential should",
        ),
        (
            SECRET,
            "20150830/kinesis/aws4_request",
            SIGNED,
            "IncompleteSignatureException: Credential must",
        ),
        (
            SECRET,
            SCOPE,
            "content-type;x-amz-date;x-amz-target",
            "InvalidSignatureException: 'Host'",
        ),
        (
            SECRET,
            SCOPE,
            "host;x-amz-date",
            "InvalidSignatureException: There were headers",
        ),
        (
            SECRET,
            SCOPE,
            "host;x-amz-target",
            "InvalidSignatureException: There were headers",
        ),
    ] {
        let error = Sent::signed(secret, scope, names)
            .is_taken(NOW)
            .unwrap_err();
        assert!(error.starts_with(expected), "{scope} {names}: {error}");
    }
    let authorization = |from: &str, to: &str| {
        let mut sent = Sent::signed(SECRET, SCOPE, SIGNED);
        let given = sent.headers["authorization"]
            .to_str()
            .unwrap()
            .replace(from, to);
        sent.set("authorization", &given);
        sent.is_taken(NOW).unwrap_err()
    };
    assert!(authorization("AKIDEXAMPLE", "AKID").starts_with("UnrecognizedClientException"));
    assert!(authorization("SHA256", "SHA512").starts_with("IncompleteSignatureException"));
    assert!(authorization("Signature=", "Signature=0").starts_with("InvalidSignatureException"));
    let mut sent = Sent::signed(SECRET, SCOPE, SIGNED);
    sent.set("x-amz-date", "now");
    let error = sent.is_taken(NOW).unwrap_err();
    assert!(
        error.starts_with("IncompleteSignatureException: Date must"),
        "{error}"
    );
}

#[test]
fn a_presigned_request_is_good_as_long_as_it_says() {
    let presigned = |seconds: &str| {
        let query = format!(
            "/?X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=AKIDEXAMPLE%2F{}&X-Amz-Date={TIME}\
             &X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host%3Bx-amz-target",
            SCOPE.replace('/', "%2F")
        );
        let headers = headers(&[
            ("host", "localhost:4701"),
            ("x-amz-target", "Kinesis_20131202.ListStreams"),
        ]);
        let uri: Uri = query.parse().unwrap();
        let signed = ["host", "x-amz-target"];
        let canonical = canonical::request(&Method::POST, &uri, &headers, &signed, b"");
        let signature = signing(SECRET, SCOPE, TIME, &canonical)
            .finalize()
            .into_bytes();
        let uri = format!("{query}&X-Amz-Signature={}", canonical::hex(&signature));
        Sent {
            uri: uri.parse().unwrap(),
            headers,
            body: Vec::new(),
        }
    };
    let sent = presigned("3600");
    assert!(sent.is_taken(Timestamp(NOW.0 + 3_600_000)).is_ok());
    assert!(sent.is_taken(Timestamp(NOW.0 + 3_600_001)).is_err());
    for seconds in ["0", "604801", "x"] {
        assert!(presigned(seconds).is_taken(NOW).is_err(), "{seconds}");
    }
}

#[test]
fn a_date_header_does_where_there_is_no_other() {
    assert_eq!(basic_of_http("Sun, 30 Aug 2015 12:36:00 GMT"), TIME);
    assert_eq!(parse_basic(TIME), Some(NOW));
    assert_eq!(basic(NOW), TIME);
    for text in [
        "",
        "20150830T123600",
        "2015083aT123600Z",
        "20151330T123600Z",
    ] {
        assert_eq!(parse_basic(text), None, "{text}");
    }
}
