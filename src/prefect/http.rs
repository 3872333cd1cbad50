//! The HTTP client. Only this module sends requests.

mod answer;
mod classify;
mod client;
mod csrf;
mod endpoints;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{HeaderName, HeaderValue, RETRY_AFTER},
};
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;
use twox_hash::XxHash3_64;

use self::{
    answer::{Answer, is_passing, no_answer, read_answer, server_time, what_it_is},
    classify::{classify, short_reason, went},
    client::build_client,
    csrf::Csrf,
};
use super::{
    Accounts, Error, HttpInterceptor, NoAnswer, RecordedRequest, RetryPolicy, Unreachable,
    account::Account,
    auth::authorize,
    retry::{Failure, Retry, retry_after},
};
use crate::{
    clock::Clock,
    config::Settings,
    telemetry::{BUDGET, Event, Telemetry},
};

/// The shortest wait for the requests per minute that is reported.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// The smallest page size: a caller may need two objects to continue from.
const SMALLEST_PAGE: u32 = 2;

/// A Prefect server reached over HTTP.
pub struct HttpApi {
    client: Client,
    settings: Settings,
    patience: RetryPolicy,
    account: Arc<Account>,
    /// Cancelled when the server rejects the credentials (401).
    rejected: CancellationToken,
    csrf: Csrf,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    exchanges: Option<Arc<dyn HttpInterceptor>>,
}

/// A request: method, target, body.
type What<'a> = (&'a Method, &'a str, Option<&'a [u8]>);

/// The result of one try: a response to process, or a reason to retry.
enum Try {
    Answer(Answer),
    Again(Failure, Error),
    /// No request was sent, because the server has requested a pause.
    NotYet {
        until: DateTime<Utc>,
        left: Duration,
    },
    /// The request failed, and a retry would fail in the same way.
    Failed(Error),
}

impl HttpApi {
    /// Creates a client without opening a connection.
    pub fn new(
        settings: Settings,
        patience: RetryPolicy,
        clock: Arc<dyn Clock>,
        telemetry: Telemetry,
    ) -> Result<Self, Error> {
        let account = Accounts::default().of(&settings);
        Ok(Self {
            client: build_client(&settings, patience)
                .map_err(|error| Error::Setup(error.to_string()))?,
            patience,
            rejected: account.rejection(&settings),
            account,
            csrf: Csrf::new(random()),
            settings,
            clock,
            telemetry,
            exchanges: None,
        })
    }

    /// Lets `exchanges` observe or replace the network traffic.
    #[must_use]
    pub fn seen_by(mut self, exchanges: Option<Arc<dyn HttpInterceptor>>) -> Self {
        if let Some(exchanges) = &exchanges {
            self.csrf = Csrf::new(drawn(exchanges.seed(), &[]));
        }
        self.exchanges = exchanges;
        self
    }

    /// Shares the limits with all other clients of the same account.
    #[must_use]
    pub fn sharing(mut self, accounts: &Accounts) -> Self {
        self.account = accounts.of(&self.settings);
        self.rejected = self.account.rejection(&self.settings);
        self
    }

