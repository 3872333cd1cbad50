//! The HTTP client. Only this module sends requests.

mod classify;
mod client;
mod csrf;
mod endpoints;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz_api;
mod proxy;
mod response;
mod tls;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Method, RequestBuilder, StatusCode,
    header::{HeaderName, HeaderValue, RETRY_AFTER},
};
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;
use twox_hash::XxHash3_64;

use self::{
    classify::{classify, outcome_of, short_reason},
    client::build_client,
    csrf::Csrf,
    proxy::Proxy,
    response::{Response, describe_body, is_retryable, no_response, read_response, server_time},
};
use super::{
    Accounts, Error, HttpInterceptor, NoResponse, ProxyRefusal, RecordedRequest, RetryPolicy,
    Unreachable,
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
    policy: RetryPolicy,
    account: Arc<Account>,
    /// Cancelled when the server rejects the credentials (401).
    rejected: CancellationToken,
    csrf: Csrf,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    interceptor: Option<Arc<dyn HttpInterceptor>>,
    /// The proxy between here and the server.
    proxy: Option<Proxy>,
}

/// A request: method, target, body.
type RequestParts<'a> = (&'a Method, &'a str, Option<&'a [u8]>);

/// The result of one try: a response to process, or a reason to retry.
enum Try {
    Response(Response),
    Retry(Failure, Error),
    /// No request was sent, because the server has requested a pause.
    Paused {
        until: DateTime<Utc>,
        remaining: Duration,
    },
    /// The request failed, and a retry would fail in the same way.
    Failed(Error),
}

impl HttpApi {
    /// Creates a client without opening a connection.
    pub fn new(
        settings: Settings,
        policy: RetryPolicy,
        clock: Arc<dyn Clock>,
        telemetry: Telemetry,
    ) -> Result<Self, Error> {
        let account = Accounts::default().account_for(&settings);
        let proxy = Proxy::of(&settings.api_url);
        Ok(Self {
            client: build_client(&settings, policy, proxy.as_ref())
                .map_err(|error| Error::Setup(error.to_string()))?,
            policy,
            proxy,
            rejected: account.rejection(&settings),
            account,
            csrf: Csrf::new(random()),
            settings,
            clock,
            telemetry,
            interceptor: None,
        })
    }

    /// Lets `interceptor` observe or replace the network traffic.
    #[must_use]
    pub fn intercepted_by(mut self, interceptor: Option<Arc<dyn HttpInterceptor>>) -> Self {
        if let Some(interceptor) = &interceptor {
            self.csrf = Csrf::new(seeded_fraction(interceptor.seed(), &[]));
        }
        self.interceptor = interceptor;
        self
    }

    /// Shares the limits with all other clients of the same account.
    #[must_use]
    pub fn sharing(mut self, accounts: &Accounts) -> Self {
        self.account = accounts.account_for(&self.settings);
        self.rejected = self.account.rejection(&self.settings);
        self
    }

    /// Sends a request and retries it within the limits of `policy`. Stops as soon as the server has rejected
    /// the credentials.
    async fn ask<T>(
        &self,
        (method, target, body): (Method, &str, Option<&[u8]>),
        policy: RetryPolicy,
        read: impl Fn(Response) -> Result<T, serde_json::Error>,
    ) -> Result<T, Error> {
        let path = without_query(target);
        let mut retry = Retry::new(policy);
        let mut waited = None;
        let mut has_token = false;
        let mut server_error = None;
        let mut failures: u8 = 0;
        loop {
            self.await_turn(path).await?;
            let token = self.csrf.current();
            let tried = self.try_once((&method, target, body), waited).await;
            let (failure, error) = match tried {
                Try::Response(response) if response.status == StatusCode::OK => {
                    let why = describe_body(&response.body);
                    match read(response) {
                        Ok(value) => return Ok(value),
                        Err(_) => (
                            Failure::Transient { retry_after: None },
                            self.unexpected_body(path, why),
                        ),
                    }
                }
                Try::Response(response) if Csrf::is_asked_for(&response) && !has_token => {
                    has_token = true;
                    match self.fetch_token(token).await {
                        Ok(()) => continue,
                        Err(again) => again,
                    }
                }
                // A success other than 200 has no list to read.
                Try::Response(response) if response.status.is_success() => (
                    Failure::Transient { retry_after: None },
                    self.unexpected_body(path, describe_body(&response.body)),
                ),
                Try::Response(response) => {
                    return Err(self.rejection(path, &response));
                }
                Try::Retry(failure, error) => (failure, error),
                Try::Paused { until, remaining } => {
                    waited = Some(until);
                    self.limited(Some(remaining))
                }
                Try::Failed(error) => return Err(error),
            };
            if let Error::Server { status, .. } = error {
                server_error = Some(status);
            }
            failures = failures.wrapping_add(1);
            let random = self.jitter(&[target.as_bytes(), body.unwrap_or_default(), &[failures]]);
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
        let wait = self.account.rate_limit.reserve(self.clock.now(), most);
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
            Try::Response(response) => self.csrf.store_token(&response.body).map_err(|_| {
                (
                    Failure::Transient { retry_after: None },
                    self.rejection("/csrf-token", &response),
                )
            }),
            Try::Retry(failure, error) => Err((failure, error)),
            Try::Paused { remaining, .. } => Err(self.limited(Some(remaining))),
            Try::Failed(error) => Err((Failure::Transient { retry_after: None }, error)),
        }
    }

