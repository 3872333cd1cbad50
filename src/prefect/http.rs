//! The real client: the only file that names reqwest's client.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{DATE, HeaderMap, LOCATION, RETRY_AFTER},
};
use serde::Deserialize;

use super::{
    CountRequest, Error, ListRequest, Listed, Patience, PrefectApi, Unreachable,
    auth::authorize,
    pause::Pause,
    retry::{Failure, Retry, retry_after},
    throttle::{Throttle, Went},
};
use crate::{
    clock::Clock,
    config::{ApiUrl, Settings},
    telemetry::{Event, Telemetry},
};

/// The largest answer that is read, in bytes. A page of 200 runs is about half a megabyte.
const LARGEST_BODY: usize = 64 << 20;

/// Prefect's own server drops a connection that was idle for 5 s: give it up before.
const IDLE: Duration = Duration::from_secs(4);

/// A Prefect server reached over HTTP.
pub struct HttpApi {
    client: Client,
    settings: Settings,
    patience: Patience,
    pause: Pause,
    throttle: Throttle,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
}

/// One answer, read completely.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

/// One try: an answer to act on, or a reason to try again.
enum Try {
    Answer(Answer),
    Again(Failure, Error),
}

impl HttpApi {
    /// Prepares a client; opens no connection yet.
    pub fn new(
        settings: Settings,
        patience: Patience,
        clock: Arc<dyn Clock>,
        telemetry: Telemetry,
    ) -> Result<Self, Error> {
        Ok(Self {
            client: build_client(&settings.api_url)
                .map_err(|error| Error::Setup(error.to_string()))?,
            patience,
            pause: Pause::default(),
            throttle: Throttle::new(settings.concurrency.get()),
            settings,
            clock,
            telemetry,
        })
    }

    /// Asks until there is an answer or patience ends.
    async fn ask<T>(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        read: impl Fn(Answer) -> Result<T, serde_json::Error>,
    ) -> Result<T, Error> {
        let mut retry = Retry::new(self.patience);
        let mut waited = None;
        loop {
            let (failure, error) = match self.pause.left(self.clock.now(), waited) {
                Some((until, left)) => {
                    waited = Some(until);
                    self.limited(Some(left))
                }
                None => match self.try_once(&method, path, body).await {
                    Try::Answer(answer) if answer.status == StatusCode::OK => {
                        let why = what_it_is(&answer.body);
                        match read(answer) {
                            Ok(value) => return Ok(value),
                            Err(_) => (
                                Failure::Passing { retry_after: None },
                                Error::NotPrefect {
                                    url: self.settings.api_url.join(path),
                                    why: why.to_owned(),
                                },
                            ),
                        }
                    }
                    Try::Answer(answer) => return Err(self.classify(path, &answer)),
                    Try::Again(failure, error) => (failure, error),
                },
            };
            let Some(wait) = retry.next(failure, random()) else {
                return Err(match error {
                    Error::Server { path, status, .. } => Error::Server {
                        path,
                        status,
                        tries: retry.failures(),
                    },
                    error => error,
                });
            };
            tracing::debug!(path, wait_ms = wait.as_millis(), "trying again: {error}");
            self.telemetry.publish(&Event::Wait {
                path: path.to_owned(),
                why: short_reason(&error),
                wait,
            });
            self.clock.sleep(wait).await;
        }
    }

