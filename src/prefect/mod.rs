//! A read-only client for Prefect servers: typed requests, retries, and errors that a user can act on.
//!
//! The module knows nothing about tables. [`PrefectApi`] offers only reads (listings, counts, single objects,
//! versions), and [`HttpApi`] cannot send anything else.

mod account;
mod api;
mod auth;
mod budget;
mod error;
mod events;
mod exchange;
mod http;
mod page;
mod pause;
mod request;
mod retry;
mod throttle;

#[cfg(feature = "fuzzing")]
pub(crate) use http::fuzzing;

pub use account::Accounts;
pub use api::{PrefectApi, ServerInfo};
pub use error::{Error, Unreachable};
pub use events::{EventsPage, EventsRequest, MOST_EVENTS, Token};
pub use exchange::{
    ExchangeResult, HttpInterceptor, KEPT, NoAnswer, RecordedRequest, RecordedResponse,
    StubResponse, asked_by,
};
pub use http::HttpApi;
pub use page::ListResponse;
pub use request::{
    AnyOf, Collection, CountRequest, Filter, GetRequest, IsNull, ListRequest, StateFilter,
    TimeRange, UserFilter,
};
pub use retry::RetryPolicy;
