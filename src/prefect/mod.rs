//! A read-only client for Prefect servers: typed requests, retries, and errors that a user can act on.
//!
//! The module knows nothing about tables. [`PrefectApi`] offers only reads (listings, counts, single objects,
//! versions), and [`HttpApi`] cannot send anything else.

mod account;
mod adaptive_concurrency;
mod api;
mod auth;
mod error;
mod events;
mod http;
mod interceptor;
mod page;
mod rate_limit;
mod request;
mod retry;
mod retry_after_gate;

#[cfg(feature = "fuzzing")]
pub(crate) use http::fuzz_api;

pub use account::Accounts;
pub use api::{PrefectApi, ServerInfo};
pub use error::{Error, ProxyRefusal, Unreachable};
pub use events::{EventsPage, EventsRequest, MOST_EVENTS, Token};
pub use http::HttpApi;
pub use interceptor::{
    ExchangeResult, HttpInterceptor, KEPT_HEADERS, NoResponse, RecordedRequest, RecordedResponse,
    StubResponse, attributed,
};
pub use page::ListResponse;
pub use request::{
    AnyOf, Collection, CountRequest, Filter, GetRequest, IsNull, ListRequest, StateFilter,
    TimeRange, UserFilter,
};
pub use retry::RetryPolicy;