    async fn try_once(&self, method: &Method, path: &str, body: Option<&[u8]>) -> Try {
        let leave = self.throttle.enter().await;
        let started = Instant::now();
        let sent = self.send(method, path, body).await;
        let read = match sent {
            Ok(response) => read_answer(response).await,
            Err(error) => Err(Unreachable::of(&error)),
        };
        self.telemetry.publish(&Event::Request {
            path: path.to_owned(),
            status: read.as_ref().ok().map(|answer| answer.status.as_u16()),
            bytes: read.as_ref().map_or(0, |answer| answer.body.len() as u64),
            took: started.elapsed(),
        });
        leave.went(went(&read, started.elapsed()));
        let host = || self.settings.api_url.host().to_owned();
        match read {
            Err(why) => Try::Again(
                Failure::Passing { retry_after: None },
                Error::Unreachable { host: host(), why },
            ),
            Ok(answer) => {
                // A date is one of the server's clock, which may be far from this machine's.
                let now = || server_time(&answer.headers).unwrap_or_else(|| self.clock.now());
                let retry_after = answer
                    .headers
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok())
                    .and_then(|value| retry_after(value, now()));
                match answer.status {
                    StatusCode::TOO_MANY_REQUESTS => {
                        if let Some(wait) = retry_after {
                            self.pause.ask(self.clock.now(), wait);
                        }
                        let (failure, error) = self.limited(retry_after);
                        Try::Again(failure, error)
                    }
                    status if is_passing(status) => Try::Again(
                        Failure::Passing { retry_after },
                        Error::Server {
                            path: path.to_owned(),
                            status: status.as_u16(),
                            tries: 1,
                        },
                    ),
                    _ => Try::Answer(answer),
                }
            }
        }
    }

    fn limited(&self, retry_after: Option<Duration>) -> (Failure, Error) {
        let host = self.settings.api_url.host().to_owned();
        (
            Failure::RateLimited { retry_after },
            Error::RateLimited { host },
        )
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Response, reqwest::Error> {
        let mut request = self
            .client
            .request(method.clone(), self.settings.api_url.join(path));
        if let Some(body) = body {
            // A complete body, so that Content-Length is sent: Prefect Cloud asks for it (411).
            request = request
                .header("content-type", "application/json")
                .body(body.to_vec());
        }
        authorize(request, &self.settings.credentials).send().await
    }

    /// What an answer that is neither 200 nor worth another try means.
    fn classify(&self, path: &str, answer: &Answer) -> Error {
        let host = self.settings.api_url.host().to_owned();
        let url = self.settings.api_url.join(path);
        match answer.status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized { host },
            StatusCode::FORBIDDEN => Error::Forbidden {
                host,
                path: path.to_owned(),
                detail: detail(&answer.body),
            },
            StatusCode::NOT_FOUND => Error::NotFound { url },
            status if status.is_redirection() => Error::Redirected {
                host,
                target: redirect_target(&answer.headers),
                status: status.as_u16(),
            },
            status => match allowed_limit(&answer.body) {
                Some(max) if status == StatusCode::UNPROCESSABLE_ENTITY => {
                    Error::LimitTooLarge { max }
                }
                _ => Error::Rejected {
                    path: path.to_owned(),
                    status: status.as_u16(),
                    detail: detail(&answer.body),
                },
            },
        }
    }
}

/// Whether an answer is worth another try.
fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TIMEOUT || status.is_server_error()
}

/// What an answer says about how much the server can bear.
fn went(read: &Result<Answer, Unreachable>, took: Duration) -> Went {
    match read {
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => Went::Badly,
        Ok(answer) if is_passing(answer.status) => Went::Badly,
        Ok(_) => Went::Well(took),
        Err(_) => Went::Badly,
    }
}

/// What an answer is that is not what was asked for.
fn what_it_is(body: &str) -> &'static str {
    let start = body.trim_start();
    if start.starts_with('<') {
        "it sent a web page"
    } else if start.is_empty() {
        "it sent nothing"
    } else {
        "it sent something else than was asked for"
    }
}

impl PrefectApi for HttpApi {
    async fn list<T: Send>(
        &self,
        request: &ListRequest,
        read: impl Fn(String) -> Result<T, serde_json::Error> + Send + Sync,
    ) -> Result<Listed<T>, Error> {
        let body = serde_json::to_vec(request).map_err(|error| Error::Setup(error.to_string()))?;
        let path = request.collection.filter_path();
        self.ask(Method::POST, &path, Some(&body), |answer| {
            Ok(Listed {
                server_time: server_time(&answer.headers),
                page: read(answer.body)?,
            })
        })
        .await
    }

    async fn count(&self, request: &CountRequest) -> Result<Option<u64>, Error> {
        let body = serde_json::to_vec(request).map_err(|error| Error::Setup(error.to_string()))?;
        let path = request.collection.count_path();
        let asked = self
            .ask(Method::POST, &path, Some(&body), |answer| {
                serde_json::from_str::<u64>(&answer.body)
            })
            .await;
        helper(asked)
    }

    async fn version(&self) -> Result<Option<String>, Error> {
        let asked = self
            .ask(Method::GET, "/admin/version", None, |answer| {
                serde_json::from_str::<String>(&answer.body)
            })
            .await;
        helper(asked)
    }
}

