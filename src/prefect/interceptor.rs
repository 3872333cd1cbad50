//! Requests and responses as plain data, so that they can be recorded and replayed.

use std::{future::Future, pin::Pin, time::Duration};

use super::Unreachable;

tokio::task_local! {
    static REQUESTER: u32;
}

/// Runs `future` and attributes its requests to the tables with the number `requester`.
///
/// Two tables may send the same request, such as a listing of work pools, and receive different responses.
pub async fn attributed<F: Future>(requester: u32, future: F) -> F::Output {
    REQUESTER.scope(requester, future).await
}

/// Returns the number that [`attributed`] gave to the current task; `None` outside of [`attributed`].
pub(super) fn requester() -> Option<u32> {
    REQUESTER.try_with(|requester| *requester).ok()
}

/// The parts of a request that determine its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedRequest<'a> {
    /// The number of the tables that send the request; see [`attributed`].
    pub requester: Option<u32>,
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The path and query below the API's root, such as `/flow_runs/filter`.
    pub target: &'a str,
    /// The JSON body, if there is one.
    pub body: Option<&'a [u8]>,
}

/// A response with its complete body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers that are listed in [`KEPT_HEADERS`], with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, or a replacement character if the body is not UTF-8.
    pub body: String,
}

/// The response headers that the connector uses.
pub const KEPT_HEADERS: [&str; 4] = ["content-type", "date", "location", "retry-after"];

/// The reason why a request has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoResponse {
    /// No response arrived.
    Unreachable(Unreachable),
    /// The response is larger than the connector reads.
    TooLarge,
}

/// The outcome of a request.
pub type ExchangeResult = Result<RecordedResponse, NoResponse>;

/// A future outcome in place of the network's; `None` means that the request must be sent.
pub type StubResponse<'a> = Pin<Box<dyn Future<Output = Option<ExchangeResult>> + Send + 'a>>;

/// Intercepts the requests that leave the process.
pub trait HttpInterceptor: Send + Sync {
    /// Returns the seed of everything that is otherwise random: the same seed gives the same waits.
    fn seed(&self) -> u64;

    /// Returns true if the configured limit of concurrent requests applies.
    fn is_limited(&self) -> bool {
        true
    }

    /// Returns an outcome in place of the network's, or `None` to send the request.
    fn intercept<'a>(&'a self, request: RecordedRequest<'a>) -> StubResponse<'a>;

    /// Receives the network's outcome and may remove data from it before any other code reads it.
    fn on_response(
        &self,
        request: RecordedRequest<'_>,
        result: &mut ExchangeResult,
        duration: Duration,
    );
}