    /// Sends a request and retries it within the limits of `patience`. Stops as soon as the server has rejected
    /// the credentials.
    async fn ask<T>(
        &self,
        (method, target, body): (Method, &str, Option<&[u8]>),
        patience: RetryPolicy,
        read: impl Fn(Answer) -> Result<T, serde_json::Error>,
    ) -> Result<T, Error> {
        let path = without_query(target);
        let mut retry = Retry::new(patience);
        let mut waited = None;
        let mut has_token = false;
        let mut server_error = None;
        let mut failures: u8 = 0;
        loop {
            self.await_turn(path).await?;
            let token = self.csrf.current();
            let tried = self.try_once((&method, target, body), waited).await;
            let (failure, error) = match tried {
                Try::Answer(answer) if answer.status == StatusCode::OK => {
                    let why = what_it_is(&answer.body);
                    match read(answer) {
                        Ok(value) => return Ok(value),
                        Err(_) => (Failure::Passing { retry_after: None }, self.odd(path, why)),
                    }
                }
                Try::Answer(answer) if Csrf::is_asked_for(&answer) && !has_token => {
                    has_token = true;
                    match self.fetch_token(token).await {
                        Ok(()) => continue,
                        Err(again) => again,
                    }
                }
                // A success other than 200 has no list to read.
                Try::Answer(answer) if answer.status.is_success() => (
                    Failure::Passing { retry_after: None },
                    self.odd(path, what_it_is(&answer.body)),
                ),
                Try::Answer(answer) => return Err(classify(&self.settings.api_url, path, &answer)),
                Try::Again(failure, error) => (failure, error),
                Try::NotYet { until, left } => {
                    waited = Some(until);
                    self.limited(Some(left))
                }
                Try::Failed(error) => return Err(error),
            };
            if let Error::Server { status, .. } = error {
                server_error = Some(status);
            }
            failures = failures.wrapping_add(1);
            let random = self.chance(&[target.as_bytes(), body.unwrap_or_default(), &[failures]]);
            let Some(wait) = retry.next(failure, random) else {
                return Err(match (error, server_error) {
                    // A failing server may also close the connection, which then fails the next try.
                    (
                        Error::Server { .. }
                        | Error::Unreachable {
                            why: Unreachable::Broken,
                            ..
                        },
                        Some(status),
                    ) => Error::Server {
                        path: path.to_owned(),
                        status,
                        tries: retry.failures(),
                    },
                    (error, _) => error,
                });
            };
            tracing::debug!(path, wait_ms = wait.as_millis(), "retrying: {error}");
            self.telemetry.publish(&Event::Wait {
                path: path.to_owned(),
                why: short_reason(&error),
                wait,
            });
            self.sleep(wait).await?;
        }
    }

    /// Waits until the account's requests per minute allow another request.
    async fn await_turn(&self, path: &str) -> Result<(), Error> {
        let Some(most) = self.settings.requests_per_minute else {
            return Ok(());
        };
        let wait = self.account.budget.reserve(self.clock.now(), most);
        let wait = wait.to_std().unwrap_or_default();
        if wait >= WORTH_TELLING {
            self.telemetry.publish(&Event::Wait {
                path: path.to_owned(),
                why: BUDGET.to_owned(),
                wait,
            });
        }
        if !wait.is_zero() {
            self.sleep(wait).await?;
        }
        Ok(())
    }

    /// Waits for the given time. Fails as soon as the server has rejected the credentials.
    async fn sleep(&self, wait: Duration) -> Result<(), Error> {
        tokio::select! {
            biased;
            () = self.rejected.cancelled() => Err(self.unauthorized()),
            () = self.clock.sleep(wait) => Ok(()),
        }
    }

    fn unauthorized(&self) -> Error {
        let host = self.settings.api_url.host().to_owned();
        Error::Unauthorized { host }
    }

    /// Fetches a CSRF token, unless another request has fetched one after number `sent`. An error is a reason to
    /// retry the original request.
    async fn fetch_token(&self, sent: u64) -> Result<(), (Failure, Error)> {
        let Some(_fetching) = self.csrf.fetch_after(sent).await else {
            return Ok(());
        };
        let path = self.csrf.path();
        match self.try_once((&Method::GET, &path, None), None).await {
            Try::Answer(answer) => self.csrf.take(&answer.body).map_err(|_| {
                (
                    Failure::Passing { retry_after: None },
                    classify(&self.settings.api_url, "/csrf-token", &answer),
                )
            }),
            Try::Again(failure, error) => Err((failure, error)),
            Try::NotYet { left, .. } => Err(self.limited(Some(left))),
            Try::Failed(error) => Err((Failure::Passing { retry_after: None }, error)),
        }
    }

    fn odd(&self, path: &str, why: &str) -> Error {
        Error::NotPrefect {
            url: self.settings.api_url.join(path),
            why: why.to_owned(),
        }
    }