    /// Returns the error of a response that is neither a 200 nor worth a retry.
    fn rejection(&self, path: &str, response: &Response) -> Error {
        let api_url = &self.settings.api_url;
        let by_proxy = |proxy: &Proxy| proxy.refusal(api_url.host(), response);
        let by_proxy = self.proxy.as_ref().and_then(by_proxy);
        by_proxy.unwrap_or_else(|| classify(api_url, path, response))
    }

    /// Returns the result of a try that received no response.
    fn unreachable(&self, why: Unreachable) -> Try {
        let host = self.settings.api_url.host();
        match (why, &self.proxy) {
            (Unreachable::ProxyCredentials, Some(proxy)) => {
                Try::Failed(proxy.error(host, ProxyRefusal::Credentials))
            }
            (Unreachable::Proxy, Some(proxy)) => {
                let host = format!("{host} (proxy {})", proxy.address);
                let error = Error::Unreachable { host, why };
                Try::Retry(Failure::Transient { retry_after: None }, error)
            }
            _ => {
                let host = host.to_owned();
                let error = Error::Unreachable { host, why };
                Try::Retry(Failure::Transient { retry_after: None }, error)
            }
        }
    }

    fn unexpected_body(&self, path: &str, why: &str) -> Error {
        Error::NotPrefect {
            url: self.settings.api_url.join(path),
            why: why.to_owned(),
        }
    }

    /// Sends a request once the limits allow it. `waited` is the end of a pause for which the caller has already
    /// waited.
    async fn try_once(
        &self,
        (method, target, body): RequestParts<'_>,
        waited: Option<DateTime<Utc>>,
    ) -> Try {
        let permit = if self.interceptor.as_ref().is_none_or(|it| it.is_limited()) {
            let most = self.settings.concurrency;
            Some(self.account.concurrency.acquire(most).await)
        } else {
            None
        };
        // Checked last: another request may have received a rejection or a pause while this one waited.
        if self.rejected.is_cancelled() {
            return Try::Failed(self.unauthorized());
        }
        let pause = self
            .account
            .retry_after_gate
            .remaining(self.clock.now(), waited);
        if let Some((until, remaining)) = pause {
            return Try::Paused { until, remaining };
        }
        let started = Instant::now();
        let path = without_query(target);
        let read = self.exchange((method, target, body), started).await;
        self.telemetry.publish(&Event::Request {
            path: path.to_owned(),
            status: read.as_ref().ok().map(|response| response.status.as_u16()),
            bytes: read
                .as_ref()
                .map_or(0, |response| response.body.len() as u64),
            took: started.elapsed(),
        });
        if matches!(&read, Ok(response) if response.status == StatusCode::UNAUTHORIZED) {
            // Set before another request can take the place of this one.
            self.rejected.cancel();
        }
        if let Some(permit) = permit {
            permit.finish(outcome_of(&read, started.elapsed()));
        }
        match read {
            Err(NoResponse::Unreachable(why)) => self.unreachable(why),
            Err(NoResponse::TooLarge) => Try::Failed(Error::TooLarge {
                path: path.to_owned(),
            }),
            Ok(response) => {
                // A date in the header is by the server's clock, which may differ from this machine's.
                let now = || server_time(&response.headers).unwrap_or_else(|| self.clock.now());
                let retry_after = response
                    .headers
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok())
                    .and_then(|value| retry_after(value, now()));
                match response.status {
                    StatusCode::TOO_MANY_REQUESTS => {
                        if let Some(wait) = retry_after {
                            self.account.retry_after_gate.start(self.clock.now(), wait);
                        }
                        let (failure, error) = self.limited(retry_after);
                        Try::Retry(failure, error)
                    }
                    status if is_retryable(status) => Try::Retry(
                        Failure::Transient { retry_after },
                        Error::Server {
                            path: path.to_owned(),
                            status: status.as_u16(),
                            tries: 1,
                        },
                    ),
                    _ => Try::Response(response),
                }
            }
        }
    }

    /// Sends a request and reads its response, unless `interceptor` supplies one.
    async fn exchange(
        &self,
        (method, target, body): RequestParts<'_>,
        started: Instant,
    ) -> Result<Response, NoResponse> {
        let request = RecordedRequest {
            requester: super::interceptor::requester(),
            method: method.as_str(),
            target,
            body,
        };
        if let Some(interceptor) = &self.interceptor
            && let Some(result) = interceptor.intercept(request).await
        {
            return result.map(Response::from_recorded);
        }
        let read = match self.send(method, target, body).await {
            Ok(response) => read_response(response).await,
            Err(error) => Err(no_response(&error)),
        };
        let Some(interceptor) = &self.interceptor else {
            return read;
        };
        let mut result = read.map(Response::into_recorded);
        interceptor.on_response(request, &mut result, started.elapsed());
        result.map(Response::from_recorded)
    }

    /// Returns a number in 0..1: random, or derived from the seed and `what`.
    fn jitter(&self, what: &[&[u8]]) -> f64 {
        let interceptor = self.interceptor.as_ref();
        interceptor.map_or_else(random, |interceptor| {
            seeded_fraction(interceptor.seed(), what)
        })
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
    ) -> Result<reqwest::Response, reqwest::Error> {
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
fn seeded_fraction(seed: u64, what: &[&[u8]]) -> f64 {
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
