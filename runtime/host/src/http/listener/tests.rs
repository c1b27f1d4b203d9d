//! Rude clients over real sockets, under paused time: with nothing to do but wait, the clock runs.

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::http::{body, paced::Paced, whole};

#[derive(Clone)]
struct Echo;

impl Serve for Echo {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match request.uri().path() {
            "/whole" => match body::read_whole(request.into_body(), 1_000).await {
                Ok(bytes) => Response::new(whole(bytes)),
                Err(error) => Response::new(whole(format!("refused: {error}"))),
            },
            "/paced" => match Paced::new(request.into_body()).collect().await {
                Ok(body) => Response::new(whole(body.to_bytes())),
                Err(error) => Response::new(whole(format!("refused: {error}"))),
            },
            "/hang" => std::future::pending().await,
            _ => {
                let sent = request
                    .into_body()
                    .collect()
                    .await
                    .map(|body| body.to_bytes().len());
                Response::new(whole(format!("{} bytes", sent.unwrap_or(0))))
            }
        }
    }
}

struct Served {
    address: SocketAddr,
    drain: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn served() -> Served {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(local).await.expect("a free port");
    let address = listener.address();
    let (drain, draining) = watch::channel(false);
    let task = tokio::spawn(listener.serve(Echo, draining));
    Served {
        address,
        drain,
        task,
    }
}

/// Sends bytes and reads until the server closes; what it said.
async fn says(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(sent).await.expect("it reads");
    let mut answer = Vec::new();
    // A reset instead of an end is an end as well.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_or_half_a_head_is_dropped() {
    let served = served().await;
    for sent in [
        &b""[..],
        b"P",
        b"PRI * HT",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a",
    ] {
        let began = Instant::now();
        let answer = says(served.address, sent).await;
        assert!(!answer.contains("200"), "{sent:?}: {answer}");
        let waited = began.elapsed();
        assert!(
            waited >= limits::HEADER_READ_TIMEOUT,
            "{sent:?}: {waited:?}"
        );
        assert!(
            waited < 2 * limits::HEADER_READ_TIMEOUT,
            "{sent:?}: {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_a_while_between_requests() {
    let served = served().await;
    let began = Instant::now();
    let answer = says(served.address, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(began.elapsed() >= limits::KEEP_ALIVE);
    assert!(began.elapsed() < limits::KEEP_ALIVE + limits::HEADER_READ_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_given_up() {
    let served = served().await;
    let began = Instant::now();
    let head = b"POST /whole HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\nconnection: close\r\n\r\nabc";
    let answer = says(served.address, head).await;
    assert!(
        answer.contains("refused: the body came too slowly"),
        "{answer}"
    );
    assert!(began.elapsed() >= limits::BODY_IDLE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_body_read_as_it_comes_is_given_up_when_it_stops_or_trickles() {
    let served = served().await;
    let began = Instant::now();
    let head = b"POST /paced HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\nconnection: close\r\n\r\nabc";
    let answer = says(served.address, head).await;
    assert!(answer.contains("the body came too slowly"), "{answer}");
    assert!(began.elapsed() >= limits::BODY_IDLE_TIMEOUT);
    let whole = [&head[..], b"defghi"].concat();
    let answer = says(served.address, &whole).await;
    assert!(answer.ends_with("abcdefghi"), "{answer}");

    // A byte every ten seconds is never silent for long enough.
    let mut stream = TcpStream::connect(served.address)
        .await
        .expect("it listens");
    stream.write_all(head).await.expect("it reads");
    let mut sent = 0;
    let mut answer = [0; 512];
    let read = loop {
        tokio::select! {
            read = stream.read(&mut answer) => break read.expect("it answers"),
            () = tokio::time::sleep(Duration::from_secs(10)) => {
                sent += 1;
                assert!(sent < 6, "it is never given up");
                stream.write_all(b"x").await.expect("it reads");
            }
        }
    };
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.contains("the body came too slowly"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_refused_by_its_length_alone() {
    let served = served().await;
    let head = b"POST /whole HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1001\r\nconnection: close\r\n\r\n";
    let answer = says(served.address, head).await;
    assert!(
        answer.contains("refused: the body is larger than 1000 bytes"),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn heads_that_are_too_large_or_ambiguous_are_refused() {
    let served = served().await;
    let many: String = (0..limits::HEADERS_MAX + 1)
        .map(|n| format!("x-{n}: 1\r\n"))
        .collect();
    let long = format!("x-long: {}\r\n", "x".repeat(limits::HEADER_BYTES_MAX));
    let both = "content-length: 3\r\ncontent-length: 4\r\n";
    for headers in [many.as_str(), long.as_str(), both] {
        let sent =
            format!("POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        let answer = says(served.address, sent.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{headers:.40}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_to_another_host_is_refused() {
    let served = served().await;
    let sent = b"GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let answer = says(served.address, sent).await;
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("FN6002"),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_head_has_headers_and_nothing_behind_them() {
    let served = served().await;
    let head = b"HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = says(served.address, head).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-length: 7\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");

    let stream = TcpStream::connect(served.address).await;
    let stream = TokioIo::new(stream.expect("it listens"));
    let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
    let (mut client, connection) = shaken.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    for (method, uri, status, length) in [
        (Method::HEAD, "http://localhost/", 200, 0),
        (Method::GET, "http://localhost/", 200, 7),
        // What is refused at the door, too.
        (Method::HEAD, "http://evil.example/", 403, 0),
    ] {
        let request = Request::builder().method(&method).uri(uri);
        let request = request.body(whole("")).expect("a request");
        let answer = client.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), status, "{method} {uri}");
        let told = answer.headers().get(header::CONTENT_LENGTH);
        assert!(told.is_some_and(|told| *told != "0"), "{method} {uri}");
        let body = answer.into_body().collect().await;
        let body = body.expect("the stream ends as it should").to_bytes();
        assert_eq!(body.len(), length, "{method} {uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn draining_ends_idle_connections_and_waits_for_running_requests() {
    let served = served().await;
    let mut idle = TcpStream::connect(served.address)
        .await
        .expect("it listens");
    idle.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("it reads");
    let mut answer = [0; 15];
    idle.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let mut busy = TcpStream::connect(served.address)
        .await
        .expect("it listens");
    busy.write_all(b"GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("it reads");
    tokio::time::sleep(Duration::from_millis(10)).await;
    served.drain.send_replace(true);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest)
        .await
        .expect("the idle connection ends");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!served.task.is_finished(), "a request still runs");
    drop(busy);
    served.task.await.expect("it ends with its last request");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_is_given_up() {
    let folder = tempfile::tempdir().expect("a directory");
    let tls = crate::tls::Tls::Generated { names: Vec::new() };
    let tls = tls
        .load(folder.path(), fnctl_core::id::Timestamp(0))
        .expect("a certificate");
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(local).await.expect("a free port");
    let address = listener.address();
    let (drain, draining) = watch::channel(false);
    let listener = listener.secured(Some(crate::tls::Shown::new(tls)));
    let task = tokio::spawn(listener.serve(Echo, draining));
    for sent in [&b""[..], b"\x16\x03\x01"] {
        let started = Instant::now();
        let answer = says(address, sent).await;
        assert!(!answer.starts_with("HTTP"), "{answer:?}");
        assert!(started.elapsed() <= limits::TLS_HANDSHAKE_TIMEOUT + Duration::from_secs(1));
    }
    // Who speaks without is told so at once, and nothing of it reaches what answers.
    let head = b"GET /whole HTTP/1.1\r\nhost: here:1\r\n\r\n";
    let answer = says(address, head).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("use https://here:1"), "{answer}");
    // Half a head is no more waited for than elsewhere.
    let started = Instant::now();
    assert_eq!(says(address, b"GET / HTTP/1.1\r\n").await, "");
    assert!(started.elapsed() <= limits::HEADER_READ_TIMEOUT + Duration::from_secs(1));
    drain.send_replace(true);
    task.await.expect("it ends");
}