    /// Sends a request once the limits allow it. `waited` is the end of a pause for which the caller has already
    /// waited.
    async fn try_once(
        &self,
        (method, target, body): What<'_>,
        waited: Option<DateTime<Utc>>,
    ) -> Try {
        let leave = if self.exchanges.as_ref().is_none_or(|it| it.is_limited()) {
            let most = self.settings.concurrency;
            Some(self.account.throttle.enter(most).await)
        } else {
            None
        };
        // Checked last: another request may have received a rejection or a pause while this one waited.
        if self.rejected.is_cancelled() {
            return Try::Failed(self.unauthorized());
        }
        let pause = self.account.pause.left(self.clock.now(), waited);
        if let Some((until, left)) = pause {
            return Try::NotYet { until, left };
        }
        let started = Instant::now();
        let path = without_query(target);
        let read = self.exchange((method, target, body), started).await;
        self.telemetry.publish(&Event::Request {
            path: path.to_owned(),
            status: read.as_ref().ok().map(|answer| answer.status.as_u16()),
            bytes: read.as_ref().map_or(0, |answer| answer.body.len() as u64),
            took: started.elapsed(),
        });
        if matches!(&read, Ok(answer) if answer.status == StatusCode::UNAUTHORIZED) {
            // Set before another request can take the place of this one.
            self.rejected.cancel();
        }
        if let Some(leave) = leave {
            leave.went(went(&read, started.elapsed()));
        }
        let host = || self.settings.api_url.host().to_owned();
        match read {
            Err(NoAnswer::Unreachable(why)) => Try::Again(
                Failure::Passing { retry_after: None },
                Error::Unreachable { host: host(), why },
            ),
            Err(NoAnswer::TooLarge) => Try::Failed(Error::TooLarge {
                path: path.to_owned(),
            }),
            Ok(answer) => {
                // A date in the header is by the server's clock, which may differ from this machine's.
                let now = || server_time(&answer.headers).unwrap_or_else(|| self.clock.now());
                let retry_after = answer
                    .headers
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok())
                    .and_then(|value| retry_after(value, now()));
                match answer.status {
                    StatusCode::TOO_MANY_REQUESTS => {
                        if let Some(wait) = retry_after {
                            self.account.pause.ask(self.clock.now(), wait);
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

    /// Sends a request and reads its response, unless `exchanges` supplies one.
    async fn exchange(
        &self,
        (method, target, body): What<'_>,
        started: Instant,
    ) -> Result<Answer, NoAnswer> {
        let asked = RecordedRequest {
            by: super::exchange::asker(),
            method: method.as_str(),
            target,
            body,
        };
        if let Some(exchanges) = &self.exchanges
            && let Some(came) = exchanges.instead(asked).await
        {
            return came.map(Answer::of_plain);
        }
        let read = match self.send(method, target, body).await {
            Ok(response) => read_answer(response).await,
            Err(error) => Err(no_answer(&error)),
        };
        let Some(exchanges) = &self.exchanges else {
            return read;
        };
        let mut came = read.map(Answer::into_plain);
        exchanges.came(asked, &mut came, started.elapsed());
        came.map(Answer::of_plain)
    }

    /// Returns a number in 0..1: random, or derived from the seed and `what`.
    fn chance(&self, what: &[&[u8]]) -> f64 {
        let exchanges = self.exchanges.as_ref();
        exchanges.map_or_else(random, |exchanges| drawn(exchanges.seed(), what))
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
            // A complete body makes the client send Content-Length, which Prefect Cloud requires (411).
            request = request
                .header("content-type", "application/json")
                .body(body.to_vec());
        }
        let request = self.csrf.add(self.add_extra_headers(request));
        authorize(request, &self.settings.credentials).send().await
    }

    /// Adds the headers that a gateway requires, marked as sensitive so that they are never printed.
    fn add_extra_headers(&self, request: RequestBuilder) -> RequestBuilder {
        let headers = self.settings.extra_headers.iter();
        headers.fold(request, |request, (name, value)| {
            let name = HeaderName::try_from(name);
            let value = HeaderValue::try_from(value.expose_secret());
            match (name, value) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    request.header(name, value)
                }
                // Cannot happen: the configuration accepts only valid headers.
                _ => request,
            }
        })
    }
}

/// Removes the query from a target for messages: a query is long and does not help the reader.
fn without_query(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Returns a number in 0..1 that differs in every process and call. It spreads retries and names the CSRF client.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    in_unit(bits)
}

/// Returns a number in 0..1 derived from the seed and `what`.
fn drawn(seed: u64, what: &[&[u8]]) -> f64 {
    let mut hasher = XxHash3_64::with_seed(seed);
    for part in what {
        hasher.write(part);
    }
    in_unit(hasher.finish() >> 32)
}

/// Converts 32 bits to a number in 0..1.
fn in_unit(bits: u64) -> f64 {
    u32::try_from(bits).map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX))
}
