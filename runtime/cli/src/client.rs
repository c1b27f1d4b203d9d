//! Speaks HTTP to a server: the only file that does.

mod address;
mod lines;
mod trust;

use std::{
    convert::Infallible,
    error::Error as _,
    io::{self, IsTerminal as _},
    path::PathBuf,
    pin::pin,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use fnctl_core::error_code::{ErrorBody, ErrorCode};
use http_body_util::{BodyExt, Empty, Full, Limited, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{self, HeaderValue},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

pub(crate) use self::lines::Lines;
use crate::{error::CliError, limits, output};

/// A request's body.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, Infallible>;

/// Parameters of an address.
pub(crate) type Query<'a> = &'a [(&'a str, &'a str)];

/// What lets in, and whom to trust.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    /// The token that is sent along.
    pub(crate) token: Option<String>,
    /// The certificate that is trusted, instead of those of this machine.
    pub(crate) tls_ca: Option<PathBuf>,
}

/// What sends.
type Http = legacy::Client<HttpsConnector<HttpConnector>, RequestBody>;

/// A server's API.
#[derive(Clone)]
pub(crate) struct Client {
    /// Made when first used: not every command asks a server, and certificates may be missing.
    http: Arc<OnceLock<Http>>,
    server: String,
    /// `Authorization`, where there is a token.
    authorization: Option<HeaderValue>,
    tls_ca: Option<PathBuf>,
}

impl Client {
    /// Of the server at an address such as `http://127.0.0.1:4700`; nothing is connected yet.
    ///
    /// # Errors
    /// The address or the token cannot be used.
    pub(crate) fn new(server: &str, credentials: &Credentials) -> Result<Self, CliError> {
        let token = credentials.token.as_deref().filter(|t| !t.is_empty());
        Ok(Self {
            http: Arc::default(),
            server: address::server(server)?,
            authorization: token.map(bearer).transpose()?,
            tls_ca: credentials.tls_ca.clone(),
        })
    }

    fn http(&self) -> Result<&Http, CliError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(limits::CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let is_secured = self.server.starts_with("https:");
        let connector = trust::connector(tcp, is_secured, self.tls_ca.as_deref())?;
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(self.http.get_or_init(|| http))
    }

    /// The server's address.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Asks for one value.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query<'_>,
    ) -> Result<T, CliError> {
        let request = self.request(Method::GET, path, query)?;
        self.read(self.send(request, empty()).await?).await
    }

    /// Asks for many values.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query<'_>,
    ) -> Result<Vec<T>, CliError> {
        let (all, error) = self.list_and_error(path, query).await?;
        error.map_or(Ok(all), Err)
    }

    /// Asks for many values; those that came before the server ended with an error come with it.
    ///
    /// # Errors
    /// The server's where nothing came, or nobody answers.
    pub(crate) async fn list_and_error<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query<'_>,
    ) -> Result<(Vec<T>, Option<CliError>), CliError> {
        let mut lines = self.lines(path, query).await?;
        let mut all = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => all.push(self.parse(&line)?),
                Ok(None) => return Ok((all, None)),
                Err(error) if all.is_empty() => return Err(error),
                Err(error) => return Ok((all, Some(error))),
            }
        }
    }

    /// Asks for values as they come.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn lines(&self, path: &[&str], query: Query<'_>) -> Result<Lines, CliError> {
        let request = self.request(Method::GET, path, query)?;
        let response = self.send(request, empty()).await?;
        Ok(Lines::new(response.into_body(), self.server.clone()))
    }

    /// Sends a value and reads the answer.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.read(self.send_json(Method::POST, path, body).await?)
            .await
    }

    /// Sends what changes and reads the answer.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.read(self.send_json(Method::PATCH, path, body).await?)
            .await
    }

    /// Sends a value; the answer is bytes as they come.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn post_for_bytes(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<Response<Incoming>, CliError> {
        self.send_json(Method::POST, path, body).await
    }

    async fn send_json(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<Response<Incoming>, CliError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| CliError::new(ErrorCode::Internal, error.to_string()))?;
        let request = self
            .request(method, path, &[])?
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request, full(body.into())).await
    }

    /// Sends bytes and reads the answer.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn send_bytes<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Bytes,
    ) -> Result<T, CliError> {
        let request = self.request(method, path, &[])?;
        self.read(self.send(request, full(body)).await?).await
    }

    /// Sends a stream of bytes; the answer's lines come while it is sent.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn post_lines(
        &self,
        path: &[&str],
        query: Query<'_>,
        headers: &[(&str, String)],
        body: RequestBody,
    ) -> Result<Lines, CliError> {
        let mut request = self.request(Method::POST, path, query)?;
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = self.send(request, body).await?;
        Ok(Lines::new(response.into_body(), self.server.clone()))
    }

    /// Deletes.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn delete(&self, path: &[&str], is_forced: bool) -> Result<(), CliError> {
        let query: Query<'_> = if is_forced { &[("force", "true")] } else { &[] };
        let request = self.request(Method::DELETE, path, query)?;
        self.send(request, empty()).await.map(drop)
    }

    /// Deletes, and reads the answer.
    ///
    /// # Errors
    /// The server's, or nobody answers.
    pub(crate) async fn delete_one<T: DeserializeOwned>(
        &self,
        path: &[&str],
    ) -> Result<T, CliError> {
        let request = self.request(Method::DELETE, path, &[])?;
        self.read(self.send(request, empty()).await?).await
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: Query<'_>,
    ) -> Result<hyper::http::request::Builder, CliError> {
        // Left out of the path, another resource would be meant.
        if path.iter().any(|segment| segment.is_empty()) {
            return Err(CliError::usage("a name is empty")
                .because("an empty name names nothing; was a variable of the shell unset?")
                .fix("name it, or leave it out where it may be left out: --help"));
        }
        let address = format!("{}{}", self.server, address::path(path, query));
        let uri: Uri = address
            .parse()
            .map_err(|_| CliError::usage(format!("`{address}` is not an address")))?;
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    /// Sends; an answer that is an error becomes one.
    async fn send(
        &self,
        request: hyper::http::request::Builder,
        body: RequestBody,
    ) -> Result<Response<Incoming>, CliError> {
        let request = request
            .body(body)
            .map_err(|_| CliError::usage("a value cannot be sent in a header".to_owned()))?;
        let is_reading = request.method() == Method::GET;
        let answered = self.answered(self.http()?.request(request), is_reading);
        let response = answered
            .await?
            .map_err(|error| self.unreachable(&error, is_reading))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = self.whole(response).await?;
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => Err(body.error.into()),
            Err(_) => Err(self.strange(status, &body)),
        }
    }

    /// Waits for an answer to begin; a person at a terminal is told after a while. What changes may take as long as
    /// it takes.
    async fn answered<T>(
        &self,
        answer: impl Future<Output = T>,
        is_reading: bool,
    ) -> Result<T, CliError> {
        let mut answer = pin!(answer);
        if let Ok(answered) = timeout(limits::ANSWER_NOTED_AFTER, &mut answer).await {
            return Ok(answered);
        }
        if io::stderr().is_terminal() {
            output::note(&format!("waits for an answer of {} …", self.server));
        }
        if !is_reading {
            return Ok(answer.await);
        }
        let left = limits::ANSWER_TIMEOUT - limits::ANSWER_NOTED_AFTER;
        timeout(left, answer).await.map_err(|_| {
            let whole = limits::ANSWER_TIMEOUT.as_secs();
            CliError::new(
                ErrorCode::WaitedTooLong,
                format!("{} has not answered for {whole} s", self.server),
            )
            .because("something takes connections there and says nothing: the server is stopped, hangs or is overloaded")
            .fix("look at its process and at the end of its log; nothing was changed by asking")
        })
    }

    async fn read<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, CliError> {
        let body = self.whole(response).await?;
        self.parse(&body)
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, CliError> {
        let body = Limited::new(response.into_body(), limits::ANSWER_BYTES_MAX)
            .collect()
            .await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|error| {
                CliError::new(
                    ErrorCode::ServerUnreachable,
                    format!("the answer of {} broke off", self.server),
                )
                .because(error.to_string())
            })
    }

    fn parse<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, CliError> {
        serde_json::from_slice(text).map_err(|error| {
            CliError::new(
                ErrorCode::AnswerUnreadable,
                format!("the answer of {} cannot be read", self.server),
            )
            .because(error.to_string())
            .fix("is it a fnctl server, and of this version? fnctl doctor")
        })
    }

    fn strange(&self, status: StatusCode, body: &[u8]) -> CliError {
        let words = String::from_utf8_lossy(body);
        // As the Kinesis listener refuses what is not signed.
        let fix = match words.contains("AccessDeniedException") {
            true => {
                "that is where AWS clients go (`--kinesis-listen`): --server URL with the address of `--listen`"
            }
            false => "--server URL, or FNCTL_SERVER; fnctl doctor compares the versions",
        };
        let words = output::words::first_line(&words, 200);
        CliError::new(
            ErrorCode::AnswerUnreadable,
            format!(
                "{} answers {status}, not as a fnctl server does",
                self.server
            ),
        )
        .because(if words.is_empty() {
            "it says nothing more".to_owned()
        } else {
            format!("it says: {words}")
        })
        .fix(fix)
    }

    fn unreachable(&self, error: &legacy::Error, is_reading: bool) -> CliError {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            why = inner.to_string();
            source = inner.source();
        }
        if error.is_connect() {
            CliError::new(
                ErrorCode::ServerUnreachable,
                trust::what(&why, &self.server),
            )
            .because(trust::in_words(&why).map_or(why.clone(), str::to_owned))
            .fix(match self.server.strip_prefix("https:") {
                Some(rest) => trust::fix(&why, rest),
                None => "fnctl server        (or: --server URL, FNCTL_SERVER)".to_owned(),
            })
        } else if is_reading {
            CliError::new(
                ErrorCode::ServerUnreachable,
                format!("the connection to {} broke", self.server),
            )
            .because(why)
        } else {
            CliError::new(
                ErrorCode::Uncertain,
                format!("the connection to {} broke", self.server),
            )
            .because(why)
            .fix("whether it was done is not known: look, then try again")
        }
    }
}

/// The header that carries a token.
fn bearer(token: &str) -> Result<HeaderValue, CliError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|_| {
        // Not even what is wrong with it is shown.
        CliError::usage("the token cannot be sent: it is not one line of plain text")
            .at("--token, or FNCTL_TOKEN")
            .fix("give it as `fnctl tokens create` printed it")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// No body.
pub(crate) fn empty() -> RequestBody {
    Empty::new().boxed_unsync()
}

fn full(body: Bytes) -> RequestBody {
    Full::new(body).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_ends_what_reads_and_not_what_changes() {
        let client = Client::new("http://127.0.0.1:4700", &Credentials::default());
        let client = client.expect("an address");
        let error = client.answered(pending::<()>(), true).await;
        let error = error.expect_err("nothing came");
        assert!(error.is(ErrorCode::WaitedTooLong), "{error:?}");
        let late = || tokio::time::sleep(limits::ANSWER_TIMEOUT * 100);
        assert!(client.answered(late(), false).await.is_ok());
    }
}