/// The answer of an endpoint that not every server has: Prefect Cloud lacks some, and a gateway may let
/// only listings through.
fn helper<T>(asked: Result<T, Error>) -> Result<Option<T>, Error> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(
            Error::NotFound { .. }
            | Error::Rejected {
                status: 405 | 422, ..
            },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One client for all requests: it keeps connections open.
fn build_client(url: &ApiUrl) -> Result<Client, reqwest::Error> {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .user_agent(concat!(
                "fivetran-source-prefect/",
                env!("CARGO_PKG_VERSION")
            ))
            // Prefect's server speaks nothing else.
            .http1_only()
            // Saves the network what it costs the processor: on this machine there is no network.
            .gzip(!url.is_on_this_machine())
            .pool_idle_timeout(IDLE)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(120))
            // A redirect to a login page is an error, not HTML to read; and the key stays here.
            .redirect(reqwest::redirect::Policy::none())
    };
    builder().build().or_else(|_| {
        // No certificate store on this machine: the roots that are built in.
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|root| reqwest::Certificate::from_der(root).ok());
        builder().tls_certs_only(roots).build()
    })
}

/// Reads an answer to its end, up to [`LARGEST_BODY`].
async fn read_answer(mut response: Response) -> Result<Answer, Unreachable> {
    let status = response.status();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Unreachable::of(&error))?
    {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(Unreachable::Broken);
        }
        body.extend_from_slice(&chunk);
    }
    // Text that is not UTF-8 is no JSON: reading it fails with the right error.
    let body = String::from_utf8(body).unwrap_or_default();
    Ok(Answer {
        status,
        headers,
        body,
    })
}

fn server_time(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = headers.get(DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(DateTime::from)
}

/// Scheme and host of a redirect; the rest of the address may hold a token.
fn redirect_target(headers: &HeaderMap) -> String {
    headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| url::Url::parse(text).ok())
        .map_or_else(
            || "another path".to_owned(),
            |url| url.origin().ascii_serialization(),
        )
}

/// The server's own short words about an error, never the request that it echoes.
fn detail(body: &str) -> String {
    #[derive(Deserialize)]
    struct Words {
        detail: Option<serde_json::Value>,
        exception_message: Option<String>,
        #[serde(default)]
        exception_detail: serde_json::Value,
    }
    let Ok(words) = serde_json::from_str::<Words>(body) else {
        return String::new();
    };
    let field = words.exception_detail[0]["loc"].as_array().map(|path| {
        let steps: Vec<&str> = path.iter().filter_map(serde_json::Value::as_str).collect();
        format!("field {}", steps.join("."))
    });
    let text = field
        .or_else(|| words.detail?.as_str().map(str::to_owned))
        .or(words.exception_message)
        .unwrap_or_default();
    if text.is_empty() {
        text
    } else {
        format!(": {}", text.chars().take(200).collect::<String>())
    }
}

/// The limit that a 422 names: "Invalid limit: must be less than or equal to 200."
fn allowed_limit(body: &str) -> Option<u32> {
    #[derive(Deserialize)]
    struct Words {
        detail: String,
    }
    let words: Words = serde_json::from_str(body).ok()?;
    let number = words
        .detail
        .strip_prefix("Invalid limit: must be less than or equal to ")?;
    number
        .trim_end_matches('.')
        .parse()
        .ok()
        .filter(|max| *max > 0)
}

/// A few words for progress bars and logs.
fn short_reason(error: &Error) -> String {
    match error {
        Error::RateLimited { .. } => "429".to_owned(),
        Error::Server { status, .. } => status.to_string(),
        Error::Unreachable { .. } => "no connection".to_owned(),
        _ => "unusable answer".to_owned(),
    }
}

/// A number in 0..1, different in every process and call: spreads retries, nothing else.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    u32::try_from(bits).map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_read_from_the_servers_words() {
        let body = r#"{"detail":"Invalid limit: must be less than or equal to 50."}"#;
        assert_eq!(allowed_limit(body), Some(50));
        for body in [
            "",
            "[]",
            r#"{"detail":"Invalid limit"}"#,
            r#"{"detail":[1]}"#,
        ] {
            assert_eq!(allowed_limit(body), None, "{body}");
        }
    }

    #[test]
    fn an_error_body_is_summed_up_and_never_echoed() {
        let body = r#"{"exception_message":"Invalid request received.","exception_detail":[{"type":"extra_forbidden","loc":["body","flow_runs","updated"],"msg":"m"}],"request_body":{"secret":1}}"#;
        assert_eq!(detail(body), ": field body.flow_runs.updated");
        assert_eq!(detail(r#"{"detail":"Not Found"}"#), ": Not Found");
        assert_eq!(
            detail(r#"{"exception_message":"Unauthorized"}"#),
            ": Unauthorized"
        );
        assert_eq!(detail("<html>"), "");
    }
}
